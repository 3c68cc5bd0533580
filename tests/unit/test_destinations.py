"""One domain that hangs holds up no other: what `Destinations` lets go, and what it keeps back."""

import asyncio

import pytest

from resetsvc.clock import Clock
from resetsvc.relay import destinations
from resetsvc.relay.destinations import FIRST_AT_ONCE, PROBES_AT_ONCE, SILENT_AFTER, Destinations, Pass
from resetsvc.relay.verdict import Attempt, Verdict

pytestmark = pytest.mark.timeout(
    10
)  # a letter that is kept back for ever fails its test, and holds up no other

SENT = Attempt(Verdict.SENT, "relay", 250, "taken")
REFUSED = Attempt(Verdict.FAILED, "relay", 550, "no such mailbox")
TIMED_OUT = Attempt(Verdict.RETRY, "relay", None, "no reply")


class Seconds:
    """Monotonic time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.clock = Clock(monotonic=lambda: self.now)


def make(lanes: int = 16) -> tuple[Destinations, Seconds]:
    seconds = Seconds()
    return Destinations(seconds.clock, lanes), seconds


async def go(known: Destinations, domain: str) -> Pass:
    leave = await known.enter(domain)
    assert leave is not None
    return leave


async def time_out(known: Destinations, domain: str, seconds: Seconds) -> None:
    leave = await go(known, domain)
    seconds.now += SILENT_AFTER
    known.leave(leave, TIMED_OUT)


async def test_once_a_domain_has_answered_its_letters_go_on_all_lanes() -> None:
    known, _ = make()
    known.leave(await go(known, "good.example"), SENT)
    assert all([await known.enter("good.example") for _ in range(50)])


async def test_a_refusal_is_an_answer_too() -> None:
    known, _ = make()
    known.leave(await go(known, "good.example"), REFUSED)
    assert all([await known.enter("good.example") for _ in range(10)])


async def test_the_first_letters_to_a_domain_go_a_few_at_a_time_and_the_others_follow_its_first_word() -> (
    None
):
    known, _ = make()
    first = [await go(known, "new.example") for _ in range(FIRST_AT_ONCE)]
    others = [asyncio.create_task(known.enter("new.example")) for _ in range(5)]
    await asyncio.sleep(0)
    assert known.waiting == 5
    known.leave(first[0], SENT)
    assert all(await asyncio.gather(*others))
    assert known.waiting == 0


async def test_letters_to_a_silent_domain_go_back_to_the_queue() -> None:
    known, seconds = make()
    for _ in range(FIRST_AT_ONCE):
        await go(known, "hole.example")
    seconds.now += SILENT_AFTER
    probe = await go(known, "hole.example")
    assert probe.probe
    assert await known.enter("hole.example") is None


async def test_letters_to_silent_domains_take_few_lanes_however_many_such_domains_there_are() -> None:
    known, seconds = make()
    for number in range(20):
        await time_out(known, f"hole{number}.example", seconds)
    seconds.now += SILENT_AFTER
    went = [await known.enter(f"hole{number}.example") for number in range(20)]
    assert sum(leave is not None for leave in went) == PROBES_AT_ONCE


async def test_letters_to_domains_of_which_nothing_was_heard_take_half_of_the_lanes() -> None:
    known, _ = make(lanes=8)
    known.leave(await go(known, "well.example"), SENT)
    under_way = [await go(known, f"new{number}.example") for number in range(4)]
    fifth = asyncio.create_task(known.enter("new5.example"))
    await asyncio.sleep(0)
    assert known.waiting == 1
    assert all([await known.enter("well.example") for _ in range(20)])  # they go past
    known.leave(under_way[0], SENT)
    assert await fifth is not None
    assert known.waiting == 0


async def test_who_waited_long_enough_for_such_a_place_goes_back_to_the_queue() -> None:
    known, seconds = make(lanes=2)
    hanging = await go(known, "hole.example")
    waiting = asyncio.create_task(known.enter("new.example"))
    await asyncio.sleep(0)
    seconds.now += SILENT_AFTER
    known.leave(hanging, None)
    took_its_place = await go(known, "other.example")
    assert await waiting is None
    known.leave(took_its_place, SENT)


async def test_a_silent_domain_that_answers_is_served_as_ever() -> None:
    known, seconds = make()
    await time_out(known, "back.example", seconds)
    seconds.now += SILENT_AFTER
    known.leave(await go(known, "back.example"), SENT)
    assert all([await known.enter("back.example") for _ in range(10)])


async def test_one_letter_that_hangs_does_not_silence_a_domain_that_answers_others() -> None:
    known, seconds = make()
    known.leave(await go(known, "big.example"), SENT)
    hanging = await go(known, "big.example")
    for _ in range(30):
        seconds.now += SILENT_AFTER / 2
        known.leave(await go(known, "big.example"), SENT)
    known.leave(hanging, TIMED_OUT)
    assert all([await known.enter("big.example") for _ in range(10)])


async def test_a_time_out_is_not_held_against_a_domain_for_ever() -> None:
    known, seconds = make()
    await time_out(known, "hole.example", seconds)
    probe = await go(known, "hole.example")
    assert probe.probe
    assert await known.enter("hole.example") is None
    known.leave(probe, None)
    seconds.now += destinations.TROUBLE
    assert not (await go(known, "hole.example")).probe


async def test_a_connection_that_is_lost_at_once_is_not_held_against_a_domain() -> None:
    known, seconds = make()
    leave = await go(known, "restarts.example")
    seconds.now += SILENT_AFTER / 2
    known.leave(leave, Attempt(Verdict.RETRY, "relay", None, "the relay closed the connection"))
    assert not (await go(known, "restarts.example")).probe


async def test_a_slow_relay_is_not_taken_for_a_silent_domain() -> None:
    known, seconds = make()
    for _ in range(3):
        leave = await go(known, "slow.example")
        seconds.now += 4 * SILENT_AFTER
        known.leave(leave, SENT)
    await go(known, "slow.example")
    seconds.now += 4 * SILENT_AFTER
    leave = await go(known, "slow.example")
    assert not leave.probe


async def test_what_is_remembered_of_domains_is_bounded() -> None:
    known, _ = make()
    for number in range(destinations.REMEMBERED + 100):
        known.leave(await go(known, f"d{number}.example"), SENT)
    assert len(known._domains) == destinations.REMEMBERED


async def test_a_letter_that_is_called_off_gives_its_place_back() -> None:
    known, _ = make()
    for _ in range(10):
        known.leave(await go(known, "new.example"), None)
    assert not (await go(known, "new.example")).probe


async def test_a_silence_that_no_other_domain_breaks_may_be_the_relays() -> None:
    known, seconds = make()
    known.leave(await go(known, "big.example"), SENT)
    seconds.now += 1
    await go(known, "big.example")
    assert not known.others_spoke_since("big.example")
    seconds.now += 1
    known.leave(await go(known, "small.example"), SENT)
    assert known.others_spoke_since("big.example")
    assert not known.others_spoke_since("small.example")


async def test_a_domain_of_whose_letter_something_was_said_is_slow_and_not_silent() -> None:
    known, seconds = make()
    slow = await go(known, "slow.example")
    for _ in range(3):  # greeting, log-in, recipient
        seconds.now += 0.75 * SILENT_AFTER
        known.hear_about(slow)
    seconds.now += 0.75 * SILENT_AFTER
    assert not (await go(known, "slow.example")).probe
    seconds.now += SILENT_AFTER
    assert (await go(known, "slow.example")).probe, "and then nothing more was said"


async def test_what_is_said_before_a_letter_ends_does_not_make_a_silent_domain_speak() -> None:
    known, seconds = make()
    await go(known, "hole.example")
    seconds.now += SILENT_AFTER
    probe = await go(known, "hole.example")
    assert probe.probe
    known.hear_about(probe)
    assert await known.enter("hole.example") is None


async def test_a_domain_that_took_the_recipient_and_then_hangs_is_in_trouble_all_the_same() -> None:
    known, seconds = make()
    leave = await go(known, "hangs.example")
    known.hear_about(leave)
    seconds.now += SILENT_AFTER
    known.leave(leave, TIMED_OUT)
    assert (await go(known, "hangs.example")).probe
