"""The audit trail in a database: whole with its unit, one chain from any number of processes, and no change unseen."""

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from resetsvc.audit import Event
from resetsvc.clock import Clock
from resetsvc.errors import LinkDoesNotWork
from resetsvc.store import audit as sql
from resetsvc.store import mutes, schema
from resetsvc.store.connection import Connection, Row
from resetsvc.store.database import Store
from resetsvc.store.sqlite import database_file
from resetsvc.trail import AT_MOST, PAGE, NotedHead, Trail
from tests.store.conftest import ON_POSTGRESQL, ON_SQLITE
from tests.support import postgres

KEY, OLD_KEY = ("the key of this year: 0123456789 abcdef", "the key of last year: 0123456789 abcdef")


@dataclass
class Hands:
    """A clock that a test moves: what is counted by the minute."""

    seconds: float = 6000.0

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: 1_790_000_000.0 + self.seconds, monotonic=lambda: self.seconds)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest_asyncio.fixture
async def trail(store: Store, hands: Hands) -> AsyncIterator[Trail]:
    trail = Trail(store, [KEY], hands.clock)
    await trail.start()
    yield trail
    await trail.close()


async def append(store: Store, trail: Trail, number: int = 1, event: Event = Event.LINK_USED) -> None:
    async def work(unit: Connection) -> None:
        for n in range(number):
            await trail.record(unit, event, letter="0123456789abcdef", n=n)

    await store.unit(work)


async def records(store: Store) -> Sequence[Row]:
    return list(reversed(await store.read(lambda connection: sql.newest_records(connection, 100_000))))


async def fault(store: Store, *keys: str, noted: NotedHead | None = None) -> str | None:
    found, _ = await Trail(store, keys or [KEY], Clock()).verify(noted)
    return found


def do(url: str, *statements: str) -> None:
    """As somebody who has the database and not the key: what keeps it from being changed is dropped first."""
    if url.startswith("postgresql:"):
        triggers = ("audit_no_update", "audit_no_delete", "audit_no_truncate")
        postgres.run_sql(
            url, *(f"DROP TRIGGER IF EXISTS {trigger} ON audit" for trigger in triggers), *statements
        )
        return
    connection = sqlite3.connect(database_file(url))
    for trigger in ("audit_no_update", "audit_no_delete"):
        connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


# ---- in a unit of work ----


async def test_what_was_recorded_is_there_after_a_restart_and_is_good(
    store: Store, trail: Trail, database_url: str
) -> None:
    await append(store, trail, 3)
    again = Store(database_url)
    await again.open()
    try:
        await append(again, Trail(again, [KEY], Clock()), 2)
        assert await fault(again) is None
        assert [row["seq"] for row in await records(again)] == [1, 2, 3, 4, 5]
    finally:
        await again.close()


async def test_a_unit_that_fails_leaves_no_record(store: Store, trail: Trail) -> None:
    await append(store, trail)

    async def work(unit: Connection) -> None:
        await trail.record(unit, Event.PASSWORD_CHANGED)
        raise LinkDoesNotWork

    with pytest.raises(LinkDoesNotWork):
        await store.unit(work)
    assert len(await records(store)) == 1
    await append(store, trail)
    assert await fault(store) is None


async def test_two_processes_that_append_at_once_make_one_chain(
    store: Store, other_store: Store, trail: Trail
) -> None:
    others = Trail(other_store, [KEY], Clock())
    await asyncio.gather(
        *(append(one, its) for _ in range(20) for one, its in ((store, trail), (other_store, others)))
    )
    assert await fault(store) is None
    assert [row["seq"] for row in await records(store)] == list(range(1, 41))


APPEND = """
import asyncio, sys
from resetsvc.audit import Event
from resetsvc.clock import Clock
from resetsvc.store.database import Store
from resetsvc.trail import Trail
async def main():
    url, *keys = sys.argv[1:]
    store = Store(url)
    await store.open()
    trail = Trail(store, keys, Clock())
    for n in range(40):
        await store.unit(lambda unit: trail.record(unit, Event.LINK_USED, n=n))
    await store.close()
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "second", [[OLD_KEY, KEY], [KEY, OLD_KEY]], ids=["same key", "in the middle of a rotation"]
)
def test_two_real_processes_make_one_chain(second: list[str], database_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND, database_url, *keys], stderr=subprocess.PIPE, text=True
        )
        for keys in ([OLD_KEY, KEY], second)
    ]
    assert [process.communicate(timeout=30)[1] for process in processes] == ["", ""]

    async def read() -> tuple[str | None, list[str]]:
        store = Store(database_url)
        await store.open()
        try:
            return await fault(store, OLD_KEY, KEY), [row["event"] for row in await records(store)]
        finally:
            await store.close()

    found, events = asyncio.run(read())
    assert found is None
    assert events.count("link_used") == 80
    assert set(events) <= {"link_used", "key_changed"}


async def test_a_long_trail_is_read_to_its_end(store: Store, trail: Trail, database_url: str) -> None:
    await append(store, trail, PAGE + 1)
    assert await fault(store) is None
    do(database_url, "UPDATE audit SET detail = '{}' WHERE seq = (SELECT max(seq) FROM audit)")
    assert await fault(store) == f"record {PAGE + 1} was altered, moved, or written without the key"


async def test_records_that_come_while_it_is_read_are_no_fault(
    store: Store, other_store: Store, trail: Trail
) -> None:
    await append(store, trail, 5)
    others = Trail(other_store, [KEY], Clock())

    async def go_on() -> None:
        for _ in range(30):
            await append(other_store, others)

    writing = asyncio.create_task(go_on())
    looks = 0
    while not writing.done():
        assert await fault(store) is None
        looks += 1
    await writing
    assert looks > 1
    assert await fault(store) is None


# ---- what was changed ----

TAMPERINGS: dict[str, list[str]] = {
    "a detail": ["""UPDATE audit SET detail = '{"letter": "ffffffffffff", "n": 2}' WHERE seq = 3"""],
    "an event": ["UPDATE audit SET event = 'link_refused' WHERE seq = 3"],
    "a time that is none": ["UPDATE audit SET at = 'NaN' WHERE seq = (SELECT max(seq) FROM audit)"],
    "a time": ["UPDATE audit SET at = at + 1 WHERE seq = 3"],
    "the last record": ["UPDATE audit SET detail = '{}' WHERE seq = (SELECT max(seq) FROM audit)"],
    "the first record": ["UPDATE audit SET detail = '{}' WHERE seq = 1"],
    "a chain value": ["UPDATE audit SET chain = '" + 64 * "0" + "' WHERE seq = 3"],
    "a key's name": ["""UPDATE audit SET "key" = '000000000000' WHERE seq = 3"""],
    "one removed": ["DELETE FROM audit WHERE seq = 3"],
    "the first removed": ["DELETE FROM audit WHERE seq = 1"],
    "the last removed": ["DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)"],
    "one removed, the rest moved up": [
        "DELETE FROM audit WHERE seq = 3",
        "UPDATE audit SET seq = seq - 1 WHERE seq > 3",
    ],
    "two exchanged": [
        "UPDATE audit SET seq = 99 WHERE seq = 3",
        "UPDATE audit SET seq = 3 WHERE seq = 4",
        "UPDATE audit SET seq = 4 WHERE seq = 99",
    ],
    "one added at the end": [
        """INSERT INTO audit SELECT seq + 1, at, 'link_used', detail, "before", "key", chain FROM audit WHERE seq = (SELECT max(seq) FROM audit)"""
    ],
    "all removed": ["DELETE FROM audit"],
    "all removed, and the head": ["DELETE FROM audit", "DELETE FROM audit_head"],
    "the head removed": ["DELETE FROM audit_head"],
    "the head moved back": [
        "DELETE FROM audit WHERE seq > 4",
        "UPDATE audit_head SET seq = 4, chain = (SELECT chain FROM audit WHERE seq = 4)",
    ],
}  # fmt: skip -- one line a case


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_whatever_is_changed_is_found(
    tampering: str, store: Store, trail: Trail, database_url: str
) -> None:
    await append(store, trail, 6)
    assert await fault(store) is None
    do(database_url, *TAMPERINGS[tampering])
    assert await fault(store) is not None


@pytest.mark.parametrize("tampering", sorted(set(TAMPERINGS) - {"all removed, and the head"}))
async def test_whatever_is_changed_stays_found_and_the_service_goes_on(
    tampering: str, store: Store, trail: Trail, database_url: str
) -> None:
    await append(store, trail, 6)
    do(database_url, *TAMPERINGS[tampering])
    await append(store, trail, 2)
    assert await fault(store) is not None
    assert [row["event"] for row in await records(store)][-2:] == ["link_used"] * 2


async def test_a_trail_that_is_wholly_gone_is_told_by_a_head_that_was_noted(
    store: Store, trail: Trail, hands: Hands, database_url: str
) -> None:
    await append(store, trail, 6)
    last = (await records(store))[-1]
    noted = NotedHead(6, last["chain"][:32])
    assert await fault(store, noted=noted) is None
    await append(store, trail)
    assert await fault(store, noted=noted) is None, "it went on since"
    do(database_url, "DELETE FROM audit", "DELETE FROM audit_head")
    hands.seconds += 1
    await append(store, trail, 7)
    assert await fault(store) is None, "nothing in the database tells"
    assert await fault(store, noted=noted) == f"it does not go through the head 6:{last['chain'][:32]}"


async def test_a_detail_that_is_no_json_keeps_no_service_from_starting(
    store: Store, trail: Trail, database_url: str
) -> None:
    await store.unit(lambda unit: trail.record_schema(unit, schema.REVISION))
    do(database_url, "UPDATE audit SET detail = 'x'")
    await store.unit(lambda unit: trail.record_schema(unit, schema.REVISION))
    assert await fault(store) is not None


def run_sql(url: str, statement: str) -> None:
    if url.startswith("postgresql:"):
        postgres.run_sql(url, statement)
        return
    with contextlib.closing(sqlite3.connect(database_file(url))) as connection:
        connection.execute(statement)


@ON_POSTGRESQL
async def test_the_table_is_not_emptied_by_mistake(store: Store, trail: Trail, database_url: str) -> None:
    await append(store, trail)
    with pytest.raises(asyncpg.RaiseError, match="only ever added to"):
        run_sql(database_url, "TRUNCATE audit")


@pytest.mark.parametrize("statement", ["UPDATE audit SET event = 'x'", "DELETE FROM audit WHERE seq = 1"])
async def test_the_table_itself_refuses_any_change_by_mistake(
    statement: str, store: Store, trail: Trail, database_url: str
) -> None:
    await append(store, trail)
    with pytest.raises((sqlite3.IntegrityError, asyncpg.RaiseError), match="only ever added to"):
        run_sql(database_url, statement)


# ---- migrations ----


async def test_a_migration_is_recorded_once_whoever_looks(store: Store, trail: Trail) -> None:
    for revision in ("0002", "0002", "0003", "0003"):
        await store.unit(partial(trail.record_schema, revision=revision))
    assert [(row["event"], json.loads(row["detail"])) for row in await records(store)] == [
        ("schema_migrated", {"from": None, "to": "0002"}),
        ("schema_migrated", {"from": "0002", "to": "0003"}),
    ]


async def test_a_database_from_before_there_was_a_trail_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    url = f"sqlite:///{path}"
    schema.upgrade(url)
    do(
        url,
        *("DROP TABLE " + table for table in ("audit", "audit_head", "changes", "events", "settled_letters")),
        "UPDATE alembic_version SET version_num = '0001'",
    )
    store = Store(url)
    await store.open()
    try:
        await append(store, Trail(store, [KEY], Clock()))
        assert await fault(store) is None
    finally:
        await store.close()


# ---- notes ----


async def written(store: Store, number: int) -> list[tuple[str, dict[str, object]]]:
    async with asyncio.timeout(8):
        while len(rows := await records(store)) < number:  # noqa: ASYNC110 -- a row in a database sets no event
            await asyncio.sleep(0.005)
    return [(row["event"], json.loads(row["detail"])) for row in rows]


async def test_a_note_is_written_soon(store: Store, trail: Trail) -> None:
    trail.note(Event.SERVICE_STARTED, version="1")
    assert await written(store, 1) == [("service_started", {"version": "1"})]
    assert await fault(store) is None


async def test_what_was_noted_just_before_the_end_is_written_and_has_its_own_time(
    store: Store, hands: Hands
) -> None:
    trail = Trail(store, [KEY], hands.clock)
    for n in range(5):
        trail.note(Event.SERVICE_STARTED, n=n)
        hands.seconds += 10
    await trail.start()
    await trail.close()
    rows = await records(store)
    assert [json.loads(row["detail"])["n"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["at"] - rows[0]["at"] for row in rows] == [0, 10, 20, 30, 40]


async def test_a_limit_is_noted_once_for_each_client_purpose_and_minute(
    store: Store, trail: Trail, hands: Hands
) -> None:
    for _ in range(3):
        for client in ("198.51.100.77", "198.51.100.78", "2001:db8:1:2::1", "2001:db8:1:2::ffff"):
            trail.note_limit_hit("ask", client)
    trail.note_limit_hit("link", "198.51.100.77")
    hands.seconds += 60
    trail.note_limit_hit("ask", "198.51.100.77")
    await trail.close()
    assert await written(store, 5) == [
        ("limit_hit", {"purpose": purpose, "client": client})
        for purpose, client in (
            ("ask", "198.51.100.x"),
            ("ask", "198.51.100.x"),
            ("ask", "2001:db8:1:x"),
            ("link", "198.51.100.x"),
            ("ask", "198.51.100.x"),
        )
    ]


async def test_a_flood_of_clients_leaves_a_number_and_not_a_record_each(
    store: Store, trail: Trail, hands: Hands
) -> None:
    for n in range(AT_MOST + 500):
        trail.note_limit_hit("ask", f"198.51.{n // 256}.{n % 256}")
    hands.seconds += 60
    trail.note_limit_hit("ask", "203.0.113.9")
    await trail.close()
    noted = await written(store, AT_MOST + 1)
    assert len(noted) == AT_MOST + 1
    assert noted[-1] == ("limit_hit", {"purpose": "ask", "client": "203.0.113.x", "unlisted_before": 500})
    assert not any("unlisted_before" in detail for _, detail in noted[:-1])


async def test_a_refused_link_is_noted_once_a_minute_and_only_if_it_was_ever_ours(
    store: Store, trail: Trail
) -> None:
    for _ in range(5):
        trail.note_refused_link(LinkDoesNotWork(), "198.51.100.77")
        trail.note_refused_link(LinkDoesNotWork("0123456789ab", "ended"), "198.51.100.77")
        trail.note_refused_link(LinkDoesNotWork("0123456789ac", "expired"), "198.51.100.77")
    await trail.close()
    assert [detail["letter"] for _, detail in await written(store, 2)] == ["0123456789ab", "0123456789ac"]


@ON_SQLITE
async def test_notes_wait_while_the_database_is_locked_and_what_is_still_refused_at_the_end_is_told(
    store: Store, trail: Trail, database_url: str
) -> None:
    await append(store, trail)
    holder = sqlite3.connect(database_file(database_url), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with capture_logs() as logs:
        trail.note(Event.SERVICE_STARTED)
        await trail.close()
    holder.close()
    told = [event["event"] for event in logs]
    assert told[-1] == "audit records are lost: the database does not take them"
    assert "audit records wait" in told
    assert len(await records(store)) == 1
    await store.write(lambda connection: mutes.mute_account(connection, "1", 1.0))  # it goes on


async def test_more_notes_than_can_wait_are_told_and_not_kept(store: Store, hands: Hands) -> None:
    trail = Trail(store, [KEY], hands.clock)
    with capture_logs() as logs:
        for _ in range(1002):
            trail.note(Event.SERVICE_STARTED)
    assert [event["event"] for event in logs] == [
        "an audit record is lost: too many wait for the database"
    ] * 2
