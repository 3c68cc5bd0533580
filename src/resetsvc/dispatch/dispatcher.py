"""The dispatcher: claims letters that are due, has each handed over, puts on record what came of it.

Claims have a lease that is renewed while this process lives: what a killed process held comes back when it ends. The
lease is looked at once more just before the body leaves, so that a process that slept too long sends nothing.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from resetsvc.clock import Clock
from resetsvc.compose.composer import Composer, UnusableAddress
from resetsvc.dispatch.clock_jumps import ClockJumps
from resetsvc.dispatch.gatekeeper import AccountsOutOfReach, Gatekeeper
from resetsvc.dispatch.outcomes import OnEnded, Outcome, record_outcomes
from resetsvc.errors import CannotStore
from resetsvc.letters import ClaimedLetter, DropReason, Kind, short_id
from resetsvc.relay.relays import Outbox
from resetsvc.relay.verdict import Attempt, Verdict
from resetsvc.store import letters as sql
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store
from resetsvc.store.group_commit import GroupCommit

log = structlog.stdlib.get_logger("resetsvc.dispatcher")

LEASE = 10.0  # seconds; a killed process holds letters up for so long, and no longer
RENEW_AFTER = 0.3  # of a lease: twice it may go wrong before the lease runs out
LEASE_MARGIN = 0.1  # of a lease: less than this left is too little to send in
POLL = 0.25  # seconds between looks for what other processes stored; one's own requests wake it at once
TIDY_EVERY = 1.0  # seconds between looks at other owners' leases, deadlines, idle lanes
STOP_GRACE = 5.0  # seconds that letters in hand get when the service stops; then they go back
RETRIES_SHARE = 8  # of so many letters claimed, one place is kept for those that were tried before
POISON_TRIES = 3  # unexpected errors with one letter before it is set aside
# Rehearsals of letters that are dropped, for each lane; beyond that there is so much to do that none shows.
REHEARSALS = 4
LOOK_UP_AGAIN = 5.0  # seconds until letters are tried again whose accounts could not be looked up


@dataclass(eq=False, slots=True)
class Lease:
    """How long a letter is certainly ours, in monotonic seconds.

    One for each claim, not one for the process: after a stall another process may have taken this letter and not that
    one, and a renewal of that one says nothing about this one.
    """

    until: float
    delivering: bool = False


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
        self._lease = lease
        self._lanes = lanes
        self._on_outcome = on_outcome
        self._on_ended = on_ended
        self._owner = clock.new_id()
        self._wake = asyncio.Event()
        self._stopping = False
        self._in_hand: set[asyncio.Task[None]] = set()
        self._dropping: set[asyncio.Task[None]] = set()  # those in hand that hand nothing over
        self._leases: dict[str, Lease] = {}  # of the letters in hand, by id
        self._jumps = ClockJumps(clock, lease)
        self._newest_first = False  # where there is an odd place, or one only
        self._database_fails = False
        self._tidied_at = float("-inf")
        # When the loop took its last step; for /readyz and the supervisor.
        self.seen_alive_at = clock.monotonic()
        self._outcomes: GroupCommit[Outcome] = GroupCommit(
            lambda outcomes: record_outcomes(store, self._owner, outcomes, on_ended)
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
        renewing = asyncio.create_task(self._renew_leases(), name="lease renewal")
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

    def _note_database(self, error: CannotStore | None) -> None:
        """Say once that the database fails, and once that it works again: not four times a second."""
        if (error is not None) is self._database_fails:
            return
        self._database_fails = error is not None
        if error is not None:
            log.error("database fails", error=str(error.__cause__ or error))
        else:
            log.info("database works again")

    def _step(self) -> None:
        self.seen_alive_at = self._clock.monotonic()

    # ---- claim ----

    async def _take_on_letters(self) -> bool:
        """Claim what there is room for and start on it; True if there may be more."""
        sending = len(self._in_hand) - len(self._dropping)
        room = self._outbox.room() - sending
        if room <= 0:
            return False
        held_until = self._clock.monotonic() + self._lease
        letters = await self._claim(room)
        if not letters:
            return False
        self._step()
        leases = {letter.id: Lease(held_until) for letter in letters}
        self._leases.update(leases)
        resets = [letter for letter in letters if letter.kind is Kind.RESET]
        try:
            for letter in letters:
                if letter.kind is Kind.NOTICE:
                    self._start(Errand(letter, letter.address, letter.locale))
            if resets:
                await self._admit(resets)
        finally:
            # What was not started (the database refused) goes back when its lease ends.
            for letter_id, lease in leases.items():
                if not lease.delivering:
                    self._forget(letter_id, lease)
        return True

    async def _claim(self, room: int) -> list[ClaimedLetter]:
        now = self._clock.now()

        async def work(unit: Connection) -> list[ClaimedLetter]:
            async def claim(fresh: bool, limit: int, newest: bool = False) -> list[ClaimedLetter]:
                if limit <= 0:
                    return []
                return await sql.claim_due_letters(
                    unit,
                    fresh=fresh,
                    owner=self._owner,
                    now=now,
                    lease_until=now + self._lease,
                    limit=limit,
                    newest=newest,
                )

            # After an outage thousands wait: who asks now waits at a screen, and gets every second place.
            for_fresh = room - room // RETRIES_SHARE
            self._newest_first = not self._newest_first
            for_newest = (for_fresh + self._newest_first) // 2
            claimed = await claim(True, for_newest, newest=True)
            if len(claimed) == for_newest:
                claimed += await claim(True, for_fresh - for_newest)
            return claimed + await claim(False, room - len(claimed))

        return await self._store.unit(work, alone=False)

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
        due = self._clock.now() + LOOK_UP_AGAIN
        rows = [(letter.id, due, 0) for letter in letters]
        await self._store.unit(lambda unit: sql.postpone_letters(unit, rows, owner=self._owner), alone=False)

    # ---- deliver ----

    def _start(self, errand: Errand) -> None:
        lease = self._leases[errand.letter.id]
        lease.delivering = True
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
        letter = errand.letter

        def may_send() -> bool:
            surely_held = self._clock.monotonic() < lease.until - self._lease * LEASE_MARGIN
            return surely_held and self._clock.now() < letter.deadline_at

        try:
            await self._hand_over_and_record(errand, lease, may_send)
        finally:
            self._forget(letter.id, lease)

    def _forget(self, letter_id: str, lease: Lease) -> None:
        if self._leases.get(letter_id) is lease:  # else the letter was claimed anew
            del self._leases[letter_id]

    async def _hand_over_and_record(self, errand: Errand, lease: Lease, may_send: Callable[[], bool]) -> None:
        letter = errand.letter
        try:
            if errand.reason is not None:
                attempt = await self._drop(errand, errand.reason)
            else:
                attempt = await self._attempt(errand, may_send)
        except UnusableAddress as error:
            attempt = Attempt(Verdict.FAILED, "none", None, str(error))
        except Exception as error:
            attempt = _poisoned(letter, error)
            log.exception("unexpected error with a letter", letter=short_id(letter.id))
        if attempt.verdict is not Verdict.SENT and self._leases.get(letter.id) is not lease:
            return  # lost and claimed anew meanwhile: what becomes of it is the newer claim's to say
        outcome = Outcome(letter, attempt, self._clock.now(), self._clock.chance())
        await self._record(outcome)
        self._on_outcome(outcome)

    async def _drop(self, errand: Errand, reason: DropReason) -> Attempt:
        """Do all the work of a delivery, and deliver nothing: less work would tell who has an account."""
        try:
            if len(self._dropping) <= REHEARSALS * self._lanes:
                await self._outbox.rehearse(
                    lambda: self._composer.compose(errand.letter, errand.recipient, errand.language)
                )
        except Exception as error:  # whatever it is, the letter is dropped
            log.warning("a rehearsal failed", error=type(error).__name__)
        return Attempt(Verdict.DROPPED, "none", None, reason)

    async def _attempt(self, errand: Errand, may_send: Callable[[], bool]) -> Attempt:
        return await self._outbox.hand_over(
            errand.recipient,
            lambda: self._composer.compose(errand.letter, errand.recipient, errand.language),
            may_send,
        )

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

    # ---- leases, deadlines, the end ----

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._lease * RENEW_AFTER)
            if not self._leases:
                continue
            held_until = self._clock.monotonic() + self._lease
            ids, until = list(self._leases), self._clock.now() + self._lease
            try:
                renewed = await self._store.write(
                    lambda connection, ids=ids, until=until: sql.renew_leases(
                        connection, ids, owner=self._owner, lease_until=until
                    )  # type: ignore[misc]  # defaults bind the loop's values
                )
            except CannotStore:
                log.error("leases cannot be renewed", letters=len(ids))
                continue
            for letter_id in renewed:
                if (lease := self._leases.get(letter_id)) is not None:
                    lease.until = max(lease.until, held_until)

    async def _tidy(self) -> None:
        if self._clock.monotonic() < self._tidied_at + TIDY_EVERY:
            return
        self._tidied_at = self._clock.monotonic()
        now, in_hand = self._clock.now(), list(self._leases)
        jump = self._jumps.look()

        async def work(unit: Connection) -> tuple[int, int]:
            await self._jumps.mend_letters(unit, jump, now)
            released = 0
            if self._jumps.leases_can_be_trusted:
                released = await sql.release_expired_leases(unit, owner=self._owner, in_hand=in_hand, now=now)
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

    async def _finish(self) -> None:
        """Let letters in hand end; put back those that do not within the grace."""
        if self._in_hand:
            _, late = await asyncio.wait(self._in_hand, timeout=STOP_GRACE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        with contextlib.suppress(CannotStore):  # then their leases run out instead
            await self._outcomes.flush()
            now = self._clock.now()
            await self._store.write(
                lambda connection: sql.release_leases(connection, owner=self._owner, now=now)
            )

    async def _pause(self, seconds: float) -> None:
        timer = asyncio.get_running_loop().call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()


def _poisoned(letter: ClaimedLetter, error: Exception) -> Attempt:
    """An error that no letter should cause: tried a few times, then set aside so that it harms no other."""
    verdict = Verdict.FAILED if letter.attempts + 1 >= POISON_TRIES else Verdict.RETRY
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f"{frame.tb_frame.f_code.co_name}:{frame.tb_lineno}" if frame else "?"
    # The type and the place, never the message: that may hold the link.
    return Attempt(verdict, "none", None, f"internal error: {type(error).__name__} in {where}")
