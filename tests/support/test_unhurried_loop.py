"""A pause of the whole process fires no time-out; a peer that is really silent does."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.support.unhurried_loop import GRACE, Turns, UnhurriedLoop

PAUSE = 0.4  # seconds


def pause() -> None:
    time.sleep(PAUSE)  # the fault itself: the process gets no turn


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=UnhurriedLoop) as runner:
        yield runner


def test_a_pause_fires_no_time_out(runner: asyncio.Runner) -> None:
    async def answered_after_a_pause() -> None:
        async with asyncio.timeout(PAUSE / 2):
            pause()
            await asyncio.sleep(0)
            pause()
            await asyncio.sleep(GRACE)

    runner.run(answered_after_a_pause())


def test_who_is_silent_is_waited_for_as_long_as_is_said(runner: asyncio.Runner) -> None:
    async def unanswered() -> None:
        async with asyncio.timeout(PAUSE):
            await asyncio.Event().wait()

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        runner.run(unanswered())
    assert time.monotonic() - began >= PAUSE - 0.002  # timers may be a millisecond early


def test_a_long_turn_is_left_out_and_a_short_one_is_not() -> None:
    now = 1000.0
    with Turns(lambda: now) as turns:
        began = turns.time()
        now += GRACE / 2
        turns.select(0)
        assert turns.time() - began == pytest.approx(GRACE / 2)
        now += 5
        assert turns.time() - began == pytest.approx(1.5 * GRACE)
        turns.select(0)
        assert turns.time() - began == pytest.approx(1.5 * GRACE)


def test_a_wait_that_ends_late_is_left_out() -> None:
    times = iter([1000.0, 1000.0, 1007.0, 1007.0])  # at the beginning, before the wait, after it, now
    with Turns(lambda: next(times)) as turns:
        turns.select(0)
        assert turns.time() == pytest.approx(1000.0 + GRACE)


def test_an_event_that_is_set_in_another_thread_is_a_mistake(runner: asyncio.Runner) -> None:
    async def wait_for_it() -> None:
        event = asyncio.Event()
        waiting = asyncio.create_task(event.wait())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="thread"):
            await asyncio.to_thread(event.set)
        waiting.cancel()

    runner.run(wait_for_it())
