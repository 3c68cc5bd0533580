"""The databases that the contract suite runs on. Another one is added by another maker at the end of MAKERS."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio

from resetsvc.store import schema
from resetsvc.store.database import Store
from tests.support import postgres

MakeUrl = Callable[[Path], str]


def sqlite(folder: Path) -> str:
    """A file of its own, with the present schema in it."""
    file = folder / "store.db"
    file.write_bytes(migrated_file())
    return f"sqlite:///{file}"


@cache
def migrated_file() -> bytes:
    """Migrated once for all tests: how that goes is for test_schema.py, and it takes longer than most tests here."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "blank.db"
        schema.upgrade(f"sqlite:///{file}")
        return file.read_bytes()


def postgresql(_: Path) -> str:
    return postgres.new_database()


MAKERS: list[MakeUrl] = [sqlite, postgresql]

# For tests that are about one of them.
ON_SQLITE = pytest.mark.parametrize("database_url", [sqlite], ids=["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("database_url", [postgresql], ids=["postgresql"], indirect=True)


@pytest.fixture(params=MAKERS, ids=[maker.__name__ for maker in MAKERS])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of one's own."""
    maker: MakeUrl = request.param
    url = maker(tmp_path)
    yield url
    if url.startswith("postgresql:"):
        postgres.drop_database(url)


@pytest_asyncio.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = Store(database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def other_store(store: Store, database_url: str) -> AsyncIterator[Store]:
    """A second process's view of the same database."""
    opened = Store(database_url)
    await opened.open()
    yield opened
    await opened.close()
