"""SQLite's log goes over into the file beside the writer, has a bound, and harms nobody when it cannot."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from resetsvc.errors import CannotStore
from resetsvc.store import checkpoints, mutes
from resetsvc.store import sqlite as sqlite_engine
from resetsvc.store.checkpoints import WRITES, Checkpoints
from resetsvc.store.database import Store
from resetsvc.store.sqlite import database_file
from tests.store.conftest import sqlite
from tests.store.rows import NOW

PAGE = 4096 + 24  # octets in the log


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return sqlite(tmp_path)


async def mute(store: Store, account: int) -> None:
    await store.write(lambda connection: mutes.mute_account(connection, str(account), NOW))


def in_the_file_itself(url: str) -> int:
    """How many mutes there are for somebody who does not look into the log."""
    connection = sqlite3.connect(f"file:{database_file(url)}?immutable=1", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM mutes").fetchone()[0])
    finally:
        connection.close()


async def test_after_so_many_writes_the_log_is_carried_over_and_not_by_the_writer(database_url: str) -> None:
    carried_over = asyncio.Event()

    def on_done(kind: str, _: float) -> None:
        if kind == "checkpoint":
            carried_over.set()

    store = Store(database_url, on_done=on_done)
    await store.open()
    try:
        for account in range(WRITES - 1):
            await mute(store, account)
        assert not carried_over.is_set()
        assert in_the_file_itself(database_url) == 0
        await mute(store, WRITES)
        async with asyncio.timeout(30):
            await carried_over.wait()
        assert in_the_file_itself(database_url) == WRITES
    finally:
        await store.close()


async def test_a_log_that_nobody_carries_over_has_a_bound(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "WRITES", 1_000_000)
    monkeypatch.setattr(sqlite_engine, "LOG_AT_MOST", 20)
    store = Store(database_url)
    await store.open()
    try:
        for account in range(100):
            await mute(store, account)
        assert Path(f"{database_file(database_url)}-wal").stat().st_size < 40 * PAGE
    finally:
        await store.close()


class Refusing:
    """A connection whose disk is full, until it is not."""

    def __init__(self) -> None:
        self.refuses = True
        self.asked = asyncio.Event()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def run(self, *_: Any, **__: Any) -> None:
        self.asked.set()
        if self.refuses:
            raise CannotStore


async def test_a_log_that_cannot_be_carried_over_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "WRITES", 1)
    connection = Refusing()
    carrying = Checkpoints(connection)  # type: ignore[arg-type]  # it stands in for one
    await carrying.open()

    async def once_more() -> None:
        connection.asked.clear()
        carrying.wrote()
        async with asyncio.timeout(10):
            await connection.asked.wait()
        await asyncio.sleep(0)

    with capture_logs() as logs:
        for refuses in (True, True, True, False, True):
            connection.refuses = refuses
            await once_more()
    await carrying.close()
    assert [entry["event"] for entry in logs] == ["the database's log cannot be carried over"] * 2
