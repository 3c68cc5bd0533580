"""A real PgBouncer in transaction mode before the tests' own PostgreSQL."""

import asyncio
import os
import shutil
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import parse_qsl, urlsplit

from tests.support.lacking import lacking

SERVER_CONNECTIONS = (
    3  # fewer than clients, so that each transaction may meet another session than the last one
)


@asynccontextmanager
async def pgbouncer_before(url: str) -> AsyncIterator[str]:
    """The URL under which the same database is reached through it. The URL has to name a socket."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        lacking("pgbouncer (Debian: apt install pgbouncer)")
    server = dict(parse_qsl(urlsplit(url).query))["host"]
    folder = Path(
        mkdtemp(prefix="resetsvc-pgbouncer-")
    )  # short, as it holds a socket, and not the user's own
    (folder / "users").write_text('"postgres" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"""
        [databases]
        * = host={server}
        [pgbouncer]
        unix_socket_dir = {folder}
        listen_port = 5432
        auth_type = trust
        auth_file = {folder}/users
        pool_mode = transaction
        default_pool_size = {SERVER_CONNECTIONS}
        server_round_robin = 1
        """.replace("        ", "")
    )
    user = "nobody" if os.geteuid() == 0 else None  # it does not run as root
    if user is not None:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user)
    process = await asyncio.create_subprocess_exec(
        program, "-q", folder / "pgbouncer.ini", user=user, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while not (folder / ".s.PGSQL.5432").exists():  # noqa: ASYNC110 -- a process that starts sets no event
                await asyncio.sleep(0.01)
        yield url.replace(server, str(folder)) + "&pgbouncer=true"
    finally:
        process.kill()
        await process.wait()
        shutil.rmtree(folder)
