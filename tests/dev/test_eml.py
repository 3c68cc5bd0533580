"""The file of one mail: what goes in comes out, and other files are mails, too."""

from datetime import UTC, datetime
from email import message_from_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resetsvc.dev.eml import Envelope, unwrap, wrap

AT = datetime(2026, 11, 3, 10, 15, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "envelope",
    [
        Envelope("no-reply@example.com", ("demo@example.com",)),
        Envelope("", ("one@example.com", "two@example.com")),
        Envelope("jörg@exämple.com", ("日本@例え.jp",)),
        Envelope("a@example.com", ()),
    ],
)
@pytest.mark.parametrize(
    "source",
    [b"Subject: x\r\n\r\nHello\r\n", b"", b"Return-Path: <z@z>\r\nReceived: y\r\n\r\n", b"\xff\x00\r\n"],
)
def test_what_is_wrapped_comes_out_the_same(envelope: Envelope, source: bytes) -> None:
    assert unwrap(wrap(source, envelope, AT)) == (envelope, source)


@settings(deadline=None, derandomize=True)
@given(st.binary())
@example(b"Return-Path: ")
@example(b"Return-Path: <a>\r\nDelivered-To: b\r\n")
@example(b"Return-Path: <a>\r\nX: y\r\nReceived: z\r\n")
def test_a_file_without_our_lines_is_all_mail(raw: bytes) -> None:
    envelope, source = unwrap(raw)
    assert (envelope, source) == (Envelope("", ()), raw)


def test_any_mail_program_can_read_the_file() -> None:
    mail = message_from_bytes(
        wrap(b"Subject: x\r\n\r\nHello\r\n", Envelope("a@b.example", ("c@d.example",)), AT)
    )
    assert mail["Return-Path"] == "<a@b.example>"
    assert mail["Delivered-To"] == "c@d.example"
    assert mail["Received"].endswith("Tue, 03 Nov 2026 10:15:02 +0000")
    assert (mail["Subject"], mail.get_payload()) == ("x", "Hello\r\n")
