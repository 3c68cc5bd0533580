"""The checker on ledgers made by hand: each kind of fault alone, and what looks like one and is none."""

import dataclasses
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.checker import Finding, Kind, Rules, check
from tests.faults.ledgers import (
    ANSWERED,
    NO_PASSWORD_WE_KNOW,
    REFUSED,
    UNKNOWN,
    Account,
    Blow,
    Ledgers,
    Letter,
    Look,
    Mail,
    Request,
)

RULES = Rules(deadline=100.0, slack=1.0)
ANN = Account("ann", "ann@people.test")
BOB = Account("bob", "bob@people.test", active=False)

ASKED = Request(1, "ask", ANN.address, began=10.0, ended=10.1, outcome=ANSWERED, status=200)
SENT = Letter(
    *("L1", "reset", "sent", "m1", 1, ANN.address),
    asked_at=10.05,
    account_id="ann",
    admitted_at=10.1,
    sent_at=10.5,
    finished_at=10.5,
)
MAIL = Mail("m1", ANN.address, 10.4)
WELL = Ledgers([ASKED], [MAIL], [SENT], [ANN, BOB])

CHANGE = Request(2, "change", ANN.address, 20.0, 20.1, ANSWERED, 200, letter_id="L1")
NOTICE = Letter(
    *("N1", "notice", "sent", "n1", 2, ANN.address),
    asked_at=20.05,
    account_id="ann",
    sent_at=20.5,
    finished_at=20.5,
)
CHANGED = Ledgers(
    [ASKED, CHANGE],
    [MAIL, Mail("n1", ANN.address, 20.4)],
    [replace(SENT, link="used", link_at=20.05), NOTICE],
    [replace(ANN, password=2), BOB],
)


def found(ledgers: Ledgers, rules: Rules = RULES) -> list[tuple[Kind, str]]:
    return [(finding.kind, finding.id) for finding in check(ledgers, rules).findings]


def letter(**changes: Any) -> Ledgers:
    """The good run, but for this in its letter."""
    return replace(WELL, letters=[replace(SENT, **changes)])


def dropped(reason: str, *, address: str = ANN.address, **changes: Any) -> Ledgers:
    """One request whose letter was dropped, and no mail."""
    row = replace(
        SENT,
        state="dropped",
        reason=reason,
        address=address,
        account_id=None,
        admitted_at=None,
        sent_at=None,
        **changes,
    )
    return replace(WELL, requests=[replace(ASKED, address=address)], letters=[row], mails=[])


@pytest.mark.parametrize("ledgers", [Ledgers(), WELL, CHANGED])
def test_a_good_run_is_acquitted(ledgers: Ledgers) -> None:
    assert check(ledgers, RULES).good


# ---- lost ----


def test_an_answered_request_without_a_letter_is_lost() -> None:
    assert found(replace(WELL, letters=[], mails=[])) == [(Kind.LOST, "request 1")]


@pytest.mark.parametrize("outcome", [UNKNOWN, REFUSED])
def test_a_request_that_was_not_answered_may_have_no_letter(outcome: str) -> None:
    assert check(Ledgers([replace(ASKED, outcome=outcome)], accounts=[ANN]), RULES).good


def test_a_letter_on_record_as_sent_that_no_relay_has_is_lost() -> None:
    assert found(replace(WELL, mails=[])) == [(Kind.LOST, "L1")]


@pytest.mark.parametrize("state", ["queued", "sending"])
def test_a_letter_that_still_waits_at_the_end_is_lost(state: str) -> None:
    ledgers = replace(WELL, letters=[replace(SENT, state=state, sent_at=None)], mails=[])
    assert found(ledgers) == [(Kind.LOST, "L1")]


def test_a_stored_letter_whose_client_heard_nothing_must_go_out_all_the_same() -> None:
    ledgers = replace(WELL, requests=[replace(ASKED, outcome=UNKNOWN, ended=None)], mails=[])
    assert found(ledgers) == [(Kind.LOST, "L1")]


def test_dropping_for_want_of_an_account_has_to_be_true() -> None:
    assert check(dropped("no_account", address="nobody@people.test"), RULES).good
    assert found(dropped("no_account")) == [(Kind.LOST, "L1")]


def test_dropping_for_a_disabled_account_has_to_be_true() -> None:
    assert check(dropped("disabled", address=BOB.address), RULES).good
    assert found(dropped("disabled")) == [(Kind.LOST, "L1")]


@pytest.mark.parametrize("reason", ["muted", "cancelled", "mercury"])
def test_dropping_for_a_reason_that_nobody_gave_is_a_loss(reason: str) -> None:
    assert found(dropped(reason)) == [(Kind.LOST, "L1")]


def test_dropping_for_a_changed_password_needs_a_change_after_the_request() -> None:
    later = Request(3, "ask", ANN.address, 30.0, 30.1, ANSWERED, 200)
    late = replace(SENT, id="L3", message_id="m3", number=3, asked_at=30.0, state="dropped")
    late = replace(late, reason="password_changed", sent_at=None)
    ledgers = replace(CHANGED, requests=[*CHANGED.requests, later], letters=[*CHANGED.letters, late])
    assert found(ledgers) == [(Kind.LOST, "L3")]
    early = replace(late, asked_at=15.0)
    assert check(replace(ledgers, letters=[*CHANGED.letters, early]), RULES).good


MERGING = replace(RULES, budget=3)


def merged(asked_at: float) -> Ledgers:
    """Beside the good request, a second one that was merged with it."""
    second = replace(ASKED, number=2, began=asked_at, ended=asked_at + 0.1)
    row = replace(SENT, id="L2", message_id="m2", number=2, asked_at=asked_at, state="dropped")
    row = replace(row, reason="merged", account_id=None, admitted_at=None, sent_at=None)
    return replace(WELL, requests=[ASKED, second], letters=[SENT, row])


def test_a_merged_request_is_answered_by_a_mail_that_left_after_it() -> None:
    assert check(merged(10.2), MERGING).good
    assert found(merged(50.0), MERGING) == [(Kind.LOST, "L2")]


def test_without_merging_every_request_gives_a_mail_of_its_own() -> None:
    assert found(merged(10.2)) == [(Kind.LOST, "L2")]


def test_a_merged_request_is_not_answered_by_another_merged_one() -> None:
    both = merged(10.2)
    row = replace(SENT, state="dropped", reason="merged", finished_at=90.0)
    assert found(replace(both, letters=[row, both.letters[1]], mails=[]), MERGING) == [
        (Kind.LOST, "L1"),
        (Kind.LOST, "L2"),
    ]


def test_over_budget_needs_a_spent_budget() -> None:
    requests, letters, mails = [], [], []
    for number in range(1, 5):
        requests.append(replace(ASKED, number=number))
        letters.append(replace(SENT, id=f"L{number}", message_id=f"m{number}", number=number))
        mails.append(replace(MAIL, message_id=f"m{number}"))
    last = replace(letters[3], state="dropped", reason="over_budget", account_id=None, admitted_at=None)
    letters[3] = replace(last, sent_at=None, finished_at=11.0)
    ledgers = Ledgers(requests, mails[:3], letters, [ANN])
    assert check(ledgers, MERGING).good
    assert found(ledgers, replace(RULES, budget=4)) == [(Kind.LOST, "L4")]
    assert found(ledgers) == [(Kind.LOST, "L4")]


def test_a_letter_failed_only_if_a_relay_refused_it() -> None:
    failed = replace(SENT, state="failed", reason="550", sent_at=None)
    assert check(replace(WELL, letters=[replace(failed, refusals=(550,))], mails=[]), RULES).good
    assert found(replace(WELL, letters=[failed], mails=[])) == [(Kind.LOST, "L1")]


def test_a_letter_expired_only_if_its_deadline_had_passed() -> None:
    expired = replace(SENT, state="expired", reason="deadline", sent_at=None, finished_at=110.5)
    assert check(replace(WELL, letters=[expired], mails=[]), RULES).good
    early = replace(expired, finished_at=109.0)
    assert found(replace(WELL, letters=[early], mails=[])) == [(Kind.LOST, "L1")]


# ---- doubled ----


def copies(*at: float, blows: tuple[Blow, ...] = (), rules: Rules = RULES) -> list[tuple[Kind, str]]:
    return found(replace(WELL, mails=[replace(MAIL, at=moment) for moment in at], blows=blows), rules)


def kill(at: float) -> Blow:
    return Blow("kill", at, at)


def test_a_second_copy_without_a_reason_is_one_too_many() -> None:
    assert copies(10.4, 20.4) == [(Kind.DOUBLED, "L1")]


def test_a_kill_excuses_one_copy_and_one_only() -> None:
    assert copies(10.4, 20.4, blows=(kill(10.6),)) == []
    assert copies(10.4, 20.4, 30.4, blows=(kill(10.6),)) == [(Kind.DOUBLED, "L1")]
    assert copies(10.4, 20.4, 30.4, blows=(kill(10.6), kill(20.6))) == []


def test_a_kill_just_before_the_relay_had_read_the_mail_excuses_its_copy() -> None:
    assert copies(10.4, 20.4, blows=(kill(10.0),)) == []


@pytest.mark.parametrize("at", [8.0, 12.0, 20.5])
def test_a_kill_at_another_time_excuses_nothing(at: float) -> None:
    assert copies(10.4, 20.4, blows=(kill(at),)) == [(Kind.DOUBLED, "L1")]


@pytest.mark.parametrize("kind", ["stall", "lock", "database"])
def test_a_kill_may_come_later_where_a_short_stall_or_lock_held_the_record_up(kind: str) -> None:
    short = Blow(kind, 10.5, 13.0)
    assert copies(10.4, 20.4, blows=(short, kill(13.5))) == []
    assert copies(10.4, 20.4, blows=(short, kill(15.0))) == [(Kind.DOUBLED, "L1")]


@pytest.mark.parametrize("kind", ["stall", "lock", "database"])
def test_a_stall_or_a_lock_excuses_a_copy_if_it_was_long_enough_to_lose_a_lease(kind: str) -> None:
    assert copies(10.4, 30.4, blows=(Blow(kind, 10.5, 25.0),)) == []
    assert copies(10.4, 30.4, blows=(Blow(kind, 10.5, 12.0),)) == [(Kind.DOUBLED, "L1")]


def test_each_attempt_may_leave_a_copy_while_the_relay_loses_its_answers() -> None:
    assert copies(10.4, 25.0, 60.0, blows=(Blow("relay", 10.0, 59.5),)) == []
    assert copies(10.4, 25.0, 60.0, blows=(Blow("relay", 10.0, 20.0),)) == [(Kind.DOUBLED, "L1")]


def test_an_orderly_stop_excuses_nothing() -> None:
    assert copies(10.4, 20.4, blows=(Blow("other", 10.6, 11.0, "SIGTERM"),)) == [(Kind.DOUBLED, "L1")]


# ---- late, stale ----


def test_a_mail_after_its_deadline_is_late() -> None:
    assert copies(111.5, rules=RULES) == [(Kind.LATE, "L1")]
    assert copies(110.9, rules=RULES) == []  # on its way when the deadline passed


def test_a_request_that_was_merged_with_a_letter_extends_its_deadline() -> None:
    later = replace(merged(50.0), mails=[replace(MAIL, at=140.0)])
    assert found(later, MERGING) == []
    assert found(replace(later, mails=[replace(MAIL, at=152.0)]), MERGING) == [(Kind.LATE, "L1")]


def test_a_mail_whose_link_had_died_is_stale() -> None:
    late_copy = replace(MAIL, at=22.0)
    ledgers = replace(CHANGED, mails=[*CHANGED.mails, late_copy], blows=[kill(10.6)])
    assert found(ledgers) == [(Kind.STALE, "L1")]


# ---- phantoms, and what was kept although it was refused ----


def test_a_mail_without_a_letter_is_a_phantom() -> None:
    assert found(replace(WELL, mails=[MAIL, Mail("m9", ANN.address, 11.0)])) == [(Kind.PHANTOM, "m9")]


def test_a_letter_that_nobody_asked_for_is_a_phantom() -> None:
    assert found(replace(WELL, requests=[])) == [(Kind.PHANTOM, "L1")]


def test_a_second_letter_for_one_request_is_a_phantom() -> None:
    twin = replace(SENT, id="L2", message_id="m2")
    ledgers = replace(WELL, letters=[SENT, twin], mails=[MAIL, replace(MAIL, message_id="m2")])
    assert found(ledgers) == [(Kind.PHANTOM, "L2")]


def test_a_mail_to_another_address_than_the_one_on_record_is_a_phantom() -> None:
    assert found(replace(WELL, mails=[replace(MAIL, recipient="eve@people.test")])) == [(Kind.PHANTOM, "L1")]


def test_a_letter_for_another_address_than_was_asked_for_is_a_phantom() -> None:
    requests = [replace(ASKED, address="nobody@people.test")]
    assert found(replace(WELL, requests=requests)) == [(Kind.PHANTOM, "L1")]


def test_a_mail_to_a_disabled_account_is_a_phantom() -> None:
    assert (Kind.PHANTOM, "L1") in found(replace(WELL, accounts=[replace(ANN, active=False)]))


def test_a_mail_of_a_letter_that_was_dropped_is_a_phantom() -> None:
    ledgers = dropped("no_account", address="nobody@people.test")
    ledgers = replace(ledgers, mails=[replace(MAIL, recipient="nobody@people.test")])
    assert set(found(ledgers)) == {(Kind.PHANTOM, "L1")}


def test_a_request_that_was_refused_must_not_be_stored() -> None:
    requests = [replace(ASKED, outcome=REFUSED, status=503)]
    assert found(replace(WELL, requests=requests)) == [(Kind.KEPT, "L1")]


@pytest.mark.parametrize(("status", "away"), [(503, (9.0, 11.0)), (503, (10.05, 12.0))])
def test_a_request_may_be_stored_though_it_was_refused_if_the_database_ended_meanwhile(
    status: int, away: tuple[float, float]
) -> None:
    ledgers = replace(WELL, requests=[replace(ASKED, outcome=REFUSED, status=status)])
    assert found(replace(ledgers, blows=[Blow("database", *away)])) == []


@pytest.mark.parametrize(("status", "away"), [(429, (9.0, 11.0)), (503, (10.2, 12.0)), (503, (5.0, 9.9))])
def test_no_other_refusal_is_excused_by_a_database_that_ended(status: int, away: tuple[float, float]) -> None:
    ledgers = replace(WELL, requests=[replace(ASKED, outcome=REFUSED, status=status)])
    assert found(replace(ledgers, blows=[Blow("database", *away)])) == [(Kind.KEPT, "L1")]


def test_a_change_that_was_refused_may_have_happened_if_the_database_ended_meanwhile() -> None:
    refused = replace(CHANGE, outcome=REFUSED, status=503)
    ledgers = replace(CHANGED, requests=[ASKED, refused])
    assert found(ledgers) == [(Kind.TORN, "request 2")]
    assert found(replace(ledgers, blows=[Blow("database", 20.05, 21.0)])) == []


def test_a_refusal_for_good_is_not_repeated() -> None:
    assert found(letter(refusals=(550, 550))) == [(Kind.HAMMERED, "L1")]


# ---- password, link and notice ----


def torn(**changes: Any) -> set[tuple[Kind, str]]:
    return set(found(dataclasses.replace(CHANGED, **changes)))


def test_a_change_that_was_answered_and_left_no_trace_is_torn() -> None:
    undone = torn(letters=[SENT], mails=[MAIL], accounts=[ANN])
    assert undone == {(Kind.TORN, "request 2")}


def test_a_password_without_its_notice_is_torn() -> None:
    halves = torn(
        letters=CHANGED.letters[:1], mails=[MAIL], requests=[ASKED, replace(CHANGE, outcome=UNKNOWN)]
    )
    assert halves == {(Kind.TORN, "L1"), (Kind.TORN, "ann")}


@pytest.mark.parametrize("password", [None, 9, NO_PASSWORD_WE_KNOW])
def test_a_notice_without_its_password_is_torn(password: int | None) -> None:
    assert torn(accounts=[replace(ANN, password=password)]) == {(Kind.TORN, "ann")}


def test_a_notice_whose_link_is_not_used_up_is_torn() -> None:
    assert torn(letters=[SENT, NOTICE]) == {(Kind.TORN, "L1")}


def test_a_link_that_worked_twice_is_torn() -> None:
    again = replace(CHANGE, number=3)
    second = replace(NOTICE, id="N2", message_id="n2", number=3)
    twice = torn(
        requests=[ASKED, CHANGE, again],
        letters=[*CHANGED.letters, second],
        mails=[*CHANGED.mails, Mail("n2", ANN.address, 20.6)],
        accounts=[replace(ANN, password=3)],
    )
    assert twice == {(Kind.TORN, "L1")}


def test_a_change_that_was_refused_must_not_happen() -> None:
    assert torn(requests=[ASKED, replace(CHANGE, outcome=REFUSED, status=422)]) == {(Kind.TORN, "request 2")}


def test_a_change_that_was_not_answered_may_have_happened_or_not() -> None:
    requests = [ASKED, replace(CHANGE, outcome=UNKNOWN)]
    assert torn(requests=requests) == set()
    assert torn(requests=requests, letters=[SENT], mails=[MAIL], accounts=[ANN]) == set()


def test_a_notice_that_no_relay_has_is_lost() -> None:
    assert torn(mails=[MAIL]) == {(Kind.LOST, "N1")}
    assert torn(letters=[CHANGED.letters[0], replace(NOTICE, state="queued")]) == {(Kind.LOST, "N1")}


def test_a_notice_may_fail_only_if_a_relay_refused_it() -> None:
    failed = replace(NOTICE, state="failed", reason="550", sent_at=None)
    assert torn(letters=[CHANGED.letters[0], replace(failed, refusals=(550,))], mails=[MAIL]) == set()
    assert torn(letters=[CHANGED.letters[0], failed], mails=[MAIL]) == {(Kind.LOST, "N1")}


def test_a_notice_that_nobody_caused_is_a_phantom() -> None:
    assert (Kind.PHANTOM, "N1") in torn(requests=[ASKED])


# ---- what is told ----


def test_the_figures_tell_the_run() -> None:
    figures = check(replace(CHANGED, blows=[kill(10.6)]), RULES).figures
    assert figures == {
        "requests": {"answered": 1},
        "statuses of refusals": {},
        "password changes": {"answered": 1},
        "letters": {"sent": 2},
        "mails": 2,
        "letters mailed": 2,
        "copies beyond the first": 0,
        "most copies of one letter": 1,
        "blows": {"kill": 1},
        "seconds from answer to relay": {"p50": 0.3, "p95": 0.3, "p99": 0.3, "max": 0.3},
    }


def test_a_finding_reads_as_a_line() -> None:
    assert str(Finding(Kind.LOST, "L1", "still queued at the end")) == "lost     L1: still queued at the end"


# ---- held ----


def looked(*looks: Look) -> list[tuple[Kind, str]]:
    return found(replace(WELL, looks=looks))


def test_a_letter_may_be_held_for_a_lease_and_until_somebody_looks() -> None:
    assert looked(Look(10.0, 10.1, 0.0, {"L1": 20.1}), Look(22.0, 22.1, 0.0, {"L1": 20.1})) == []


def test_a_letter_that_is_held_for_longer_than_a_lease_is_found_once() -> None:
    look = Look(10.0, 10.1, 0.0, {"L1": 21.0})
    assert looked(look, look) == [(Kind.HELD, "L1")]


def test_a_letter_that_nobody_takes_over_is_found() -> None:
    assert looked(Look(23.0, 23.1, 0.0, {"L1": 20.1})) == [(Kind.HELD, "L1")]


def test_nobody_can_take_over_while_the_database_or_all_that_deliver_are_away() -> None:
    assert looked(Look(23.0, 23.1, 22.0, {"L1": 20.1})) == []
