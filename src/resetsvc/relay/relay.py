"""One relay: hands letters over to it, and knows whether it is up.

A relay that cannot be reached is probed by a task of its own, without a letter; no letter waits on it meanwhile.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from resetsvc.clock import Clock
from resetsvc.relay.conversation import Conversation, Envelope
from resetsvc.relay.destinations import Destinations, Pass
from resetsvc.relay.lane import CannotOpen
from resetsvc.relay.lanes import Lanes
from resetsvc.relay.understudy import Understudy
from resetsvc.relay.verdict import Attempt, Verdict

log = structlog.stdlib.get_logger("resetsvc.relay")

PROBE_PAUSES = (1.0, 2.0, 4.0)  # seconds; the last one from then on, so that traffic is back within 5 s
OUR_FAULT_PAUSE = 30.0  # a log-in that is refused is not tried so often that the relay locks us out
SILENT_AFTER = 2.0  # seconds without a word, at least, after which the next relay takes what comes
SILENT_FACTOR = 5.0  # and at least so many times what a letter usually takes


class Relay:
    """Hands letters over to one relay, until it is closed."""

    def __init__(
        self,
        lanes: Lanes,
        *,
        clock: Clock,
        destinations: Destinations,
        on_up: Callable[[], None],
        probe_pauses: Sequence[float],
        our_fault_pause: float,
    ) -> None:
        self.name = lanes.relay
        self.destinations = destinations  # which domains it has an answer for
        self.up = True
        self.why_down: Attempt | None = None
        self._lanes = lanes
        self._clock = clock
        self._on_up = on_up
        self._probe_pauses = probe_pauses
        self._our_fault_pause = our_fault_pause
        self._strikes = 0  # letters in a row that ended without a word from the relay
        self._on_trial = False  # up again, but no letter has been taken since: one lane until then
        self.under_way = 0  # letters that are in a lane, or wait for one
        self._last_word_at = float("-inf")  # or, if later, when the first of those under way came
        self._last_start_at = float("-inf")
        self._probes = 0  # since it was last up for good
        self._probe: asyncio.Task[None] | None = None
        self._pace = 0.0  # smoothed seconds that a lane needs for one letter
        self._understudy = Understudy(clock.chance)

    @property
    def capacity(self) -> int:
        """How many letters it takes at the same time."""
        if not self.up:
            return 0
        return 1 if self._on_trial else self._lanes.ceiling

    @property
    def open_lanes(self) -> int:
        return self._lanes.open

    @property
    def on_trial(self) -> bool:
        return self.up and self._on_trial

    @property
    def silent(self) -> bool:
        """Letters are under way and it has said nothing for a while. It may be busy, or gone: a time-out will tell."""
        patience = max(SILENT_AFTER, SILENT_FACTOR * self._pace)
        return self.up and self.under_way > 0 and self._clock.monotonic() - self._last_word_at >= patience

    @property
    def worth_a_try(self) -> bool:
        """It says nothing, but perhaps only about the letters that it has: one more may ask, now and then."""
        has_a_lane = self._lanes.open - self._lanes.idle < self.capacity
        return has_a_lane and self._clock.monotonic() - self._last_start_at >= SILENT_AFTER

    @property
    def trial_under_way(self) -> bool:
        """It is on trial and a letter is in it: whoever comes now would wait until that one ends."""
        return self.on_trial and self._lanes.open > self._lanes.idle

    @property
    def letters_ahead(self) -> int:
        """How many letters to hold ready beyond those in its lanes: what it takes in a quarter of a second.

        So a fast relay never waits for a claim, and a slow one holds no letter that a fresher one should overtake.
        """
        if not self._pace or self._on_trial:
            return 0
        return min(30 * self._lanes.most, int(self.capacity * 0.25 / self._pace))

    async def hand_over(
        self,
        domain: str,
        compose: Callable[[], Envelope],
        may_send: Callable[[], bool],
        stand_in: Callable[[], bool] = lambda: False,
    ) -> Attempt:
        """Make one attempt to hand a letter over; how it ended, whatever the relay does.

        domain   -- of the recipient, in lower case
        compose  -- called once there is a lane for the letter, so that its link's lifetime is not spent on waiting
        stand_in -- whether another relay would take it; then it does not wait for a lane of one that says nothing
        """
        self._last_start_at = (
            self._clock.monotonic()
        )  # also of one that its domain keeps back: it is a try as well
        leave = await self.destinations.enter(domain)
        if leave is None:
            return Attempt(Verdict.POSTPONED, "none", None, "its domain does not answer at the moment")
        if not self.under_way:
            self._last_word_at = self._clock.monotonic()
        self._last_start_at = self._clock.monotonic()
        self.under_way += 1
        attempt: Attempt | None = None
        try:
            attempt = await self._hand_over(compose, may_send, stand_in, lambda: self._hear_about(leave))
        finally:
            self.under_way -= 1
            self.destinations.leave(leave, attempt)
        return attempt

    def _hear_about(self, leave: Pass) -> None:
        """It says something while a letter is under way: so it is slow, and neither it nor the domain is silent."""
        self._last_word_at = self._clock.monotonic()
        self.destinations.hear_about(leave)

    async def _hand_over(
        self,
        compose: Callable[[], Envelope],
        may_send: Callable[[], bool],
        stand_in: Callable[[], bool],
        heard: Callable[[], None],
    ) -> Attempt:
        while True:
            try:
                lane, used_before = await self._take_lane(stand_in, heard)
            except CannotOpen as error:
                return self._failed(error)
            began = self._clock.monotonic()
            try:
                outcome = await lane.hand_over(compose(), may_send, heard)
            finally:
                self._lanes.give_back(lane, keep=self.up)
            attempt = Attempt(outcome.verdict, self.name, outcome.code, outcome.reply)
            if attempt.verdict is Verdict.RELAY_DOWN and used_before:
                # The relay had closed this lane while it was idle: not the letter's misfortune. The other idle ones
                # are older; tried one after the other they would cost the letter a time-out each.
                self._lanes.close_idle()
                continue
            if attempt.verdict is Verdict.SENT:
                seconds = self._clock.monotonic() - began
                self._pace = seconds if not self._pace else 0.9 * self._pace + 0.1 * seconds
                self._understudy.learn(lane.pace)
            self._learn(attempt)
            return attempt

    async def _take_lane(
        self, stand_in: Callable[[], bool], heard: Callable[[], None]
    ) -> tuple[Conversation, bool]:
        """A usable lane, and whether it has been used before."""
        while True:
            if not self.up:
                raise CannotOpen(Verdict.RELAY_DOWN, None, "the relay is down")
            if (used := self._lanes.take_idle()) is not None:
                return used, True
            if self._lanes.open < self.capacity:
                opened = await self._open_one(heard)
                if opened is not None:
                    heard()
                    return opened, False
                continue
            if self.silent and stand_in():
                raise CannotOpen(Verdict.RELAY_DOWN, None, "the relay says nothing")
            await self._lanes.wait()

    async def _open_one(self, heard: Callable[[], None] = lambda: None) -> Conversation | None:
        """A new lane; None where the relay takes no more of them but serves those it has."""
        try:
            return await self._lanes.open_another(heard)
        except CannotOpen as error:
            if self._lanes.open > 0 and self.up and error.verdict is not Verdict.OUR_FAULT:
                self._lanes.do_with_these(error)
                return None
            self._go_down(self._failed(error))
            raise

    def _failed(self, error: CannotOpen) -> Attempt:
        return Attempt(error.verdict, self.name, error.code, error.reply)

    async def rehearse(self, compose: Callable[[], Envelope]) -> None:
        """Do all the work of handing a letter over, and hand nothing over. Raises only what `compose` raises.

        Opens a lane where none is open, as a letter would. But it takes none that a letter could have, and a lane does
        not count as used: the relay hears nothing, and may close it.
        """
        if not self._lanes.idle and self._lanes.open >= self.capacity:
            return  # it is busy: one letter more or less does not show
        if not self._lanes.idle:
            try:
                lane = await self._open_one()
            except CannotOpen:
                return
            if lane is not None:
                self._lanes.give_back(lane, keep=self.up)
        await self._understudy.take(compose)

    def tend(self) -> None:
        """Called about once a second: close lanes that nobody needs, and let go who waits for a relay that says nothing."""
        self._lanes.raise_ceiling_in_time()
        self._lanes.leave_unused()
        if self.silent:
            self._lanes.wake_all()  # those that wait for a lane look for another relay

    async def close(self) -> None:
        """Stop probing, take leave on all idle lanes."""
        self.up = False
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait({self._probe})
        self._lanes.wake_all()
        self._understudy.close()
        await self._lanes.leave_all()

    # ---- up or down ----

    def _learn(self, attempt: Attempt) -> None:
        if attempt.verdict in (Verdict.OUR_FAULT, Verdict.RELAY_DOWN):
            self._go_down(attempt)
        elif attempt.code is not None:  # it spoke: it is alive
            self._strikes = 0
            self._last_word_at = self._clock.monotonic()
            if self.on_trial:
                self._on_trial = False
                log.info("relay up", relay=self.name, probes=self._probes)
                self._lanes.wake_all()
        elif attempt.verdict is Verdict.RETRY:
            self._strikes += 1
            if self.on_trial or self._strikes >= self._lanes.most:
                self._go_down(attempt)

    def _go_down(self, attempt: Attempt) -> None:
        if not self.up:
            return
        self.up = False
        self.why_down = attempt
        self._strikes = 0
        self._lanes.ceiling = self._lanes.most  # that it took fewer was perhaps the beginning of this
        if not self._on_trial:  # else it is the same outage, that was told of
            self._probes = 0
            log.error(
                "relay refuses us" if attempt.verdict is Verdict.OUR_FAULT else "relay down",
                relay=self.name,
                code=attempt.code,
                reply=attempt.reply,
            )
        self._lanes.close_idle()
        self._lanes.wake_all()
        self._probe = asyncio.create_task(
            self._probe_until_up(attempt.verdict is Verdict.OUR_FAULT), name=f"probe {self.name}"
        )

    async def _probe_until_up(self, our_fault: bool) -> None:
        while True:
            step = min(self._probes, len(self._probe_pauses) - 1)
            pause = self._our_fault_pause if our_fault else self._probe_pauses[step]
            await asyncio.sleep(pause * (0.9 + 0.2 * self._clock.chance()))
            if self._lanes.open >= self._lanes.most:
                continue  # lanes that hang still count: never more connections than are allowed
            self._probes += 1
            try:
                await self._lanes.open_ready()
            except CannotOpen as error:
                our_fault = error.verdict is Verdict.OUR_FAULT
                self.why_down = self._failed(error)
                continue
            self._on_trial = True
            self.up = True
            self.why_down = None
            self._lanes.wake_all()
            self._on_up()
            return
