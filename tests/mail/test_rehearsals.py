"""Letters that must not leave: all the work of handing them over, and the relay hears nothing of them."""

import asyncio
import os

import pytest

from resetsvc.relay import understudy
from resetsvc.relay.conversation import Envelope, Pace
from resetsvc.relay.understudy import Understudy
from resetsvc.relay.verdict import Verdict
from tests.mail.senders import SOON, HandTime, all_lanes_open, commands, letter, sending_to
from tests.support.relay_on_order import Fault, Offers, RelayOnOrder
from tests.unit.test_conversation_replies import MAIL, Wire, conversation


async def rehearsed(take: Understudy, envelope: Envelope = MAIL) -> None:
    async with asyncio.timeout(SOON):
        await take.take(lambda: envelope)


def understudy_that_took(*paces: Pace) -> Understudy:
    taking = Understudy(lambda: 0.0)
    for pace in paces:
        taking.learn(pace)
    return taking


async def test_the_relay_hears_a_greeting_and_nothing_of_the_letter() -> None:
    async with RelayOnOrder() as relay, sending_to(relay) as sender:
        composed = 0

        def compose() -> Envelope:
            nonlocal composed
            composed += 1
            return letter()

        for _ in range(3):
            await sender.outbox.rehearse(compose)
        assert composed == 3
        assert commands(relay) == ["EHLO"]
        assert relay.mails == []


async def test_the_next_letter_finds_the_lane_that_a_rehearsal_opened() -> None:
    async with RelayOnOrder() as relay, sending_to(relay) as sender:
        await sender.outbox.rehearse(letter)
        assert sender.open_lanes == [1]
        assert (await sender.send()).verdict is Verdict.SENT
        assert relay.connections == 1


async def test_a_rehearsal_takes_no_lane_that_a_letter_waits_for() -> None:
    async with RelayOnOrder() as relay, sending_to(relay, connections=1) as sender:
        held = relay.order(Fault.hold("DOT"))
        sending = sender.begin()
        await held.reached(1)
        async with asyncio.timeout(SOON):
            await sender.outbox.rehearse(letter)
        held.release()
        assert (await sending).verdict is Verdict.SENT
        assert relay.connections == 1


async def test_without_a_relay_that_answers_nothing_is_rehearsed() -> None:
    async with RelayOnOrder() as relay, sending_to(relay, probe_pauses=(60.0,)) as sender:
        await relay.stop()
        await sender.outbox.rehearse(letter)  # finds out
        assert sender.up == [False]

        def compose() -> Envelope:
            raise AssertionError("composed for nobody, and no relay that it could be handed to")

        await sender.outbox.rehearse(compose)


async def test_a_rehearsal_does_not_keep_an_idle_lane_from_being_closed() -> None:
    """Only letters prove that a lane is alive: one that a firewall forgot would cost the next letter a time-out."""
    time = HandTime()
    async with RelayOnOrder() as relay, sending_to(relay, clock=time.clock) as sender:
        await all_lanes_open(relay, sender, 1)
        for _ in range(5):
            time.seconds += 5
            await sender.outbox.rehearse(letter)
        await sender.outbox.tend()
        await relay.until(lambda: relay.open_connections == 0)


@pytest.mark.parametrize("pipelining", [True, False])
async def test_the_session_with_nobody_has_the_bytes_of_one_with_a_relay(
    pipelining: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = (
        [b"250 ok\r\n250 ok\r\n354 go\r\n"] if pipelining else [b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"]
    )
    real = Wire(*three, b"250 taken\r\n")
    assert (await conversation(real, pipelining=pipelining).hand_over(MAIL, lambda: True)).code == 250

    heard = b""

    class Listening(understudy._Rehearsal):
        def _write(self, data: bytes) -> None:
            nonlocal heard
            heard += data
            super()._write(data)

    monkeypatch.setattr(understudy, "_Rehearsal", Listening)
    taking = understudy_that_took(Pace(pipelining=pipelining))
    await rehearsed(taking)
    taking.close()
    assert heard == real.written


@pytest.mark.parametrize("pipelining", [True, False])
async def test_nobody_takes_as_long_to_answer_as_the_relay_did(pipelining: bool) -> None:
    taking = understudy_that_took(Pace(0.02, 0.01, 0.01, 0.03, pipelining))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await rehearsed(taking)
    assert loop.time() - began >= 0.065  # timers may be a millisecond early
    taking.close()


async def test_a_relay_that_once_took_for_ever_is_not_imitated_in_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(understudy, "LONGEST", 0.01)
    taking = understudy_that_took(Pace(body=100_000.0))
    await rehearsed(taking)
    taking.close()


async def test_the_pace_of_real_letters_is_learned() -> None:
    async with RelayOnOrder(offers=Offers(pipelining=False)) as relay, sending_to(relay) as sender:
        held = relay.order(Fault.hold("DOT"))
        sending = sender.begin()
        await held.reached(1)
        asyncio.get_running_loop().call_later(0.05, held.release)
        assert (await sending).verdict is Verdict.SENT
        loop = asyncio.get_running_loop()
        began = loop.time()
        await sender.outbox.rehearse(letter)
        assert loop.time() - began >= 0.045


async def test_a_session_goes_on_when_the_relay_turns_to_pipelining_or_away_from_it() -> None:
    taking = Understudy(lambda: 0.999)  # the last one learned
    for pipelining in (True, False, True, True, False):
        taking.learn(Pace(pipelining=pipelining))
        await rehearsed(taking)
    taking.close()


@pytest.mark.parametrize("octets", [0, 1, 7_000, 70_000, 3_000_000])
async def test_letters_of_any_size_come_to_an_end(octets: int) -> None:
    taking = understudy_that_took()
    for _ in range(3):
        await rehearsed(taking, Envelope("a@shop.test", "b@user.test", b"x" * octets))
    taking.close()


async def test_an_error_in_composing_comes_out_and_does_no_harm_to_the_next() -> None:
    taking = understudy_that_took()

    def compose() -> Envelope:
        raise ValueError("no such template")

    for _ in range(3):
        with pytest.raises(ValueError, match="no such template"):
            await taking.take(compose)
    await rehearsed(taking)
    taking.close()


async def test_many_at_once_leave_nothing_open_behind_them() -> None:
    before = len(os.listdir("/proc/self/fd"))
    taking = understudy_that_took(Pace(body=0.005))
    await asyncio.gather(*(rehearsed(taking) for _ in range(20)))
    given_up = [asyncio.create_task(rehearsed(taking)) for _ in range(5)]
    await asyncio.sleep(0)
    for task in given_up:
        task.cancel()
    await asyncio.gather(*given_up, return_exceptions=True)
    taking.close()
    await rehearsed(taking)  # one that was under way when all was closed
    for _ in range(3):
        await asyncio.sleep(0)  # transports close at the next turn
    assert len(os.listdir("/proc/self/fd")) == before
