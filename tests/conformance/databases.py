"""An empty database of each kind, and all that is in it, row by row."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import mariadb, postgres

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Database:
    """`url` as resetsvc takes it; `rows` returns what every table holds, by the table's name."""

    kind: str
    url: str
    rows: Callable[[], dict[str, list[Row]]]


def new_database(kind: str, folder: Path) -> Database:
    """kind -- SQLite, PostgreSQL, MariaDB"""
    if kind == "SQLite":
        path = folder / "application.db"
        path.touch()  # Laravel makes none
        return Database(kind, f"sqlite:///{path}", lambda: _of_sqlite(path))
    if kind == "MariaDB":
        server, name = mariadb.own_server(), mariadb.new_database()
        return Database(kind, server.url(name), lambda: _of_mariadb(server, name))
    url = postgres.new_database(migrated=False)
    return Database(kind, url, lambda: _of_postgres(url))


def _of_sqlite(path: Path) -> dict[str, list[Row]]:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    try:
        named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {name: _plain(connection.execute(f'SELECT * FROM "{name}"').fetchall()) for (name,) in named}  # noqa: S608  # names of a test's tables
    finally:
        connection.close()


def _of_postgres(url: str) -> dict[str, list[Row]]:
    named = postgres.run_sql(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {
        row["tablename"]: _plain(postgres.run_sql(url, f'SELECT * FROM "{row["tablename"]}"'))  # noqa: S608  # the same
        for row in named
    }


def _of_mariadb(server: mariadb.Server, name: str) -> dict[str, list[Row]]:
    tables = [next(iter(row.values())) for row in server.do("SHOW TABLES", database=name)]
    return {table: server.do(f"SELECT * FROM `{table}`", database=name) for table in tables}  # noqa: S608  # the same


def _plain(rows: list[Any]) -> list[Row]:
    return [dict(row) for row in rows]
