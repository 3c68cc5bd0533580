"""A real MariaDB for the tests: one server for a whole run, started without root, and a database of one's own for each test."""

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymysql
import pymysql.cursors

from tests.support.lacking import lacking

PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin:/usr/local/sbin"
# Nothing here survives a power cut, and nothing has to.
FAST = (
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-buffer-pool-size=32M",
    "--skip-log-bin",
    "--performance-schema=OFF",
)


class Server:
    """MariaDB as Debian has it, in a folder of its own, on a socket. Where the tests run as root, it runs as nobody."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._options = options or ("--skip-networking",)
        self.socket = folder / "socket"
        self._as = "nobody" if os.geteuid() == 0 else None
        if self._as is not None:
            shutil.chown(folder, self._as)
        found = shutil.which("mariadbd", path=PROGRAMS)
        install = shutil.which("mariadb-install-db", path=PROGRAMS)
        if found is None or install is None:
            lacking("a MariaDB: apt-get install mariadb-server")
        self._program = found
        made = subprocess.run(
            [
                install,
                "--no-defaults",
                f"--datadir={folder / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            capture_output=True,
            text=True,
            check=False,
            user=self._as,
            cwd="/",
            env={"PATH": PROGRAMS, "HOME": str(folder), "TMPDIR": str(folder)},
        )
        assert made.returncode == 0, f"mariadb-install-db failed: {made.stdout}{made.stderr}"
        self.start()

    def start(self) -> None:
        already = len(self._log())
        with (self.folder / "log").open("a") as said:
            self._process = subprocess.Popen(
                [
                    self._program,
                    "--no-defaults",
                    f"--datadir={self.folder / 'data'}",
                    f"--socket={self.socket}",
                    f"--pid-file={self.folder / 'pid'}",
                    f"--tmpdir={self.folder}",
                    *self._options,
                    *FAST,
                ],
                stdout=said,
                stderr=said,
                user=self._as,
                cwd="/",
            )
        deadline = time.monotonic() + 60
        while "ready for connections" not in self._log()[already:]:
            assert self._process.poll() is None, f"mariadbd ended: {self._log()[-2000:]}"
            assert time.monotonic() < deadline, "mariadbd does not become ready"
            time.sleep(0.02)  # it tells nobody but its log

    def _log(self) -> str:
        path = self.folder / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(60)

    def remove(self) -> None:
        if self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def do(self, *statements: str, database: str | None = None) -> list[dict[str, Any]]:
        """As an administrator's shell would: each statement commits by itself. Returns the rows of the last one."""
        connection = pymysql.connect(
            unix_socket=str(self.socket),
            user="root",
            database=database,
            autocommit=True,
            charset="utf8mb4",
            cursorclass=pymysql.cursors.DictCursor,
        )
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def url(self, database: str, user: str = "root", password: str = "") -> str:
        who = f"{user}:{password}" if password else user
        return f"mysql://{who}@/{database}?unix_socket={self.socket}"


@cache
def own_server() -> Server:
    server = Server(Path(tempfile.mkdtemp(prefix="resetsvc-mariadb-")))
    atexit.register(server.remove)
    return server


def new_database() -> str:
    """The name of a database of one's own, in the server of this run."""
    name = f"resetsvc_test_{uuid4().hex[:12]}"
    own_server().do(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    return name
