"""An application's table of members, on each kind of database, and resetsvc beside it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from resetsvc.accounts.mapping import read_mapping
from resetsvc.accounts.table import TableAccounts
from resetsvc.clock import Clock
from resetsvc.passwords.formats import format_named
from resetsvc.passwords.hashing import Hasher
from tests.accounts.databases import Database, insert, new_database

KINDS = ("sqlite", "postgresql", "mariadb")
# Three forms in which a key comes: each database hands each over in its own way.
MEMBERS = """
CREATE TABLE "members" (
    "id" INTEGER PRIMARY KEY,
    "email" VARCHAR(190),
    "password" VARCHAR(250),
    "is_active" BOOLEAN DEFAULT TRUE,
    "language" VARCHAR(50),
    "deleted_at" TIMESTAMP NULL,
    "stamp" VARCHAR(100),
    "remember" VARCHAR(100),
    "changed_at" TIMESTAMP NULL,
    "second_factor" VARCHAR(100)
)
"""
SESSIONS = 'CREATE TABLE "web_sessions" ("id" INTEGER PRIMARY KEY, "member" INTEGER, "kind" VARCHAR(20))'
MAPPING: dict[str, Any] = {
    "table": "members",
    "columns": {"id": "id", "address": "email", "password": "password", "active": "is_active"},
    "compare": "lower",
    "hash": {"format": "django_pbkdf2_sha256", "iterations": 1000},
}
HASH = format_named("django_pbkdf2_sha256", iterations=1000)
OLD = HASH.hash("an old password of hers")

Opened = Callable[..., TableAccounts]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database(kind: str, tmp_path: Path) -> Database:
    found = new_database(kind, tmp_path)
    found.do(MEMBERS, SESSIONS)
    return found


@pytest.fixture
def add(database: Database) -> Callable[..., None]:
    def added(number: int, email: str | None, password: str | None = OLD, **more: object) -> None:
        insert(database, "members", {"id": number, "email": email, "password": password, **more})

    return added


@pytest_asyncio.fixture
async def opened(database: Database) -> AsyncIterator[Opened]:
    """Makes accounts of a mapping, and closes them when the test ends."""
    hasher = Hasher(memory_kib=8192, time_cost=1, parallelism=1, concurrency=2)
    made: list[TableAccounts] = []

    def open_one(url: str | None = None, **changes: object) -> TableAccounts:
        mapping = read_mapping({**MAPPING, **changes}, url=url or database.url)
        made.append(TableAccounts(mapping, hasher, Clock()))
        return made[-1]

    yield open_one
    for accounts in made:
        await accounts.close()
    hasher.close()
