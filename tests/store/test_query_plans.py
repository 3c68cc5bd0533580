"""However many letters there are, the statements of every day find theirs by an index."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from resetsvc.store import accounts, audit, changes, events, letters, mutes
from resetsvc.store import admissions as admission_sql
from resetsvc.store import kept_letters as kept
from resetsvc.store import links as link_sql
from resetsvc.store import settled_letters as settled
from resetsvc.store import shifted_clocks as clock_sql
from resetsvc.store.connection import Connection, Row
from resetsvc.store.database import Store
from tests.store.conftest import sqlite
from tests.store.rows import NOW, new_letter, put, sent


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite alone: plans are told differently elsewhere."""
    return sqlite(tmp_path)


class Explaining:
    """A connection that asks how each statement would be done, and then has it done."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.steps: list[str] = []

    async def fetch_all(self, sql: str, values: Mapping[str, Any] | None = None) -> Sequence[Row]:
        self.steps += [
            row["detail"] for row in await self._connection.fetch_all(f"EXPLAIN QUERY PLAN {sql}", values)
        ]
        return await self._connection.fetch_all(sql, values)

    async def fetch_one(self, sql: str, values: Mapping[str, Any] | None = None) -> Row | None:
        rows = await self.fetch_all(sql, values)
        return rows[0] if rows else None

    async def execute(self, sql: str, values: Mapping[str, Any] | None = None) -> None:
        await self.fetch_all(sql, values)

    async def lock(self, names: Sequence[str]) -> None:
        await self._connection.lock(names)


Statement = Callable[[Connection], Awaitable[object]]
IDS = [("0" * 32, "x")]

EVERY_DAY: dict[str, tuple[str, Statement]] = {
    "look for the last migration on record": ("audit_migrations", audit.last_migration),
    "read the trail on": ("INTEGER PRIMARY KEY", lambda c: audit.records_after(c, 5, 10)),
    "claim fresh ones": (
        "letters_due",
        lambda c: letters.claim_due_letters(c, fresh=True, owner="o", now=NOW, lease_until=NOW, limit=5),
    ),
    "claim the newest": (
        "letters_due",
        lambda c: letters.claim_due_letters(
            c, fresh=True, owner="o", now=NOW, lease_until=NOW, limit=5, newest=True
        ),
    ),
    "claim retries": (
        "letters_due",
        lambda c: letters.claim_due_letters(c, fresh=False, owner="o", now=NOW, lease_until=NOW, limit=5),
    ),
    "count the queue": ("letters_", lambda c: letters.count_undelivered(c, 100)),
    "renew leases": ("letters_id", lambda c: letters.renew_leases(c, ["0"], owner="o", lease_until=NOW)),
    "release expired leases": (
        "letters_lease",
        lambda c: letters.release_expired_leases(c, owner="o", in_hand=["0"], now=NOW),
    ),
    "release all leases": ("letters_lease", lambda c: letters.release_leases(c, owner="o", now=NOW)),
    "give up at the deadline": ("letters_deadline", lambda c: letters.expire_letters(c, NOW)),
    "move with a clock put forward": (
        "letters_",
        lambda c: clock_sql.move_waiting_letters(c, asked_by=NOW, seconds=3600),
    ),
    "come back with a clock put back": (
        "letters_due",
        lambda c: clock_sql.bring_back_letters(c, now=NOW - 3600, fresh_by=NOW - 3540, retries_by=NOW),
    ),
    "cut leases": ("letters_lease", lambda c: clock_sql.cut_leases(c, longest=NOW, until=NOW)),
    "end old links": (
        "letters_finished",
        lambda c: link_sql.end_old_links(c, after=0, until=NOW, now=NOW, limit=5),
    ),
    "settle letters": (
        "letters_finished",
        lambda c: settled.settle_letters(c, after=0, until=NOW, limit=5),
    ),
    "earlier letters of an account": (
        "letters_account",
        lambda c: admission_sql.earlier_resets(c, ["1"], NOW),
    ),
    "admit": ("letters_id", lambda c: admission_sql.admit_letters(c, [("0", "1", "c")], now=NOW)),
    "extend deadlines": ("letters_id", lambda c: admission_sql.extend_deadlines(c, [("0", NOW)])),
    "refuse": ("letters_id", lambda c: admission_sql.refuse_letters(c, IDS)),
    "drop": ("letters_id", lambda c: letters.drop_letters(c, IDS, owner="o", now=NOW)),
    "mark sent": ("letters_id", lambda c: letters.mark_sent(c, [("0", NOW, "r", "250")])),
    "postpone": ("letters_id", lambda c: letters.postpone_letters(c, [("0", NOW, 1)], owner="o")),
    "fail": ("letters_id", lambda c: letters.fail_letters(c, IDS, owner="o", now=NOW)),
    "look a link up": ("letters_id", lambda c: link_sql.get_open_link(c, "0")),
    "use a link": ("letters_id", lambda c: link_sql.mark_link_used(c, "0", NOW)),
    "revoke links": ("letters_account", lambda c: link_sql.revoke_links(c, "1", NOW)),
    "drop waiting resets": (
        "letters_account",
        lambda c: link_sql.drop_waiting_resets(c, "1", "cancelled", NOW),
    ),
    "drop unseen resets": (
        "letters_address",
        lambda c: link_sql.drop_unseen_resets(c, ["a@example.com"], "cancelled", NOW),
    ),
    "find by id": ("letters_id", lambda c: kept.find_letters(c, "ab")),
    "find by id among the settled": ("settled_letters", lambda c: kept.find_letters(c, "ab")),
    "attempts of a letter": ("attempts_letter", lambda c: kept.attempts_of(c, "0")),
    "erase": ("letters_finished", lambda c: kept.erase_finished(c, NOW + 99, 5)),
    "erase the settled": ("settled_letters_finished", lambda c: kept.erase_finished(c, NOW + 99, 5)),
    "address of a change's letter": ("settled_letters", lambda c: changes.address_of(c, "0")),
    "what has waited longest": ("letters_", kept.oldest_waiting),
    "find accounts": ("accounts_address", lambda c: accounts.find_accounts(c, ["a@example.com"])),
    "get an account": ("accounts", lambda c: accounts.get_account(c, "1")),
    "swap a hash": (
        "accounts",
        lambda c: accounts.swap_password_hash(c, account_id="1", old="a", new="b", now=NOW),
    ),
    "ends of resets": ("letters_id", lambda c: letters.ends_of_resets(c, ["0"])),
    "claim events": ("events_due", lambda c: events.claim_due_events(c, now=NOW, until=NOW, limit=5)),
    "delete events": ("events", lambda c: events.delete_events(c, ["0"])),
    "postpone events": ("events", lambda c: events.postpone_events(c, [("0", NOW)])),
    "give events up": ("events", lambda c: events.give_events_up(c, ["0"])),
    "erase events": ("events_deadline", lambda c: events.erase_old_events(c, NOW)),
    "take interrupted changes": (
        "changes_look_at",
        lambda c: changes.take_interrupted_changes(c, now=NOW, look_again_at=NOW),
    ),
    "end a change": ("changes", lambda c: changes.end_change(c, "0")),
    "muted accounts": ("mutes", lambda c: mutes.muted_accounts(c, ["1"], NOW)),
}  # fmt: skip -- one line a statement

# Asked by a person at a terminal, or by a scraper a few times a minute.
MAY_SCAN = {"insert_letters", "insert_attempts", "list_letters", "retry_letters", "count_by_state"}


@pytest.mark.parametrize("name", EVERY_DAY)
@pytest.mark.parametrize("analyzed", [False, True])
async def test_a_statement_of_every_day_goes_by_its_index(name: str, analyzed: bool, store: Store) -> None:
    index, statement = EVERY_DAY[name]
    await put(store, *(new_letter() for _ in range(50)))
    for _ in range(3):
        await sent(store)
    if analyzed:  # statistics of a small table must not talk it into a scan
        await store.write(lambda connection: connection.execute("ANALYZE"))

    async def explained(unit: Connection) -> list[str]:
        explaining = Explaining(unit)
        await statement(explaining)
        return explaining.steps

    steps = await store.unit(explained)
    if not analyzed:
        assert any(index in step for step in steps), steps
    for step in steps:
        for table in ("letters", "settled_letters", "attempts", "accounts", "mutes", "changes", "events"):
            assert step != f"SCAN {table}", steps


def test_every_statement_on_letters_is_looked_at() -> None:
    import inspect

    looked_at = inspect.getsource(
        inspect.getmodule(Explaining) or test_every_statement_on_letters_is_looked_at
    )
    on_letters = {
        name
        for module in (letters, admission_sql, link_sql, clock_sql, kept, settled)
        for name, _ in inspect.getmembers(module, inspect.iscoroutinefunction)
    }
    assert {name for name in on_letters - MAY_SCAN if not re.search(rf"\.{name}\b", looked_at)} == set()
    assert on_letters >= MAY_SCAN
