"""Connections that are held open, each by a task of its own: units of work are whole, whatever becomes of their callers.

A unit runs in one of these tasks and not in its caller's. A client that hangs up, a time-out or a shutdown cannot tear
it, nor take a connection away with it.
"""

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from resetsvc.errors import CannotStore
from resetsvc.store.connection import Connection

T = TypeVar("T")
Driver = TypeVar("Driver")
Work = Callable[[Connection], Awaitable[T]]
OnDone = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A unit of work that waits for a connection.

    transaction -- False for a single statement, which commits by itself and saves two turns
    alone       -- no other unit that is `alone` runs at the same time, in whatever process
    lasting     -- durable when it is done; False: with the next unit that is, if the database cannot crash but with us
    done        -- what it returned or raised
    """

    work: Work[Any]
    transaction: bool
    alone: bool
    lasting: bool
    kind: str
    done: "asyncio.Future[Any]"


class HeldConnections(ABC, Generic[Driver]):
    """So many connections to one database, and the tasks that own them. They take units from one queue."""

    PAUSE = 0.1  # seconds until a connection that cannot be opened is tried again
    PATIENCE: float | None = None  # seconds that a unit waits for its turn before it is refused

    def __init__(self, number: int, name: str, on_done: OnDone) -> None:
        self._number = number
        self._name = name
        self._on_done = on_done
        self._waiting: deque[Job] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    @abstractmethod
    def _connected(self) -> AbstractAsyncContextManager[Driver]:
        """Open a connection; close it, or give it back, at the end."""

    @abstractmethod
    def _is_lost(self, driver: Driver) -> bool:
        """Whether it can be seen, without asking the server, that this connection has ended."""

    @abstractmethod
    async def _do(self, driver: Driver, job: Job) -> bool:
        """Do one unit and set its outcome. False if the connection cannot be trusted any more."""

    async def open(self) -> None:
        """Open the connections, or raise the driver's error."""
        loop = asyncio.get_running_loop()
        opened: list[asyncio.Future[None]] = [loop.create_future() for _ in range(self._number)]
        self._tasks = [asyncio.create_task(self._own(future), name=self._name) for future in opened]
        await asyncio.wait(opened)
        for future in [future for future in opened if future.exception() is not None]:
            await future

    async def close(self) -> None:
        """Finish the units that wait, then close."""
        self._closing = True
        self._wake_all()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def run(
        self,
        work: Work[T],
        *,
        transaction: bool,
        alone: bool = True,
        lasting: bool = True,
        kind: str = "write",
    ) -> T:
        """Do one unit of work and return its result; CannotStore if the database refuses it."""
        if self._closing or all(task.done() for task in self._tasks):
            raise CannotStore
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        began = time.perf_counter()
        job = Job(work, transaction, alone, lasting, kind, done)
        self._waiting.append(job)
        if self._idle:
            self._idle.pop().set_result(None)
        timer = self.PATIENCE and loop.call_later(self.PATIENCE, self._give_up, job)
        try:
            return await done  # cancelled with its caller; the unit is done all the same
        finally:
            if timer:
                timer.cancel()
            self._on_done(kind, time.perf_counter() - began)

    def _give_up(self, job: Job) -> None:
        with contextlib.suppress(ValueError):  # it is being done
            self._waiting.remove(job)
            if not job.done.done():
                job.done.set_exception(CannotStore())

    def _take(self) -> Job | None:
        """The unit to do next, taken out of those that wait; None if there is none to do at the moment."""
        return self._waiting.popleft() if self._waiting else None

    async def _own(self, opened: "asyncio.Future[None]") -> None:
        while True:
            try:
                async with self._connected() as driver:
                    if not opened.done():
                        opened.set_result(None)
                    if await self._serve(driver):
                        return
            except Exception as error:
                if not opened.done():
                    opened.set_exception(error)
                    return
                self._refuse_all_that_wait()
                await asyncio.sleep(self.PAUSE)  # it cannot be opened: look again, but do not spin
                if self._closing:
                    self._refuse_all_that_wait()  # what came meanwhile
                    return

    async def _serve(self, driver: Driver) -> bool:
        """Do units until closed (True), or until the connection cannot be trusted any more (False)."""
        while True:
            while self._waiting:
                if self._is_lost(driver):
                    return False
                if (job := self._take()) is None:
                    break
                try:
                    if not await self._do(driver, job):
                        return False
                finally:
                    # A mistake must leave nobody waiting.
                    if not job.done.done() and job not in self._waiting:
                        job.done.set_exception(CannotStore())
            if self._closing:
                return True
            idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle

    def _wake_all(self) -> None:
        while self._idle:
            self._idle.pop().set_result(None)

    def _refuse_all_that_wait(self) -> None:
        while self._waiting:
            with contextlib.suppress(asyncio.InvalidStateError):
                self._waiting.popleft().done.set_exception(CannotStore())


def refusal(cause: BaseException) -> CannotStore:
    """What a caller is told of a driver's error."""
    error = CannotStore()
    error.__cause__ = cause
    return error
