"""The lanes to one relay: kept open and used again, never more than allowed; and those who wait for one.

Whether the relay is up, and so whether to open another lane at all, is for `resetsvc.relay.relay` to say.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from resetsvc.clock import Clock
from resetsvc.relay.conversation import Conversation
from resetsvc.relay.lane import CannotOpen

log = structlog.stdlib.get_logger("resetsvc.relay")

CEILING_SECONDS = 60.0  # how long we do with the lanes that a relay gave us before we ask for more
IDLE_SECONDS = 20.0  # a lane unused for so long is closed: relays close them too, without telling
LEAVE_SECONDS = 2.0  # for the answer to QUIT


class Lanes:
    """At most so many at a time; fewer for a minute where the relay takes fewer connections than we may open.

    open_one -- opens a session, or raises CannotOpen; `heard` is what it calls for what the relay says on the way
    """

    def __init__(
        self, relay: str, open_one: Callable[..., Awaitable[Conversation]], *, most: int, clock: Clock
    ) -> None:
        self.relay = relay
        self.most = most
        self.ceiling = most
        self.open = 0  # also those that are being opened, and those that we take leave on
        self._open_one = open_one
        self._clock = clock
        self._ceiling_until = 0.0
        self._idle: list[tuple[Conversation, float]] = []
        self._opening = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> int:
        return len(self._idle)

    # ---- to have one, and to give it back ----

    def take_idle(self) -> Conversation | None:
        """A usable lane that was used before; None if there is none."""
        while self._idle:
            lane, _ = self._idle.pop()  # the last one used: the others may grow old and close
            if lane.usable:
                return lane
            self._close(lane)
        return None

    async def open_another(self, heard: Callable[[], None]) -> Conversation:
        """A new lane. CannotOpen if the relay lets us have none."""
        self.open += 1
        self._opening += 1
        try:
            return await self._open_one(heard=heard)
        except CannotOpen:
            self.open -= 1
            raise
        except BaseException:
            self.open -= 1
            self.wake_one()
            raise
        finally:
            self._opening -= 1

    async def open_ready(self) -> None:
        """Open one for whoever comes first; it counts only once it is open. CannotOpen if the relay lets us have none."""
        lane = await self._open_one()
        self.open += 1
        self._idle.append((lane, self._clock.monotonic()))

    def give_back(self, lane: Conversation, *, keep: bool) -> None:
        if keep and lane.usable:
            self._idle.append((lane, self._clock.monotonic()))
        else:
            self._close(lane)
        self.wake_one()

    # ---- how many ----

    def do_with_these(self, error: CannotOpen) -> None:
        """The relay takes no more, but serves those it has."""
        self.ceiling = self.open
        self._ceiling_until = self._clock.monotonic() + CEILING_SECONDS
        if self.open > self._opening:  # not only lanes that are about to fail as well
            log.warning(
                "relay takes no more connections", relay=self.relay, open=self.open, reply=error.reply
            )

    def raise_ceiling_in_time(self) -> None:
        if self.ceiling < self.most and self._clock.monotonic() >= self._ceiling_until:
            self.ceiling = self.most
            self.wake_all()

    # ---- to close them ----

    def _close(self, lane: Conversation) -> None:
        lane.close()
        self.open -= 1

    def close_idle(self) -> None:
        """At once, without a word to the relay."""
        for lane, _ in self._idle:
            self._close(lane)
        self._idle.clear()

    def leave_unused(self) -> None:
        """Take leave on the lanes that nobody needed for a while, without waiting for the relay's answer."""
        self._leave_idle(since=self._clock.monotonic() - IDLE_SECONDS)

    async def leave_all(self) -> None:
        """Take leave on all that are idle, and wait for the answers."""
        self._leave_idle(since=float("inf"))
        await asyncio.gather(*self._leaving)

    def _leave_idle(self, *, since: float) -> None:
        tired = [lane for lane, used_at in self._idle if used_at < since or not lane.usable]
        self._idle = [(lane, used_at) for lane, used_at in self._idle if lane not in tired]
        for lane in tired:
            leave = asyncio.create_task(self._leave(lane), name=f"leave {self.relay}")
            self._leaving.add(leave)
            leave.add_done_callback(self._leaving.discard)

    async def _leave(self, lane: Conversation) -> None:
        try:
            await lane.quit(LEAVE_SECONDS)
        finally:
            self.open -= 1  # only now: the relay counts it until then
            self.wake_one()

    # ---- those who wait ----

    async def wait(self) -> None:
        """Return when there may be a lane, or no sense in waiting for one: whoever waits looks again."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                with contextlib.suppress(ValueError):
                    self._waiters.remove(waiter)
            else:
                self.wake_one()  # it was woken and will not come: the next one has to hear it
            raise

    def wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def wake_all(self) -> None:
        while self._waiters:
            self.wake_one()
