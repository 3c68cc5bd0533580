"""A place where a unit of work waits until a test lets it pass."""

import asyncio
import threading

PATIENCE = 60.0  # seconds until a test is given up


class Gate:
    """Holds a unit up wherever it runs: one on PostgreSQL in the event loop, one on SQLite in the driver's thread."""

    def __init__(self) -> None:
        self._reached, self._opened = threading.Event(), threading.Event()

    async def wait(self) -> None:
        """For the unit: stay here until the gate is opened."""
        self._reached.set()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            opened = self._opened.wait(PATIENCE)
        else:
            opened = await asyncio.to_thread(self._opened.wait, PATIENCE)
        assert opened, "nobody opened the gate"

    async def reached(self) -> None:
        """For the test: until a unit waits here."""
        assert await asyncio.to_thread(self._reached.wait, PATIENCE), "nobody came to the gate"

    def open(self) -> None:
        self._opened.set()
