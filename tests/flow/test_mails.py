"""The two mails as they leave: one recipient, honest headers, the link alone on its line, nothing of our insides."""

import re
from email import message_from_bytes

from resetsvc.testing import HandClock
from tests.flow.conftest import ANN, OLD_PASSWORD, Running, Start


async def test_the_reset_mail_says_what_the_contract_says(start: Start) -> None:
    running = await start(clock=HandClock().clock, trusted_proxies=1)
    await running.accounts.add(ANN, OLD_PASSWORD)
    await running.ask(headers={"X-Forwarded-For": "192.0.2.77"})
    mail = await running.mailbox.next_mail()

    assert mail.subject == "Reset your password"
    assert mail.message["From"] == "Example <no-reply@example.com>"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.text.splitlines().count(mail.link) == 1
    assert mail.text.splitlines().count(mail.cancel_link) == 1
    assert mail.html.count(mail.link + '"') == 2  # the button, and the bare link
    assert f'href="{mail.cancel_link}"' in mail.html
    for part in (mail.text, mail.html):
        assert "until 14:43 UTC, 21 September 2026" in part  # half an hour after it was sent
        assert "192.0.2.x" in part
        assert "192.0.2.77" not in part


async def test_headers_stand_once_and_lines_are_short(ann: Running) -> None:
    mail = await ann.mail_to()
    await ann.set_password(mail.link_path)
    for caught in (mail, await ann.mailbox.next_mail()):
        plain = message_from_bytes(caught.raw)
        for name in ("Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Auto-Submitted"):
            assert len(plain.get_all(name) or []) == 1, name
        for name in ("Cc", "Bcc", "Received", "User-Agent", "X-Mailer", "Reply-To"):
            assert plain.get_all(name) is None
        lines = caught.raw.split(b"\r\n")
        assert not any(b"\n" in line or b"\r" in line for line in lines)
        assert max(len(line) for line in lines) <= 998
        assert [part.get_content_type() for part in plain.walk()] == [
            "multipart/alternative",
            "text/plain",
            "text/html",
        ]


async def test_nothing_in_a_mail_is_fetched_from_elsewhere(ann: Running) -> None:
    mail = await ann.mail_to()
    await ann.set_password(mail.link_path)
    for caught in (mail, await ann.mailbox.next_mail()):
        assert not re.search(r"<(img|script|link|iframe|object|form)\b|url\(|@import", caught.html)
        addresses = set(re.findall(r"https?://[^\"'<>\s]+", caught.html))
        assert all(address.startswith("https://reset.example.com/") for address in addresses)


async def test_the_letters_id_is_nowhere_but_in_the_token(ann: Running) -> None:
    """It is what a token signs: a Message-ID made of it would hand half of the secret to every archive."""
    mail = await ann.mail_to()
    letter = (await ann.letters())[0]
    assert mail.token.startswith(letter["id"])
    assert letter["id"] not in mail.message["Message-ID"]
    assert letter["message_id"] in mail.message["Message-ID"]
    rest = mail.raw.replace(b"=\r\n", b"").replace(mail.token.encode(), b"")
    assert letter["id"].encode() not in rest


async def test_each_letter_has_a_message_id_of_its_own(start: Start) -> None:
    running = await start(limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    mails = [await running.mail_to() for _ in range(3)]
    assert len({mail.message["Message-ID"] for mail in mails}) == 3


async def test_a_name_with_markup_injects_nothing(start: Start) -> None:
    running = await start(
        product_name='<b>Tom</b> & "Co" {{7*7}} %s', mail_from='"Tom & Co" <no-reply@example.com>'
    )
    address = "o'hara+{{7*7}}&b=1@example.com"
    await running.accounts.add(address, OLD_PASSWORD)
    mail = await running.mail_to(address)
    assert '<b>Tom</b> & "Co" {{7*7}} %s' in mail.text
    assert "&lt;b&gt;Tom&lt;/b&gt; &amp; &#34;Co&#34; {{7*7}} %s" in mail.html
    assert mail.message["To"] == address


async def test_an_address_that_needs_smtputf8_gets_its_mail(running: Running) -> None:
    await running.accounts.add(
        "j\u00f6rg@b\u00fccher.example".replace("b\u00fccher", "xn--bcher-kva"), OLD_PASSWORD
    )
    await running.ask("j\u00f6rg@b\u00fccher.example")
    assert (await running.mailbox.next_mail()).recipient == "j\u00f6rg@xn--bcher-kva.example"
