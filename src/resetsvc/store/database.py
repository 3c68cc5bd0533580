"""The store that the rest of the service sees: open it, read, and change it in whole units of work."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from resetsvc.store.connection import Connection

T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]
OnDone = Callable[[str, float], None]


class Engine(Protocol):
    """What a kind of database has to offer; each method means what that of `Store` means."""

    async def migrate(self) -> None: ...
    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def unit(self, work: Work[T], *, alone: bool, lasting: bool) -> T: ...
    async def write(self, statement: Work[T]) -> T: ...
    async def read(self, work: Work[T]) -> T: ...
    async def time(self) -> float | None: ...
    async def listen(self, on_news: Callable[[], None]) -> None: ...
    def announce(self) -> None: ...
    def free_space(self) -> int: ...
    async def empty_log(self) -> None: ...


class Store:
    """Letters, mutes, the audit trail and the built-in accounts, in SQLite or in PostgreSQL."""

    def __init__(self, url: str, *, on_done: OnDone = lambda _kind, _seconds: None) -> None:
        """on_done -- told of each unit of work: "read", "write" or "checkpoint", and its seconds with the wait for its turn"""
        self._engine = _engine(url, on_done)

    async def migrate(self) -> None:
        """Bring the schema up to date, from nothing if need be: safe to do twice, and from two processes at once."""
        await self._engine.migrate()

    async def open(self) -> None:
        """Open the connections. A SQLite file is brought up to date first; PostgreSQL is not.

        Raises DatabaseUnusable, SchemaOutdated, SchemaTooNew; nothing is left open then, and nothing changed.
        """
        await self._engine.open()

    async def close(self) -> None:
        """Finish the units that wait, then close."""
        await self._engine.close()

    async def unit(self, work: Work[T], *, alone: bool = True, lasting: bool = True) -> T:
        """Do `work` in one transaction: all of it is durable when this returns, or none of it happened.

        Whatever `work` raises comes out after the rollback; CannotStore if the database refuses. On PostgreSQL `work`
        may be done again after a rollback, where it came into conflict with another unit. It awaits its connection and
        nothing else: on SQLite it is done in the driver's thread.

        alone -- False: other units may go on beside it, in this process and in others. For work that does not mind:
                 what it writes does not depend on what it read, or it has locked what it reads
        lasting -- False: in a file on this machine it waits for no sync, and a power cut may undo it until the next unit that
                 lasts. All see it at once, and a killed process takes nothing away. PostgreSQL may crash while we go on,
                 so there it lasts all the same
        """
        return await self._engine.unit(work, alone=alone, lasting=lasting)

    async def write(self, statement: Work[T]) -> T:
        """Do one statement that commits by itself. As durable as a unit, without the statements that begin and end one."""
        return await self._engine.write(statement)

    async def read(self, work: Work[T]) -> T:
        """Read, beside whatever is being written."""
        return await self._engine.read(work)

    async def time(self) -> float | None:
        """The database's own time, in seconds since 1970; None where it has none but this machine's."""
        return await self._engine.time()

    async def listen(self, on_news: Callable[[], None]) -> None:
        """Have `on_news` called when another process says that there are letters to deliver. Some news may be missed."""
        await self._engine.listen(on_news)

    def announce(self) -> None:
        """Tell other processes soon that there are letters to deliver."""
        self._engine.announce()

    def free_space(self) -> int:
        """Octets left on the disk for what is to be stored, as far as this machine can know."""
        return self._engine.free_space()

    async def empty_log(self) -> None:
        """Move the write-ahead log into the file and truncate it: what was erased is nowhere any more."""
        await self._engine.empty_log()


def _engine(url: str, on_done: OnDone) -> Engine:
    """Only what is used is loaded: neither driver has to be there for the other database."""
    if url.startswith(("postgresql:", "postgres:")):
        from resetsvc.store.postgres_store import PostgresStore

        return PostgresStore(url, on_done)
    from resetsvc.store.sqlite_store import SqliteStore

    return SqliteStore(url, on_done)
