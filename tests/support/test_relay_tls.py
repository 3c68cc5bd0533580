"""The relay's TLS: good, with bad certificates, and broken on order."""

import asyncio
import ssl

import pytest

from tests.support.certificates import CertificateKind
from tests.support.raw_client import MAIL, all_have_left, greeted, send_with_tls
from tests.support.relay_on_order import Fault, RelayOnOrder, client_context


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
