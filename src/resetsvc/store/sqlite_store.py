"""The store in one SQLite file: for one machine, and nothing to set up."""

import contextlib
import os
import sqlite3
from pathlib import Path

from resetsvc.errors import DatabaseUnusable
from resetsvc.store import schema
from resetsvc.store.checkpoints import Checkpoints
from resetsvc.store.connection import Connection
from resetsvc.store.held import OnDone, T, Work
from resetsvc.store.sqlite import BUSY_TIMEOUT, HeldConnection, database_file, open_sqlite


class SqliteStore:
    """A store in one file. One connection writes, one reads and one carries the log over, all held open.

    Opening one for each query costs three quarters of the throughput.
    """

    def __init__(self, url: str, on_done: OnDone) -> None:
        self._url = url
        database = open_sqlite(url)
        self._writer = HeldConnection(database, "sqlite writer", writes=True, on_done=on_done)
        self._reader = HeldConnection(database, "sqlite reader", writes=False, on_done=on_done)
        third = HeldConnection(database, "sqlite checkpoints", writes=False, on_done=on_done)
        self._checkpoints = Checkpoints(third)

    async def migrate(self) -> None:
        try:
            _make_private_file(Path(database_file(self._url)))
            await schema.upgrade_if_needed(self._url)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error

    async def open(self) -> None:
        """Bring the schema up to date (SQLite needs nobody's permission for that) and open the connections."""
        await self.migrate()
        try:
            await self._writer.open()
            await self._reader.open()
            await self._checkpoints.open()
        except (sqlite3.Error, OSError) as error:
            await self.close()
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> DatabaseUnusable:
        return DatabaseUnusable(f"the database {database_file(self._url)} cannot be used: {error}")

    async def close(self) -> None:
        await self._checkpoints.close()
        await self._reader.close()
        await self._writer.close()

    async def unit(self, work: Work[T], *, alone: bool, lasting: bool) -> T:
        try:
            return await self._writer.run(work, transaction=True, alone=alone, lasting=lasting)
        finally:
            self._checkpoints.wrote()

    async def write(self, statement: Work[T]) -> T:
        try:
            return await self._writer.run(statement, transaction=False)
        finally:
            self._checkpoints.wrote()

    async def read(self, work: Work[T]) -> T:
        return await self._reader.run(work, transaction=False, kind="read")

    async def time(self) -> float | None:
        return None  # the file has the clock of this machine

    def free_space(self) -> int:
        found = os.statvfs(Path(database_file(self._url)).parent)
        return found.f_bavail * found.f_frsize

    async def empty_log(self) -> None:
        async def work(connection: Connection) -> None:
            # It raises nothing where somebody still reads: it only waits, if it is told to.
            await connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000:.0f}")
            await connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            await connection.execute("PRAGMA busy_timeout = 0")

        await self._writer.run(work, transaction=False)

    def announce(self) -> None:
        """Nobody is told: other processes look four times a second."""

    async def listen(self, on_news: object) -> None:
        """Nobody tells."""


def _make_private_file(path: Path) -> None:
    """Create the file for its owner alone, if there is none: it holds addresses and hashes. SQLite's logs follow its mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
