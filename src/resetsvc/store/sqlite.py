"""SQLite as `databases` opens it, with the pragmas that durability rests on: one connection that writes, one that reads."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import aiosqlite
from databases import Database

from resetsvc.store.connection import Row
from resetsvc.store.held import HeldConnections, Job, OnDone, refusal

T = TypeVar("T")

# Long enough for another process's commit, short enough that a person whose request waits behind a lock is told.
BUSY_TIMEOUT = 2.0  # seconds
# SQLite's own pauses grow to tens of milliseconds, while another process's commit takes one or two.
BUSY_PAUSE = 0.001  # seconds
WAL_PAUSE = 0.01  # seconds
LOG_AT_MOST = 16_384  # pages of 4 KiB: then a commit carries the log over itself, see `Checkpoints`


class DurableConnection(sqlite3.Connection):
    """A connection whose commits survive a power cut.

    `databases` has no hook for new connections, but hands `factory` through to sqlite3.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.row_factory = sqlite3.Row
        enter_wal(self, patience=BUSY_TIMEOUT)
        self.execute("PRAGMA synchronous = FULL")  # NORMAL does not sync at commit in WAL mode
        self.execute("PRAGMA secure_delete = ON")  # erased addresses leave no bytes behind in the file
        # What a statement over many rows keeps of them in case it fails: as a file it is written, and its octets stay on the
        # disk when it is gone.
        self.execute("PRAGMA temp_store = MEMORY")
        self.execute("PRAGMA foreign_keys = ON")
        self.execute(f"PRAGMA wal_autocheckpoint = {LOG_AT_MOST}")
        self.execute("PRAGMA busy_timeout = 0")  # from now on it is `HeldConnection` that waits for others


def enter_wal(connection: sqlite3.Connection, *, patience: float) -> None:
    """Switch a database file to write-ahead logging; sqlite3.OperationalError if it stays locked.

    SQLite does not wait here by itself: where two processes switch the same new file at once, it tells one of them
    "database is locked" straight away, whatever its time-out.

    patience -- seconds, besides those that the connection itself waits for a lock
    """
    tries = 1 + int(patience / WAL_PAUSE)
    while tries:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            tries -= 1
            if "locked" not in str(error) or not tries:
                raise
        # At opening, in the driver's thread: no event tells when another process lets go.
        time.sleep(WAL_PAUSE)


def open_sqlite(url: str) -> Database:
    return Database(url, factory=DurableConnection, timeout=BUSY_TIMEOUT)


def database_file(url: str) -> str:
    """The path in a `sqlite:///path` URL."""
    return url.removeprefix("sqlite:///").partition("?")[0]


class SqliteConnection:
    """The `Connection` of a unit of work, on the driver, in the driver's thread: nothing here waits for anything.

    `databases` compiles every text query anew through SQLAlchemy (0.11 ms) and takes three turns of the driver's
    thread for a statement. Here a whole unit takes one: with two switches of threads for each of a dozen statements, a
    unit would spend more time, and hold everybody else up for longer, between its statements than in them.
    """

    def __init__(self, driver: sqlite3.Connection) -> None:
        self._driver = driver

    async def fetch_all(self, sql: str, values: Mapping[str, Any] | None = None) -> Sequence[Row]:
        return self._driver.execute(sql, values or {}).fetchall()

    async def fetch_one(self, sql: str, values: Mapping[str, Any] | None = None) -> Row | None:
        rows = await self.fetch_all(sql, values)
        return rows[0] if rows else None

    async def execute(self, sql: str, values: Mapping[str, Any] | None = None) -> None:
        await self.fetch_all(sql, values)

    async def lock(self, names: Sequence[str]) -> None:
        """There is one writer at a time: all units are locked out already."""


class HeldConnection(HeldConnections[aiosqlite.Connection]):
    """One connection, so that units of work are done one after the other.

    SQLite has one writer at a time, so a queue here costs nothing, and takes away "database is locked" within the
    process.
    """

    def __init__(self, database: Database, name: str, *, writes: bool, on_done: OnDone) -> None:
        super().__init__(1, name, on_done)
        self._database = database
        self._begin = "BEGIN IMMEDIATE" if writes else "BEGIN"

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[aiosqlite.Connection]:
        async with self._database.connection() as connection:
            yield connection.raw_connection

    def _is_lost(self, driver: aiosqlite.Connection) -> bool:
        return False

    async def _do(self, driver: aiosqlite.Connection, job: Job) -> bool:
        attempt = Attempt(job, self._begin)
        try:
            result = await _when_unlocked(lambda: driver._execute(attempt.make, driver._conn))  # type: ignore[no-untyped-call]  # private: see the canaries
        except Exception as error:
            clean = attempt.clean
            if isinstance(error, sqlite3.Error):
                # After a failed sync the pages in memory may differ from those on the disk: begin afresh. And what was
                # opened while the file system was read-only stays so when it is writable again.
                clean = clean and "disk I/O" not in str(error) and "readonly" not in str(error)
                if "locked" in str(error):
                    # Each that waits would wait as long again, one after the other, and its client with it.
                    self._refuse_all_that_wait()
                error = refusal(error)
            if not job.done.done():
                job.done.set_exception(error)
            return clean
        if not job.done.done():
            job.done.set_result(result)
        return True


class Attempt:
    """One unit of work, in the driver's thread from beginning to end.

    clean -- False: a transaction that failed could not be rolled back either
    """

    def __init__(self, job: Job, begin: str) -> None:
        self._job = job
        self._begin = begin
        self.clean = True

    def make(self, driver: sqlite3.Connection) -> Any:
        """Return what the unit returns, or raise what it raises; then nothing of it is kept."""
        if not self._job.lasting:
            # In WAL mode: no sync at commit; that of the next unit syncs this one, too.
            driver.execute("PRAGMA synchronous = NORMAL")
        try:
            return self._make(driver)
        finally:
            if not self._job.lasting:
                driver.execute("PRAGMA synchronous = FULL")

    def _make(self, driver: sqlite3.Connection) -> Any:
        if self._job.transaction:
            # IMMEDIATE: a deferred transaction that reads first and then writes fails at once when another
            # process wrote in between, whatever the time-out.
            driver.execute(self._begin)
        try:
            result = _run(cast(Coroutine[Any, Any, Any], self._job.work(SqliteConnection(driver))))
            if self._job.transaction:
                driver.execute("COMMIT")
        except BaseException:
            self._roll_back(driver)
            raise
        return result

    def _roll_back(self, driver: sqlite3.Connection) -> None:
        if driver.in_transaction:
            try:
                driver.execute("ROLLBACK")
            except sqlite3.Error:
                self.clean = False


def _run(unit: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing: its connection answers at once, and there is no event loop in this thread."""
    try:
        unit.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    unit.close()
    raise RuntimeError("a unit of work waits for its connection and for nothing else")


async def _when_unlocked(statement: Callable[[], Awaitable[T]]) -> T:
    """Do one statement as soon as no other process stands in its way; "database is locked" after BUSY_TIMEOUT.

    It is done or it is not, so that it can be tried any number of times.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + BUSY_TIMEOUT
    while True:
        try:
            return await statement()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or loop.time() >= until:
                raise
        await asyncio.sleep(BUSY_PAUSE)
