"""When a connection has been idle for too long, or the service stops."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any


class IdleWatch:
    """One task for as long as a connection is there. hypercorn's own starts and ends two for each request."""

    def __init__(self, terminated: Any, limit: float) -> None:
        self._terminated = terminated
        self._limit = limit  # seconds
        self._idle_since: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    async def restart(self, task_group: Any, close: Callable[[], Awaitable[None]]) -> None:
        """It is idle from now on."""
        self._idle_since = asyncio.get_running_loop().time()
        if not self._ended and (self._task is None or self._task.done()):
            self._task = task_group._task_group.create_task(self._watch(close))

    async def stop(self) -> None:
        """It is idle no more."""
        self._idle_since = None

    def end(self) -> None:
        """There is nothing left to watch."""
        self._ended = True
        if self._task is not None:
            self._task.cancel()

    async def _watch(self, close: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        while not self._terminated.is_set():
            now = loop.time()
            due = (now if self._idle_since is None else self._idle_since) + self._limit
            if due <= now:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._terminated.wait()
        if self._idle_since is not None:  # else the answer that is under way ends it
            self._ended = True
            await close()
