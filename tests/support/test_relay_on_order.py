"""The relay without orders: that it keeps the protocol, and tells what it saw."""

import asyncio
import smtplib
import time

import pytest

from tests.support.raw_client import ENVELOPE, MAIL, all_have_left, auth_plain, connected, greeted, send
from tests.support.relay_on_order import Offers, RelayOnOrder


async def test_a_mail_arrives_as_it_was_sent() -> None:
    async with RelayOnOrder() as relay:
        before = time.monotonic(), time.time()
        await asyncio.to_thread(send, relay)
        mail = await relay.next_mail()
        assert mail.message == MAIL
        assert (mail.mail_from, mail.rcpt_tos) == ("a@shop.test", ("b@user.test",))
        assert mail.message_id == "<1@shop.test>"
        assert before[0] <= mail.received_at <= time.monotonic()
        assert before[1] <= mail.wall_time <= time.time()
        assert relay.mails == [mail]
        assert [line[:4].upper() for _, line in relay.commands] == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
        await all_have_left(relay)
        assert (relay.connections, relay.most_open) == (1, 1)


async def test_next_mail_gives_each_mail_once_and_says_what_it_saw_when_none_comes() -> None:
    async with RelayOnOrder() as relay:
        for number in range(3):
            await asyncio.to_thread(send, relay, b"Message-ID:\r\n <%d>\r\n\r\n" % number)
        assert [(await relay.next_mail()).message_id for _ in range(3)] == ["<0>", "<1>", "<2>"]
        with pytest.raises(TimeoutError, match="3 mails, 3 connections"):
            await relay.next_mail(within=0.01)


async def test_two_mails_in_one_packet_are_both_accepted() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        client.writer.write(ENVELOPE)
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "250", "354"]
        client.writer.write(MAIL + b".\r\n" + ENVELOPE)
        assert [(await client.reply())[:3] for _ in range(4)] == ["250", "250", "250", "354"]
        assert await client.code(b".\r\n") == 250
        assert [mail.message for mail in relay.mails] == [MAIL.replace(b"\n..", b"\n."), b""]
        assert relay.early_talk == []


async def test_a_dot_between_bare_line_feeds_does_not_end_a_mail() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        await client.envelope()
        assert await client.code(b"a\n.\nMAIL FROM:<x@y>\n.\r\nb\r\n.\r\n") == 250
        assert relay.mails[0].message == b"a\n.\nMAIL FROM:<x@y>\n.\r\nb\r\n"


async def test_a_mail_whose_sender_is_killed_after_the_dot_is_accepted() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        await client.envelope()
        client.writer.write(MAIL + b".\r\n")
        client.writer.close()
        assert (await relay.next_mail()).message_id == "<1@shop.test>"


async def test_a_mail_whose_sender_is_killed_before_the_dot_is_not_accepted() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        await client.envelope()
        client.writer.write(MAIL)
        client.writer.close()
        await all_have_left(relay)
        assert relay.mails == []


async def test_what_is_offered_can_be_chosen() -> None:
    async with RelayOnOrder(offers=Offers(pipelining=False, size=None)) as relay, greeted(relay) as client:
        assert await client.say("EHLO me.test") == "250-relay.test\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
        relay.offers = Offers(pipelining=True, eightbitmime=False, smtputf8=False, size=1000)
        assert await client.say("EHLO me.test") == "250-relay.test\r\n250-PIPELINING\r\n250 SIZE 1000\r\n"
        assert await client.code("MAIL FROM:<a@shop.test> SIZE=1001") == 552
        assert await client.code("MAIL FROM:<a@shop.test> BODY=8BITMIME") == 555
        assert await client.code("MAIL FROM:<a@shop.test> SMTPUTF8") == 555
        assert await client.code("MAIL FROM:<jürgen@shop.test>") == 553


async def test_a_non_ascii_address_is_accepted_with_smtputf8() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        assert await client.code("MAIL FROM:<a@shop.test> SMTPUTF8 BODY=8BITMIME SIZE=9") == 250
        assert await client.code("RCPT TO:<jürgen@user.test>") == 250
        assert await client.code("DATA") == 354
        assert await client.code(b".\r\n") == 250
        assert relay.mails[0].rcpt_tos == ("jürgen@user.test",)


async def test_a_mail_over_the_size_is_refused_after_the_dot() -> None:
    async with RelayOnOrder(offers=Offers(size=10)) as relay, greeted(relay) as client:
        await client.envelope()
        assert await client.code(MAIL + b".\r\n") == 552
        assert relay.mails == []


async def test_commands_out_of_order_are_refused() -> None:
    async with RelayOnOrder() as relay, connected(relay) as client:
        await client.reply()
        assert await client.code("MAIL FROM:<a@shop.test>") == 503
        assert await client.code("EHLO me.test") == 250
        assert await client.code("RCPT TO:<b@user.test>") == 503
        assert await client.code("RSET") == 250
        assert await client.code("DATA") == 503
        assert await client.code("STARTTLS") == 503
        assert await client.code("AUTH PLAIN AGEAYg==") == 503
        assert await client.code("MAIL FROM:<a@shop.test>") == 250
        assert await client.code("MAIL FROM:<a@shop.test>") == 503
        assert await client.code("FLY") == 500
        assert await client.code("NOOP") == 250


async def test_talk_before_its_turn_is_noted() -> None:
    async with RelayOnOrder(offers=Offers(pipelining=False)) as relay, greeted(relay) as client:
        client.writer.write(ENVELOPE)
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "250", "354"]
        assert relay.early_talk == [(1, "MAIL"), (1, "RCPT")]


async def test_right_credentials_are_accepted_and_wrong_ones_get_535() -> None:
    async with RelayOnOrder(credentials=("shop", "s3:cret")) as relay, greeted(relay) as client:
        assert relay.url == f"smtp://shop:s3%3Acret@127.0.0.1:{relay.port}?tls=none"
        assert "AUTH PLAIN LOGIN" in await client.say("EHLO me.test")
        assert await client.code("MAIL FROM:<a@shop.test>") == 530
        assert await client.code(auth_plain("shop", "wrong")) == 535
        assert await client.code("AUTH CRAM-MD5") == 504
        assert await client.code("AUTH PLAIN ?") == 501
        assert await client.code(auth_plain("shop", "s3:cret")) == 235
        assert await client.code("MAIL FROM:<a@shop.test>") == 250


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_smtplib_logs_in(mechanism: str) -> None:
    def log_in() -> int:
        with smtplib.SMTP(relay.host, relay.port, local_hostname="me.test", timeout=10) as client:
            return client.login("shop", "secret")[0]

    async with RelayOnOrder(credentials=("shop", "secret"), offers=Offers(auth=(mechanism,))) as relay:
        assert await asyncio.to_thread(log_in) == 235
