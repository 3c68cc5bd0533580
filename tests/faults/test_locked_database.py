"""Another process holds the database: who waits is told in seconds, and it is as if nothing had been once it lets go."""

import asyncio
import sqlite3
import time
from pathlib import Path

from resetsvc.errors import CannotStore
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store
from resetsvc.store.sqlite import BUSY_TIMEOUT


async def note(connection: Connection) -> None:
    await connection.execute("INSERT INTO mutes (account_id, until) VALUES (hex(randomblob(8)), 0)")


async def test_all_that_wait_behind_a_lock_are_refused_together(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'resetsvc.db'}")
    await store.open()
    other = sqlite3.connect(tmp_path / "resetsvc.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    outcomes = await asyncio.gather(*(store.write(note) for _ in range(5)), return_exceptions=True)
    took = time.monotonic() - began
    other.execute("ROLLBACK")
    await store.write(note)
    (kept,) = other.execute("SELECT count(*) FROM mutes").fetchone()
    other.close()
    await store.close()
    assert [type(outcome) for outcome in outcomes] == [CannotStore] * 5
    assert took < 2 * BUSY_TIMEOUT  # and not five times as long
    assert kept == 1
