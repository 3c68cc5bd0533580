"""The machine's database: a file of SQLite, or a PostgreSQL of its own that can be ended and started again."""

import asyncio
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, Protocol

from resetsvc.store import schema
from resetsvc.store.address import parse_address
from resetsvc.store.postgres import FAILURES, connect
from tests.support import postgres

Rows = Sequence[Mapping[str, Any]]
SeededAccount = tuple[str, str, str, bool]  # id, address, password hash, active
Way = Literal[
    "fast", "immediate", "kill"
]  # in which a server ends: in order, at once, every process by kill -9


class DatabaseAway(Exception):
    """It cannot be read at the moment."""


class MachineDatabase(Protocol):
    """Read from beside the service, with SQL that both databases understand."""

    url: str

    def make(self, accounts: Sequence[SeededAccount]) -> None: ...

    def rows(self, sql: str, *, patience: float = 30.0) -> Rows:
        """DatabaseAway if the database is away, or is not to be read within so many seconds."""
        ...


class SqliteFile:
    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self.path = path

    def make(self, accounts: Sequence[SeededAccount]) -> None:
        schema.upgrade(self.url)
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.executemany(
                "INSERT INTO accounts (id, address, password_hash, active, created_at, changed_at)"
                " VALUES (?, ?, ?, ?, 0, 0)",
                accounts,
            )

    def rows(self, sql: str, *, patience: float = 30.0) -> Rows:
        try:
            connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=patience)
            connection.row_factory = sqlite3.Row
            with closing(connection):
                return [dict(row) for row in connection.execute(sql)]
        except sqlite3.Error as error:
            raise DatabaseAway from error


class SqliteBesideAnApplication(SqliteFile):
    """The letters in one file, the accounts in the table of an application, which is another file."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder / name)
        self._application = SqliteFile(folder / "application.db")

    @property
    def settings(self) -> dict[str, str]:
        described = {
            "table": "people",
            "columns": {"id": "id", "address": "address", "password": "password_hash", "active": "active"},
            "hash": {"format": "argon2id", "memory_cost": 8192, "time_cost": 1, "parallelism": 1},
        }
        return {
            "RESETSVC_ACCOUNTS_URL": self._application.url,
            "RESETSVC_ACCOUNTS": json.dumps(described),
        }

    def make(self, accounts: Sequence[SeededAccount]) -> None:
        super().make([])
        with closing(sqlite3.connect(self._application.path)) as connection, connection:
            connection.execute(
                "CREATE TABLE people (id TEXT PRIMARY KEY, address TEXT, password_hash TEXT, active BOOLEAN)"
            )
            connection.execute("CREATE UNIQUE INDEX people_address ON people (address)")
            connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?)", accounts)

    def rows(self, sql: str, *, patience: float = 30.0) -> Rows:
        if " FROM accounts" in sql:
            return self._application.rows(sql.replace(" FROM accounts", " FROM people"), patience=patience)
        return super().rows(sql, patience=patience)


class PostgresServer:
    """Enter it: a server of the machine's own. Its folder is beside the machine's, as another user owns it.

    keep -- leave the server's folder at the end, for whoever wants to look
    """

    def __init__(self) -> None:
        self.keep = False
        self.folder = Path(tempfile.mkdtemp(prefix="resetsvc-pg-"))
        self._server = postgres.Server(self.folder)
        self.url = self._server.url()

    def __enter__(self) -> "PostgresServer":
        return self

    def __exit__(self, *_: object) -> None:
        if self.keep:
            self._server.stop()
        else:
            self._server.remove()

    def make(self, accounts: Sequence[SeededAccount]) -> None:
        async def fill() -> None:
            driver = await connect(parse_address(self.url))
            await driver.copy_records_to_table(
                "accounts",
                records=[(*account, 0.0, 0.0) for account in accounts],
                columns=["id", "address", "password_hash", "active", "created_at", "changed_at"],
            )
            await driver.close()

        schema.upgrade(self.url)
        postgres.elsewhere(fill())

    def rows(self, sql: str, *, patience: float = 30.0) -> Rows:
        del patience  # who reads waits for nobody here
        try:
            return postgres.run_sql(self.url, sql)
        except FAILURES as error:
            raise DatabaseAway from error

    async def end(self, way: Way) -> None:
        await asyncio.to_thread(self._server.kill if way == "kill" else lambda: self._server.stop(way))

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)


def lacks_postgresql() -> bool:
    return not postgres.is_here()


def lacks_redis() -> bool:
    return shutil.which("redis-server") is None
