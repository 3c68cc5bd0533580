"""Which recipients' domains take mail through a relay at the moment, so that one that hangs holds up nobody else's letters.

A relay may answer for one domain and hang for another, and a letter that hangs keeps a lane until its time-out. So the
first letters to a domain go two at a time, and letters to domains of which nothing was heard yet take half of the
lanes, however many such domains there are. Once something was said about one, the others follow on all lanes.
A domain that stays silent gets a letter now and then, and the others go back to the queue for a while.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from resetsvc.clock import Clock
from resetsvc.relay.verdict import Attempt, Verdict

FIRST_AT_ONCE = 2  # letters under way to a domain of which nothing was heard yet
SILENT_AFTER = 2.0  # seconds without a word, at least, after which a domain counts as silent
SILENT_FACTOR = 5.0  # and at least so many times what a letter usually takes
TROUBLE = 60.0  # seconds for which a time-out is held against a domain
PROBES_AT_ONCE = 2  # letters that find out about silent domains, to all of them together
WAITING_AT_MOST = 16  # letters that wait for word from a domain; more go back to the queue
WAITING_ROOM = 64  # letters that wait in all, for which others are claimed in their stead
REMEMBERED = 10_000  # domains; the longest unused are forgotten


@dataclass(slots=True)
class _Domain:
    under_way: int = 0
    answered: bool = False  # something was said about the last letter that ended
    last_word_at: float = float("-inf")  # or, if later, when the first of those under way began
    last_start_at: float = float("-inf")
    last_sign_at: float = float("-inf")  # something was said about a letter that is still under way
    trouble_until: float = float("-inf")
    waiting: list["asyncio.Future[None]"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pass:
    """One letter's leave to go. To be given back by `Destinations.leave`."""

    domain: _Domain
    began: float
    probe: bool
    unheard: bool  # it takes one of the places for domains that have said nothing so far


class Destinations:
    """What is known of domains. `enter` before a letter is handed over, `leave` afterwards."""

    def __init__(self, clock: Clock, lanes: int = 8) -> None:
        self._clock = clock
        self._unheard_at_most = max(1, lanes // 2)
        self._unheard = 0
        self._waiting_for_a_place: list[asyncio.Future[None]] = []
        self._domains: OrderedDict[str, _Domain] = OrderedDict()
        self._last_word_at = float("-inf")  # from any of them
        self._usual = 0.0  # smoothed seconds of a letter that was taken
        self._probes = 0
        self.waiting = 0  # letters that wait in `enter`

    async def enter(self, name: str) -> Pass | None:
        """Return once a letter to this domain may be handed over; None if it should be tried later."""
        domain = self._domain(name)
        came = self._clock.monotonic()
        while True:
            now = self._clock.monotonic()
            if self._is_silent(domain, now):
                if now - domain.last_start_at < self._patience or self._probes >= PROBES_AT_ONCE:
                    return None
                if self._unheard >= self._unheard_at_most:
                    return None
                self._probes += 1
                return self._start(domain, now, probe=True)
            no_place = not domain.answered and self._unheard >= self._unheard_at_most
            if not no_place and (domain.answered or domain.under_way < FIRST_AT_ONCE):
                return self._start(domain, now, probe=False)
            if len(domain.waiting) >= WAITING_AT_MOST or (no_place and now - came >= self._patience):
                return None
            await self._wait(domain, came if no_place else _heard_last(domain), no_place)

    def leave(self, leave: Pass, attempt: Attempt | None) -> None:
        """Learn from how a letter ended. None: it was called off."""
        domain, now = leave.domain, self._clock.monotonic()
        domain.under_way -= 1
        if leave.probe:
            self._probes -= 1
        if leave.unheard:
            self._unheard -= 1
        if attempt is not None and attempt.code is not None:
            domain.answered = True
            domain.last_word_at = self._last_word_at = now
            domain.trouble_until = float("-inf")
            if attempt.verdict is Verdict.SENT:
                seconds = now - leave.began
                self._usual = seconds if not self._usual else 0.9 * self._usual + 0.1 * seconds
        elif (
            attempt is not None
            and attempt.verdict is Verdict.RETRY
            and domain.last_word_at <= leave.began <= now - SILENT_AFTER
        ):
            # Nothing was heard all the while: else it is this letter that hangs, and not the domain. A connection that
            # is lost at once holds nobody up.
            domain.answered = False
            domain.trouble_until = now + TROUBLE
        for waiter in (*domain.waiting, *self._waiting_for_a_place):
            _set(waiter)

    def hear_about(self, leave: Pass) -> None:
        """The relay goes on with a letter, slowly: its domain is not silent. Whether it takes mail is not known yet.

        A domain that is silent is so until one of its letters ends: most relays greet, and say nothing later.
        """
        if not leave.probe:
            leave.domain.last_sign_at = self._clock.monotonic()

    def others_spoke_since(self, name: str) -> bool:
        """Whether anything was said about other domains since this one was heard last: then it is not the relay."""
        return self._last_word_at > self._domain(name).last_word_at

    @property
    def _patience(self) -> float:
        return max(SILENT_AFTER, SILENT_FACTOR * self._usual)

    def _is_silent(self, domain: _Domain, now: float) -> bool:
        if now < domain.trouble_until:
            return True
        return domain.under_way > 0 and now - _heard_last(domain) >= self._patience

    def _start(self, domain: _Domain, now: float, *, probe: bool) -> Pass:
        if not domain.under_way:
            domain.last_word_at = max(domain.last_word_at, now)
        domain.under_way += 1
        domain.last_start_at = now
        unheard = probe or not domain.answered
        self._unheard += unheard
        return Pass(domain, now, probe, unheard)

    async def _wait(self, domain: _Domain, since: float, no_place: bool) -> None:
        """Until a letter to the domain ends, or one that took a place, or patience has run out since then."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        lists = [domain.waiting, self._waiting_for_a_place] if no_place else [domain.waiting]
        for waiting in lists:
            waiting.append(waiter)
        pause = max(0.0, since + self._patience - self._clock.monotonic()) + 0.01
        timer = loop.call_later(pause, _set, waiter)
        self.waiting += 1
        try:
            await waiter
        finally:
            self.waiting -= 1
            timer.cancel()
            for waiting in lists:
                waiting.remove(waiter)

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


def _heard_last(domain: _Domain) -> float:
    return max(domain.last_word_at, domain.last_sign_at)


def _set(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
