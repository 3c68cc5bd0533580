"""What is done now and then beside delivering: links run out, letters settle and are erased, broken-off changes are finished.

Each chore goes on until `stopping` is set. Any number of processes may do the same one over one database.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import structlog

from resetsvc.admission import CLOCK_SKEW
from resetsvc.clock import Clock
from resetsvc.errors import CannotStore
from resetsvc.store import changes, events, mutes
from resetsvc.store import kept_letters as kept
from resetsvc.store import links as link_sql
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store
from resetsvc.store.settled_letters import settle_letters

log = structlog.stdlib.get_logger("resetsvc.dispatcher")

TIDY_EVERY = 60.0  # seconds between looks for links that have run out
ERASE_EVERY = 3600.0  # seconds
SLICE = 500  # letters in one transaction: others must not wait for long
FINISH_EVERY = 5.0  # seconds between looks for changes of passwords that were interrupted

# Of what was finished since then; returns when what it did something about was finished.
Slice = Callable[[float], Awaitable[Sequence[float]]]


async def keep_tidy(
    store: Store,
    clock: Clock,
    stopping: asyncio.Event,
    *,
    link_lifetime: float,
    settled_after: float,
    retention: float,
) -> None:
    """End links that ran out, settle letters that are over, and erase those of long ago.

    link_lifetime -- seconds that a link works, counted from sending
    settled_after -- seconds from a letter's end until it is settled: nothing is asked about it by its account any more
    retention     -- seconds from a letter's end until it is erased
    """
    ended_until = settle_from = 0.0  # from the beginning: nobody knows how far the process before came
    erased_at = float("-inf")
    while not stopping.is_set():
        now, began = clock.now(), clock.monotonic()
        try:
            # First what is over: it is not read for its link, however much of it was left. Those whose link ends only now
            # are over the next time.
            settled_until = await _settle(store, after=settle_from, until=now - settled_after)
            settle_from = min(settled_until, ended_until)
            ended_until = await _end_old_links(store, now, after=ended_until, until=now - link_lifetime)
            if began >= erased_at + ERASE_EVERY:
                await erase(store, now, retention)
                erased_at = began
        except CannotStore:
            log.error("old links and letters cannot be tidied away at the moment")
        await _pause(TIDY_EVERY, stopping)


async def _settle(store: Store, *, after: float, until: float) -> float:
    async def settle(after: float) -> Sequence[float]:
        return await store.unit(
            lambda unit: settle_letters(unit, after=after, until=until, limit=SLICE), alone=False
        )

    await _in_slices(settle, _no_later(after, until))
    return until


async def _end_old_links(store: Store, now: float, *, after: float, until: float) -> float:
    async def end(after: float, until: float) -> Sequence[float]:
        return await store.write(
            lambda unit: link_sql.end_old_links(unit, after=after, until=until, now=now, limit=SLICE)
        )

    await _in_slices(lambda after: end(after, until), _no_later(after, until))
    # Those of before the clock was put back.
    await _in_slices(lambda after: end(after, float("inf")), now + CLOCK_SKEW)
    return until


def _no_later(after: float, until: float) -> float:
    """Since when: also where the clock was put back meanwhile."""
    return min(after, until)


async def _in_slices(work: Slice, after: float) -> None:
    """Do it until it finds less than it may do at once; go on where the slice before has ended, and not read that again."""
    while len(finished := await work(after)) == SLICE:
        after = max(finished)


async def erase(store: Store, now: float, retention: float) -> int:
    """Erase letters that ended more than `retention` seconds ago; return how many went.

    The database overwrites what it deletes; emptying the write-ahead log takes the last copy away.
    """
    erased = 0

    async def work(unit: Connection) -> int:
        await mutes.erase_ended_mutes(unit, now)
        await changes.erase_old_changes(unit, now - retention)
        await events.erase_old_events(unit, now - retention)
        return await kept.erase_finished(unit, now - retention, SLICE)

    while (slice_ := await store.unit(work, alone=False)) > 0:
        erased += slice_
    if erased:
        await store.empty_log()
        log.info("letters erased", letters=erased)
    return erased


async def keep_finishing(finish_changes: Callable[[], Awaitable[int]], stopping: asyncio.Event) -> None:
    """Finish changes of passwords that a killed process left in the middle (see `Changes.finish_interrupted`)."""
    while not stopping.is_set():
        try:
            await finish_changes()
        except CannotStore:
            log.error("interrupted changes cannot be looked into at the moment")
        except Exception:
            # A look-up of accounts may be anybody's code; this chore has to outlive its mistakes.
            log.exception("interrupted changes cannot be looked into")
        await _pause(FINISH_EVERY, stopping)


async def _pause(seconds: float, stopping: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
