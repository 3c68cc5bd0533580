"""What SMTP said, and what to do about it: all codes at all steps."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resetsvc.relay.verdict import RETRY_PAUSES, Step, Verdict, retry_pause, verdict_of

ALL = list(itertools.product(Step, range(100, 700)))


def test_only_a_good_answer_after_the_body_says_that_a_letter_was_taken() -> None:
    for step, code in ALL:
        assert (verdict_of(step, code) is Verdict.SENT) == (step is Step.BODY and 200 <= code < 300)


def test_a_letter_fails_only_for_a_5yz_about_the_letter() -> None:
    for step, code in ALL:
        if verdict_of(step, code) is Verdict.FAILED:
            assert 500 <= code < 600
            assert step in (Step.RCPT, Step.BODY) or (step is Step.DATA and code in (552, 554))


def test_a_temporary_failure_is_never_final_and_never_our_fault() -> None:
    for step, code in ALL:
        if not 500 <= code < 600:
            assert verdict_of(step, code) not in (Verdict.FAILED, Verdict.OUR_FAULT)


def test_nothing_is_withheld_by_what_a_relay_says() -> None:
    assert Verdict.WITHHELD not in {verdict_of(step, code) for step, code in ALL}


@pytest.mark.parametrize(
    ("step", "code", "verdict"),
    [
        (Step.CONNECT, 421, Verdict.RELAY_DOWN),
        (Step.CONNECT, 554, Verdict.OUR_FAULT),
        (Step.AUTH, 535, Verdict.OUR_FAULT),
        (Step.AUTH, 454, Verdict.RETRY),
        (Step.MAIL, 530, Verdict.OUR_FAULT),
        (Step.MAIL, 550, Verdict.OUR_FAULT),  # the sender is refused
        (Step.MAIL, 552, Verdict.OUR_FAULT),
        (Step.MAIL, 451, Verdict.RETRY),
        (Step.MAIL, 421, Verdict.RELAY_DOWN),
        (Step.RCPT, 421, Verdict.RELAY_DOWN),
        (Step.RCPT, 450, Verdict.RETRY),
        (Step.RCPT, 452, Verdict.RETRY),
        (Step.RCPT, 550, Verdict.FAILED),
        (Step.RCPT, 553, Verdict.FAILED),
        (Step.RCPT, 530, Verdict.OUR_FAULT),
        (Step.RCPT, 535, Verdict.OUR_FAULT),
        (Step.DATA, 250, Verdict.RETRY),  # not 354: it makes no sense
        (Step.DATA, 354, Verdict.RETRY),
        (Step.DATA, 503, Verdict.OUR_FAULT),
        (Step.DATA, 552, Verdict.FAILED),
        (Step.DATA, 554, Verdict.FAILED),
        (Step.BODY, 250, Verdict.SENT),
        (Step.BODY, 354, Verdict.RETRY),
        (Step.BODY, 421, Verdict.RETRY),  # it may have taken the letter: unknown, so an attempt
        (Step.BODY, 452, Verdict.RETRY),
        (Step.BODY, 550, Verdict.FAILED),
        (Step.BODY, 552, Verdict.FAILED),
        (Step.BODY, 554, Verdict.FAILED),
        (Step.BODY, 530, Verdict.OUR_FAULT),
    ],
)
def test_a_reply_means(step: Step, code: int, verdict: Verdict) -> None:
    assert verdict_of(step, code) is verdict


@pytest.mark.parametrize(
    ("attempts", "pause"), [(1, 15), (2, 45), (3, 120), (4, 300), (5, 300), (50, 300), (10**9, 300)]
)
def test_pauses_grow_to_five_minutes_and_no_longer(attempts: int, pause: float) -> None:
    assert retry_pause(attempts, 0.5) == pytest.approx(pause)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True))
def test_a_pause_varies_by_a_fifth_and_is_never_nothing(attempts: int, chance: float) -> None:
    pause = RETRY_PAUSES[min(attempts, 4) - 1]
    assert 0.8 * pause <= retry_pause(attempts, chance) <= 1.2 * pause


def test_letters_that_failed_together_come_back_apart() -> None:
    assert len({retry_pause(1, chance / 10) for chance in range(10)}) == 10
