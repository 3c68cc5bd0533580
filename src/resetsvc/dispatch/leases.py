"""The letters in hand: claimed under a lease, renewed while this process lives, given back at its end.

Whoever finds the leases of a killed process run out has its letters. So a lease is believed only as long as it has
certainly not run out, and who slept for too long sends nothing.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from resetsvc.clock import Clock
from resetsvc.errors import CannotStore
from resetsvc.letters import ClaimedLetter
from resetsvc.store import letters as sql
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store

log = structlog.stdlib.get_logger("resetsvc.dispatcher")

LEASE = 10.0  # seconds; a killed process holds letters up for so long, and no longer
RENEW_AFTER = 0.3  # of a lease: twice it may go wrong before the lease runs out
MARGIN = 0.1  # of a lease: less than this left is too little to send in
# Between two claims while lanes are free. One after the other would take letters one by one, each for three commits that
# whoever asks meanwhile waits behind; so at 400 a second they are claimed by twos.
GATHER = 0.005  # seconds
CLAIM_SHARE = 3  # of so many places one has to be free for a claim, while enough letters are in hand
RETRIES_SHARE = 8  # of so many letters claimed, one place is kept for those that were tried before


def room_for_claim(places: int, taken: int, lanes: int) -> int:
    """For how many letters there is room: any while lanes could run out of them, else at least a third of all places, or 0.

    A claim is three commits, however few letters it brings. Where thousands wait, each letter that left made room for one,
    and those commits were a tenth of all the work.
    """
    room = max(0, places - taken)
    return room if taken < 2 * lanes or room > places // CLAIM_SHARE else 0


@dataclass(eq=False, slots=True)
class Lease:
    """How long a letter is certainly ours, in monotonic seconds.

    One for each claim, not one for the process: after a stall another process may have taken this letter and not that
    one, and a renewal of that one says nothing about this one.
    """

    letter_id: str
    until: float
    started: bool = False


class Leases:
    """Those of one owner. On record they end in the time of the day; here in monotonic seconds, which nobody sets."""

    def __init__(self, store: Store, clock: Clock, seconds: float) -> None:
        self.owner = clock.new_id()
        self._store = store
        self._clock = clock
        self._seconds = seconds
        self._held: dict[str, Lease] = {}  # by letter
        self._claimed_at = float("-inf")
        self._newest_first = False  # where there is an odd place, or one only

    @property
    def letter_ids(self) -> list[str]:
        return list(self._held)

    async def let_letters_gather(self, room: int) -> None:
        """Wait until some time after the last claim, unless lanes would run out of letters. One that comes alone is not kept.

        room -- for so many more
        """
        too_soon = self._claimed_at + GATHER - asyncio.get_running_loop().time()
        if too_soon > 0 and room > len(self._held):
            await asyncio.sleep(too_soon)

    async def claim(self, room: int) -> list[ClaimedLetter]:
        """Claim so many of the letters that are due, at most, and hold them from now on. CannotStore: none is held."""
        # Both from before the claim: on record a lease ends no earlier than it does here.
        until, now = self._clock.monotonic() + self._seconds, self._clock.now()
        # Not lasting: a power cut ends us too, and then what was claimed is due again, as it would be when its lease ended.
        letters = await self._store.unit(
            lambda unit: self._claim(unit, room, now), alone=False, lasting=False
        )
        self._held.update((letter.id, Lease(letter.id, until)) for letter in letters)
        if letters:
            self._claimed_at = asyncio.get_running_loop().time()
        return letters

    async def _claim(self, unit: Connection, room: int, now: float) -> list[ClaimedLetter]:
        async def claim(fresh: bool, limit: int, newest: bool = False) -> list[ClaimedLetter]:
            if limit <= 0:
                return []
            until = now + self._seconds
            return await sql.claim_due_letters(
                unit, fresh=fresh, owner=self.owner, now=now, lease_until=until, limit=limit, newest=newest
            )

        # After an outage thousands wait: who asks now waits at a screen, and gets every second place.
        for_fresh = room - room // RETRIES_SHARE
        self._newest_first = not self._newest_first
        for_newest = (for_fresh + self._newest_first) // 2
        claimed = await claim(True, for_newest, newest=True)
        if len(claimed) == for_newest:
            claimed += await claim(True, for_fresh - for_newest)
        return claimed + await claim(False, room - len(claimed))

    def start(self, letter_id: str) -> Lease:
        """The lease of a letter whose delivery begins."""
        lease = self._held[letter_id]
        lease.started = True
        return lease

    def surely_holds(self, lease: Lease) -> bool:
        """Whether the letter is ours for long enough to send it."""
        return self._clock.monotonic() < lease.until - self._seconds * MARGIN

    def is_newest(self, lease: Lease) -> bool:
        """False: it was lost meanwhile, and the letter claimed anew."""
        return self._held.get(lease.letter_id) is lease

    def let_go(self, lease: Lease) -> None:
        """Renew it no more."""
        if self.is_newest(lease):
            del self._held[lease.letter_id]

    def let_go_unless_started(self, letters: Iterable[ClaimedLetter]) -> None:
        """Renew no more what nobody delivers: it goes back when its lease ends."""
        for letter in letters:
            if (lease := self._held.get(letter.id)) is not None and not lease.started:
                self.let_go(lease)

    async def keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(self._seconds * RENEW_AFTER)
            if ids := self.letter_ids:
                try:
                    await self._renew(ids)
                except CannotStore:
                    log.error("leases cannot be renewed", letters=len(ids))

    async def _renew(self, ids: list[str]) -> None:
        held_until, until = self._clock.monotonic() + self._seconds, self._clock.now() + self._seconds
        renewed = await self._store.write(
            lambda connection: sql.renew_leases(connection, ids, owner=self.owner, lease_until=until)
        )
        for letter_id in renewed:
            if (lease := self._held.get(letter_id)) is not None:
                lease.until = max(lease.until, held_until)

    async def give_back(self) -> None:
        """Let others have at once whatever is still claimed for this owner."""
        now = self._clock.now()
        await self._store.write(lambda connection: sql.release_leases(connection, owner=self.owner, now=now))
