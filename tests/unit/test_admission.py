"""Which letters are sent: every rule, and that none of them depends on another letter's fate by accident."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resetsvc.accounts import Account
from resetsvc.admission import Admission, Budget, Earlier, decide
from resetsvc.letters import ClaimedLetter, DropReason, Kind

NOW = 100_000.0
HOUR = 3600.0
BUDGET = Budget(3, HOUR)
ANN = Account("1", "ann@example.com", active=True, credential="c1")
BEN = Account("2", "ben@example.com", active=True, credential="c2")
GONE = Account("3", "gone@example.com", active=False, credential="c3")
ACCOUNTS = {account.address: account for account in (ANN, BEN, GONE)}


def letter(
    name: str,
    address: str = ANN.address,
    *,
    asked_at: float = NOW - 1,
    account_id: str | None = None,
    credential: str | None = None,
    attempts: int = 0,
) -> ClaimedLetter:
    return ClaimedLetter(
        name, Kind.RESET, address, None, "", "m", asked_at, NOW + HOUR, attempts, account_id, credential
    )


def decided(
    *letters: ClaimedLetter,
    earlier: Mapping[str, Sequence[Earlier]] | None = None,
    muted: frozenset[str] = frozenset(),
    budget: Budget | None = BUDGET,
    now: float = NOW,
) -> list[Admission]:
    return decide(letters, ACCOUNTS, earlier or {}, muted, budget, now)


def reasons(*letters: ClaimedLetter, **given: object) -> list[DropReason | None]:
    return [decision.reason for decision in decided(*letters, **given)]  # type: ignore[arg-type]  # passed through as it is


def sent(*times: float) -> list[Earlier]:
    return [Earlier(f"sent {at}", at, at) for at in times]


def test_a_letter_to_an_account_is_admitted() -> None:
    (decision,) = decided(letter("a"))
    assert decision.admitted
    assert decision.account is ANN


@pytest.mark.parametrize("budget", [BUDGET, None])
def test_without_an_account_there_is_no_mail(budget: Budget | None) -> None:
    (decision,) = decided(letter("a", "nobody@example.com"), budget=budget)
    assert (decision.reason, decision.account, decision.merged_into) == (DropReason.NO_ACCOUNT, None, None)


@pytest.mark.parametrize("budget", [BUDGET, None])
def test_a_disabled_account_gets_no_mail_even_one_admitted_before(budget: Budget | None) -> None:
    before = letter("b", GONE.address, account_id=GONE.id, credential=GONE.credential, attempts=1)
    assert reasons(letter("a", GONE.address), before, budget=budget) == [DropReason.DISABLED] * 2


@pytest.mark.parametrize("budget", [BUDGET, None])
def test_a_muted_account_gets_no_mail_even_one_admitted_before(budget: Budget | None) -> None:
    before = letter("b", account_id=ANN.id, credential=ANN.credential, attempts=1)
    found = reasons(letter("a"), before, letter("c", BEN.address), muted=frozenset({ANN.id}), budget=budget)
    assert found == [DropReason.MUTED, DropReason.MUTED, None]


def test_requests_that_wait_together_become_one_mail() -> None:
    first, second, third = decided(letter("a"), letter("b"), letter("c"))
    assert first.admitted
    assert (second.reason, second.merged_into) == (DropReason.MERGED, "a")
    assert (third.reason, third.merged_into) == (DropReason.MERGED, "a")


def test_a_request_is_merged_into_one_that_waits_from_before() -> None:
    waiting = {ANN.id: [Earlier("w", NOW - 5 * HOUR, None)]}
    (decision,) = decided(letter("a"), earlier=waiting)
    assert (decision.reason, decision.merged_into) == (DropReason.MERGED, "w")


def test_a_mail_that_left_after_the_request_answers_it() -> None:
    (decision,) = decided(letter("a", asked_at=NOW - 10), earlier={ANN.id: sent(NOW - 10)})
    assert (decision.reason, decision.merged_into) == (DropReason.MERGED, None)


def test_a_mail_that_left_before_the_request_does_not() -> None:
    """The person may have deleted it: asking again brings another one."""
    assert reasons(letter("a", asked_at=NOW - 10), earlier={ANN.id: sent(NOW - 10.001)}) == [None]


def test_one_account_has_nothing_to_do_with_another() -> None:
    full = {ANN.id: sent(NOW - 30, NOW - 20, NOW - 10)}
    assert reasons(letter("a"), letter("b", BEN.address), earlier=full) == [DropReason.OVER_BUDGET, None]


def test_so_many_mails_at_once_and_no_more() -> None:
    assert reasons(letter("a"), earlier={ANN.id: sent(NOW - 30, NOW - 20)}) == [None]
    assert reasons(letter("a"), earlier={ANN.id: sent(NOW - 30, NOW - 20, NOW - 10)}) == [
        DropReason.OVER_BUDGET
    ]


def test_a_budget_that_is_spent_still_gives_one_mail_each_part_of_its_time() -> None:
    """Three an hour: each twenty minutes. Links live longer, so that nobody can keep an owner without one."""
    had = {ANN.id: sent(NOW - 3, NOW - 2, NOW - 1)}
    for later, reason in ((1198, DropReason.OVER_BUDGET), (1199, None)):
        assert reasons(letter("a", asked_at=NOW + later), earlier=had, now=NOW + later) == [reason]
    and_one = {ANN.id: sent(NOW - 3, NOW - 2, NOW - 1, NOW + 1199)}
    for later, reason in ((2398, DropReason.OVER_BUDGET), (2399, None)):
        assert reasons(letter("a", asked_at=NOW + later), earlier=and_one, now=NOW + later) == [reason]


@settings(deadline=None, derandomize=True)
@given(
    asked=st.lists(st.floats(0, 4 * HOUR), min_size=1, max_size=60),
    mails=st.integers(1, 5),
)
def test_however_they_ask_an_owner_has_a_young_link_or_gets_one(asked: list[float], mails: int) -> None:
    """And a stranger never has more sent than the budget and one for each part of its time."""
    budget = Budget(mails, HOUR)
    got: list[float] = []
    for number, second in enumerate(sorted(asked)):
        now = NOW + second
        request = letter(str(number), asked_at=now)
        (decision,) = decided(request, earlier={ANN.id: sent(*got)}, budget=budget, now=now)
        if decision.admitted:
            got.append(now)
        else:
            assert got
            assert now - got[-1] < budget.refill
    for at in got:
        assert sum(at <= other < at + HOUR for other in got) <= 2 * mails - 1


def test_the_budget_refills_as_the_window_moves() -> None:
    had = {ANN.id: sent(NOW - HOUR + 10, NOW - 20, NOW - 10)}
    assert reasons(letter("a"), earlier=had) == [DropReason.OVER_BUDGET]
    assert reasons(letter("a", asked_at=NOW + 9), earlier=had, now=NOW + 9) == [DropReason.OVER_BUDGET]
    assert reasons(letter("a", asked_at=NOW + 10), earlier=had, now=NOW + 10) == [None]


def test_a_refused_request_does_not_push_the_window_on() -> None:
    """Or whoever keeps asking would keep the bucket full for ever."""
    had = {ANN.id: sent(NOW - HOUR + 10, NOW - 20, NOW - 10)}
    found = reasons(*(letter(str(n)) for n in range(50)), earlier=had)
    assert found == [DropReason.OVER_BUDGET] * 50
    assert reasons(letter("a", asked_at=NOW + 10), earlier=had, now=NOW + 10) == [None]


def test_a_mail_that_waited_for_a_relay_counts_from_when_it_left() -> None:
    """It was admitted long ago, and is in the mailbox since a moment: three more would be four in an hour."""
    late = Earlier("late", NOW - 2 * HOUR, NOW - 30)
    assert reasons(letter("a"), earlier={ANN.id: [late, *sent(NOW - 20)]}) == [None]
    assert reasons(letter("a"), earlier={ANN.id: [late, *sent(NOW - 20, NOW - 10)]}) == [
        DropReason.OVER_BUDGET
    ]


def test_a_budget_of_one_admits_one() -> None:
    assert reasons(letter("a"), budget=Budget(1, HOUR)) == [None]
    assert reasons(letter("a"), budget=Budget(1, HOUR), earlier={ANN.id: sent(NOW - 5)}) == [
        DropReason.OVER_BUDGET
    ]


def test_without_a_limit_nothing_is_merged_and_nothing_counted() -> None:
    full = {ANN.id: [*sent(*(NOW - n for n in range(100))), Earlier("w", NOW, None)]}
    assert reasons(letter("a"), letter("b"), letter("c"), earlier=full, budget=None) == [None] * 3


def test_a_letter_that_was_admitted_before_is_not_counted_again_nor_merged_into_another() -> None:
    again = letter("a", account_id=ANN.id, credential=ANN.credential, attempts=2)
    full = {
        ANN.id: [*sent(NOW - 30, NOW - 20, NOW - 10), Earlier("a", NOW - 40, None), Earlier("w", NOW, None)]
    }
    assert reasons(again, earlier=full) == [None]


def test_a_letter_that_was_never_admitted_is_not_merged_into_itself() -> None:
    assert reasons(letter("a"), earlier={ANN.id: [Earlier("a", NOW, None)]}) == [None]


@pytest.mark.parametrize(
    ("account_id", "credential"),
    [(ANN.id, "an older one"), ("another account", ANN.credential), (ANN.id, None)],
)
@pytest.mark.parametrize("budget", [BUDGET, None])
def test_a_changed_password_stops_a_letter_that_was_admitted_before(
    account_id: str, credential: str | None, budget: Budget | None
) -> None:
    again = letter("a", account_id=account_id, credential=credential, attempts=1)
    assert reasons(again, budget=budget) == [DropReason.PASSWORD_CHANGED]


@pytest.mark.parametrize(
    "earlier", [{}, {ANN.id: [Earlier("a", NOW - 40, NOW - 1)]}], ids=["dropped", "sent"]
)
@pytest.mark.parametrize("budget", [BUDGET, None])
def test_a_letter_that_ended_while_its_account_was_looked_up_is_not_sent(
    budget: Budget | None, earlier: Mapping[str, Sequence[Earlier]]
) -> None:
    again = letter("a", account_id=ANN.id, credential=ANN.credential, attempts=1)
    assert reasons(again, earlier=earlier, budget=budget) == [DropReason.PASSWORD_CHANGED]


def test_a_letter_dropped_for_a_changed_password_swallows_no_fresh_request() -> None:
    """The fresh one came after the change, and only it brings a link that works."""
    stale = letter("a", account_id=ANN.id, credential="an older one", attempts=1)
    assert reasons(stale, letter("b")) == [DropReason.PASSWORD_CHANGED, None]


def test_decisions_come_in_the_order_of_the_letters() -> None:
    letters = [letter(str(n), address) for n, address in enumerate([ANN.address, "x@y.z", BEN.address] * 3)]
    assert [decision.letter.id for decision in decided(*letters)] == [str(n) for n in range(9)]


def test_what_was_known_is_left_as_it_was() -> None:
    had = sent(NOW - 30)
    decided(letter("a"), letter("b"), earlier={ANN.id: had})
    assert had == sent(NOW - 30)
