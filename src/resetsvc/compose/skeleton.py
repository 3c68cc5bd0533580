"""A mail with gaps: rendered, translated and encoded once, then filled in as bytes.

The standard library needs 1.8 ms for a multipart message, and Jinja a good part of that again; filling the gaps takes
some microseconds. What comes out is held equal, as parsed, to what the slow way gives (tests/unit/test_skeleton.py).
"""

import re
from binascii import b2a_qp
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.header import Header
from functools import lru_cache

from markupsafe import escape

# Private-use characters: they pass through Jinja, escaping and translation unchanged, and stand in nobody's sentence.
_OPEN, _CLOSE = "\ue000", "\ue001"
_GAP = re.compile(f"{_OPEN}([a-z_]+){_CLOSE}")
# The characters `=_` cannot occur in quoted-printable text, so this can never end a part by accident (RFC 2045 6.7).
_BOUNDARY = b"=_resetsvc_alternative"

_LEADING_DOTS = re.compile(rb"^\.+", re.MULTILINE)
_FOR_HTML = re.compile("[&<>\"']")

_ALTERED = "a mail template may print a value or test for it, but not change it"

Render = Callable[[Mapping[str, str | None]], tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Part:
    """One body part: encoded pieces of fixed text, and between each two of them the name of a gap."""

    pieces: tuple[bytes, ...]
    gaps: tuple[str, ...]
    html: bool

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        filled = [b""] * (2 * len(self.gaps) + 1)
        filled[0::2] = self.pieces
        filled[1::2] = [values[gap] for gap in self.gaps]
        return b"".join(filled)


@dataclass(frozen=True, slots=True)
class Skeleton:
    """All of a mail but what differs from letter to letter."""

    subject: bytes
    text: Part
    html: Part

    def fill(self, headers: bytes, values: Mapping[str, str]) -> bytes:
        """Return the bytes of the mail, with CRLF line ends.

        headers -- the header lines that differ: Date, From, To, Message-ID
        values  -- what goes into the gaps
        """
        plain = {
            gap: _encode(value) if gap in _OWN else _encode_known(value) for gap, value in values.items()
        }
        # What HTML has a sign of its own for is in few values.
        escaped = plain | {
            gap: _encode(str(escape(value))) for gap, value in values.items() if _FOR_HTML.search(value)
        }
        return b"".join(
            (
                headers,
                b"Subject: ",
                self.subject,
                b"\r\nAuto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\nMIME-Version: 1.0\r\n"
                b'Content-Type: multipart/alternative; boundary="' + _BOUNDARY + b'"\r\n\r\n'
                b"--" + _BOUNDARY + b"\r\n"
                b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
                self.text.fill(plain),
                b"\r\n--" + _BOUNDARY + b"\r\n"
                b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
                self.html.fill(escaped),
                b"\r\n--" + _BOUNDARY + b"--\r\n",
            )
        )


# Nothing that is a secret is kept for the next letter.
_OWN = frozenset({"link", "cancel_link"})


def prepare(render: Render, present: frozenset[str], absent: frozenset[str]) -> Skeleton:
    """Render templates once, with gaps where values will stand. Raises ValueError if a template alters a value.

    render  -- values → (subject, text, HTML)
    present -- the names of the values that the letters of this skeleton have; absent: those they lack (None)
    """
    gaps: dict[str, str | None] = {name: f"{_OPEN}{name}{_CLOSE}" for name in present}
    subject, text, html = render({**gaps, **dict.fromkeys(absent)})
    subject = " ".join(subject.split())
    if _OPEN in subject:
        raise ValueError("the subject of a mail holds nothing that differs from letter to letter")
    _refuse_altered_values(render, (subject, text, html), present, absent)
    plain = subject.isascii() and "=?" not in subject  # which would be read as an encoded word (RFC 2047)
    return Skeleton(
        subject=Header(subject, "us-ascii" if plain else "utf-8", header_name="Subject")
        .encode(linesep="\r\n")
        .encode("ascii"),
        text=_part(text, present, html=False),
        html=_part(html, present, html=True),
    )


def _refuse_altered_values(
    render: Render, with_gaps: tuple[str, str, str], present: frozenset[str], absent: frozenset[str]
) -> None:
    """Hold filled gaps against a rendering with values. A filter such as `urlencode` or `length` leaves no gap to see."""
    trial = {name: f'https://{name}.example/?&="<{"a trial " * 50}' for name in present}
    subject, text, html = render({**trial, **dict.fromkeys(absent)})
    filled = (
        with_gaps[0],
        _GAP.sub(lambda gap: trial.get(gap[1], ""), with_gaps[1]),
        _GAP.sub(lambda gap: str(escape(trial.get(gap[1], ""))), with_gaps[2]),
    )
    if (" ".join(subject.split()), text, html) != filled:
        raise ValueError(_ALTERED)


def _part(rendered: str, present: frozenset[str], *, html: bool) -> Part:
    text = rendered.replace("\r\n", "\n").strip() + "\n"
    fields = _GAP.split(text)
    unknown = set(fields[1::2]) - present
    if unknown or any(_OPEN in field or _CLOSE in field for field in fields):
        raise ValueError(_ALTERED)
    return Part(
        pieces=tuple(
            _encode(field, last=index == len(fields) // 2) for index, field in enumerate(fields[0::2])
        ),
        gaps=tuple(fields[1::2]),
        html=html,
    )


def _encode(text: str, *, last: bool = False) -> bytes:
    """Quoted-printable, so that pieces can stand one after the other: each but the last ends in a soft line break.

    A soft line break may stand anywhere (RFC 2045 6.7 rule 5): no line gets too long, whatever is filled in. And no line
    begins with a dot, which SMTP would have doubled (RFC 5321 4.5.2), and each mail copied once more.
    """
    encoded = b2a_qp(text.encode("utf-8"), istext=True)
    if b"." in encoded:
        encoded = _LEADING_DOTS.sub(lambda dots: b"=2E=\n" * len(dots[0]), encoded)
    encoded = encoded.replace(b"\n", b"\r\n")
    if last or not encoded or encoded.endswith(b"\r\n"):
        return encoded
    # No room for the `=`: break a character earlier, but not inside `=XX`.
    if len(encoded) - encoded.rfind(b"\n") > 76:
        cut = encoded.rfind(b"=", len(encoded) - 3)
        cut = cut if cut >= 0 else len(encoded) - 1
        encoded = encoded[:cut] + b"=\r\n" + encoded[cut:]
    return encoded + b"=\r\n"


_encode_known = lru_cache(maxsize=64)(_encode)  # times, to the minute, and where people ask from
