"""What came of attempts, and how that is put on record: one unit of work for all that ended at the same time."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from resetsvc.letters import ClaimedLetter
from resetsvc.relay.verdict import Attempt, Verdict, retry_pause
from resetsvc.store import letters as sql
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store

POSTPONED_FOR = 10.0  # seconds, give or take a half
POISON_TRIES = 3  # unexpected errors with one letter before it is set aside

# Told which letters have come to their end, in the unit of work that puts this on record.
OnEnded = Callable[[Connection, Sequence[str]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt at a letter ended, and when."""

    letter: ClaimedLetter
    attempt: Attempt
    at: float
    chance: float  # for the jitter of its next attempt


def poisoned(letter: ClaimedLetter, error: Exception) -> Attempt:
    """An error that no letter should cause: tried a few times, then set aside so that it harms no other."""
    verdict = Verdict.FAILED if letter.attempts + 1 >= POISON_TRIES else Verdict.RETRY
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f"{frame.tb_frame.f_code.co_name}:{frame.tb_lineno}" if frame else "?"
    # The type and the place, never the message: that may hold the link.
    return Attempt(verdict, "none", None, f"internal error: {type(error).__name__} in {where}")


async def record_outcomes(
    store: Store, owner: str, outcomes: Sequence[Outcome], on_ended: OnEnded | None = None
) -> None:
    """Put outcomes on record; CannotStore if that fails, and then none of them is."""
    sent = [
        (
            outcome.letter.id,
            outcome.at,
            outcome.attempt.relay,
            f"{outcome.attempt.code} {outcome.attempt.reply}",
        )
        for outcome in outcomes
        if outcome.attempt.verdict is Verdict.SENT
    ]
    dropped = [
        (outcome.letter.id, outcome.attempt.reply)
        for outcome in outcomes
        if outcome.attempt.verdict is Verdict.DROPPED
    ]
    others = [o for o in outcomes if o.attempt.verdict not in (Verdict.SENT, Verdict.DROPPED)]
    now = max(outcome.at for outcome in outcomes)
    # A batch of one kind is one statement, which commits by itself. For letters that are dropped as for those that were
    # sent, though only the second is frequent: the one must not cost more than the other.
    if not others and not dropped and on_ended is None:
        await store.write(lambda connection: sql.mark_sent(connection, sent))
        return
    if not others and not sent:
        await store.write(lambda connection: sql.drop_letters(connection, dropped, owner=owner, now=now))
        return

    async def work(unit: Connection) -> None:
        if sent:
            await sql.mark_sent(unit, sent)
        if dropped:
            await sql.drop_letters(unit, dropped, owner=owner, now=now)
        tried = [outcome for outcome in others if outcome.attempt.verdict is not Verdict.POSTPONED]
        if tried:
            await sql.insert_attempts(unit, [_attempt_row(outcome) for outcome in tried])
        failed = [
            (outcome.letter.id, str(outcome.attempt.code or "unusable"))
            for outcome in others
            if outcome.attempt.verdict is Verdict.FAILED
        ]
        if failed:
            await sql.fail_letters(unit, failed, owner=owner, now=now)
        later = [_later(outcome) for outcome in others if outcome.attempt.verdict is not Verdict.FAILED]
        if later:
            await sql.postpone_letters(unit, later, owner=owner)
        if on_ended is not None:
            await on_ended(unit, [row[0] for row in sent] + [row[0] for row in failed])

    await store.unit(work, alone=False)


def _attempt_row(outcome: Outcome) -> tuple[str, float, str, str, int | None, str]:
    attempt = outcome.attempt
    return (outcome.letter.id, outcome.at, attempt.relay, attempt.verdict, attempt.code, attempt.reply)


def _later(outcome: Outcome) -> tuple[str, float, int]:
    """When a letter is due again. Only what a relay said or did about the letter itself counts as an attempt at it."""
    if outcome.attempt.verdict is Verdict.RETRY:
        return outcome.letter.id, outcome.at + retry_pause(outcome.letter.attempts + 1, outcome.chance), 1
    if outcome.attempt.verdict is Verdict.POSTPONED:
        return outcome.letter.id, outcome.at + POSTPONED_FOR * (0.5 + outcome.chance), 0
    return outcome.letter.id, outcome.at, 0
