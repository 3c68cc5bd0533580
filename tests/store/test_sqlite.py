"""What durability on SQLite rests on: its pragmas, its locks, and a connection that is not used after an error of the disk."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import Database

from resetsvc.errors import CannotStore
from resetsvc.store import kept_letters as kept
from resetsvc.store import letters as sql
from resetsvc.store import mutes
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store
from resetsvc.store.sqlite import DurableConnection, HeldConnection, database_file, enter_wal, open_sqlite
from tests.store.conftest import sqlite
from tests.store.rows import NOW, new_letter, put


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite alone: the suite's other databases have locks and a log of their own."""
    return sqlite(tmp_path)


@contextlib.contextmanager
def another_process(url: str) -> Iterator[sqlite3.Connection]:
    """A connection that knows nothing of ours, as another process or an administrator's shell has one."""
    connection = sqlite3.connect(database_file(url), isolation_level=None, timeout=0)
    try:
        yield connection
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("synchronous", 2),
        ("journal_mode", "wal"),
        ("secure_delete", 1),
        ("temp_store", 2),  # no file beside the database ever holds rows of it
        ("foreign_keys", 1),
        ("busy_timeout", 0),  # it is our own pauses that are short
    ],
)
async def test_the_pragmas_are_set_on_the_connections_that_are_used(
    pragma: str, value: object, store: Store
) -> None:
    async def ask(connection: Connection) -> object:
        row = await connection.fetch_one(f"PRAGMA {pragma}")
        assert row is not None
        return next(iter(tuple(row)))

    assert await store.unit(ask) == value
    assert await store.write(ask) == value
    assert await store.read(ask) == value


async def synchronous(unit: Connection) -> int:
    """2: a commit waits for the disk. 1: for nothing."""
    row = await unit.fetch_one("PRAGMA synchronous")
    assert row is not None
    return int(row["synchronous"])


async def test_only_a_unit_that_says_so_waits_for_no_sync(store: Store) -> None:
    assert await store.unit(synchronous, lasting=False) == 1
    assert await store.unit(synchronous) == 2
    with pytest.raises(ZeroDivisionError):
        await store.unit(_fail, lasting=False)
    assert await store.write(synchronous) == 2


async def _fail(_: Connection) -> None:
    raise ZeroDivisionError


async def test_what_waited_for_no_sync_is_there_for_all_at_once(store: Store, other_store: Store) -> None:
    await store.unit(lambda unit: sql.insert_letters(unit, [new_letter("a")]), lasting=False)
    assert await other_store.read(lambda connection: sql.count_undelivered(connection, 10)) == 1


async def test_reading_and_writing_go_on_beside_a_reader_of_another_process(
    store: Store, database_url: str
) -> None:
    await put(store, new_letter())
    with another_process(database_url) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM letters").fetchall()
        await put(store, new_letter())
        assert await store.read(kept.count_by_state) == {"queued": 2}


async def test_a_locked_database_is_told_in_time_and_everything_goes_on_afterwards(
    store: Store, database_url: str
) -> None:
    """Also to those that wait behind it: not each of them after a wait of its own."""
    with another_process(database_url) as other:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(8):
            refused = await asyncio.gather(
                *(put(store, new_letter()) for _ in range(5)), return_exceptions=True
            )
        assert {type(refusal) for refusal in refused} == {CannotStore}
        assert isinstance(refused[0], CannotStore)
        assert "locked" in str(refused[0].__cause__)
        assert await store.read(kept.count_by_state) == {}  # reading needs no lock
        other.execute("ROLLBACK")
    await put(store, new_letter())
    assert await store.read(kept.count_by_state) == {"queued": 1}


@pytest.mark.parametrize("how", ["unit", "write"])
async def test_work_waits_for_a_lock_that_is_let_go_in_time(
    how: str, store: Store, database_url: str
) -> None:
    do: Callable[[Callable[[Connection], Awaitable[None]]], Awaitable[None]] = getattr(store, how)
    with another_process(database_url) as other:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.ensure_future(do(lambda connection: mutes.mute_account(connection, "1", NOW)))
        done, _ = await asyncio.wait([task], timeout=0.05)
        assert not done
        other.execute("ROLLBACK")
        await task
    assert await store.read(lambda connection: mutes.muted_accounts(connection, ["1"], NOW - 1)) == {"1"}


async def test_the_log_is_emptied_as_soon_as_nobody_reads_from_it(store: Store, database_url: str) -> None:
    log = Path(f"{database_file(database_url)}-wal")
    await put(store, new_letter())
    with another_process(database_url) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM letters").fetchall()
        task = asyncio.create_task(store.empty_log())
        done, _ = await asyncio.wait([task], timeout=0.05)
        assert not done
        other.execute("ROLLBACK")
        await task
    assert log.stat().st_size == 0


async def test_what_was_committed_is_there_for_whoever_opens_the_file_next(
    store: Store, database_url: str
) -> None:
    """Without a checkpoint and without closing: as after a kill -9."""
    await put(store, new_letter())
    with another_process(database_url) as other:
        assert other.execute("SELECT count(*) FROM letters").fetchone() == (1,)


@pytest.mark.parametrize("name", ["a b.db", "ä.db", "100%.db", "deep/er/x.db"])
async def test_a_path_of_any_kind_is_opened(name: str, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / name}")
    await store.open()
    await put(store, new_letter())
    await store.close()
    assert (tmp_path / name).is_file()
    with another_process(f"sqlite:///{tmp_path / name}") as other:
        assert other.execute("SELECT count(*) FROM letters").fetchone() == (1,)


# ---- a disk that fails: a driver that is told when to ----


class Disk:
    """Whether the disk works, and how many connections were opened on it."""

    def __init__(self) -> None:
        self.statements_fail = False
        self.opening_fails = False
        self.opened = 0


def on_disk(disk: Disk, url: str) -> HeldConnection:
    class FailingConnection(DurableConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if disk.opening_fails:
                self.close()
                raise sqlite3.OperationalError("unable to open database file")
            disk.opened += 1

        def execute(self, *args: Any) -> sqlite3.Cursor:
            if disk.statements_fail and args[0].lstrip().startswith("INSERT"):
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(*args)

    return HeldConnection(
        Database(url, factory=FailingConnection, timeout=1),
        "sqlite writer",
        writes=True,
        on_done=lambda kind, seconds: None,
    )


def mute(connection: HeldConnection, account: str = "1") -> "asyncio.Task[None]":
    return asyncio.create_task(
        connection.run(lambda unit: mutes.mute_account(unit, account, NOW), transaction=True)
    )


async def test_after_an_error_of_the_disk_the_connection_is_not_used_again(
    store: Store, database_url: str
) -> None:
    """What it holds in memory may differ from what is on the disk."""
    disk = Disk()
    connection = on_disk(disk, database_url)
    await connection.open()
    await mute(connection)
    assert disk.opened == 1
    disk.statements_fail = True
    with pytest.raises(CannotStore):
        await mute(connection, "2")
    disk.statements_fail = False
    await mute(connection, "3")
    assert disk.opened == 2
    await connection.close()
    assert await store.read(lambda c: mutes.muted_accounts(c, ["1", "2", "3"], 0)) == {"1", "3"}


async def test_while_the_file_cannot_be_opened_every_unit_is_refused_and_then_they_work_again(
    store: Store, database_url: str
) -> None:
    disk = Disk()
    connection = on_disk(disk, database_url)
    await connection.open()
    disk.statements_fail = disk.opening_fails = True
    async with asyncio.timeout(5):
        refused = await asyncio.gather(*(mute(connection, str(n)) for n in range(5)), return_exceptions=True)
        assert {type(refusal) for refusal in refused} == {CannotStore}
        disk.statements_fail = disk.opening_fails = False
        for _ in range(50):
            with contextlib.suppress(CannotStore):
                await mute(connection)
                break
    assert await store.read(lambda c: mutes.muted_accounts(c, ["1"], 0)) == {"1"}
    await connection.close()


async def test_closing_while_the_file_cannot_be_opened_leaves_nobody_waiting(
    store: Store, database_url: str
) -> None:
    disk = Disk()
    connection = on_disk(disk, database_url)
    await connection.open()
    disk.statements_fail = disk.opening_fails = True
    async with asyncio.timeout(5):
        with pytest.raises(CannotStore):
            await mute(connection)
        with pytest.raises(CannotStore):
            # Refused, as the file cannot be opened: from here on it looks again every 0.1 s.
            await mute(connection)
        late = mute(connection)
        await asyncio.sleep(0)
        await connection.close()
        with pytest.raises(CannotStore):
            await late


async def test_opening_raises_what_the_driver_says(store: Store, database_url: str) -> None:
    disk = Disk()
    disk.opening_fails = True
    connection = on_disk(disk, database_url)
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        await connection.open()
    await connection.close()
    with pytest.raises(CannotStore):
        await connection.run(lambda unit: mutes.mute_account(unit, "1", NOW), transaction=True)


async def test_a_database_is_opened_with_durable_connections(database_url: str) -> None:
    database = open_sqlite(database_url)
    async with database.connection() as connection:
        driver = connection.raw_connection
        (mode,) = await driver.execute_fetchall("PRAGMA synchronous")
        assert tuple(mode) == (2,)


class Insisting(sqlite3.Connection):
    """Counts how often it is told to switch, and lets the other connection go at the third time."""

    other: sqlite3.Connection
    asked = 0

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        if "journal_mode" in sql:
            self.asked += 1
            if self.asked == 3:
                self.other.execute("COMMIT")
        return super().execute(sql, *args)


def new_file_that_another_process_holds(path: Path) -> sqlite3.Connection:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE begun (x)")
    other.execute("BEGIN IMMEDIATE")
    return other


def test_a_new_file_is_switched_as_soon_as_another_process_lets_go_of_it(tmp_path: Path) -> None:
    other = new_file_that_another_process_holds(tmp_path / "new.db")
    connection = sqlite3.connect(tmp_path / "new.db", factory=Insisting)
    connection.other = other
    enter_wal(connection, patience=60)
    assert connection.asked == 3
    assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    connection.close()
    other.close()


def test_a_new_file_that_stays_held_is_given_up_after_a_while(tmp_path: Path) -> None:
    other = new_file_that_another_process_holds(tmp_path / "new.db")
    connection = sqlite3.connect(tmp_path / "new.db")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        enter_wal(connection, patience=0.05)
    connection.close()
    other.close()


def test_an_error_that_waiting_does_not_mend_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database at all\n" * 200)
    connection = sqlite3.connect(tmp_path / "text.db")
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        enter_wal(connection, patience=60)
    connection.close()


async def test_a_unit_that_waits_for_something_else_is_a_mistake_and_leaves_nothing(store: Store) -> None:
    """It runs in the driver's thread, where no event loop could go on meanwhile."""
    elsewhere = asyncio.get_running_loop().create_future()

    async def work(unit: Connection) -> None:
        await sql.insert_letters(unit, [new_letter()])
        await elsewhere

    with pytest.raises(RuntimeError, match="waits for its connection"):
        await store.unit(work)
    await put(store, new_letter())
    assert await store.read(kept.count_by_state) == {"queued": 1}
