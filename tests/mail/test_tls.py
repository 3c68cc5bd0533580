"""Where TLS is asked for, nothing goes out without it: no letter, no log-in, whatever the relay or somebody on the way does."""

import pytest

from resetsvc.relay.verdict import Verdict
from tests.mail.senders import IMPATIENT, commands, sending_to
from tests.mail.test_replies import LOGGED_IN
from tests.support.certificates import CertificateKind
from tests.support.relay_on_order import Fault, RelayOnOrder, Tls

both_kinds = pytest.mark.parametrize("tls", ["starttls", "implicit"])


@both_kinds
async def test_a_letter_goes_out_inside_tls(tls: Tls) -> None:
    async with RelayOnOrder(tls=tls, credentials=LOGGED_IN) as relay, sending_to(relay) as sender:
        for _ in range(3):
            assert (await sender.send()).verdict is Verdict.SENT
        assert relay.connections == 1
        assert commands(relay).count("AUTH") == 1


@both_kinds
@pytest.mark.parametrize("certificate", ["expired", "wrong name", "unknown CA"])
async def test_a_wrong_certificate_stops_everything_until_it_is_renewed(
    tls: Tls, certificate: CertificateKind
) -> None:
    relay = RelayOnOrder(tls=tls, certificate=certificate, credentials=LOGGED_IN)
    async with relay, sending_to(relay) as sender:
        attempt = await sender.send()
        assert (attempt.verdict, attempt.code) == (Verdict.RELAY_DOWN, None)
        assert attempt.reply.startswith("certificate refused: ")
        assert set(commands(relay)) <= {"EHLO", "STARTTLS"}
        relay.certificate = "good"
        await sender.until_room()
        assert (await sender.send()).verdict is Verdict.SENT


async def test_a_relay_that_does_not_offer_starttls_gets_nothing() -> None:
    async with RelayOnOrder(tls="starttls", credentials=LOGGED_IN) as relay, sending_to(relay) as sender:
        relay.tls = "none"  # somebody on the way has taken STARTTLS out of what is offered, and put AUTH in
        attempt = await sender.send()
        assert attempt.verdict is Verdict.RELAY_DOWN
        assert "STARTTLS" in attempt.reply
        await relay.until(lambda: relay.connections >= 2)
        assert set(commands(relay)) == {"EHLO"}
        relay.tls = "starttls"
        await sender.until_room()
        assert (await sender.send()).verdict is Verdict.SENT


@pytest.mark.parametrize("code", [454, 500, 502])
async def test_a_refused_starttls_is_no_reason_to_go_on_without(code: int) -> None:
    async with RelayOnOrder(tls="starttls", credentials=LOGGED_IN) as relay, sending_to(relay) as sender:
        relay.order(Fault.reply("STARTTLS", code, "not now"))
        attempt = await sender.send()
        assert (attempt.verdict, attempt.code) == (Verdict.RELAY_DOWN, code)
        assert set(commands(relay)) == {"EHLO", "STARTTLS"}


@pytest.mark.parametrize(
    "injected", [b"250 injected\r\n", b"250-injected\r\n250 AUTH PLAIN\r\n", b"\xff" * 30_000]
)
async def test_what_is_slipped_in_after_starttls_is_never_read_as_the_relays(injected: bytes) -> None:
    """CVE-2011-0411, turned round. Either it is thrown away or the handshake breaks; the session inside TLS is clean."""
    async with RelayOnOrder(tls="starttls", credentials=LOGGED_IN) as relay, sending_to(relay) as sender:
        relay.order(Fault.garbage_after_starttls(injected), times=1)
        attempt = await sender.send()
        if attempt.verdict is not Verdict.SENT:
            assert (attempt.verdict, attempt.code) == (Verdict.RELAY_DOWN, None)
            await sender.until_room()
            assert (await sender.send()).verdict is Verdict.SENT
        assert len(relay.mails) == 1
        last = relay.mails[0].connection
        assert commands(relay, last)[:5] == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL"]


@both_kinds
@pytest.mark.parametrize(
    "fault", [Fault.drop("HANDSHAKE"), Fault.garbage("HANDSHAKE"), Fault.drop("HANDSHAKE", reset=True)]
)
async def test_a_broken_handshake_is_a_relay_that_is_down(tls: Tls, fault: Fault) -> None:
    # Garbage may look like the beginning of a TLS record that is still to come.
    async with RelayOnOrder(tls=tls) as relay, sending_to(relay, timeout=IMPATIENT) as sender:
        relay.order(fault, times=1)
        attempt = await sender.send()
        assert (attempt.verdict, attempt.code) == (Verdict.RELAY_DOWN, None)
        assert attempt.reply
        assert "MAIL" not in commands(relay)
        await sender.until_room()
        assert (await sender.send()).verdict is Verdict.SENT


async def test_a_relay_that_speaks_no_tls_at_an_smtps_port_gets_nothing() -> None:
    async with RelayOnOrder(tls="implicit") as relay, sending_to(relay) as sender:
        relay.tls = "none"
        assert (await sender.send()).verdict is Verdict.RELAY_DOWN
        assert commands(relay) in ([], ["\x16\x03\x01"]) or not {"EHLO", "MAIL"} & set(commands(relay))


@both_kinds
async def test_tls_that_ends_without_notice_is_a_lost_connection(tls: Tls) -> None:
    async with RelayOnOrder(tls=tls) as relay, sending_to(relay) as sender:
        relay.order(Fault.drop("DOT"), times=1)
        assert (await sender.send()).verdict is Verdict.RETRY
        assert (await sender.send()).verdict is Verdict.SENT
