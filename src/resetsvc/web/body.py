"""A request's body as fields, read strictly: what could be understood in two ways is refused, not guessed."""

import io
import json
from urllib.parse import parse_qsl

from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.formparser import MultiPartParser
from werkzeug.http import parse_options_header

from resetsvc.errors import ResetError
from resetsvc.web.asked import asked

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
JSON = "application/json"
_MOST_FIELDS = 50

Fields = dict[str, list[object]]


class BodyRefused(ResetError):
    """The body cannot be read, or a field of it is missing, repeated or not text."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


async def read_fields() -> Fields:
    """Return every field of the request's body with all its values; BodyRefused or UnsupportedMediaType otherwise."""
    request = asked()
    media_type, options = request.said(b"content-type"), dict[str, str]()
    if media_type not in (FORM, JSON):  # what nearly everybody sends, without the work of parsing it
        media_type, options = parse_options_header(media_type)
        media_type = media_type.lower()  # RFC 9110 8.3.1
    data = await request.get_data()
    assert isinstance(data, bytes)
    if not media_type and not data:
        return {}
    if media_type not in (FORM, MULTIPART, JSON):
        raise UnsupportedMediaType
    if request.said(b"content-encoding").lower() not in ("", "identity"):
        raise UnsupportedMediaType  # RFC 9110 8.4: nothing is unpacked here, so nothing unpacks to gigabytes
    try:
        text = data.decode("utf-8")
        if media_type == JSON:
            return _json_fields(text)
        if media_type == MULTIPART:
            return _multipart_fields(data, options.get("boundary", ""))
        return _grouped(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS))
    except (ValueError, RecursionError):  # also UnicodeDecodeError, JSONDecodeError
        raise BodyRefused("body_unreadable", f"The body is not readable as {media_type} in UTF-8.") from None


def one_text(fields: Fields, name: str) -> str | None:
    """Return the one text of a field, None if it is missing; BodyRefused if it was sent twice or is no text.

    The first, the last or all of several: each choice has mailed somebody else's link once (CVE-2023-7028).
    """
    values = fields.get(name, [])
    if not values:
        return None
    if len(values) > 1:
        raise BodyRefused(f"{name}_repeated", f"The field {name} was sent more than once.")
    if not isinstance(values[0], str):
        raise BodyRefused(f"{name}_not_text", f"The field {name} is not a text.")
    return values[0]


def optional_text(fields: Fields, name: str) -> str | None:
    """Return a field that is only a wish: whatever is not one text is as good as not sent."""
    values = fields.get(name, [])
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None


def _json_fields(text: str) -> Fields:
    pairs = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_refuse_constant)
    if not isinstance(pairs, _Pairs):
        raise BodyRefused("body_unreadable", "The body is not a JSON object.")
    return _grouped(pairs)


def _refuse_constant(word: str) -> object:
    """`NaN`, `Infinity`: Python reads them, JSON does not have them (RFC 8259 6)."""
    raise ValueError(word)


class _Pairs(list[tuple[str, object]]):
    """A JSON object with nothing thrown away: a dict keeps the last of two equal keys and does not say so."""


def _multipart_fields(data: bytes, boundary: str) -> Fields:
    # Files in memory: those that werkzeug spools stay open where the body breaks off later.
    parser = MultiPartParser(lambda *_, **__: io.BytesIO(), len(data), max_form_parts=_MOST_FIELDS)
    form, files = parser.parse(io.BytesIO(data), boundary.encode("ascii"), len(data))
    fields = _grouped(list(form.items(multi=True)))
    for name, values in files.lists():
        fields.setdefault(name, []).extend([None] * len(values))  # a file is no text
    return fields


def _grouped(pairs: "list[tuple[str, str]] | _Pairs") -> Fields:
    fields: Fields = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields
