"""Waiting for a state by event: whoever changes something rings, whoever waits looks again."""

import asyncio
from collections.abc import Callable


class Bell:
    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def ring(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():  # one whose task was cancelled is done already
                waiter.set_result(None)

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
