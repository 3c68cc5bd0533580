"""Which recipients' domains take mail at the moment, so that one that hangs holds up nobody else's letters.

A relay may answer for one domain and hang for another, and a letter that hangs keeps a lane until its time-out. So the
first letter to a domain goes alone; once something was said about it, the others follow on all lanes. A domain that
stays silent gets one letter at a time, on few lanes, and its other letters go back to the queue for a while.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from resetsvc.clock import Clock
from resetsvc.relay.verdict import Attempt, Verdict

SILENT_AFTER = 5.0  # seconds without a word, at least, after which a domain counts as silent
SILENT_FACTOR = 5.0  # and at least so many times what a letter usually takes
TROUBLE = 60.0  # seconds for which a time-out is held against a domain
SILENT_AT_ONCE = 2  # letters under way to all silent domains together
WAITING_AT_MOST = 16  # letters that wait for the first one to a domain; more go back to the queue
REMEMBERED = 10_000  # domains; the longest unused are forgotten


@dataclass(slots=True)
class _Domain:
    under_way: int = 0
    answered: bool = False  # something was said about the last letter that ended
    trouble_until: float = float("-inf")
    started_at: float = 0.0  # when the oldest of those under way began
    waiting: list["asyncio.Future[None]"] = field(default_factory=list)


class Destinations:
    """What is known of domains. `enter` before a letter is handed over, `leave` afterwards."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._domains: OrderedDict[str, _Domain] = OrderedDict()
        self._active: dict[str, _Domain] = {}  # those with letters under way
        self._usual = 0.0  # smoothed seconds of a letter that was taken
        self.waiting = 0  # letters that wait in `enter`

    async def enter(self, name: str) -> bool:
        """Return True once a letter to this domain may be handed over, False if it should be tried later."""
        domain = self._domain(name)
        while True:
            if self._is_silent(domain):
                if domain.under_way or self._silent_under_way() >= SILENT_AT_ONCE:
                    return False
                break
            if domain.answered or not domain.under_way:
                break
            if len(domain.waiting) >= WAITING_AT_MOST:
                return False
            await self._wait(domain)
        if not domain.under_way:
            domain.started_at = self._clock.monotonic()
        domain.under_way += 1
        self._active[name] = domain
        return True

    def leave(self, name: str, attempt: Attempt | None) -> None:
        """Learn from how a letter to this domain ended. None: it was called off."""
        domain = self._domain(name)
        domain.under_way -= 1
        if not domain.under_way:
            del self._active[name]
        now = self._clock.monotonic()
        if attempt is not None and attempt.code is not None:
            domain.answered = True
            domain.trouble_until = float("-inf")
            if attempt.verdict is Verdict.SENT:
                seconds = now - domain.started_at
                self._usual = seconds if not self._usual else 0.9 * self._usual + 0.1 * seconds
        elif attempt is not None and attempt.verdict is Verdict.RETRY:
            domain.answered = False
            domain.trouble_until = now + TROUBLE
        domain.started_at = now  # of those still under way at most
        self._wake(domain)

    def _is_silent(self, domain: _Domain) -> bool:
        now = self._clock.monotonic()
        return now < domain.trouble_until or (
            domain.under_way > 0 and now - domain.started_at > self._patience()
        )

    def _patience(self) -> float:
        return max(SILENT_AFTER, SILENT_FACTOR * self._usual)

    def _silent_under_way(self) -> int:
        return sum(domain.under_way for domain in self._active.values() if self._is_silent(domain))

    async def _wait(self, domain: _Domain) -> None:
        """Until a letter to the domain ends, or has been silent for too long."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        domain.waiting.append(waiter)
        left = self._patience() - (self._clock.monotonic() - domain.started_at)
        timer = loop.call_later(max(left, 0) + 0.01, _set, waiter)
        self.waiting += 1
        try:
            await waiter
        finally:
            self.waiting -= 1
            timer.cancel()
            if waiter in domain.waiting:
                domain.waiting.remove(waiter)

    def _wake(self, domain: _Domain) -> None:
        waiting, domain.waiting = domain.waiting, []
        for waiter in waiting:
            _set(waiter)

    def _domain(self, name: str) -> _Domain:
        domain = self._domains.get(name)
        if domain is None:
            domain = self._domains[name] = _Domain()
            if len(self._domains) > REMEMBERED:
                self._forget_one()
        else:
            self._domains.move_to_end(name)
        return domain

    def _forget_one(self) -> None:
        for name, domain in self._domains.items():
            if not domain.under_way and not domain.waiting:
                del self._domains[name]
                return


def _set(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
