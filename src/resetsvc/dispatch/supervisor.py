"""Keeps a dispatcher running: begins anew when one dies or stands still, and says whether it is alive."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence

import structlog

from resetsvc.clock import Clock
from resetsvc.dispatch.dispatcher import Dispatcher
from resetsvc.relay.relays import Outbox

log = structlog.stdlib.get_logger("resetsvc.dispatcher")

RESTART_PAUSE = 0.5  # seconds
ALIVE_WITHIN = 3.5  # seconds since the loop's last step after which it counts as standing still
LOOK_EVERY = 0.5  # seconds between looks at it: with the two above, it is running again within five
STOP_WITHIN = 15.0  # seconds until a loop that was told to stop, and did not, is left behind

# Goes on beside the dispatcher until the event is set.
Chore = Callable[[asyncio.Event], Coroutine[None, None, None]]


class Supervisor:
    """Start it and letters are delivered; stop it and they are in order for whoever comes next."""

    def __init__(
        self, make_dispatcher: Callable[[], Dispatcher], outbox: Outbox, clock: Clock, chores: Sequence[Chore]
    ) -> None:
        self._make_dispatcher = make_dispatcher
        self._outbox = outbox
        self._clock = clock
        self._chores = chores
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
            *(asyncio.create_task(chore(self._stopping), name="chore") for chore in self._chores),
        ]

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

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _error_of(task: "asyncio.Task[None]") -> BaseException:
    if task.cancelled():
        return asyncio.CancelledError()
    return task.exception() or RuntimeError("it ended without being told to")
