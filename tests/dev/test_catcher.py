"""The SMTP catcher, by a real client over loopback."""

import asyncio
import socket
from pathlib import Path

import aiosmtplib
import pytest

from resetsvc.dev.catcher import SIZE_LIMIT, Address, PortTaken, catcher
from resetsvc.dev.caught_mails import CaughtMails
from tests.dev.conftest import LINK, Send, a_mail


async def test_a_sent_mail_is_in_the_mailbox_before_the_250(
    store: CaughtMails, folder: Path, send: Send
) -> None:
    await send(a_mail())
    (mail,) = store.newest_first()
    assert (mail.to, mail.subject) == ("demo@example.com", "Reset your password")
    assert mail.links == (LINK, f"{LINK}/cancel")
    assert [path.stem for path in folder.iterdir()] == [mail.id]


async def test_the_source_is_kept_byte_for_byte(store: CaughtMails, smtp: Address) -> None:
    source = b"Subject: x\r\n\r\n.a dot\r\n..two\r\nGr\xc3\xb6\xc3\x9fe\r\n"
    async with aiosmtplib.SMTP(hostname=smtp.host, port=smtp.port, start_tls=False) as client:
        await client.sendmail("a@example.com", ["b@example.com", "c@example.com"], source)
    (mail,) = store.newest_first()
    opened = await store.get(mail.id)
    assert opened is not None
    assert opened.source.encode() == source
    assert mail.recipients == ("b@example.com", "c@example.com")


async def test_addresses_beyond_ascii_are_caught(store: CaughtMails, send: Send) -> None:
    await send(a_mail(to="jörg@exämple.com"))
    assert store.newest_first()[0].to == "jörg@exämple.com"


async def test_one_connection_carries_many_mails(store: CaughtMails, smtp: Address) -> None:
    async with aiosmtplib.SMTP(hostname=smtp.host, port=smtp.port, start_tls=False) as client:
        for number in range(5):
            await client.send_message(a_mail(f"No. {number}"))
    assert [mail.subject for mail in store.newest_first()] == [f"No. {n}" for n in (4, 3, 2, 1, 0)]


async def test_a_mail_that_cannot_be_kept_is_to_be_sent_again(
    store: CaughtMails, folder: Path, smtp: Address
) -> None:
    folder.rmdir()
    folder.write_text("a file in the way")
    async with aiosmtplib.SMTP(hostname=smtp.host, port=smtp.port, start_tls=False) as client:
        with pytest.raises(aiosmtplib.SMTPDataError) as refused:
            await client.send_message(a_mail())
    assert refused.value.code == 452
    assert store.newest_first() == []


async def test_a_mail_over_the_limit_is_refused(store: CaughtMails, smtp: Address) -> None:
    async with aiosmtplib.SMTP(hostname=smtp.host, port=smtp.port, start_tls=False) as client:
        await client.ehlo()
        assert client.supports_extension("smtputf8")
        await client.mail("a@example.com")
        await client.rcpt("b@example.com")
        with pytest.raises(aiosmtplib.SMTPDataError) as refused:
            await client.data((b"x" * 900 + b"\r\n") * (SIZE_LIMIT // 900))
    assert refused.value.code == 552
    assert store.newest_first() == []


async def test_a_taken_port_is_told_by_its_number(store: CaughtMails) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)) as taken:
            async with catcher(store, port=port):
                pass
    assert taken.value.port == port


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "mail.example.com"])  # noqa: S104 - must be refused
async def test_only_loopback_is_served(store: CaughtMails, host: str) -> None:
    with pytest.raises(ValueError, match=host):
        async with catcher(store, host=host, port=0):
            pass


async def test_an_idle_client_does_not_hold_up_the_end(store: CaughtMails) -> None:
    async with catcher(store, port=0) as address:
        reader, writer = await asyncio.open_connection(*address)
        assert (await reader.readline()).startswith(b"220 ")
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection(*address)
