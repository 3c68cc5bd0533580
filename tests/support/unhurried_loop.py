"""An event loop whose clock stands still while its process gets no turn: a busy machine must not look like a slow peer.

Most tests have both sides of a conversation in one event loop, and a time-out on one of them. Where the machine gives the
turn to somebody else for half a second, the time-outs of that half second fire before what has arrived is read, and a relay
that answered at once counts as silent. On this clock such a pause takes GRACE.

What waits for another process waits as ever: a pause is only what comes after the moment at which the loop wanted to go on.
And what a test measures itself, by `time.monotonic`, is real.

It also refuses what is not safe: an event that is set in another thread (SQLite's units of work run in one) wakes somebody up
in the middle of a turn, or never.
"""

import asyncio
import selectors
import threading
import time
from collections.abc import Callable
from typing import Any

GRACE = 0.05  # seconds that a turn may take, or come late, before the clock stands still


class UnhurriedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._turns = Turns(time.monotonic)
        self._thread = threading.get_ident()
        super().__init__(self._turns)

    def time(self) -> float:
        return self._turns.time()

    def run_forever(self) -> None:
        self._thread = threading.get_ident()
        super().run_forever()

    def call_soon(  # type: ignore[override]  # the same, with fewer types
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        if threading.get_ident() != self._thread:
            raise RuntimeError("not in the loop's thread: call_soon_threadsafe is for that")
        return super().call_soon(callback, *args, context=context)


def loop_time() -> float:
    """Seconds by the clock of the running loop: how long something took, without the pauses of the whole process."""
    return asyncio.get_running_loop().time()


class Turns(selectors.DefaultSelector):
    """Between its waits the loop has its turns. `time` leaves out by how much they were longer, or later, than GRACE."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._began = monotonic()
        self._left_out = 0.0  # seconds

    def time(self) -> float:
        now = self._monotonic()
        return now - self._left_out - _beyond_grace(now - self._began)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ended = self._monotonic()
        self._left_out += _beyond_grace(ended - self._began)
        found = super().select(timeout)
        self._began = self._monotonic()
        if timeout is not None:
            self._left_out += _beyond_grace(self._began - ended - max(timeout, 0.0))
        return found


def _beyond_grace(seconds: float) -> float:
    return max(seconds - GRACE, 0.0)
