"""Compares the ledgers: what was lost, doubled, late, or should never have been. A pure function of what they hold."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from tests.faults.figures import figures
from tests.faults.ledgers import ANSWERED, REFUSED, Blow, Ledgers, Letter, Mail, Request

CLOCKS = 0.25  # seconds by which who looks and who holds may see the time differently


class Kind(StrEnum):
    LOST = "lost"  # answered or stored, and neither mailed nor an outcome on record that holds water
    DOUBLED = "doubled"  # more copies than 1 + what was done to the service during that letter
    LATE = "late"  # mailed after its deadline
    STALE = "stale"  # mailed although its link had died
    PHANTOM = "phantom"  # mailed or stored without a request, or to somebody who should get nothing
    KEPT = "kept"  # refused to the client, and stored all the same
    TORN = "torn"  # one of password, link and notice without the others
    HAMMERED = "hammered"  # a refusal for good was not taken as one
    HELD = "held"  # for longer than a lease, or by nobody


@dataclass(frozen=True, slots=True)
class Finding:
    kind: Kind
    id: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind:8} {self.id}: {self.what}"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the service was told to keep to.

    deadline -- seconds from a request after which nothing of it is mailed
    budget   -- mails to one account in an hour; None: no limit and no merging
    lease    -- seconds; a stall, a lock or a time without the database that is shorter than half of it excuses no copy
    takeover -- seconds after the end of a lease in which somebody takes the letter over: all look once a second
    slack    -- seconds between our last look (lease, deadline, link) and the relay's taking the mail over
    record   -- seconds between that and the record; also between a kill and the relay's taking what was under way
    """

    deadline: float
    budget: int | None = None
    lease: float = 10.0
    slack: float = 2.0
    record: float = 1.0
    takeover: float = 2.0


@dataclass(frozen=True, slots=True)
class Verdict:
    findings: tuple[Finding, ...]
    figures: Mapping[str, object] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return not self.findings

    def count(self, kind: Kind) -> int:
        return sum(finding.kind is kind for finding in self.findings)


def check(ledgers: Ledgers, rules: Rules) -> Verdict:
    return _Check(ledgers, rules).verdict()


class _Check:
    def __init__(self, ledgers: Ledgers, rules: Rules) -> None:
        self.ledgers = ledgers
        self.rules = rules
        self.findings: list[Finding] = []
        self.requests = {request.number: request for request in ledgers.requests}
        self.accounts = {account.id: account for account in ledgers.accounts}
        self.by_address = {account.address: account for account in ledgers.accounts}
        self.resets = [letter for letter in ledgers.letters if letter.kind == "reset"]
        self.notices = [letter for letter in ledgers.letters if letter.kind == "notice"]
        self.copies: defaultdict[str, list[Mail]] = defaultdict(list)
        for mail in sorted(ledgers.mails, key=lambda mail: mail.at):
            self.copies[mail.message_id].append(mail)
        self.of_account: defaultdict[str, list[Letter]] = defaultdict(list)
        for letter in self.resets:
            self.of_account[letter.address].append(letter)
        self.changed_at: defaultdict[str | None, list[float]] = defaultdict(list)
        for notice in self.notices:
            self.changed_at[notice.account_id].append(notice.asked_at)
        self.blows = sorted(ledgers.blows, key=lambda blow: blow.at)

    def verdict(self) -> Verdict:
        self._asked_and_stored()
        for letter in self.ledgers.letters:
            self._outcome(letter)
        self._mails()
        self._changes()
        self._leases()
        return Verdict(tuple(self.findings), figures(self.ledgers, self.copies))

    def _tell(self, kind: Kind, id_: object, what: str) -> None:
        self.findings.append(Finding(kind, str(id_), what))

    # ---- the client's ledger against the database's ----

    def _asked_and_stored(self) -> None:
        stored: defaultdict[int | None, list[Letter]] = defaultdict(list)
        for letter in self.resets:
            stored[letter.number].append(letter)
        for request in self.ledgers.requests:
            if request.kind != "ask":
                continue
            letters = stored.pop(request.number, [])
            if not letters and request.outcome == ANSWERED:
                self._tell(Kind.LOST, f"request {request.number}", "answered, and there is no letter")
            if letters and request.outcome == REFUSED and not self._answer_may_be_lost(request):
                self._tell(Kind.KEPT, letters[0].id, f"stored, and answered with {request.status}")
            if len(letters) > 1:
                self._tell(Kind.PHANTOM, letters[1].id, f"a second letter for request {request.number}")
            for letter in letters:
                if letter.address != request.address:
                    self._tell(Kind.PHANTOM, letter.id, "for another address than was asked for")
        for strays in stored.values():
            for letter in strays:
                self._tell(Kind.PHANTOM, letter.id, "nobody asked for it")

    def _answer_may_be_lost(self, request: Request) -> bool:
        """Whether the database ended while it was asked: it may have committed, and nobody can know."""
        return request.status == 503 and any(
            blow.kind == "database" and request.began <= blow.until and blow.at <= (request.ended or blow.at)
            for blow in self.blows
        )

    # ---- each letter's outcome ----

    def _outcome(self, letter: Letter) -> None:
        complaint = self._complaint(letter)
        if complaint is not None:
            self._tell(Kind.LOST, letter.id, complaint)
        if len(letter.refusals) > 1:
            self._tell(Kind.HAMMERED, letter.id, f"refused for good {len(letter.refusals)} times")

    def _complaint(self, letter: Letter) -> str | None:
        """Why the outcome on record does not hold water; None if it does."""
        match letter.state:
            case "sent":
                return (
                    None if self.copies.get(letter.message_id) else "on record as sent, and no relay has it"
                )
            case "dropped":
                return self._complaint_about_dropping(letter)
            case "failed":
                return None if letter.refusals else "failed, and no relay refused it"
            case "expired":
                early = (letter.finished_at or 0.0) < letter.asked_at + self.rules.deadline
                return "given up before its deadline" if early else None
            case state:
                return f"still {state} at the end"

    def _complaint_about_dropping(self, letter: Letter) -> str | None:
        account = self.by_address.get(letter.address)
        match letter.reason:
            case "no_account":
                return None if account is None else "dropped for want of an account that is there"
            case "disabled":
                return None if account is not None and not account.active else "its account is not disabled"
            case "merged":
                return None if self._answered_by_another(letter) else "merged, and no other mail answers it"
            case "over_budget":
                return None if self._budget_was_spent(letter) else "over budget, and the budget is not spent"
            case "password_changed":
                changes = self.changed_at[account.id] if account else []
                return (
                    # A change looks at the clock before its commit: what is asked for meanwhile is dropped by it, too.
                    None
                    if any(at >= letter.asked_at - 1.0 for at in changes)
                    else "no password was changed since"
                )
            case reason:
                return f"dropped ({reason}), which nobody asked for"

    def _answered_by_another(self, letter: Letter) -> bool:
        """By a mail that left after the request was made, or by a letter whose end is on record after it."""
        if self.rules.budget is None:
            return False
        for other in self.of_account[letter.address]:
            if other.id == letter.id or other.reason in ("merged", "over_budget"):
                continue
            if any(copy.at >= letter.asked_at - self.rules.slack for copy in self.copies[other.message_id]):
                return True
            if (
                other.state in ("failed", "expired", "dropped")
                and (other.finished_at or 0) >= letter.asked_at
            ):
                return True
        return False

    def _budget_was_spent(self, letter: Letter) -> bool:
        if self.rules.budget is None or letter.finished_at is None:
            return False
        since = letter.finished_at - 3600
        before = [
            other
            for other in self.of_account[letter.address]
            if other.id != letter.id
            and other.admitted_at is not None
            and other.admitted_at <= letter.finished_at
            and max(other.admitted_at, other.sent_at or 0.0) > since
        ]
        newest = max((max(other.admitted_at or 0.0, other.sent_at or 0.0) for other in before), default=0.0)
        return len(before) >= self.rules.budget and newest > letter.finished_at - 3600 / self.rules.budget

    # ---- what the relay has ----

    def _mails(self) -> None:
        letters = {letter.message_id: letter for letter in self.ledgers.letters}
        for message_id, copies in self.copies.items():
            letter = letters.get(message_id)
            if letter is None:
                self._tell(Kind.PHANTOM, message_id, "mailed, and there is no letter of this Message-ID")
                continue
            account = self.accounts.get(letter.account_id or "")
            if account is None or not account.active:
                self._tell(Kind.PHANTOM, letter.id, "mailed without an account that may have mail")
            elif any(copy.recipient != account.address for copy in copies):
                self._tell(Kind.PHANTOM, letter.id, "mailed to another address than the one on record")
            if letter.state == "dropped" and letter.reason != "password_changed":
                self._tell(Kind.PHANTOM, letter.id, f"mailed, and on record as dropped ({letter.reason})")
            self._times(letter, copies)
            extra = unexcused_copies([copy.at for copy in copies], self.blows, self.rules)
            if extra:
                what = f"{len(copies)} copies, {extra} of them without a reason"
                self._tell(Kind.DOUBLED, letter.id, what)

    def _times(self, letter: Letter, copies: Sequence[Mail]) -> None:
        if letter.kind != "reset":
            return
        last, slack = copies[-1].at, self.rules.slack
        deadline = self._deadline(letter, last)
        if last > deadline + slack:
            self._tell(Kind.LATE, letter.id, f"mailed {last - deadline:.1f} s after its deadline")
        if letter.link_at is not None and last > letter.link_at + slack:
            what = f"mailed {last - letter.link_at:.1f} s after its link was {letter.link}"
            self._tell(Kind.STALE, letter.id, what)

    def _deadline(self, letter: Letter, at: float) -> float:
        """Its own, or that of the newest request that was merged with it. Not what the database says: that is checked."""
        merged = [
            other.asked_at
            for other in self.of_account[letter.address]
            if other.reason == "merged" and other.asked_at <= at
        ]
        return max([letter.asked_at, *merged]) + self.rules.deadline

    # ---- password, link and notice: all or none ----

    def _changes(self) -> None:
        notices: defaultdict[int | None, list[Letter]] = defaultdict(list)
        for notice in self.notices:
            notices[notice.number].append(notice)
        resets = {letter.id: letter for letter in self.resets}
        used_by: defaultdict[str | None, list[int]] = defaultdict(list)
        for request in self.ledgers.requests:
            if request.kind != "change":
                continue
            found = notices.pop(request.number, [])
            self._one_change(request, found)
            if found:
                used_by[request.letter_id].append(request.number)
        for strays in notices.values():
            for notice in strays:
                self._tell(Kind.PHANTOM, notice.id, "a notice, and nobody changed a password")
        for letter in resets.values():
            uses = used_by.get(letter.id, [])
            if letter.link == "used" and not uses:
                self._tell(Kind.TORN, letter.id, "its link is used up, and there is no notice")
            if letter.link != "used" and uses:
                self._tell(Kind.TORN, letter.id, "there is a notice, and its link is not used up")
            if len(uses) > 1:
                self._tell(Kind.TORN, letter.id, f"its link was used by requests {uses}")
        self._passwords()

    def _one_change(self, request: Request, notices: Sequence[Letter]) -> None:
        name = f"request {request.number}"
        if request.outcome == ANSWERED and not notices:
            self._tell(Kind.TORN, name, "told that the password was changed, and there is no notice")
        if request.outcome == REFUSED and notices and not self._answer_may_be_lost(request):
            self._tell(Kind.TORN, name, f"answered with {request.status}, and there is a notice")

    def _passwords(self) -> None:
        last: dict[str | None, int | None] = {}
        for notice in self.notices:  # in the order in which they were stored
            last[notice.account_id] = notice.number
        for account in self.ledgers.accounts:
            if account.password != last.get(account.id):
                what = f"password of {_name(account.password)}, last notice of {_name(last.get(account.id))}"
                self._tell(Kind.TORN, account.id, what)

    # ---- leases ----

    def _leases(self) -> None:
        """No letter is held for longer than a lease from now on; when that has ended, somebody takes it over."""
        told: set[str] = set()
        for look in self.ledgers.looks:
            for letter_id, until in look.held.items():
                ahead, past = until - look.ended, look.began - max(until, look.able_since)
                if letter_id in told or (ahead <= self.rules.lease + CLOCKS and past <= self.rules.takeover):
                    continue
                told.add(letter_id)
                if past > self.rules.takeover:
                    self._tell(Kind.HELD, letter_id, f"by nobody for {past:.1f} s")
                else:
                    self._tell(Kind.HELD, letter_id, f"for another {ahead:.1f} s")


def unexcused_copies(copies: Sequence[float], blows: Sequence[Blow], rules: Rules) -> int:
    """How many copies too many: about the time of each but the last, something must have been done to the service.

    A kill excuses one copy of a letter, and one only; so does a stall or a lock. While the relay loses its answers,
    each attempt may leave a copy. blows -- in the order in which they began
    """
    left = [blow for blow in blows if _excuses(blow, rules)]
    extra = 0
    for earlier, later in pairwise(copies):
        recorded = min(later, _recorded_by(earlier, blows, rules))
        for blow in left:
            before = rules.record if blow.kind == "kill" else rules.slack
            if blow.at <= recorded and blow.until >= earlier - before:
                if blow.kind != "relay":
                    left.remove(blow)
                break
        else:
            extra += 1
    return extra


def _excuses(blow: Blow, rules: Rules) -> bool:
    if blow.kind in ("stall", "lock", "database"):
        return blow.until - blow.at >= 0.5 * rules.lease
    return blow.kind in ("kill", "relay")


def _recorded_by(at: float, blows: Sequence[Blow], rules: Rules) -> float:
    """Until when a mail that the relay took at this time is on record; then no kill can bring it back."""
    end = at + rules.record
    for blow in blows:
        if blow.kind in ("stall", "lock", "database") and blow.at <= end and blow.until >= at:
            end = max(end, blow.until + rules.record)
    return end


def _name(number: int | None) -> str:
    return "nobody" if number is None else f"request {number}"
