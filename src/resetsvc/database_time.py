"""The database's clock, read from here: leases and deadlines that several machines share go by one clock.

A lease that one machine gives itself is looked at by another. If that one's clock ran ten seconds ahead, it would take
letters away from whoever is sending them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from resetsvc.clock import Clock
from resetsvc.errors import CannotStore
from resetsvc.store.database import Store

LOOK_EVERY = 5.0  # seconds


@asynccontextmanager
async def clock_of(store: Store) -> AsyncIterator[Clock]:
    """A clock that tells the time of this store's database; this machine's where it has none of its own (SQLite)."""
    clock = Clock()
    theirs = DatabaseTime(store, clock)
    if not await theirs.look():
        yield clock
        return
    looking = asyncio.create_task(theirs.keep_looking(), name="the database's time")
    try:
        yield replace(clock, now=theirs.now)
    finally:
        theirs.stop()
        await looking


class DatabaseTime:
    """How far the database's time of the day is ahead of the seconds that never jump here.

    This machine's own time of the day takes no part: it may jump as it likes.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._uptime = clock.uptime
        self._ahead = 0.0
        self._give_or_take = float("inf")
        self._stopping = asyncio.Event()

    def now(self) -> float:
        return self._uptime() + self._ahead

    async def look(self) -> bool:
        """Ask for the time; False if the database has none. What lies within the error of two looks is no change."""
        asked = self._uptime()
        time_there = await self._store.time()
        if time_there is None:
            return False
        told = self._uptime()
        ahead, give_or_take = time_there - (asked + told) / 2, (told - asked) / 2
        if abs(ahead - self._ahead) > give_or_take + self._give_or_take or give_or_take < self._give_or_take:
            self._ahead, self._give_or_take = ahead, give_or_take
        return True

    async def keep_looking(self) -> None:
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._stopping.wait()
            except TimeoutError:
                await self._look_if_possible()

    async def _look_if_possible(self) -> None:
        try:
            await self.look()
        except CannotStore:
            return  # it goes on as it was

    def stop(self) -> None:
        self._stopping.set()
