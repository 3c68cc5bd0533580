"""Keeps a dispatcher running: begins anew when one dies, says whether it is alive, erases what is too old."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from resetsvc.clock import Clock
from resetsvc.dispatch.dispatcher import Dispatcher
from resetsvc.errors import CannotStore
from resetsvc.relay.relays import Outbox
from resetsvc.store import letters as sql
from resetsvc.store import mutes
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store

log = structlog.stdlib.get_logger("resetsvc.dispatcher")

RESTART_PAUSE = 1.0  # seconds
ALIVE_WITHIN = 5.0  # seconds since the loop's last turn after which it counts as dead
ERASE_EVERY = 3600.0  # seconds
ERASE_SLICE = 500  # letters in one transaction: others must not wait for long


class Supervisor:
    """Enter it and letters are delivered; leave it and they are in order for whoever comes next."""

    def __init__(
        self,
        make_dispatcher: Callable[[], Dispatcher],
        store: Store,
        outbox: Outbox,
        clock: Clock,
        *,
        retention: float,
    ) -> None:
        self._make_dispatcher = make_dispatcher
        self._store = store
        self._outbox = outbox
        self._clock = clock
        self._retention = retention
        self._dispatcher = make_dispatcher()
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def alive(self) -> bool:
        """Whether the dispatcher's loop turned within the last seconds."""
        return self._clock.monotonic() - self._dispatcher.seen_alive_at < ALIVE_WITHIN

    def wake(self) -> None:
        self._dispatcher.wake()

    async def start(self) -> None:
        await self._outbox.open(self.wake)
        self._tasks = [
            asyncio.create_task(self._keep_running(), name="dispatcher"),
            asyncio.create_task(self._keep_erasing(), name="erasure"),
        ]

    async def stop(self) -> None:
        self._stopping.set()
        self._dispatcher.stop()
        await asyncio.gather(*self._tasks)
        await self._outbox.close()

    async def _keep_running(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._dispatcher.run()
            except Exception:
                log.exception("the dispatcher died and is started again")
                await self._pause(RESTART_PAUSE)
                if not self._stopping.is_set():
                    self._dispatcher = self._make_dispatcher()

    async def _keep_erasing(self) -> None:
        while not self._stopping.is_set():
            try:
                await erase(self._store, self._clock.now(), self._retention)
            except CannotStore:
                log.error("old letters cannot be erased at the moment")
            await self._pause(ERASE_EVERY)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


async def erase(store: Store, now: float, retention: float) -> int:
    """Erase letters that ended more than `retention` seconds ago; return how many went.

    The database overwrites what it deletes; emptying the write-ahead log takes the last copy away.
    """
    erased = 0

    async def work(unit: Connection) -> int:
        await mutes.erase_ended_mutes(unit, now)
        return await sql.erase_finished(unit, now - retention, ERASE_SLICE)

    while (slice_ := await store.unit(work)) > 0:
        erased += slice_
    if erased:
        await store.empty_log()
        log.info("letters erased", letters=erased)
    return erased
