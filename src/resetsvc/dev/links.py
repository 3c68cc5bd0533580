"""The web addresses in a plain text: found, and made clickable."""

import re
from collections.abc import Iterator

from markupsafe import Markup, escape

_ADDRESS = re.compile(r"https?://[^\s<>\"'`\x00-\x1f\x7f]+", re.IGNORECASE)
_CLOSES = {")": "(", "]": "[", "}": "{"}


def find_links(text: str) -> tuple[str, ...]:
    """Every http(s) address in `text`, each once, in order."""
    return tuple(dict.fromkeys(text[start:end] for start, end in _spans(text)))


def link_up(text: str) -> Markup:
    """`text` as HTML in which nothing but its web addresses is markup. Other schemes (`javascript:`) stay text."""
    parts: list[Markup] = []
    done = 0
    for start, end in _spans(text):
        parts.append(escape(text[done:start]))
        parts.append(
            Markup('<a href="{0}" target="_blank" rel="noopener noreferrer">{0}</a>').format(text[start:end])
        )
        done = end
    parts.append(escape(text[done:]))
    return Markup().join(parts)


def _spans(text: str) -> Iterator[tuple[int, int]]:
    for found in _ADDRESS.finditer(text):
        yield found.start(), found.start() + len(_without_the_sentence(found.group()))


def _without_the_sentence(address: str) -> str:
    """The address without the full stop or the bracket of the sentence around it."""
    while address:
        last = address[-1]
        if last in ".,;:!?*" or (last in _CLOSES and address.count(last) > address.count(_CLOSES[last])):
            address = address[:-1]
        else:
            break
    return address
