"""Argon2id: the parameters of the settings, never more at once than the bound, nothing cut, the same for every keyboard."""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from resetsvc.errors import Busy, PasswordRefused, Reason
from resetsvc.passwords.formats import format_named
from resetsvc.passwords.hashing import NICENESS, Hasher, usable_cores
from resetsvc.testing import make_settings


@pytest.fixture
def hasher() -> Iterator[Hasher]:
    made = Hasher(memory_kib=8192, time_cost=1, parallelism=1, concurrency=1)
    yield made
    made.close()


async def test_a_hash_is_argon2id_with_the_parameters_that_are_set() -> None:
    made = Hasher(memory_kib=9216, time_cost=3, parallelism=2, concurrency=1)
    try:
        assert (await made.hash("four unrelated words")).startswith("$argon2id$v=19$m=9216,t=3,p=2$")
    finally:
        made.close()


async def test_each_hash_has_a_salt_of_its_own(hasher: Hasher) -> None:
    first, second = await hasher.hash("four unrelated words"), await hasher.hash("four unrelated words")
    assert first.split("$")[4] != second.split("$")[4]
    assert first.split("$")[5] != second.split("$")[5]


async def test_only_the_very_password_verifies(hasher: Hasher) -> None:
    stored = await hasher.hash("four unrelated words")
    assert await hasher.verify(stored, "four unrelated words")
    for other in (
        "Four unrelated words",
        "four unrelated words ",
        " four unrelated words",
        "",
        "four unrelated word",
    ):
        assert not await hasher.verify(stored, other)


async def test_nothing_is_cut(hasher: Hasher) -> None:
    """1,024 characters of four octets that differ in the last one: bcrypt, for one, reads 72 octets."""
    long = "\U0001f680" * 1023
    stored = await hasher.hash(long + "\U0001f600")
    assert await hasher.verify(stored, long + "\U0001f600")
    assert not await hasher.verify(stored, long + "\U0001f601")
    assert not await hasher.verify(await hasher.hash("a\0b"), "a\0c")


async def test_one_keyboards_letters_are_anothers(hasher: Hasher) -> None:
    composed, taken_apart = "caf\u00e9 au lait pour deux", "cafe\u0301 au lait pour deux"
    assert await hasher.verify(await hasher.hash(composed), taken_apart)
    assert await hasher.verify(await hasher.hash(taken_apart), composed)
    # NFC and not NFKC: what only looks alike stays different.
    assert not await hasher.verify(await hasher.hash("\ufb01sh in the water"), "fish in the water")


@pytest.mark.parametrize(
    "stored", ["", "plain text", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$x$y", "$2b$12$" + "a" * 53]
)
async def test_what_is_no_hash_verifies_nothing(hasher: Hasher, stored: str) -> None:
    assert not await hasher.verify(stored, "four unrelated words")
    assert not await hasher.verify(stored, "")


@pytest.mark.parametrize(
    "settings",
    [(16384, 1, 1), (8192, 2, 1), (8192, 1, 2)],
)
async def test_a_hash_with_other_parameters_is_weak(hasher: Hasher, settings: tuple[int, int, int]) -> None:
    memory, passes, lanes = settings
    made = Hasher(memory_kib=memory, time_cost=passes, parallelism=lanes, concurrency=1)
    try:
        stored = await hasher.hash("four unrelated words")
        assert made.is_weak(stored)
        assert not hasher.is_weak(stored)
        assert await made.verify(stored, "four unrelated words")
    finally:
        made.close()


class Watched(str):
    """A stored hash that knows how many threads look at it at this moment, and keeps them until it is let go."""

    def __init__(self, _: str) -> None:
        self.gate = threading.Event()
        self.lock = threading.Lock()
        self.now = self.most = self.entered = 0
        self.arrived: asyncio.Queue[None] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        with self.lock:
            self.now += 1
            self.entered += 1
            self.most = max(self.most, self.now)
        self.loop.call_soon_threadsafe(self.arrived.put_nowait, None)
        self.gate.wait(10)
        with self.lock:
            self.now -= 1
        return super().encode(encoding, errors)


async def asked_so_far(tasks: list["asyncio.Task[bool]"]) -> None:
    """Let each of these tasks come to its first wait."""
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


def hashing_threads() -> int:
    return sum(thread.name.startswith("argon2") for thread in threading.enumerate())


async def test_never_more_hashes_run_than_allowed() -> None:
    before = hashing_threads()
    made = Hasher(memory_kib=8192, time_cost=1, parallelism=1, concurrency=2)
    stored = Watched(await made.hash("four unrelated words"))
    tasks = [asyncio.create_task(made.verify(stored, "four unrelated words")) for _ in range(12)]
    async with asyncio.timeout(10):
        await stored.arrived.get()
        await stored.arrived.get()
    await asked_so_far(tasks)
    assert hashing_threads() == before + 2
    stored.gate.set()
    assert await asyncio.gather(*tasks) == [True] * 12
    assert stored.most == 2
    made.close()


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (3, 3), (64, 3)])
async def test_no_more_hashes_run_than_there_are_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    monkeypatch.setattr("resetsvc.passwords.hashing.usable_cores", lambda: cores)
    before = hashing_threads()
    made = Hasher.from_settings(make_settings(tmp_path, argon2_concurrency=3))
    stored = Watched(await made.hash("four unrelated words"))
    tasks = [asyncio.create_task(made.verify(stored, "four unrelated words")) for _ in range(12)]
    await asked_so_far(tasks)
    assert hashing_threads() == before + threads
    stored.gate.set()
    assert await asyncio.gather(*tasks) == [True] * 12
    made.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process may use")
def test_the_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container or under taskset these are fewer than the machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert usable_cores() == 1


async def test_whoever_comes_when_too_many_wait_is_told_at_once(hasher: Hasher) -> None:
    stored = Watched(await hasher.hash("four unrelated words"))
    tasks = [asyncio.create_task(hasher.verify(stored, "four unrelated words")) for _ in range(49)]
    await asked_so_far(tasks)
    with pytest.raises(Busy):
        async with asyncio.timeout(5):
            await hasher.verify(stored, "four unrelated words")
    with pytest.raises(Busy):
        await hasher.hash("four unrelated words")
    stored.gate.set()
    assert await asyncio.gather(*tasks) == [True] * 49
    assert await hasher.verify(stored, "four unrelated words")  # there is room again


async def test_a_caller_who_hangs_up_frees_the_place_only_when_the_thread_is_done(hasher: Hasher) -> None:
    """Otherwise asking and hanging up would put any number of hashes in a row."""
    stored = Watched(await hasher.hash("four unrelated words"))
    running = asyncio.create_task(hasher.verify(stored, "four unrelated words"))
    async with asyncio.timeout(10):
        await stored.arrived.get()
    waiting = [asyncio.create_task(hasher.verify(stored, "four unrelated words")) for _ in range(48)]
    await asked_so_far(waiting)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
    with pytest.raises(Busy):
        async with asyncio.timeout(5):
            await hasher.verify(stored, "four unrelated words")
    stored.gate.set()
    await asyncio.gather(*waiting)
    assert await hasher.verify(stored, "four unrelated words")


async def test_a_caller_who_hangs_up_before_the_turn_costs_no_hash(hasher: Hasher) -> None:
    stored = Watched(await hasher.hash("four unrelated words"))
    running = asyncio.create_task(hasher.verify(stored, "four unrelated words"))
    async with asyncio.timeout(10):
        await stored.arrived.get()
    waiting = [asyncio.create_task(hasher.verify(stored, "four unrelated words")) for _ in range(48)]
    await asked_so_far(waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    stored.gate.set()
    assert await running
    looked_at = stored.entered
    assert await hasher.verify(stored, "four unrelated words")
    assert stored.entered == 2 * looked_at  # nothing of what was cancelled ran in between


async def test_an_error_in_the_thread_frees_the_place_and_reaches_the_caller(hasher: Hasher) -> None:
    for _ in range(60):
        with pytest.raises(UnicodeEncodeError):
            await hasher.hash("\ud800")
    assert (await hasher.hash("four unrelated words")).startswith("$argon2id$")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a priority for each thread")
async def test_hashing_leaves_the_processor_to_whoever_asks_meanwhile(hasher: Hasher) -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    seen = await hasher._in_executor(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert seen == NICENESS
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


class Watching:
    """A format that notes which threads it works in."""

    name = "watching"
    max_bytes = None

    def __init__(self) -> None:
        self.threads: set[str] = set()

    def hash(self, password: str) -> str:
        self.threads.add(threading.current_thread().name)
        return password

    def verify(self, stored: str, password: str) -> bool:
        self.threads.add(threading.current_thread().name)
        return stored == password

    def recognises(self, stored: str) -> bool:
        return True


async def test_another_applications_format_works_in_the_same_threads(hasher: Hasher) -> None:
    watching = Watching()
    # As it was typed, and not in NFC: what is done to a password is the format's own business.
    assert await hasher.hash_as(watching, "cafe\u0301 au lait") == "cafe\u0301 au lait"
    assert await hasher.verify_as(watching, "cafe\u0301", "cafe\u0301")
    assert not await hasher.verify_as(watching, "cafe\u0301", "caf\u00e9")
    assert len(watching.threads) == 1
    assert watching.threads.pop().startswith("argon2")


async def test_another_applications_format_waits_in_the_same_row(hasher: Hasher) -> None:
    stored = Watched(await hasher.hash("four unrelated words"))
    tasks = [asyncio.create_task(hasher.verify(stored, "four unrelated words")) for _ in range(49)]
    await asked_so_far(tasks)
    with pytest.raises(Busy):
        await hasher.hash_as(Watching(), "four unrelated words")
    with pytest.raises(Busy):
        await hasher.verify_as(Watching(), "four", "four")
    stored.gate.set()
    assert await asyncio.gather(*tasks) == [True] * 49
    assert await hasher.hash_as(Watching(), "four unrelated words") == "four unrelated words"


async def test_a_refusal_of_a_format_reaches_the_caller_and_frees_the_place(hasher: Hasher) -> None:
    bcrypt = format_named("bcrypt", rounds=4)
    for _ in range(60):
        with pytest.raises(PasswordRefused) as refused:
            await hasher.hash_as(bcrypt, "x" * 73)
        assert refused.value.reasons == (Reason("too_many_bytes", 72),)
    stored = await hasher.hash_as(bcrypt, "four unrelated words")
    assert await hasher.verify_as(bcrypt, stored, "four unrelated words")
