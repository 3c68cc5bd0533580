"""A real PgBouncer before the tests' own PostgreSQL: in transaction mode, or as the end of TLS."""

import asyncio
import os
import shutil
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import parse_qsl, urlsplit

from resetsvc.store.address import SERVER_SETTINGS
from tests.support.certificates import CertificateKind, write_ca_file, write_server_files
from tests.support.lacking import lacking
from tests.support.ports import own_ports

SERVER_CONNECTIONS = (
    3  # fewer than clients, so that each transaction may meet another session than the last one
)


@asynccontextmanager
async def pgbouncer_before(url: str) -> AsyncIterator[str]:
    """In transaction mode. The URL under which the same database is reached through it; it has to name a socket."""
    folder = _folder()
    lines = ("pool_mode = transaction", f"default_pool_size = {SERVER_CONNECTIONS}", "server_round_robin = 1")
    async with _running(folder, url, *lines, f"unix_socket_dir = {folder}", "listen_port = 5432"):
        yield url.replace(_socket_of(url), str(folder)) + "&pgbouncer=true"


@asynccontextmanager
async def tls_before(url: str, kind: CertificateKind | None) -> AsyncIterator[str]:
    """The end of TLS with such a certificate (None: without TLS), and otherwise as if it were not there: a session each.

    The PostgreSQL of the tests is built without TLS. Whoever does not want TLS is refused, so what works is encrypted.
    """
    folder = _folder()
    lines = ["pool_mode = session", f"ignore_startup_parameters = {', '.join(SERVER_SETTINGS)}"]
    write_ca_file(folder / "ca.pem")
    if kind is not None:
        write_server_files(kind, folder / "certificate.pem", folder / "key.pem")
        lines += ["client_tls_sslmode = require", f"client_tls_cert_file = {folder}/certificate.pem"]
        lines += [f"client_tls_key_file = {folder}/key.pem"]
    with own_ports(1) as (port,):
        lines += ["listen_addr = 127.0.0.1", f"listen_port = {port}", "unix_socket_dir ="]
        async with _running(folder, url, *lines):
            yield f"postgresql://postgres:hunter2@127.0.0.1:{port}{urlsplit(url).path}?sslrootcert={folder}/ca.pem"


def _folder() -> Path:
    """Short, as it may hold a socket, and not the user's own, as it does not run as root."""
    return Path(mkdtemp(prefix="resetsvc-pgbouncer-"))


def _socket_of(url: str) -> str:
    return dict(parse_qsl(urlsplit(url).query))["host"]


@asynccontextmanager
async def _running(folder: Path, url: str, *lines: str) -> AsyncIterator[None]:
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        lacking("pgbouncer (Debian: apt install pgbouncer)")
    (folder / "users").write_text('"postgres" ""\n')
    settings = ["[databases]", f"* = host={_socket_of(url)}", "[pgbouncer]", "auth_type = trust"]
    settings += [f"auth_file = {folder}/users", f"pidfile = {folder}/pid", *lines]
    (folder / "pgbouncer.ini").write_text("\n".join(settings))
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user)
    process = await asyncio.create_subprocess_exec(
        program, "-q", folder / "pgbouncer.ini", user=user, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while not (folder / "pid").exists():  # noqa: ASYNC110 -- a process that starts sets no event
                await asyncio.sleep(0.01)
        yield
    finally:
        process.kill()
        await process.wait()
        shutil.rmtree(folder)
