"""The store that the rest of the service sees: open it, read, and change it in whole units of work."""

import contextlib
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from resetsvc.errors import DatabaseUnusable
from resetsvc.store import schema
from resetsvc.store.connection import Connection
from resetsvc.store.sqlite import HeldConnection, database_file, open_sqlite

T = TypeVar("T")


class Store:
    """Letters, mutes and the built-in accounts, in one SQLite file.

    One connection writes and one reads, both held open: opening one for each query costs three quarters of the
    throughput.
    """

    def __init__(
        self, url: str, *, on_done: Callable[[str, float], None] = lambda _kind, _seconds: None
    ) -> None:
        """on_done -- told of each unit of work: "read" or "write", and its seconds with the wait for its turn"""
        self._url = url
        database = open_sqlite(url)
        self._writer = HeldConnection(database, writes=True, on_done=on_done)
        self._reader = HeldConnection(database, writes=False, on_done=on_done)

    async def open(self) -> None:
        """Bring the schema up to date (SQLite needs nobody's permission for that) and open both connections."""
        try:
            _make_private_file(Path(database_file(self._url)))
            await schema.upgrade_if_needed(self._url)
            await self._writer.open()
            await self._reader.open()
        except (sqlite3.Error, OSError) as error:
            await self.close()
            raise DatabaseUnusable(
                f"the database {database_file(self._url)} cannot be used: {error}"
            ) from error

    async def close(self) -> None:
        await self._reader.close()
        await self._writer.close()

    async def unit(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do `work` in one transaction: all of it is durable when this returns, or none of it happened.

        Whatever `work` raises comes out after the rollback; CannotStore if the database refuses.
        """
        return await self._writer.run(work, transaction=True)

    async def write(self, statement: Callable[[Connection], Awaitable[T]]) -> T:
        """Do one statement that commits by itself. As durable as a unit, with two turns of the driver less."""
        return await self._writer.run(statement, transaction=False)

    async def read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Read, beside whatever is being written."""
        return await self._reader.run(work, transaction=False)

    def free_space(self) -> int:
        """Octets left on the disk for what is to be stored."""
        found = os.statvfs(Path(database_file(self._url)).parent)
        return found.f_bavail * found.f_frsize

    async def empty_log(self) -> None:
        """Move the write-ahead log into the file and truncate it: what was erased is nowhere any more."""
        await self._writer.run(
            lambda connection: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)"), transaction=False
        )


def _make_private_file(path: Path) -> None:
    """Create the file for its owner alone, if there is none: it holds addresses and hashes. SQLite's logs follow its mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
