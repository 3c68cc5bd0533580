"""The misbehaving relay itself: that it keeps the protocol when it should, and breaks it exactly as ordered."""

import asyncio
import base64
import json
import smtplib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.certificates import CertificateKind
from tests.support.relay_on_order import Fault, Offers, Order, RelayOnOrder, Step, client_context

MAIL = b"From: a@shop.test\r\nTo: b@user.test\r\nMessage-ID: <1@shop.test>\r\n\r\nHello\r\n..two dots\r\n"
ENVELOPE = b"MAIL FROM:<a@shop.test>\r\nRCPT TO:<b@user.test>\r\nDATA\r\n"
STEPS_OF_A_MAIL: tuple[Step, ...] = ("BANNER", "EHLO", "MAIL", "RCPT", "DATA", "DOT", "QUIT")
GIVES_UP_AFTER = 0.05


class Client:
    """A client that says what it is told, step by step; every reply has ten seconds."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def reply(self) -> str:
        async with asyncio.timeout(10):
            lines = [await self.reader.readline()]
            while lines[-1][3:4] == b"-":
                lines.append(await self.reader.readline())
        return b"".join(lines).decode("latin-1")

    async def say(self, line: str | bytes) -> str:
        self.writer.write(line.encode() + b"\r\n" if isinstance(line, str) else line)
        return await self.reply()

    async def code(self, line: str | bytes) -> int:
        return int((await self.say(line))[:3])

    async def everything(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.read()

    async def envelope(self) -> int:
        assert await self.code("MAIL FROM:<a@shop.test>") == 250
        assert await self.code("RCPT TO:<b@user.test>") == 250
        return await self.code("DATA")

    async def step(self, step: Step) -> str:
        """All steps up to this one; gives its reply."""
        said: dict[Step, str | bytes] = {
            "BANNER": b"",
            "EHLO": "EHLO me.test",
            "MAIL": "MAIL FROM:<a@shop.test>",
            "RCPT": "RCPT TO:<b@user.test>",
            "DATA": "DATA",
            "DOT": MAIL + b".\r\n",
            "QUIT": "QUIT",
        }
        for at in STEPS_OF_A_MAIL[: STEPS_OF_A_MAIL.index(step)]:
            assert (await self.say(said[at]))[0] in "23"
        return await self.say(said[step])


@asynccontextmanager
async def connected(relay: RelayOnOrder) -> AsyncIterator[Client]:
    context = client_context() if relay.tls == "implicit" else None
    reader, writer = await asyncio.open_connection(relay.host, relay.port, ssl=context)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def greeted(relay: RelayOnOrder) -> AsyncIterator[Client]:
    async with connected(relay) as client:
        assert (await client.reply())[:3] == "220"
        assert (await client.say("EHLO me.test"))[:3] == "250"
        yield client


@asynccontextmanager
async def ordered(fault: Fault) -> AsyncIterator[tuple[RelayOnOrder, Order, Client]]:
    """A client of a relay that got its order first: before the banner, that is."""
    async with RelayOnOrder() as relay:
        order = relay.order(fault)
        async with connected(relay) as client:
            yield relay, order, client


def send(relay: RelayOnOrder, message: bytes = MAIL) -> None:
    with smtplib.SMTP(relay.host, relay.port, local_hostname="me.test", timeout=10) as client:
        client.sendmail("a@shop.test", ["b@user.test"], message)


async def gives_up(client: Client) -> None:
    """Waits in vain for a reply, as long as this client's patience lasts."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(GIVES_UP_AFTER):
            await client.reader.read(1)
    client.writer.close()


async def all_have_left(relay: RelayOnOrder) -> None:
    await relay.until(lambda: relay.open_connections == 0)


# Well-behaved.


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


@pytest.mark.parametrize("cut", range(1, len(b"x\r\n..y\r\n.z\r\n.\r\n")))
async def test_a_body_is_read_rightly_wherever_packets_end(cut: int) -> None:
    body = b"x\r\n..y\r\n.z\r\n.\r\n"
    async with RelayOnOrder() as relay, greeted(relay) as client:
        await client.envelope()
        client.writer.write(body[:cut])
        await asyncio.sleep(0)
        assert await client.code(body[cut:]) == 250
        assert relay.mails[0].message == b"x\r\n.y\r\nz\r\n"


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


# AUTH.


def _plain(user: str, password: str) -> str:
    return "AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode()


async def test_right_credentials_are_accepted_and_wrong_ones_get_535() -> None:
    async with RelayOnOrder(credentials=("shop", "s3:cret")) as relay, greeted(relay) as client:
        assert relay.url == f"smtp://shop:s3%3Acret@127.0.0.1:{relay.port}?tls=none"
        assert "AUTH PLAIN LOGIN" in await client.say("EHLO me.test")
        assert await client.code("MAIL FROM:<a@shop.test>") == 530
        assert await client.code(_plain("shop", "wrong")) == 535
        assert await client.code("AUTH CRAM-MD5") == 504
        assert await client.code("AUTH PLAIN ?") == 501
        assert await client.code(_plain("shop", "s3:cret")) == 235
        assert await client.code("MAIL FROM:<a@shop.test>") == 250


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_smtplib_logs_in(mechanism: str) -> None:
    def log_in() -> int:
        with smtplib.SMTP(relay.host, relay.port, local_hostname="me.test", timeout=10) as client:
            return client.login("shop", "secret")[0]

    async with RelayOnOrder(credentials=("shop", "secret"), offers=Offers(auth=(mechanism,))) as relay:
        assert await asyncio.to_thread(log_in) == 235


# TLS.


def send_with_tls(relay: RelayOnOrder) -> None:
    context = ssl.create_default_context(cafile=relay.ca_file)
    if relay.tls == "implicit":
        client: smtplib.SMTP = smtplib.SMTP_SSL(
            relay.host, relay.port, local_hostname="me.test", timeout=10, context=context
        )
    else:
        client = smtplib.SMTP(relay.host, relay.port, local_hostname="me.test", timeout=10)
    with client:
        if relay.tls == "starttls":
            client.starttls(context=context)
        client.sendmail("a@shop.test", ["b@user.test"], MAIL)


async def test_a_mail_arrives_by_starttls() -> None:
    async with RelayOnOrder(tls="starttls") as relay:
        assert relay.url == f"smtp://127.0.0.1:{relay.port}"
        await asyncio.to_thread(send_with_tls, relay)
        assert (await relay.next_mail()).message == MAIL
        assert [line for _, line in relay.commands].count("STARTTLS") == 1


async def test_a_mail_arrives_by_implicit_tls() -> None:
    async with RelayOnOrder(tls="implicit") as relay:
        assert relay.url == f"smtps://127.0.0.1:{relay.port}"
        await asyncio.to_thread(send_with_tls, relay)
        assert (await relay.next_mail()).message == MAIL


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize(
    ("certificate", "complaint"),
    [("expired", "expired"), ("wrong name", "mismatch"), ("unknown CA", "unable to get local issuer")],
)
async def test_a_bad_certificate_is_noticed_and_a_renewed_one_is_good(
    tls: str, certificate: CertificateKind, complaint: str
) -> None:
    async with RelayOnOrder(
        tls="implicit" if tls == "implicit" else "starttls", certificate=certificate
    ) as relay:
        with pytest.raises(ssl.SSLCertVerificationError, match=complaint):
            await asyncio.to_thread(send_with_tls, relay)
        await all_have_left(relay)
        relay.certificate = "good"
        await asyncio.to_thread(send_with_tls, relay)
        assert len(relay.mails) == 1


async def test_credentials_are_asked_for_inside_tls_only() -> None:
    async with (
        RelayOnOrder(tls="starttls", credentials=("shop", "secret")) as relay,
        greeted(relay) as client,
    ):
        assert "AUTH" not in await client.say("EHLO me.test")
        assert await client.code("STARTTLS") == 220
        await client.writer.start_tls(client_context(), server_hostname="127.0.0.1")
        hello = await client.say("EHLO me.test")
        assert "AUTH" in hello
        assert "STARTTLS" not in hello


async def test_what_was_said_before_the_handshake_is_forgotten_after_it() -> None:
    async with RelayOnOrder(tls="starttls") as relay, greeted(relay) as client:
        client.writer.write(b"STARTTLS\r\nNOOP\r\n")
        assert (await client.reply())[:3] == "220"
        await client.writer.start_tls(client_context(), server_hostname="127.0.0.1")
        assert await client.code("MAIL FROM:<a@shop.test>") == 503
        assert (1, "NOOP") not in relay.commands
        assert relay.early_talk == [(1, "STARTTLS")]


async def test_garbage_after_starttls_stands_before_the_handshake() -> None:
    async with RelayOnOrder(tls="starttls") as relay, greeted(relay) as client:
        relay.order(Fault.garbage_after_starttls(b"250 injected\r\n"))
        assert await client.code("STARTTLS") == 220
        assert await client.reply() == "250 injected\r\n"
        await client.writer.start_tls(client_context(), server_hostname="127.0.0.1")
        assert await client.code("EHLO me.test") == 250


async def test_a_client_that_takes_garbage_after_starttls_for_tls_trips_over_it() -> None:
    async with RelayOnOrder(tls="starttls") as relay, greeted(relay) as client:
        relay.order(Fault.garbage_after_starttls())
        client.writer.write(b"STARTTLS\r\n")
        assert (await client.reader.readexactly(4)) == b"220 "
        await client.reader.readline()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        incoming.write(await client.reader.readline())
        with pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"):
            client_context().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1").do_handshake()


@pytest.mark.parametrize("fault", [Fault.garbage("HANDSHAKE"), Fault.drop("HANDSHAKE")])
async def test_a_broken_handshake_is_an_error_at_the_client(fault: Fault) -> None:
    async with RelayOnOrder(tls="implicit") as relay:
        relay.order(fault)
        with pytest.raises(OSError, match=r"SSL|UNEXPECTED_EOF|reset"):
            await asyncio.to_thread(send_with_tls, relay)
        await all_have_left(relay)


async def test_a_handshake_that_hangs_ends_with_the_clients_patience() -> None:
    async with RelayOnOrder(tls="implicit") as relay:
        order = relay.order(Fault.hang("HANDSHAKE"))
        client = asyncio.create_task(
            asyncio.open_connection(relay.host, relay.port, ssl=client_context(), ssl_handshake_timeout=0.1)
        )
        await order.reached()
        with pytest.raises(ConnectionAbortedError, match="handshake"):
            await client
        await all_have_left(relay)


async def test_a_held_handshake_goes_on_when_it_is_released() -> None:
    async with RelayOnOrder(tls="implicit") as relay:
        gate = relay.order(Fault.hold("HANDSHAKE"))
        sending = asyncio.create_task(asyncio.to_thread(send_with_tls, relay))
        await gate.reached()
        gate.release()
        await sending
        assert len(relay.mails) == 1


# Hang and hold.


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
        line = _plain("shop", "secret") if fault.step == "AUTH" else str(fault.step)
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


# Other answers.


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


# Drops.


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


# No SMTP at all.


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


# Slow.


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
        await asyncio.gather(*(asyncio.to_thread(send, relay) for _ in range(4)))
        times = [mail.received_at for mail in relay.mails]
        assert times[3] - times[0] >= 0.055


# At the door.


async def refused(relay: RelayOnOrder) -> bool:
    try:
        _, writer = await asyncio.open_connection(relay.host, relay.port)
    except ConnectionRefusedError:
        return True
    writer.transport.abort()
    return False


async def test_a_stopped_relay_cuts_off_refuses_and_comes_back_on_its_port() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        port = relay.port
        await relay.stop()
        assert await client.everything() == b""
        assert relay.open_connections == 0
        assert await refused(relay)
        await relay.start()
        assert relay.port == port
        await asyncio.to_thread(send, relay)
        assert len(relay.mails) == 1


async def test_a_relay_that_refuses_keeps_the_connections_it_has() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        relay.order(Fault.refuse())
        assert await refused(relay)
        assert await client.code("NOOP") == 250
        relay.clear()
        assert not await refused(relay)


async def test_a_hang_at_connect_leaves_syn_unanswered() -> None:
    async with RelayOnOrder() as relay:
        order = relay.order(Fault.hang("CONNECT"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(GIVES_UP_AFTER):
                await asyncio.open_connection(relay.host, relay.port)
        assert relay.connections == 0
        order.withdraw()
        await asyncio.to_thread(send, relay)


async def test_the_port_of_a_stopped_relay_is_kept_for_it() -> None:
    async with RelayOnOrder() as relay:
        await relay.stop()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((relay.host, relay.port))


async def test_faults_that_cannot_happen_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot happen at CONNECT"):
        Fault.reply("CONNECT", 421, "no")
    with pytest.raises(ValueError, match="cannot happen at BODY"):
        Fault.drip("BODY", 1)
    async with RelayOnOrder() as relay:
        with pytest.raises(ValueError, match="cannot be counted"):
            relay.order(Fault.refuse(), times=1)


# The ledger.


async def test_a_mail_is_in_the_ledger_before_its_250(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    async with RelayOnOrder(ledger=ledger) as relay, connected(relay) as client:
        relay.order(Fault.hang("DOT", accept=True), times=1)
        talk = asyncio.create_task(client.step("DOT"))
        mail = await relay.next_mail()
        assert json.loads(ledger.read_text()) == {
            "message_id": "<1@shop.test>",
            "mail_from": "a@shop.test",
            "rcpt_tos": ["b@user.test"],
            "wall_time": mail.wall_time,
            "connection": 1,
            "size": len(mail.message),
        }
        talk.cancel()
    async with RelayOnOrder(ledger=ledger) as relay:
        await asyncio.gather(*(asyncio.to_thread(send, relay) for _ in range(10)))
        assert len(ledger.read_text().splitlines()) == 11
