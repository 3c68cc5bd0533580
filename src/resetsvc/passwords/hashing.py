"""Slow hashes in a small executor of their own, so that hashing starves neither the event loop nor the memory.

Argon2id for the built-in accounts; for accounts of another application whatever format that one has.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from resetsvc.errors import Busy
from resetsvc.passwords.policy import normalise
from resetsvc.settings import Settings

if TYPE_CHECKING:
    # Loaded by those whose accounts are elsewhere.
    from resetsvc.passwords.formats import Format

T = TypeVar("T")

# Hashes that may wait for each one that runs: at 20 ms each, a person waits a second at the most.
_WAITING_PER_THREAD = 48
NICENESS = 15  # of the hashing threads: whoever asks for a mail meanwhile has the processor first


class Hasher:
    """Hashes and verifies passwords. Memory used: that of one hash × `concurrency`, whatever is asked."""

    def __init__(self, *, memory_kib: int, time_cost: int, parallelism: int, concurrency: int) -> None:
        self._argon2 = PasswordHasher(memory_cost=memory_kib, time_cost=time_cost, parallelism=parallelism)
        self._executor = ThreadPoolExecutor(concurrency, thread_name_prefix="argon2", initializer=_step_back)
        self._bound = concurrency * (1 + _WAITING_PER_THREAD)
        self._asked = 0

    @classmethod
    def from_settings(cls, settings: Settings) -> "Hasher":
        return cls(
            memory_kib=settings.argon2_memory,
            time_cost=settings.argon2_time,
            parallelism=settings.argon2_parallelism,
            concurrency=min(settings.argon2_concurrency, usable_cores()),
        )

    async def hash(self, password: str) -> str:
        """Return the PHC string of a password; Busy if too many wait already."""
        return await self._in_executor(lambda: self._argon2.hash(normalise(password)))

    async def verify(self, stored: str, password: str) -> bool:
        def verified() -> bool:
            try:
                return self._argon2.verify(stored, normalise(password))
            except (VerificationError, InvalidHashError):
                return False

        return await self._in_executor(verified)

    async def hash_as(self, form: "Format", password: str) -> str:
        """Return what another application would store; Busy as above, PasswordRefused as the format says.

        Not normalised here: a format does that where its application does.
        """
        return await self._in_executor(lambda: form.hash(password))

    async def verify_as(self, form: "Format", stored: str, password: str) -> bool:
        """Whether another application would take the password for what it has stored; Busy as above."""
        return await self._in_executor(lambda: form.verify(stored, password))

    def is_weak(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than those of today."""
        return self._argon2.check_needs_rehash(stored)

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _in_executor(self, work: Callable[[], T]) -> T:
        if self._asked >= self._bound:
            raise Busy
        self._asked += 1
        # Counted until the thread is done, and not until its caller gave up: the memory is in use that long.
        future = self._executor.submit(work)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: _call_soon(loop, self._done_one))
        return await asyncio.wrap_future(future)

    def _done_one(self) -> None:
        self._asked -= 1


def usable_cores() -> int:
    """The cores that this process may use.

    More hashes at once than these would end no sooner, and keep each other from the core while one of them holds the
    interpreter's lock: everything else would wait for that.
    """
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _step_back() -> None:
    """Let this thread have what the others leave. Linux alone keeps a priority for each thread, and not only for processes."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    if loop.is_closed():
        return
    loop.call_soon_threadsafe(callback)
