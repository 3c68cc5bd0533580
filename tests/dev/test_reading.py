"""Every mail can be shown: the ordinary one decoded, the broken one somehow."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resetsvc.dev.eml import Envelope, wrap
from resetsvc.dev.reading import OpenedMail, list_mail, open_mail
from tests.dev.conftest import LINK, a_mail

AT = datetime(2026, 11, 3, 10, 15, 2, tzinfo=UTC)


def read(source: bytes) -> OpenedMail:
    raw = wrap(source, Envelope("bounce@example.com", ("demo@example.com",)), AT)
    return open_mail(list_mail("1", AT, raw), raw)


def test_an_ordinary_mail_is_decoded() -> None:
    opened = read(a_mail("Setzen Sie Ihr Paßwort zurück", text=f"Größe: ✓\n\n{LINK}\n").as_bytes())
    assert opened.mail.subject == "Setzen Sie Ihr Paßwort zurück"
    assert opened.mail.to == "demo@example.com"
    assert opened.mail.links == (LINK,)
    assert opened.sender == "Acme <no-reply@example.com>"
    assert opened.text == f"Größe: ✓\n\n{LINK}\n"
    assert opened.html is not None
    assert ("Auto-Submitted", "auto-generated") in opened.headers


def test_a_folded_header_is_one_line_and_utf_8_in_it_is_read() -> None:
    opened = read("Subject: Grüße\r\n und mehr\r\n\r\n".encode())
    assert opened.mail.subject == "Grüße und mehr"


@pytest.mark.parametrize(
    ("source", "subject"),
    [
        (b"Subject: =?utf-8?b?A?=\r\n\r\n", "=?utf-8?b?A?="),
        (b"Subject: =?no-such-charset?q?x?=\r\n\r\n", "=?no-such-charset?q?x?="),
        (b"Subject: \xff\r\n\r\n", "\N{REPLACEMENT CHARACTER}"),
        (b"Subject: a\r\nSubject: b\r\n\r\n", "a"),
        (b"no header at all", ""),
        (b"", ""),
    ],
)
def test_a_broken_subject_is_shown_as_it_is(source: bytes, subject: str) -> None:
    assert read(source).mail.subject == subject


def test_an_unknown_charset_is_read_as_utf_8() -> None:
    assert read("Content-Type: text/plain; charset=klingon\r\n\r\nGröße".encode()).text == "Größe"


def test_an_attached_text_is_not_the_mails_text() -> None:
    mail = a_mail(html=None)
    mail.add_attachment("attached", filename="first.txt")
    assert LINK in (read(mail.as_bytes()).text or "")
    assert read(b"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nx").text is None


HEADER = st.sampled_from(
    [b"Content-Type: ", b"Content-Transfer-Encoding: ", b"Content-Disposition: ", b"Subject: ", b"From: "]
)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(HEADER, st.binary(max_size=30))), st.binary(max_size=100))
def test_no_bytes_make_reading_fail(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    opened = read(b"".join(name + value + b"\r\n" for name, value in headers) + b"\r\n" + body)
    repr(opened).encode()
    for shown in (opened.mail.subject, opened.sender, opened.text or "", opened.html or "", opened.source):
        shown.encode()  # a lone surrogate would raise here, and in the page
