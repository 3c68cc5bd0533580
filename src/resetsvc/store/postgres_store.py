"""The store in PostgreSQL: for any number of processes on any number of machines. The database alone coordinates them."""

import asyncio
import contextlib
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg

from resetsvc.errors import CannotStore, DatabaseUnsuitable, DatabaseUnusable
from resetsvc.store import schema
from resetsvc.store.address import CONNECT_TIMEOUT, Address, parse_address
from resetsvc.store.connection import Connection
from resetsvc.store.held import OnDone, T, Work
from resetsvc.store.news import CHANNEL, Listener
from resetsvc.store.postgres import FAILURES, PooledConnections, PostgresConnection, Refused, connect

OLDEST = 14  # the major version of PostgreSQL that this was made for; the tests run on newer ones

# What may be done to each table. The trail is only ever added to.
_NEEDED = {
    "letters": "SELECT INSERT UPDATE DELETE",
    "settled_letters": "SELECT INSERT DELETE",
    "attempts": "SELECT INSERT DELETE",
    "mutes": "SELECT INSERT UPDATE DELETE",
    "changes": "SELECT INSERT UPDATE DELETE",
    "events": "SELECT INSERT UPDATE DELETE",
    "accounts": "SELECT INSERT UPDATE",
    "audit": "SELECT INSERT",
    "audit_head": "SELECT INSERT UPDATE",
}


class PostgresStore:
    """A store in PostgreSQL."""

    def __init__(self, url: str, on_done: OnDone) -> None:
        self._url = url
        self._address = parse_address(url)
        self._connections = PooledConnections(self._address, on_done)
        self._listeners: list[Listener] = []
        self._is_news = False
        self._telling: asyncio.Task[None] | None = None

    async def migrate(self) -> None:
        await self._look(_require_version)
        await asyncio.to_thread(schema.upgrade, self._url)

    async def open(self) -> None:
        await self._look(_require_all)
        try:
            await self._connections.open()
        except FAILURES as error:
            await self._connections.close()
            raise unusable(self._address, error) from error

    async def _look(self, look: Callable[["asyncpg.Connection[asyncpg.Record]"], object]) -> None:
        """Look at the database over a connection of its own, which is closed again."""
        try:
            require_tls_files(self._address)
            driver = await connect(self._address)
            try:
                await look(driver)  # type: ignore[misc]  # both looks are coroutine functions
            finally:
                driver.terminate()
        except (*FAILURES, ValueError) as error:
            raise unusable(self._address, error) from error

    async def close(self) -> None:
        for listener in self._listeners:
            await listener.stop()
        if self._telling is not None:
            await self._telling
        await self._connections.close()

    async def unit(self, work: Work[T], *, alone: bool, lasting: bool) -> T:
        return await self._connections.run(work, transaction=True, alone=alone)

    async def write(self, statement: Work[T]) -> T:
        return await self._connections.run(statement, transaction=False)

    async def read(self, work: Work[T]) -> T:
        return await self._connections.run(work, transaction=False, kind="read")

    async def time(self) -> float | None:
        async def ask(connection: Connection) -> float:
            row = await connection.fetch_one(
                "SELECT CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION) AS now"
            )
            assert row is not None
            return float(row["now"])

        return await self.read(ask)

    async def listen(self, on_news: Callable[[], None]) -> None:
        if not self._address.pgbouncer:  # in transaction mode there is no session that could listen
            self._listeners.append(Listener(self._address, on_news))

    def announce(self) -> None:
        """In a statement of its own after the commit, and one at a time.

        Transactions that notify commit one after the other in the whole database: in the one that stores letters this
        would take away what several accepting processes gain.
        """
        self._is_news = True
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell(), name="news of letters")

    async def _tell(self) -> None:
        try:
            with contextlib.suppress(CannotStore):  # then they find the letters by looking
                while self._is_news:
                    self._is_news = False
                    await self.read(
                        lambda connection: connection.execute(
                            "SELECT pg_notify(:channel, '')", {"channel": CHANNEL}
                        )
                    )
        finally:
            self._telling = None

    def free_space(self) -> int:
        return sys.maxsize  # its disk is elsewhere: if that is full, storing fails, and is told

    async def empty_log(self) -> None:
        """What was erased goes when autovacuum comes by, and from the log when that is recycled."""


async def _require_version(driver: "asyncpg.Connection[asyncpg.Record]") -> None:
    version = driver.get_server_version()
    if version.major < OLDEST:
        raise DatabaseUnsuitable(
            f"the server is PostgreSQL {version.major}, and resetsvc needs {OLDEST} or later: upgrade the server"
        )


async def _require_all(driver: "asyncpg.Connection[asyncpg.Record]") -> None:
    await _require_version(driver)
    if await driver.fetchval("SHOW synchronous_commit") == "off":
        raise DatabaseUnsuitable(
            "synchronous_commit is off for this role or database, so what was accepted could be lost: set it to on"
        )
    connection = PostgresConnection(driver)
    try:
        revision = await schema.current_revision(connection)
    except Refused as error:
        if not isinstance(error.__cause__, asyncpg.UndefinedTableError):
            raise error.__cause__ or error from None
        revision = None
    schema.require_current(revision)
    missing = await driver.fetch(
        """
        SELECT needed.tab, needed.right FROM unnest($1::text[], $2::text[]) AS needed (tab, "right")
        WHERE NOT has_table_privilege(needed.tab, needed.right)
        """,
        [table for table, rights in _NEEDED.items() for _ in rights.split()],
        [right for rights in _NEEDED.values() for right in rights.split()],
    )
    if missing:
        told = ", ".join(f"{right} on {table}" for table, right in missing)
        raise DatabaseUnsuitable(f"the database role lacks permissions: {told}")


# What a person has to mend; anything else may mend itself, so that starting again later makes sense.
_UNSUITABLE = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ClientConfigurationError,
    asyncpg.UndefinedObjectError,  # a parameter of the URL that the server does not know
    asyncpg.CantChangeRuntimeParamError,
    asyncpg.InvalidParameterValueError,
    ValueError,
)


def require_tls_files(address: Address) -> None:
    """Read the files that the URL names: asyncpg says that one cannot be read, and not which."""
    for name, path in address.tls_files.items():
        try:
            ssl.create_default_context(cafile=path) if name == "sslrootcert" else Path(path).read_bytes()
        except OSError as error:  # also ssl.SSLError
            raise ValueError(f"{name}={path} cannot be read: {error.strerror or error}") from error


def unusable(address: Address, error: Exception) -> DatabaseUnusable:
    if isinstance(error, TimeoutError):
        why = f"no answer within {CONNECT_TIMEOUT:.0f} seconds"
    elif isinstance(error, asyncpg.PostgresError):
        why = str(error.args[0])  # without its details
        if isinstance(error, asyncpg.ProtocolViolationError) and "startup parameter" in why:
            return DatabaseUnsuitable(
                f"the database {address.name} is behind a pooler ({why}): write pgbouncer=true into the URL"
            )
    else:
        why = str(error) or type(error).__name__
    no_tls_there = "rejected SSL upgrade" in why  # a ConnectionError to asyncpg, like much that mends itself
    kind = DatabaseUnsuitable if isinstance(error, _UNSUITABLE) or no_tls_there else DatabaseUnusable
    return kind(f"the database {address.name} cannot be used: {why}")
