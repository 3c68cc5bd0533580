"""News that letters were stored, from one process to others: LISTEN and NOTIFY on a connection of their own.

News may be missed, while a connection is down or through a pooler. Whoever listens also looks by himself now and then.
"""

import asyncio
import contextlib
from collections.abc import Callable

from resetsvc.store.address import Address
from resetsvc.store.postgres import FAILURES, connect

CHANNEL = "resetsvc_letters"
TRY_AGAIN = 1.0  # seconds


class Listener:
    """Calls `on_news` for each piece of news, and once when it begins to hear again."""

    def __init__(self, address: Address, on_news: Callable[[], None]) -> None:
        self._address = address
        self._on_news = on_news
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._keep_listening(), name="news of letters")

    async def stop(self) -> None:
        self._stopping.set()
        await self._task

    async def _keep_listening(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(*FAILURES):
                await self._listen()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TRY_AGAIN):
                    await self._stopping.wait()

    async def _listen(self) -> None:
        """Return when the connection is lost, or when it is time to stop."""
        driver = await connect(self._address)
        ended = asyncio.Event()
        driver.add_termination_listener(lambda _: ended.set())
        try:
            await driver.add_listener(CHANNEL, self._heard)
            self._on_news()  # what was told while nobody listened
            waiting = [asyncio.create_task(event.wait()) for event in (ended, self._stopping)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        finally:
            driver.terminate()

    def _heard(self, *_: object) -> None:
        self._on_news()
