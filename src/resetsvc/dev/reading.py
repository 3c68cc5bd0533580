"""From a caught mail's bytes to what a person or a script wants of it. Never raises: a broken mail must be seen, too."""

import re
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message

from resetsvc.dev.eml import unwrap
from resetsvc.dev.links import find_links

_FOLD = re.compile(r"\r?\n(?=[ \t])")


@dataclass(frozen=True, slots=True)
class CaughtMail:
    """One line of the list. `at` is in UTC; `recipients` are the envelope's; `links` are those of the text part."""

    id: str
    at: datetime
    recipients: tuple[str, ...]
    subject: str
    links: tuple[str, ...]

    @property
    def to(self) -> str:
        return ", ".join(self.recipients)


@dataclass(frozen=True, slots=True)
class OpenedMail:
    """The whole mail. `headers` in the order sent, decoded; `source` as it was sent, byte for byte where it is UTF-8."""

    mail: CaughtMail
    sender: str
    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    source: str


def list_mail(mail_id: str, at: datetime, raw: bytes) -> CaughtMail:
    """What the list needs of one file's bytes (see `eml`), and no more: a start reads 500 files."""
    envelope, source = unwrap(raw)
    message = message_from_bytes(source)
    return CaughtMail(
        id=mail_id,
        at=at,
        recipients=envelope.recipients,
        subject=_header(message, "Subject"),
        links=find_links(_part(message, "text/plain") or ""),
    )


def open_mail(mail: CaughtMail, raw: bytes) -> OpenedMail:
    """All of a listed mail, from its file's bytes."""
    envelope, source = unwrap(raw)
    message = message_from_bytes(source)
    return OpenedMail(
        mail=mail,
        sender=_header(message, "From") or envelope.sender,
        headers=tuple((_sound(name), _decoded(value)) for name, value in message.raw_items()),
        text=_part(message, "text/plain"),
        html=_part(message, "text/html"),
        source=source.decode("utf-8", "replace"),
    )


# The stdlib's newer `policy.default` would decode all this by itself, at ten times the cost, and raises on some
# malformed headers.


def _header(message: Message, name: str) -> str:
    values = (value for other, value in message.raw_items() if other.lower() == name.lower())
    return _decoded(next(values, ""))


def _decoded(value: str) -> str:
    # Bytes beyond ASCII are UTF-8 in a header (RFC 6532); the stdlib keeps them as surrogates.
    line = _FOLD.sub("", value).encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip()
    try:
        return _sound(str(make_header(decode_header(line))))
    except (
        MessageError,
        ValueError,
        LookupError,
    ):  # broken base64, bytes that are not in the charset, an unknown charset
        return line


def _part(message: Message, content_type: str) -> str | None:
    """The first part of that type, decoded."""
    for part in message.walk():
        if part.get_content_type() == content_type and part.get_content_disposition() != "attachment":
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                return _text(content, part.get_content_charset("utf-8")).replace("\r\n", "\n")
    return None


def _text(content: bytes, charset: str) -> str:
    try:
        return _sound(content.decode(charset, "replace"))
    except (LookupError, ValueError):  # an unknown charset, or one that is no name at all
        return content.decode("utf-8", "replace")


def _sound(text: str) -> str:
    """Without lone surrogates, which no page and no JSON can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")
