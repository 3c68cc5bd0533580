"""Keeps a dispatcher running: begins anew when one dies, says whether it is alive, erases what is too old."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from resetsvc.admission import CLOCK_SKEW
from resetsvc.clock import Clock
from resetsvc.dispatch.dispatcher import Dispatcher
from resetsvc.errors import CannotStore
from resetsvc.relay.relays import Outbox
from resetsvc.store import changes, events, mutes
from resetsvc.store import letters as sql
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store

log = structlog.stdlib.get_logger("resetsvc.dispatcher")

RESTART_PAUSE = 0.5  # seconds
ALIVE_WITHIN = 3.5  # seconds since the loop's last step after which it counts as standing still
LOOK_EVERY = 0.5  # seconds between looks at it: with the two above, it is running again within five
STOP_WITHIN = 15.0  # seconds until a loop that was told to stop, and did not, is left behind
TIDY_EVERY = 60.0  # seconds between looks for links that have run out
FINISH_EVERY = 5.0  # seconds between looks for changes of passwords that were interrupted
ERASE_EVERY = 3600.0  # seconds
SLICE = 500  # letters in one transaction: others must not wait for long


OneSlice = Callable[[Connection], Awaitable[int]]


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
        link_lifetime: float,
        settled_after: float,
        finish_changes: Callable[[], Awaitable[int]] | None,
    ) -> None:
        self._make_dispatcher = make_dispatcher
        self._store = store
        self._outbox = outbox
        self._clock = clock
        self._retention = retention
        self._link_lifetime = link_lifetime
        self._settled_after = settled_after
        self._finish_changes = finish_changes
        self._dispatcher = make_dispatcher()
        self._running: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def alive(self) -> bool:
        """Whether the dispatcher's loop runs, and took a step within the last seconds."""
        if self._running is not None and self._running.done():
            return False
        return self._clock.monotonic() - self._dispatcher.seen_alive_at < ALIVE_WITHIN

    def wake(self) -> None:
        self._dispatcher.wake()

    async def start(self) -> None:
        await self._outbox.open(self.wake)
        self._tasks = [
            asyncio.create_task(self._keep_running(), name="dispatcher"),
            asyncio.create_task(self._keep_tidy(), name="links that ran out, and erasure"),
        ]
        if self._finish_changes is not None:
            finishing = self._keep_finishing(self._finish_changes)
            self._tasks.append(asyncio.create_task(finishing, name="interrupted changes"))

    async def stop(self) -> None:
        self._stopping.set()
        self._dispatcher.stop()
        await asyncio.gather(*self._tasks)
        await self._outbox.close()

    async def _keep_running(self) -> None:
        while not self._stopping.is_set():
            running = self._running = asyncio.create_task(self._dispatcher.run(), name="dispatcher loop")
            await self._watch(running)
            if self._stopping.is_set():
                await asyncio.wait({running}, timeout=STOP_WITHIN)
            if running.done() and not running.cancelled() and running.exception() is None:
                continue  # it was stopped
            if running.done():
                log.error("the dispatcher died and is started again", exc_info=_error_of(running))
            else:
                log.error("the dispatcher stands still and is started again")
                running.cancel()
                await asyncio.wait({running}, timeout=RESTART_PAUSE)
            await self._pause(RESTART_PAUSE)
            if not self._stopping.is_set():
                self._dispatcher = self._make_dispatcher()

    async def _watch(self, running: "asyncio.Task[None]") -> None:
        """Return when the loop ended, when it stands still, or when it is to stop."""
        stopping = asyncio.create_task(self._stopping.wait(), name="stop of the dispatcher")
        try:
            while not running.done() and not self._stopping.is_set():
                looked_at = self._clock.monotonic()
                await asyncio.wait(
                    {running, stopping}, timeout=LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED
                )
                # If this look itself comes late, all stood still (the process was stopped, say): the dispatcher may
                # not have had its turn yet, and to cancel what it has in hand would send mails twice.
                everything_stood = self._clock.monotonic() - looked_at > 2 * LOOK_EVERY
                if not running.done() and not self.alive and not everything_stood:
                    return
        finally:
            stopping.cancel()

    async def _keep_tidy(self) -> None:
        ended_until: float | None = None
        settled_until: float | None = None
        erased_at = float("-inf")
        while not self._stopping.is_set():
            now, began = self._clock.now(), self._clock.monotonic()
            try:
                ended_until = await self._end_old_links(now, after=ended_until)
                settled_until = await self._settle(now, after=settled_until)
                if began >= erased_at + ERASE_EVERY:
                    await erase(self._store, now, self._retention)
                    erased_at = began
            except CannotStore:
                log.error("old links and letters cannot be tidied away at the moment")
            await self._pause(TIDY_EVERY)

    async def _keep_finishing(self, finish_changes: Callable[[], Awaitable[int]]) -> None:
        while not self._stopping.is_set():
            try:
                await finish_changes()
            except CannotStore:
                log.error("interrupted changes cannot be looked into at the moment")
            except Exception:
                # A look-up of accounts may be anybody's code; this task has to outlive its mistakes.
                log.exception("interrupted changes cannot be looked into")
            await self._pause(FINISH_EVERY)

    async def _end_old_links(self, now: float, *, after: float | None) -> float:
        def end(after: float | None, until: float) -> OneSlice:
            return lambda unit: sql.end_old_links(unit, after=after, until=until, now=now, limit=SLICE)

        until = now - self._link_lifetime
        await self._in_slices(end(None if after is None else min(after, until), until))
        # And those of before the clock was put back.
        await self._in_slices(end(now + CLOCK_SKEW, float("inf")))
        return until

    async def _settle(self, now: float, *, after: float | None) -> float:
        until = now - self._settled_after
        await self._in_slices(
            lambda unit: sql.settle_letters(
                unit, after=None if after is None else min(after, until), until=until, limit=SLICE
            )
        )
        return until

    async def _in_slices(self, work: OneSlice) -> None:
        """Do it again until it finds less than it may do at once."""
        while await self._store.write(work) == SLICE:
            pass

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _error_of(task: "asyncio.Task[None]") -> BaseException:
    if task.cancelled():
        return asyncio.CancelledError()
    return task.exception() or RuntimeError("it ended without being told to")


async def erase(store: Store, now: float, retention: float) -> int:
    """Erase letters that ended more than `retention` seconds ago; return how many went.

    The database overwrites what it deletes; emptying the write-ahead log takes the last copy away.
    """
    erased = 0

    async def work(unit: Connection) -> int:
        await mutes.erase_ended_mutes(unit, now)
        await changes.erase_old_changes(unit, now - retention)
        await events.erase_old_events(unit, now - retention)
        return await sql.erase_finished(unit, now - retention, SLICE)

    while (slice_ := await store.unit(work, alone=False)) > 0:
        erased += slice_
    if erased:
        await store.empty_log()
        log.info("letters erased", letters=erased)
    return erased
