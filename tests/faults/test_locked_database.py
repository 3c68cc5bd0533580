"""Another process holds the database: who waits is told in seconds, and it is as if nothing had been once it lets go."""

import asyncio
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from resetsvc.accounts import Account
from resetsvc.app import create_app
from resetsvc.errors import CannotStore
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store
from resetsvc.store.sqlite import BUSY_TIMEOUT
from resetsvc.testing import Mailbox, make_settings

AT_ONCE = 20


async def note(connection: Connection) -> None:
    await connection.execute("INSERT INTO mutes (account_id, until) VALUES (hex(randomblob(8)), 0)")


@pytest.mark.wall_clock
async def test_all_that_wait_behind_a_lock_are_refused_together(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'resetsvc.db'}")
    await store.open()
    other = sqlite3.connect(tmp_path / "resetsvc.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    outcomes = await asyncio.gather(*(store.write(note) for _ in range(AT_ONCE)), return_exceptions=True)
    took = time.monotonic() - began
    other.execute("ROLLBACK")
    await store.write(note)
    (kept,) = other.execute("SELECT count(*) FROM mutes").fetchone()
    other.close()
    await store.close()
    assert [type(outcome) for outcome in outcomes] == [CannotStore] * AT_ONCE
    assert took < AT_ONCE / 4 * BUSY_TIMEOUT  # one after the other they would take all of it
    assert kept == 1


class LockedOnce:
    """Accounts in the same database, which is locked at the first look."""

    elsewhere = False

    def __init__(self) -> None:
        self.looks = 0

    async def find(self, addresses: Sequence[str]) -> Mapping[str, Account]:
        self.looks += 1
        if self.looks == 1:
            raise CannotStore
        return {address: Account("ann", address, True, "as it was") for address in addresses}

    async def get(self, account_id: str) -> Account | None:
        raise AssertionError("nobody opens a link here")

    async def seal(self, password: str) -> str:
        raise AssertionError("nobody sets a password here")

    def credential_after(self, account: Account, sealed: str) -> str | None:
        raise AssertionError("nobody sets a password here")

    async def swap(self, unit: Connection | None, account: Account, sealed: str) -> bool:
        raise AssertionError("nobody sets a password here")


async def test_letters_that_were_claimed_when_the_lock_came_are_not_held_for_ever(tmp_path: Path) -> None:
    accounts, mailbox = LockedOnce(), Mailbox()
    app = create_app(make_settings(tmp_path), accounts=accounts, outbox=mailbox, lease=0.5)
    async with app.test_app():
        await app.test_client().post("/reset-password", form={"email": "ann@people.test"})
        mail = await mailbox.next_mail(timeout=20)
    assert mail.recipient == "ann@people.test"
    assert accounts.looks == 2
