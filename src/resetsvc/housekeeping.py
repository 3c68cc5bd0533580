"""What is done now and then beside delivering: links run out, letters settle and are erased, broken-off changes are finished.

Each chore goes on until `stopping` is set. Any number of processes may do the same one over one database.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from resetsvc.admission import CLOCK_SKEW
from resetsvc.clock import Clock
from resetsvc.errors import CannotStore
from resetsvc.store import changes, events, mutes
from resetsvc.store import kept_letters as kept
from resetsvc.store import links as link_sql
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store

log = structlog.stdlib.get_logger("resetsvc.dispatcher")

TIDY_EVERY = 60.0  # seconds between looks for links that have run out
ERASE_EVERY = 3600.0  # seconds
SLICE = 500  # letters in one transaction: others must not wait for long
FINISH_EVERY = 5.0  # seconds between looks for changes of passwords that were interrupted

# Of what was finished since then, or ever; when what it did something about was finished.
Slices = Callable[[float | None], Callable[[Connection], Awaitable[list[float]]]]


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
    settled_after -- seconds from a letter's end until nothing is asked about it by its account
    retention     -- seconds from a letter's end until it is erased
    """
    ended_until: float | None = None
    settled_until: float | None = None
    erased_at = float("-inf")
    while not stopping.is_set():
        now, began = clock.now(), clock.monotonic()
        try:
            ended_until = await _end_old_links(store, now, after=ended_until, until=now - link_lifetime)
            settled_until = await _settle(store, after=settled_until, until=now - settled_after)
            if began >= erased_at + ERASE_EVERY:
                await erase(store, now, retention)
                erased_at = began
        except CannotStore:
            log.error("old links and letters cannot be tidied away at the moment")
        await _pause(TIDY_EVERY, stopping)


async def _end_old_links(store: Store, now: float, *, after: float | None, until: float) -> float:
    def end(until: float) -> Slices:
        return lambda after: (
            lambda unit: link_sql.end_old_links(unit, after=after, until=until, now=now, limit=SLICE)
        )

    await _in_slices(store, end(until), _no_later(after, until))
    await _in_slices(store, end(float("inf")), now + CLOCK_SKEW)  # those of before the clock was put back
    return until


async def _settle(store: Store, *, after: float | None, until: float) -> float:
    def settle(after: float | None) -> Callable[[Connection], Awaitable[list[float]]]:
        return lambda unit: link_sql.settle_letters(unit, after=after, until=until, limit=SLICE)

    await _in_slices(store, settle, _no_later(after, until))
    return until


def _no_later(after: float | None, until: float) -> float | None:
    """Since when: also where the clock was put back meanwhile. None: since ever."""
    return None if after is None else min(after, until)


async def _in_slices(store: Store, work: Slices, after: float | None) -> None:
    """Do it until it finds less than it may do at once; go on where the slice before has ended, and not read that again."""
    while len(finished := await store.write(work(after))) == SLICE:
        after = None if after is None else max(finished)


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
