"""An application's database, in each of the kinds that there are; and an application's table in it."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from tests.support import mariadb, postgres


class Database(Protocol):
    kind: str
    url: str

    def do(self, *statements: str) -> list[dict[str, Any]]:
        """As the application's own administrator. Returns the rows of the last statement."""
        ...


class Sqlite:
    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "application.db"
        self.url = f"sqlite:///{self.path}"
        self.do("PRAGMA journal_mode = WAL")

    def do(self, *statements: str) -> list[dict[str, Any]]:
        connection = sqlite3.connect(self.path)
        try:
            connection.row_factory = sqlite3.Row
            rows: list[Any] = []
            for statement in statements:
                rows = connection.execute(statement).fetchall()
                connection.commit()
            return [dict(row) for row in rows]
        finally:
            connection.close()


class Postgresql:
    kind = "postgresql"

    def __init__(self) -> None:
        self.url = postgres.new_database(migrated=False)

    def do(self, *statements: str) -> list[dict[str, Any]]:
        return postgres.run_sql(self.url, *statements)

    def url_of(self, role: str) -> str:
        return postgres.as_role(self.url, role)


class Mariadb:
    kind = "mariadb"

    def __init__(self) -> None:
        self.name = mariadb.new_database()
        self.url = mariadb.own_server().url(self.name)

    def do(self, *statements: str) -> list[dict[str, Any]]:
        # One notation for all three in the tests.
        return mariadb.own_server().do(
            *(statement.replace('"', "`") for statement in statements), database=self.name
        )

    def url_of(self, user: str) -> str:
        return mariadb.own_server().url(self.name, user, postgres.ROLE_PASSWORD)


def new_database(kind: str, folder: Path) -> Database:
    match kind:
        case "sqlite":
            return Sqlite(folder)
        case "postgresql":
            return Postgresql()
        case _:
            return Mariadb()


def literal(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value)
        case _:
            return "'" + str(value).replace("'", "''") + "'"


def insert(database: Database, table: str, row: Mapping[str, object]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    database.do(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join(map(literal, row.values()))})')


def database_name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
