"""The relay that makes its client wait: for ever, until a gate opens, or for a time."""

import asyncio
import time

import pytest

from tests.support.raw_client import (
    GIVES_UP_AFTER,
    MAIL,
    STEPS_OF_A_MAIL,
    all_have_left,
    auth_plain,
    connected,
    gives_up,
    greeted,
    ordered,
    send,
)
from tests.support.relay_on_order import Fault, RelayOnOrder, Step


@pytest.mark.parametrize("step", STEPS_OF_A_MAIL)
async def test_a_hang_leaves_the_client_waiting(step: Step) -> None:
    async with ordered(Fault.hang(step)) as (relay, order, client):
        talk = asyncio.create_task(client.step(step))
        await order.reached()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(talk, GIVES_UP_AFTER)
        assert relay.open_connections == 1
        client.writer.close()
        await all_have_left(relay)
        assert len(relay.mails) == (step == "QUIT")


@pytest.mark.parametrize(
    "fault", [Fault.hang("AUTH"), Fault.hang("STARTTLS"), Fault.hang("RSET"), Fault.hang("NOOP")]
)
async def test_a_hang_at_steps_beside_a_mail_leaves_the_client_waiting(fault: Fault) -> None:
    starttls = fault.step == "STARTTLS"
    async with (
        RelayOnOrder(
            tls="starttls" if starttls else "none", credentials=None if starttls else ("shop", "secret")
        ) as relay,
        greeted(relay) as client,
    ):
        order = relay.order(fault)
        line = auth_plain("shop", "secret") if fault.step == "AUTH" else str(fault.step)
        client.writer.write(line.encode() + b"\r\n")
        await order.reached()
        await gives_up(client)
        await all_have_left(relay)


async def test_a_hang_in_the_body_stops_reading() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        order = relay.order(Fault.hang("BODY"))
        await client.envelope()
        client.writer.write(b"x" * 20_000_000)
        await order.reached()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.writer.drain(), GIVES_UP_AFTER)


async def test_a_hang_in_the_body_ends_when_the_client_leaves() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        order = relay.order(Fault.hang("BODY"))
        await client.envelope()
        client.writer.write(MAIL + b".\r\n")
        await order.reached()
        await gives_up(client)
        await all_have_left(relay)
        assert relay.mails == []


async def test_a_mail_may_be_accepted_although_its_answer_hangs() -> None:
    async with RelayOnOrder() as relay, connected(relay) as client:
        relay.order(Fault.hang("DOT", accept=True))
        talk = asyncio.create_task(client.step("DOT"))
        assert (await relay.next_mail()).message_id == "<1@shop.test>"
        talk.cancel()


async def test_a_hang_that_is_released_goes_on() -> None:
    async with RelayOnOrder() as relay, connected(relay) as client:
        order = relay.order(Fault.hang("RCPT"))
        talk = asyncio.create_task(client.step("DOT"))
        await order.reached()
        order.release()
        assert (await talk)[:3] == "250"


@pytest.mark.parametrize("step", STEPS_OF_A_MAIL)
async def test_a_held_step_goes_on_when_it_is_released(step: Step) -> None:
    async with ordered(Fault.hold(step)) as (_, gate, client):
        talk = asyncio.create_task(client.step(step))
        await gate.reached()
        assert not talk.done()
        gate.release()
        assert (await talk)[0] in "23"
        assert gate.struck == 1


async def test_a_held_body_is_read_after_the_release() -> None:
    async with RelayOnOrder() as relay, connected(relay) as client:
        gate = relay.order(Fault.hold("BODY"))
        talk = asyncio.create_task(client.step("DOT"))
        await gate.reached()
        gate.release()
        assert (await talk)[:3] == "250"


async def test_a_mail_held_after_the_dot_is_recorded_after_the_gate_or_before_it() -> None:
    async with RelayOnOrder() as relay:
        for accept in (False, True):
            gate = relay.order(Fault.hold("DOT", accept=accept))
            sending = asyncio.create_task(asyncio.to_thread(send, relay))
            await gate.reached()
            assert relay.accepted == (2 if accept else 0)
            gate.release()
            await sending
            await relay.next_mail()


async def test_a_mail_held_after_the_dot_is_accepted_although_its_sender_has_been_killed() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        gate = relay.order(Fault.hold("DOT"))
        await client.envelope()
        client.writer.write(MAIL + b".\r\n")
        await gate.reached()
        client.writer.transport.abort()
        gate.release()
        assert (await relay.next_mail()).message_id == "<1@shop.test>"


async def test_a_delay_is_kept_at_one_step() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        relay.order(Fault.delay(0.05, "RCPT"))
        started = time.monotonic()
        await client.code("MAIL FROM:<a@shop.test>")
        await client.code("RCPT TO:<b@user.test>")
        assert time.monotonic() - started >= 0.05


async def test_a_delay_is_kept_at_every_reply() -> None:
    async with RelayOnOrder() as relay:
        delay = relay.order(Fault.delay(0.01))
        started = time.monotonic()
        await asyncio.to_thread(send, relay)
        assert time.monotonic() - started >= 0.07
        assert delay.struck == len(STEPS_OF_A_MAIL)


async def test_a_rate_holds_for_all_connections_together() -> None:
    async with RelayOnOrder() as relay:
        relay.order(Fault.rate(per_second=50))
        started = time.monotonic()
        await asyncio.gather(*(asyncio.to_thread(send, relay) for _ in range(4)))
        assert relay.mails[3].received_at - started >= 0.06
