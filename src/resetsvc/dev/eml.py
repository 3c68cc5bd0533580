"""A caught mail as a file: the mail's own bytes, after a few lines that say how it came.

The lines are those that any final mail server writes (RFC 5321, 4.4: `Return-Path`, `Received`), so that every
mail program opens the file, and the folder alone is enough to build the list again after a crash.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

RETURN_PATH = b"Return-Path: "
DELIVERED_TO = b"Delivered-To: "
RECEIVED = b"Received: "
_OWN_LINES = re.compile(
    RETURN_PATH
    + rb"<(?P<sender>.*)>\r\n(?P<recipients>(?:"
    + DELIVERED_TO
    + rb".*\r\n)*)"
    + RECEIVED
    + rb".*\r\n"
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sent a mail to whom, as SMTP said it; the mail's own headers may say something else."""

    sender: str
    recipients: tuple[str, ...]


def wrap(source: bytes, envelope: Envelope, at: datetime) -> bytes:
    """The file's bytes for a mail that came at `at` (UTC)."""
    # Addresses hold no line ends: they came as single SMTP command lines.
    lines = [
        RETURN_PATH + b"<" + _bytes(envelope.sender) + b">",
        *(DELIVERED_TO + _bytes(recipient) for recipient in envelope.recipients),
        RECEIVED + b"by localhost (resetsvc dev) with ESMTP; " + format_datetime(at).encode(),
    ]
    return b"".join(line + b"\r\n" for line in lines) + source


def unwrap(raw: bytes) -> tuple[Envelope, bytes]:
    """The envelope and the mail's own bytes; a file without our lines is all mail, with an empty envelope."""
    ours = _OWN_LINES.match(raw)
    if ours is None:
        return Envelope("", ()), raw
    recipients = ours["recipients"].split(b"\r\n")[:-1]
    envelope = Envelope(
        _text(ours["sender"]), tuple(_text(line.removeprefix(DELIVERED_TO)) for line in recipients)
    )
    return envelope, raw[ours.end() :]


def _bytes(address: str) -> bytes:
    return address.encode("utf-8", "surrogateescape")


def _text(address: bytes) -> str:
    return address.decode("utf-8", "replace")
