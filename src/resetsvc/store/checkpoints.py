"""SQLite's log is carried over into the file beside the writer: no commit waits for the sync of a whole file."""

import asyncio
import contextlib

import structlog

from resetsvc.errors import CannotStore
from resetsvc.store.connection import Connection
from resetsvc.store.sqlite import HeldConnection

log = structlog.stdlib.get_logger("resetsvc.store")

WRITES = 128  # on the writer, between two times: some hundred pages, as many as SQLite itself would wait for


class Checkpoints:
    """Has a connection of its own do what SQLite, left alone, does within a commit each time the log has grown enough.

    The writer's own limit (`sqlite.LOG_AT_MOST`) stays as a bound for a log that is never quite carried over, because
    somebody always writes or reads meanwhile. Little is left to carry over then.
    """

    def __init__(self, connection: HeldConnection) -> None:
        self._connection = connection
        self._writes = 0
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._fails = False

    async def open(self) -> None:
        await self._connection.open()
        self._task = asyncio.create_task(self._whenever_due(), name="sqlite checkpoints")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._connection.close()

    def wrote(self) -> None:
        """The writer has done one unit."""
        self._writes += 1
        if self._writes >= WRITES:
            self._writes = 0
            self._due.set()

    async def _whenever_due(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._connection.run(_carry_over, transaction=False, kind="checkpoint")
            except CannotStore as error:
                self._note(error)
            else:
                self._note(None)

    def _note(self, error: CannotStore | None) -> None:
        """Say it once: the log grows up to its bound meanwhile, and nothing that was acknowledged is lost."""
        if error is not None and not self._fails:
            log.error("the database's log cannot be carried over", error=str(error.__cause__ or error))
        self._fails = error is not None


async def _carry_over(connection: Connection) -> None:
    await connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # waits for nobody, and nobody waits for it
