"""What leaves is what arrives: every byte of the body, one recipient, one sender."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resetsvc.relay.verdict import Verdict
from tests.mail.senders import IMPATIENT, MAIL, letter, sending_to
from tests.mail.test_replies import both_ways
from tests.support.relay_on_order import Fault, Offers, RelayOnOrder

HEAD = b"Subject: x\r\n\r\n"
BODIES = {
    "a dot alone on its line": HEAD + b"before\r\n.\r\nafter\r\n",
    "the end of a mail, and commands": HEAD
    + b".\r\nMAIL FROM:<x@evil.test>\r\nRCPT TO:<y@evil.test>\r\nDATA\r\n",
    "dots at the beginnings of lines": HEAD + b".one\r\n..two\r\n...three\r\n",
    "a dot first of all": b".first\r\n",
    "a dot and nothing else": b".\r\n",
    "a dot at the very end": HEAD + b"the end\r\n.\r\n",
    "nothing": b"",
    "empty lines": b"\r\n\r\n\r\n",
    "no line end at the end": HEAD + b"the end",
    "a bare carriage return at the end": HEAD + b"the end\r",
    "a dot between bare line feeds": HEAD + b"a\n.\nb\r\n",
    "all bytes": HEAD + bytes(byte for byte in range(256) if byte not in b"\r\n") + b"\r\n",
    "a long line": HEAD + b"x" * 70_000 + b"\r\n",
}


@both_ways
@pytest.mark.parametrize("kind", BODIES)
async def test_a_body_arrives_as_it_left(kind: str, pipelining: bool) -> None:
    body = BODIES[kind]
    async with RelayOnOrder(offers=Offers(pipelining=pipelining)) as relay, sending_to(relay) as sender:
        assert (await sender.send(letter(body=body))).verdict is Verdict.SENT
        assert (await sender.send()).verdict is Verdict.SENT
        expected = body if body.endswith(b"\r\n") else body + b"\r\n"
        assert [mail.message for mail in relay.mails] == [expected, MAIL]
        assert relay.connections == 1


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.lists(st.sampled_from([b".", b"..", b"\r\n", b"a", b"\r", b"\n", b"QUIT"]), max_size=12).map(b"".join)
)
def test_any_mix_of_dots_and_line_ends_arrives_as_it_left(body: bytes) -> None:
    async def send_it() -> None:
        async with RelayOnOrder() as relay, sending_to(relay) as sender:
            assert (await sender.send(letter(body=body + b"\r\n"))).verdict is Verdict.SENT
            assert [mail.message for mail in relay.mails] == [body + b"\r\n"]

    asyncio.run(send_it())


@both_ways
async def test_there_is_one_recipient_and_one_sender_on_the_wire(pipelining: bool) -> None:
    async with RelayOnOrder(offers=Offers(pipelining=pipelining)) as relay, sending_to(relay) as sender:
        assert (await sender.send()).verdict is Verdict.SENT
    lines = [line for _, line in relay.commands if not line.startswith("EHLO")]
    assert lines == ["MAIL FROM:<no-reply@shop.test>", "RCPT TO:<ann@user.test>", "DATA", "QUIT"]


async def test_a_relay_that_does_not_offer_pipelining_is_asked_one_thing_at_a_time() -> None:
    async with RelayOnOrder(offers=Offers(pipelining=False)) as relay, sending_to(relay) as sender:
        for _ in range(2):
            assert (await sender.send()).verdict is Verdict.SENT
        relay.order(Fault.reply("RCPT", 550, "no such user"))
        assert (await sender.send()).verdict is Verdict.FAILED
        assert [line for _, line in relay.commands][-2:] == ["RCPT TO:<ann@user.test>", "RSET"]
    assert relay.early_talk == []


async def test_a_relay_that_offers_pipelining_hears_nothing_before_its_turn() -> None:
    async with RelayOnOrder() as relay, sending_to(relay) as sender:
        for _ in range(2):
            assert (await sender.send()).verdict is Verdict.SENT
    assert relay.early_talk == []


async def test_an_address_beyond_ascii_goes_with_smtputf8() -> None:
    async with RelayOnOrder() as relay, sending_to(relay) as sender:
        assert (await sender.send(letter("änn@user.test", utf8=True))).verdict is Verdict.SENT
        assert relay.mails[0].rcpt_tos == ("änn@user.test",)
        assert "MAIL FROM:<no-reply@shop.test> SMTPUTF8" in [line for _, line in relay.commands]
        assert (await sender.send()).verdict is Verdict.SENT
        assert [line for _, line in relay.commands][-3] == "MAIL FROM:<no-reply@shop.test>"


async def test_an_address_beyond_ascii_is_refused_where_smtputf8_is_not_offered() -> None:
    """Nothing is said to the relay, and the lane takes the next letter."""
    async with RelayOnOrder(offers=Offers(smtputf8=False)) as relay, sending_to(relay) as sender:
        attempt = await sender.send(letter("änn@user.test", utf8=True))
        assert (attempt.verdict, attempt.code) == (Verdict.FAILED, None)
        assert [line.split()[0] for _, line in relay.commands] == ["EHLO"]
        assert (await sender.send()).verdict is Verdict.SENT
        assert relay.connections == 1


async def test_a_big_body_reaches_a_slow_reader_whole() -> None:
    body = HEAD + b"0123456789abcdef\r\n" * 400_000
    async with RelayOnOrder(offers=Offers(size=None)) as relay, sending_to(relay) as sender:
        slow = relay.order(Fault.hold("BODY"))
        sending = sender.begin(letter(body=body))
        await slow.reached()
        assert not sending.done()
        slow.release()
        assert (await sending).verdict is Verdict.SENT
        assert relay.mails[0].message == body


async def test_a_relay_that_stops_reading_a_big_body_is_given_up_in_time() -> None:
    body = HEAD + b"0123456789abcdef\r\n" * 400_000
    async with (
        RelayOnOrder(offers=Offers(size=None)) as relay,
        sending_to(relay, timeout=IMPATIENT) as sender,
    ):
        stuck = relay.order(Fault.hang("BODY"))
        attempt = await sender.send(letter(body=body))
        assert (attempt.verdict, attempt.reply) == (Verdict.RETRY, "the relay stopped reading (at body)")
        assert sender.open_lanes == [0]
        stuck.release()  # what the kernel had taken comes through: a part, without the dot
        await relay.until(lambda: relay.open_connections == 0)
        assert relay.mails == []
