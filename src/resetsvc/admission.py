"""Which of the letters that were asked for are sent: the rules about accounts. Pure: no I/O, no clock.

The person who asked never learns of any of this (rule 1); `resetsvc letters show` does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resetsvc.accounts import Account
from resetsvc.letters import ClaimedLetter, DropReason

CLOCK_SKEW = 60.0  # seconds that another machine's clock may be ahead


@dataclass(frozen=True, slots=True)
class Earlier:
    """A reset letter of the same account that was admitted before. `sent_at` is None while it waits."""

    letter_id: str
    admitted_at: float
    sent_at: float | None


@dataclass(frozen=True, slots=True)
class Budget:
    """So many reset mails to one account in any `seconds`; and when these are spent, one each `refill` seconds.

    Without the second a stranger who asks three times would keep the owner without a way in for the rest of an hour: links
    end before it does. With it, whoever asks has a link younger than `refill`, or gets one.
    """

    mails: int
    seconds: float

    @property
    def refill(self) -> float:
        return self.seconds / self.mails


@dataclass(frozen=True, slots=True)
class Admission:
    """What is decided about one letter. `merged_into`: the waiting letter that answers this request too."""

    letter: ClaimedLetter
    account: Account | None
    reason: DropReason | None
    merged_into: str | None = None

    @property
    def admitted(self) -> bool:
        return self.reason is None


def decide(
    letters: Sequence[ClaimedLetter],
    accounts: Mapping[str, Account],
    earlier: Mapping[str, Sequence[Earlier]],
    muted: frozenset[str],
    budget: Budget | None,
    now: float,
) -> list[Admission]:
    """Decide about reset letters that were claimed together, oldest first.

    accounts -- by the address that was asked for; earlier -- by account id; muted -- account ids
    budget   -- None: no limit, and no merging of requests that wait together
    """
    # What was sent in a time to come, was sent before the clock was put back: it would use up budgets until then.
    known: dict[str, list[Earlier]] = {
        account: [one for one in others if one.sent_at is None or one.sent_at <= now + CLOCK_SKEW]
        for account, others in earlier.items()
    }
    decisions = []
    for letter in letters:
        account = accounts.get(letter.address)
        decision = _decide_one(letter, account, known, muted, budget, now)
        if decision.admitted and account is not None and letter.account_id is None:
            known.setdefault(account.id, []).append(Earlier(letter.id, now, None))
        decisions.append(decision)
    return decisions


def _decide_one(
    letter: ClaimedLetter,
    account: Account | None,
    known: Mapping[str, Sequence[Earlier]],
    muted: frozenset[str],
    budget: Budget | None,
    now: float,
) -> Admission:
    if account is None:
        return Admission(letter, None, DropReason.NO_ACCOUNT)
    if not account.active:
        return Admission(letter, account, DropReason.DISABLED)
    if account.id in muted:
        return Admission(letter, account, DropReason.MUTED)
    if letter.account_id is not None:
        # Admitted by an earlier attempt, and counted then. A copy may have arrived: a link that a changed password
        # has killed must not come to life again with the next copy.
        # Nor may one go that came to its end after the account was looked up.
        waits = any(one.letter_id == letter.id and one.sent_at is None for one in known.get(account.id, ()))
        if (letter.account_id, letter.credential) != (account.id, account.credential) or not waits:
            return Admission(letter, account, DropReason.PASSWORD_CHANGED)
        return Admission(letter, account, None)
    if budget is not None:
        others = [other for other in known.get(account.id, ()) if other.letter_id != letter.id]
        for other in others:
            # A mail that waits, or that left after this request was made, answers this request too.
            if other.sent_at is None or other.sent_at >= letter.asked_at:
                merged_into = other.letter_id if other.sent_at is None else None
                return Admission(letter, account, DropReason.MERGED, merged_into)
        # From when it left: one that waited two hours for a relay came into the mailbox just now.
        last = [max(other.admitted_at, other.sent_at or 0.0) for other in others]
        recent = [at for at in last if at > now - budget.seconds]
        if len(recent) >= budget.mails and max(recent) > now - budget.refill:
            return Admission(letter, account, DropReason.OVER_BUDGET)
    return Admission(letter, account, None)
