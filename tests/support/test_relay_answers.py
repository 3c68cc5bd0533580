"""The relay that answers otherwise, not at all, or without end."""

import asyncio

import pytest

from tests.support.raw_client import (
    ENVELOPE,
    MAIL,
    STEPS_OF_A_MAIL,
    all_have_left,
    connected,
    greeted,
    ordered,
    send,
    send_with_tls,
)
from tests.support.relay_on_order import Fault, RelayOnOrder, Step


@pytest.mark.parametrize("step", STEPS_OF_A_MAIL)
async def test_any_code_can_be_answered_at_any_step(step: Step) -> None:
    async with ordered(Fault.reply(step, 451, "4.3.0 try later")) as (relay, _, client):
        assert await client.step(step) == "451 4.3.0 try later\r\n"
        assert len(relay.mails) == (step == "QUIT")


async def test_a_421_closes_the_connection() -> None:
    async with RelayOnOrder() as relay, connected(relay) as client:
        relay.order(Fault.reply("MAIL", 421, "closing"))
        await client.step("EHLO")
        client.writer.write(b"MAIL FROM:<a@shop.test>\r\n")
        assert await client.everything() == b"421 closing\r\n"


async def test_an_order_counts_down_and_the_next_one_follows() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        relay.order(Fault.reply("MAIL", 451, "a"), times=2)
        relay.order(Fault.reply("MAIL", 452, "b"), times=1)
        assert [await client.code("MAIL FROM:<a@shop.test>") for _ in range(4)] == [451, 451, 452, 250]


async def test_an_order_can_be_for_some_recipients_only() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        relay.order(Fault.reply("RCPT", 550, "no such user"), only_for=lambda it: it.endswith("@gone.test"))
        relay.order(Fault.reply("DOT", 451, "later"), only_for=lambda it: it == "slow@user.test")
        assert await client.code("MAIL FROM:<a@shop.test>") == 250
        assert await client.code("RCPT TO:<x@gone.test>") == 550
        assert await client.code("RCPT TO:<b@user.test>") == 250
        assert await client.code("DATA") == 354
        assert await client.code(MAIL + b".\r\n") == 250
        assert relay.mails[0].rcpt_tos == ("b@user.test",)
        assert await client.code("MAIL FROM:<a@shop.test>") == 250
        assert await client.code("RCPT TO:<slow@user.test>") == 250
        assert await client.code("DATA") == 354
        assert await client.code(MAIL + b".\r\n") == 451
        with pytest.raises(ValueError, match="no recipient is known at MAIL"):
            relay.order(Fault.hang("MAIL"), only_for=lambda it: True)


async def test_after_clear_all_is_well() -> None:
    async with RelayOnOrder() as relay:
        relay.order(Fault.reply("MAIL", 451, "later"))
        relay.order(Fault.delay(60))
        relay.clear()
        await asyncio.to_thread(send, relay)
        assert len(relay.mails) == 1


async def test_data_after_a_refused_recipient_is_refused_or_gets_its_354_as_ordered() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        relay.order(Fault.reply("RCPT", 550, "no such user"))
        client.writer.write(ENVELOPE)
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "550", "554"]
        assert await client.code("RSET") == 250
        relay.order(Fault.go_ahead())
        client.writer.write(ENVELOPE)
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "550", "354"]
        assert await client.code(b".\r\n") == 554
        assert relay.mails == []
        assert await client.code("MAIL FROM:<a@shop.test>") == 250


async def test_an_answer_in_the_middle_of_the_body_is_the_only_one() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        relay.order(Fault.reply("BODY", 552, "enough"))
        await client.envelope()
        assert await client.code(b"first bytes\r\n") == 552
        assert await client.code(b"more\r\n.\r\nNOOP\r\n") == 250
        assert relay.mails == []


@pytest.mark.parametrize("step", STEPS_OF_A_MAIL)
async def test_a_drop_closes_in_place_of_the_answer(step: Step) -> None:
    async with ordered(Fault.drop(step)) as (relay, order, client):
        assert await client.step(step) == ""
        await order.reached()
        assert len(relay.mails) == (step == "QUIT")


async def test_a_drop_after_the_dot_may_lose_the_mail_or_only_its_answer() -> None:
    async with RelayOnOrder() as relay:
        for accept in (False, True):
            relay.order(Fault.drop("DOT", accept=accept), times=1)
            async with connected(relay) as client:
                assert await client.step("DOT") == ""
        assert len(relay.mails) == 1


async def test_a_drop_after_the_answer_lets_the_answer_through() -> None:
    async with RelayOnOrder() as relay, connected(relay) as client:
        relay.order(Fault.drop("DOT", after_answer=True))
        assert (await client.step("DOT"))[:3] == "250"
        assert await client.everything() == b""
        assert len(relay.mails) == 1


async def test_a_drop_can_be_a_reset() -> None:
    async with RelayOnOrder() as relay, connected(relay) as client:
        relay.order(Fault.drop("RCPT", reset=True))
        with pytest.raises(ConnectionResetError):
            await client.step("RCPT")


async def test_a_connection_can_be_accepted_and_reset_at_once() -> None:
    async with RelayOnOrder() as relay:
        relay.order(Fault.drop("CONNECT"), times=1)
        with pytest.raises(ConnectionResetError):
            async with connected(relay) as client:
                await client.reply()
        await asyncio.to_thread(send, relay)
        assert relay.connections == 2


async def test_a_drop_in_the_body_leaves_no_mail() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        relay.order(Fault.drop("BODY"))
        await client.envelope()
        client.writer.write(b"first bytes")
        assert await client.everything() == b""
        assert relay.mails == []


@pytest.mark.parametrize("step", STEPS_OF_A_MAIL)
async def test_garbage_comes_in_place_of_the_answer(step: Step) -> None:
    async with ordered(Fault.garbage(step, b"\xff\x00 what?\r\n")) as (relay, _, client):
        assert await client.step(step) == "\xff\x00 what?\r\n"
        assert len(relay.mails) == (step == "QUIT")


async def test_garbage_is_no_yes() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        relay.order(Fault.garbage("MAIL"), times=1)
        await client.say("MAIL FROM:<a@shop.test>")
        assert await client.code("RCPT TO:<b@user.test>") == 503


@pytest.mark.parametrize("step", STEPS_OF_A_MAIL)
@pytest.mark.parametrize("lines", [True, False])
async def test_an_endless_reply_goes_on_until_the_client_closes(step: Step, lines: bool) -> None:
    async with ordered(Fault.endless(step, lines=lines)) as (relay, _, client):
        if step != "BANNER":
            await client.step(STEPS_OF_A_MAIL[STEPS_OF_A_MAIL.index(step) - 1])
        said = {"EHLO": b"EHLO me.test", "RCPT": b"RCPT TO:<b@user.test>", "DOT": MAIL + b"."}
        client.writer.write(
            said.get(step, b"MAIL FROM:<a@shop.test>" if step == "MAIL" else step.encode()) + b"\r\n"
        )
        flood = await client.reader.readexactly(500_000)
        assert flood[3:4] == (b"-" if lines else b" ")
        assert flood.count(b"\n") == (flood.count(b"-and so on\r") if lines else 0)
        client.writer.close()
        await all_have_left(relay)


async def test_a_dripped_reply_comes_byte_by_byte_and_is_complete() -> None:
    async with ordered(Fault.drip("BANNER", 0.001)) as (_, _, client):
        pieces: list[bytes] = []
        while not pieces or pieces[-1] != b"\n":
            pieces.append(await client.reader.read(100))
        assert b"".join(pieces) == b"220 relay.test ESMTP\r\n"
        assert len(pieces) > 5


async def test_starttls_works_after_a_dripped_220() -> None:
    async with RelayOnOrder(tls="starttls") as relay:
        relay.order(Fault.drip("STARTTLS", 0.001))
        await asyncio.to_thread(send_with_tls, relay)
        assert len(relay.mails) == 1
