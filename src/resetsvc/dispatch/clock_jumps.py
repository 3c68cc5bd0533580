"""A clock that is put forward or back is told from time that passed, and expires, delays and repeats nothing.

Everything on record is in the time of the day, for any number of processes, today's and tomorrow's. So the times of
the letters that wait are moved with the clock. Each process does it; what one has done, the next one leaves alone.
"""

import structlog

from resetsvc.clock import Clock
from resetsvc.relay.verdict import RETRY_PAUSES
from resetsvc.store import shifted_clocks as clock_sql
from resetsvc.store.connection import Connection

log = structlog.stdlib.get_logger("resetsvc.dispatcher")

JUMP = 60.0  # seconds; clocks are corrected by less than that every day, and machines differ by less
LONGEST_PAUSE = 1.2 * max(RETRY_PAUSES)  # between two attempts, with its jitter


class ClockJumps:
    """Looked at once a second, before anything is given up or taken over."""

    def __init__(self, clock: Clock, lease: float) -> None:
        self._clock = clock
        self._lease = lease
        self._ahead = self._seen = clock.now() - clock.uptime()
        self._leases_from = float("-inf")

    def look(self) -> float:
        """Seconds by which the clock was put forward (or back: less than 0) since the last look; 0 if it was not."""
        self._seen = self._clock.now() - self._clock.uptime()
        jump = self._seen - self._ahead
        return jump if abs(jump) > JUMP else 0.0

    @property
    def leases_can_be_trusted(self) -> bool:
        """Not for one lease after a jump: those of whoever lives all seem to have ended, and are about to be renewed."""
        return self._clock.monotonic() >= self._leases_from

    async def mend_letters(self, unit: Connection, jump: float, now: float) -> None:
        if jump:
            self._leases_from = self._clock.monotonic() + self._lease
        if jump > 0:
            await clock_sql.move_waiting_letters(unit, asked_by=now - jump, seconds=jump)
        # That a clock was put back can be seen from the letters alone, also by a process that started since.
        await clock_sql.bring_back_letters(
            unit, now=now, fresh_by=now + JUMP, retries_by=now + LONGEST_PAUSE + JUMP
        )
        await clock_sql.cut_leases(unit, longest=now + self._lease + JUMP, until=now + self._lease)

    def mended(self, jump: float) -> None:
        """What `mend_letters` did is on record. Until then the same jump is found again."""
        self._ahead = self._seen
        if jump:
            log.error("the clock jumped", seconds=round(jump))
