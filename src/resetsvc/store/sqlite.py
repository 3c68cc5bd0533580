"""SQLite as `databases` opens it, with the pragmas that durability rests on, and a connection that one task holds."""

import asyncio
import contextlib
import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import aiosqlite
from databases import Database

from resetsvc.errors import CannotStore
from resetsvc.store.connection import Connection, Row

T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]

# Long enough for another process's commit, short enough that a person whose request waits behind a lock is told.
BUSY_TIMEOUT = 2.0  # seconds
WAL_PAUSE = 0.01  # seconds


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
        self.execute("PRAGMA foreign_keys = ON")


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
        time.sleep(
            WAL_PAUSE
        )  # at opening, in the driver's thread: no event tells when another process lets go


def open_sqlite(url: str) -> Database:
    return Database(url, factory=DurableConnection, timeout=BUSY_TIMEOUT)


def database_file(url: str) -> str:
    """The path in a `sqlite:///path` URL."""
    return url.removeprefix("sqlite:///").partition("?")[0]


class SqliteConnection:
    """The `Connection` of a unit of work, straight on the driver.

    `databases` compiles every text query anew through SQLAlchemy (0.11 ms) and takes three turns of the driver's
    thread for a statement; this takes one and compiles nothing.
    """

    def __init__(self, driver: aiosqlite.Connection) -> None:
        self._driver = driver

    async def fetch_all(self, sql: str, values: Mapping[str, Any] | None = None) -> Sequence[Row]:
        return list(await self._driver.execute_fetchall(sql, values or {}))  # type: ignore[arg-type]  # sqlite3.Row is a mapping by name; a dict binds `:name`

    async def fetch_one(self, sql: str, values: Mapping[str, Any] | None = None) -> Row | None:
        rows = await self.fetch_all(sql, values)
        return rows[0] if rows else None

    async def execute(self, sql: str, values: Mapping[str, Any] | None = None) -> None:
        await self.fetch_all(sql, values)


class HeldConnection:
    """One connection and the task that owns it: units of work are done one after the other, each of them whole.

    SQLite has one writer at a time, so a queue here costs nothing, and takes away "database is locked" within the
    process. A unit runs in this task and not in its caller's: a client that hangs up, or a shutdown, cannot tear it.
    """

    def __init__(self, database: Database, *, writes: bool, on_done: Callable[[str, float], None]) -> None:
        self._database = database
        self._writes = writes
        self._on_done = on_done
        self._waiting: deque[tuple[Work[Any], bool, asyncio.Future[Any]]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the connection, or raise the driver's error."""
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(
            self._own(opened), name="sqlite writer" if self._writes else "sqlite reader"
        )
        await opened

    async def close(self) -> None:
        """Finish the units that wait, then close."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def run(self, work: Work[T], *, transaction: bool) -> T:
        """Do one unit of work and return its result; CannotStore if the database refuses it.

        transaction -- False for a single statement, which commits by itself and saves two turns
        """
        if self._closing or self._task is None or self._task.done():
            raise CannotStore
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        self._waiting.append((work, transaction, done))
        self._wake.set()
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            done.add_done_callback(_read_outcome)
            raise
        finally:
            self._on_done("write" if self._writes else "read", time.perf_counter() - began)

    async def _own(self, opened: "asyncio.Future[None]") -> None:
        while True:
            try:
                async with self._database.connection() as connection:
                    if not opened.done():
                        opened.set_result(None)
                    if await self._serve(connection.raw_connection):
                        return
            except Exception as error:
                if not opened.done():
                    opened.set_exception(error)
                    return
                self._refuse_all_that_wait()
                await asyncio.sleep(0.1)  # the file itself cannot be opened: look again, but do not spin
                if self._closing:
                    self._refuse_all_that_wait()  # what came meanwhile
                    return

    async def _serve(self, driver: aiosqlite.Connection) -> bool:
        """Do units until closed (True), or until the connection cannot be trusted any more (False)."""
        connection = SqliteConnection(driver)
        while True:
            self._wake.clear()
            while self._waiting:
                work, transaction, done = self._waiting.popleft()
                if not await self._do(driver, connection, work, transaction, done):
                    return False
            if self._closing:
                return True
            await self._wake.wait()

    async def _do(
        self,
        driver: aiosqlite.Connection,
        connection: Connection,
        work: Work[Any],
        transaction: bool,
        done: "asyncio.Future[Any]",
    ) -> bool:
        try:
            if transaction:
                # IMMEDIATE: a deferred transaction that reads first and then writes fails at once when another
                # process wrote in between, whatever the time-out.
                await driver.execute("BEGIN IMMEDIATE" if self._writes else "BEGIN")
            result = await work(connection)
            if transaction:
                await driver.execute("COMMIT")
        except Exception as error:
            clean = True
            if driver.in_transaction:
                try:
                    await driver.execute("ROLLBACK")
                except sqlite3.Error:
                    clean = False
            if isinstance(error, sqlite3.Error):
                # After a failed sync the pages in memory may differ from those on the disk: begin afresh. And what was
                # opened while the file system was read-only stays so when it is writable again.
                clean = clean and "disk I/O" not in str(error) and "readonly" not in str(error)
                if "locked" in str(error):
                    # Each that waits would wait as long again, one after the other, and its client with it.
                    self._refuse_all_that_wait()
                refusal = CannotStore()
                refusal.__cause__ = error
                error = refusal
            if not done.done():
                done.set_exception(error)
            return clean
        if not done.done():
            done.set_result(result)
        return True

    def _refuse_all_that_wait(self) -> None:
        while self._waiting:
            _, _, done = self._waiting.popleft()
            with contextlib.suppress(asyncio.InvalidStateError):
                done.set_exception(CannotStore())


def _read_outcome(done: "asyncio.Future[Any]") -> None:
    """Nobody waits for this unit any more: take its exception, if any, so that it is not reported as lost."""
    if not done.cancelled():
        done.exception()
