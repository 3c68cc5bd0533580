"""PostgreSQL as `databases` opens it with asyncpg: its address, its connections, and units of work on them."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from zlib import crc32

import asyncpg
from databases import Database

from resetsvc.store.address import SERVER_SETTINGS, Address
from resetsvc.store.connection import Row
from resetsvc.store.dialect import for_postgresql
from resetsvc.store.held import HeldConnections, Job, OnDone, refusal

TRIES = 5  # of a unit that came into conflict with another one


# Advisory locks have two numbers: this one, for all of ours, and one for what is locked.
LOCKS = 7736744
ALONE, MIGRATING = 0, 1
LOCK_NAMES = 1000  # so many different locks: a large batch must not fill the server's table of them

# What is said in every transaction that has to be alone, in one message. Told by number: this runs before each unit.
_BEGIN_ALONE = f"BEGIN; SELECT pg_advisory_xact_lock({LOCKS}, {ALONE})"
_BEGIN = "BEGIN"
_LIMITS_FOR_THIS_TRANSACTION = "".join(
    f"; SET LOCAL {name} = '{value}'" for name, value in SERVER_SETTINGS.items() if "timeout" in name
)

FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
# Another unit was in the way, or the schema was changed a moment ago: the same again, from the beginning.
_CONFLICTS = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)


async def connect(address: Address, **changes: Any) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection of one's own, beside the pool."""
    return await asyncpg.connect(**{**address.connecting, **changes})


class PostgresConnection:
    """The `Connection` of a unit of work, straight on the driver.

    `databases` compiles every text query anew through SQLAlchemy (0.11 ms); here each is put into PostgreSQL's words
    once, and the driver keeps it prepared.
    """

    def __init__(self, driver: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._driver = driver

    async def fetch_all(self, sql: str, values: Mapping[str, Any] | None = None) -> Sequence[Row]:
        text, names = for_postgresql(sql)
        try:
            rows = await self._driver.fetch(text, *[(values or {})[name] for name in names])
        except FAILURES as error:
            raise Refused from error
        return cast("Sequence[Row]", rows)  # a record is read by column name as a mapping is

    async def fetch_one(self, sql: str, values: Mapping[str, Any] | None = None) -> Row | None:
        rows = await self.fetch_all(sql, values)
        return rows[0] if rows else None

    async def execute(self, sql: str, values: Mapping[str, Any] | None = None) -> None:
        await self.fetch_all(sql, values)

    async def lock(self, names: Sequence[str]) -> None:
        # In the order of their numbers: two units that lock several cannot each wait for the other.
        numbers = sorted({2 + crc32(name.encode()) % LOCK_NAMES for name in names})
        if numbers:
            await self.fetch_all(
                "SELECT pg_advisory_xact_lock(:locks, number) FROM unnest(CAST(:numbers AS int[])) AS number",
                {"locks": LOCKS, "numbers": numbers},
            )


class PooledConnections(HeldConnections["asyncpg.Connection[asyncpg.Record]"]):
    """As many connections as the URL says, and units of work that run beside each other on them.

    Those that want to be alone wait for each other by a lock in the database, which all processes see. Within this
    process they wait here, so that they do not fill the connections with waiting.
    """

    PAUSE = 0.5
    PATIENCE = 5.0

    def __init__(self, address: Address, on_done: OnDone) -> None:
        super().__init__(address.pool_size, "postgresql", on_done)
        # All that `databases` would read out of the URL by itself is told by the dsn, which asyncpg reads: several
        # hosts, TLS, and settings of the session.
        self._database = Database(
            "postgresql:///",
            **{
                **dict.fromkeys(("host", "port", "user", "password", "database")),
                **address.connecting,
                "min_size": 0,
                "max_size": address.pool_size,
            },
        )
        limits = _LIMITS_FOR_THIS_TRANSACTION if address.pgbouncer else ""
        self._begin, self._begin_alone = _BEGIN + limits, _BEGIN_ALONE.replace("BEGIN", f"BEGIN{limits}")
        self._somebody_is_alone = False

    async def open(self) -> None:
        await self._database.connect()
        await super().open()

    async def close(self) -> None:
        await super().close()
        await self._database.disconnect()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        async with self._database.connection() as connection:
            yield connection.raw_connection

    def _is_lost(self, driver: "asyncpg.Connection[asyncpg.Record]") -> bool:
        return _is_closed(driver)

    def _take(self) -> Job | None:
        for job in self._waiting:
            if not (job.alone and job.transaction and self._somebody_is_alone):
                self._waiting.remove(job)
                return job
        return None

    async def _do(self, driver: "asyncpg.Connection[asyncpg.Record]", job: Job) -> bool:
        wants_to_be_alone = job.alone and job.transaction
        self._somebody_is_alone = self._somebody_is_alone or wants_to_be_alone
        try:
            for tries_left in reversed(range(TRIES)):
                try:
                    result = await self._try(driver, job)
                except Exception as error:
                    cause = error.__cause__ if isinstance(error, Refused) else None
                    usable = await _make_usable(driver, cause)
                    if usable and tries_left and isinstance(cause, _CONFLICTS):
                        continue
                    if not usable and (isinstance(error, NotBegun) or (cause and job.kind == "read")):
                        # Nothing was done: on another connection, within PATIENCE.
                        self._waiting.appendleft(job)
                        return False
                    if not job.done.done():
                        job.done.set_exception(error if cause is None else _told(cause))
                    return usable
                if not job.done.done():
                    job.done.set_result(result)
                return True
            raise AssertionError("the last try ends in one of the ways above")
        finally:
            if wants_to_be_alone:
                self._somebody_is_alone = False

    async def _try(self, driver: "asyncpg.Connection[asyncpg.Record]", job: Job) -> Any:
        connection = PostgresConnection(driver)
        if not job.transaction:
            return await job.work(connection)
        try:
            await _say(driver, self._begin_alone if job.alone else self._begin)
        except Refused as error:
            raise NotBegun from error.__cause__
        result = await job.work(connection)
        # A transaction in which a statement failed is rolled back by COMMIT, and PostgreSQL calls that a success.
        if (ended := await _say(driver, "COMMIT")) != "COMMIT":
            raise Refused from asyncpg.InFailedSQLTransactionError(f"COMMIT was answered by {ended}")
        return result


class Refused(Exception):
    """The driver or the database failed, and not the work that was being done: its cause says how."""


class NotBegun(Refused):
    """Not even BEGIN was answered: nothing was done."""


async def _say(driver: "asyncpg.Connection[asyncpg.Record]", statement: str) -> str:
    try:
        return str(await driver.execute(statement))
    except FAILURES as error:
        raise Refused from error


def _is_closed(driver: "asyncpg.Connection[asyncpg.Record]") -> bool:
    try:
        return driver.is_closed()
    except asyncpg.InterfaceError:  # the pool has noticed, and taken its handle back
        return True


async def _make_usable(driver: "asyncpg.Connection[asyncpg.Record]", failure: BaseException | None) -> bool:
    """Leave no transaction open. False if this connection is better not used again; then it is ended here."""
    if _is_closed(driver):
        return False
    # An error that is not the server's: what it has done is not known. Read-only: it was a primary once, and a new
    # connection looks for the one of today.
    doubtful = failure is not None and not isinstance(failure, asyncpg.PostgresError)
    if not doubtful and not isinstance(
        failure, asyncpg.ReadOnlySQLTransactionError | asyncpg.PostgresConnectionError
    ):
        try:
            if driver.is_in_transaction():
                await driver.execute("ROLLBACK")
        except FAILURES:
            doubtful = True
        if not doubtful:
            return not _is_closed(driver)
    driver.terminate()  # from here on the pool's handle of it is void
    return False


def _told(failure: BaseException) -> Exception:
    """CannotStore for whatever the driver says; without the values that PostgreSQL repeats in its details."""
    if isinstance(failure, asyncpg.PostgresError):
        with contextlib.suppress(AttributeError):
            failure.detail = failure.hint = None
    return refusal(failure)
