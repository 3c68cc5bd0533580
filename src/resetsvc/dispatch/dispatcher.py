"""The dispatcher: claims letters that are due, has each handed over, puts on record what came of it."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from resetsvc.clock import Clock
from resetsvc.compose.composer import Composer, UnusableAddress
from resetsvc.dispatch.clock_jumps import ClockJumps
from resetsvc.dispatch.gatekeeper import AccountsOutOfReach, Gatekeeper
from resetsvc.dispatch.leases import LEASE, Lease, Leases, room_for_claim
from resetsvc.dispatch.outcomes import OnEnded, Outcome, poisoned, record_outcomes
from resetsvc.errors import CannotStore
from resetsvc.letters import ClaimedLetter, DropReason, Kind, short_id
from resetsvc.relay.conversation import Envelope
from resetsvc.relay.relays import Outbox
from resetsvc.relay.verdict import Attempt, Verdict
from resetsvc.store import letters as sql
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store
from resetsvc.store.group_commit import GroupCommit

log = structlog.stdlib.get_logger("resetsvc.dispatcher")

POLL = 0.25  # seconds between looks for what other processes stored; one's own requests wake it at once
TIDY_EVERY = 1.0  # seconds between looks at other owners' leases, deadlines, idle lanes
LOOK_UP_AGAIN = 5.0  # seconds until letters are tried again whose accounts could not be looked up
# Rehearsals of letters that are dropped, for each lane; beyond that there is so much to do that none shows.
REHEARSALS = 4
STOP_GRACE = 5.0  # seconds that letters in hand get when the service stops; then they go back


@dataclass(frozen=True, slots=True)
class Errand:
    """What to do about a letter. `reason`: it is dropped, with all the work of sending it (see `Outbox.rehearse`)."""

    letter: ClaimedLetter
    recipient: str
    language: str | None
    reason: DropReason | None = None


class Dispatcher:
    """Delivers letters until it is stopped. Any number of them may share a database; none knows of the others."""

    def __init__(
        self,
        store: Store,
        gatekeeper: Gatekeeper,
        composer: Composer,
        outbox: Outbox,
        clock: Clock,
        *,
        lanes: int,
        lease: float = LEASE,
        on_outcome: Callable[[Outcome], None] = lambda _: None,
        on_ended: OnEnded | None = None,
    ) -> None:
        self._store = store
        self._gatekeeper = gatekeeper
        self._composer = composer
        self._outbox = outbox
        self._clock = clock
        self._lanes = lanes
        self._on_outcome = on_outcome
        self._on_ended = on_ended
        self._leases = Leases(store, clock, lease)
        self._jumps = ClockJumps(clock, lease)
        self._wake = asyncio.Event()
        self._stopping = False
        self._in_hand: set[asyncio.Task[None]] = set()
        self._dropping: set[asyncio.Task[None]] = set()  # those in hand that hand nothing over
        self._database_fails = False
        self._tidied_at = float("-inf")
        # When the loop took its last step; for /readyz and the supervisor.
        self.seen_alive_at = clock.monotonic()
        self._outcomes: GroupCommit[Outcome] = GroupCommit(
            lambda outcomes: record_outcomes(store, self._leases.owner, outcomes, on_ended)
        )

    def wake(self) -> None:
        """There may be work: look now instead of at the next poll."""
        self._wake.set()

    def stop(self) -> None:
        """Claim nothing more; `run` returns once the letters in hand are done or back in the queue."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Deliver until stopped. Raises what it cannot go on after; the letters then wait out their lease."""
        renewing = asyncio.create_task(self._leases.keep_renewing(), name="lease renewal")
        try:
            while not self._stopping:
                self._step()
                self._wake.clear()  # before looking: what comes in while we look is not lost
                try:
                    await self._tidy()
                    self._step()
                    busy = await self._take_on_letters()
                    self._note_database(None)
                except CannotStore as error:
                    self._note_database(error)
                    busy = False
                if not busy:
                    await self._pause(POLL)
            await self._finish()
        finally:
            # Normally nothing is left here. After an error: what is in hand goes back when its lease ends.
            self._stopping = True
            for task in self._in_hand:
                task.cancel()
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing

    def _step(self) -> None:
        self.seen_alive_at = self._clock.monotonic()

    def _note_database(self, error: CannotStore | None) -> None:
        """Say once that the database fails, and once that it works again: not four times a second."""
        if (error is not None) is self._database_fails:
            return
        self._database_fails = error is not None
        if error is not None:
            log.error("database fails", error=str(error.__cause__ or error))
        else:
            log.info("database works again")

    async def _pause(self, seconds: float) -> None:
        timer = asyncio.get_running_loop().call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    # ---- tidy: what others left behind, and what came too late ----

    async def _tidy(self) -> None:
        if self._clock.monotonic() < self._tidied_at + TIDY_EVERY:
            return
        self._tidied_at = self._clock.monotonic()
        now, owner, in_hand = self._clock.now(), self._leases.owner, self._leases.letter_ids
        jump = self._jumps.look()

        async def work(unit: Connection) -> tuple[int, int]:
            await self._jumps.mend_letters(unit, jump, now)
            released = 0
            if self._jumps.leases_can_be_trusted:
                released = await sql.release_expired_leases(unit, owner=owner, in_hand=in_hand, now=now)
            expired = await sql.expire_letters(unit, now)
            if expired and self._on_ended is not None:
                await self._on_ended(unit, expired)
            return released, len(expired)

        released, expired = await self._store.unit(work, alone=False)
        self._jumps.mended(jump)
        if released:
            log.warning("took over letters whose owner is gone", letters=released)
        if expired:
            log.warning("letters given up at their deadline", letters=expired)
        await self._outbox.tend()

    # ---- claim ----

    async def _take_on_letters(self) -> bool:
        """Claim what there is room for and start on it; True if there may be more."""
        await self._leases.let_letters_gather(self._room())
        room = self._room()
        letters = await self._leases.claim(room) if room and not self._stopping else []
        if not letters:
            return False
        self._step()
        resets = [letter for letter in letters if letter.kind is Kind.RESET]
        try:
            for letter in letters:
                if letter.kind is Kind.NOTICE:
                    self._start(Errand(letter, letter.address, letter.locale))
            if resets:
                await self._admit(resets)
        finally:
            self._leases.let_go_unless_started(letters)  # the database refused, or accounts are out of reach
        return True

    def _room(self) -> int:
        return room_for_claim(self._outbox.room(), len(self._in_hand) - len(self._dropping), self._lanes)

    # ---- admit: which of them are sent, and to whom ----

    async def _admit(self, resets: Sequence[ClaimedLetter]) -> None:
        try:
            admissions = await self._gatekeeper.admit(resets)
        except CannotStore:
            raise
        except AccountsOutOfReach as error:
            log.error("accounts cannot be looked up", letters=len(resets), error=error.why)
            await self._look_up_again(resets)
            return
        except Exception:
            log.exception("accounts cannot be looked up", letters=len(resets))
            await self._look_up_again(resets)
            return
        for admission in admissions:
            letter, account = admission.letter, admission.account
            if account is not None and admission.reason is None:
                self._start(Errand(letter, account.address, account.locale))
            else:
                self._start(Errand(letter, letter.address, letter.locale, admission.reason))

    async def _look_up_again(self, letters: Sequence[ClaimedLetter]) -> None:
        due, owner = self._clock.now() + LOOK_UP_AGAIN, self._leases.owner
        rows = [(letter.id, due, 0) for letter in letters]
        await self._store.unit(lambda unit: sql.postpone_letters(unit, rows, owner=owner), alone=False)

    # ---- deliver, or do as much work without ----

    def _start(self, errand: Errand) -> None:
        lease = self._leases.start(errand.letter.id)
        task = asyncio.create_task(self._deliver(errand, lease), name="letter")
        self._in_hand.add(task)
        if errand.reason is not None:
            self._dropping.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        self._dropping.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a letter's task died", error=repr(error))
        self._wake.set()  # there is room again

    async def _deliver(self, errand: Errand, lease: Lease) -> None:
        try:
            attempt = await self._attempt(errand, lease)
            if attempt.verdict is not Verdict.SENT and not self._leases.is_newest(lease):
                return  # lost and claimed anew meanwhile: what becomes of it is the newer claim's to say
            outcome = Outcome(errand.letter, attempt, self._clock.now(), self._clock.chance())
            await self._record(outcome)
            self._on_outcome(outcome)
        finally:
            self._leases.let_go(lease)

    async def _attempt(self, errand: Errand, lease: Lease) -> Attempt:
        """Do the errand once; how it ended, whatever that is."""
        letter = errand.letter

        def compose() -> Envelope:
            return self._composer.compose(letter, errand.recipient, errand.language)

        def may_send() -> bool:
            return self._leases.surely_holds(lease) and self._clock.now() < letter.deadline_at

        try:
            if errand.reason is not None:
                return await self._drop(compose, errand.reason)
            return await self._outbox.hand_over(errand.recipient, compose, may_send)
        except UnusableAddress as error:
            return Attempt(Verdict.FAILED, "none", None, str(error))
        except Exception as error:
            log.exception("unexpected error with a letter", letter=short_id(letter.id))
            return poisoned(letter, error)

    async def _drop(self, compose: Callable[[], Envelope], reason: DropReason) -> Attempt:
        """Do all the work of a delivery, and deliver nothing: less work would tell who has an account."""
        try:
            if len(self._dropping) <= REHEARSALS * self._lanes:
                await self._outbox.rehearse(compose)
        except Exception as error:  # whatever it is, the letter is dropped
            log.warning("a rehearsal failed", error=type(error).__name__)
        return Attempt(Verdict.DROPPED, "none", None, reason)

    # ---- record ----

    async def _record(self, outcome: Outcome) -> None:
        """Put it on record, however long the database takes: what is not on record is sent again."""
        while True:
            try:
                await self._outcomes.add(outcome)
                return
            except CannotStore:
                if self._stopping:
                    raise
                await asyncio.sleep(0.5)

    # ---- end ----

    async def _finish(self) -> None:
        """Let letters in hand end; put back those that do not within the grace."""
        if self._in_hand:
            _, late = await asyncio.wait(self._in_hand, timeout=STOP_GRACE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        with contextlib.suppress(CannotStore):  # then their leases run out instead
            await self._outcomes.flush()
            await self._leases.give_back()
