"""What counts as an e-mail address, how two are compared, and how one is shown in a log. Pure functions.

Deliberately narrower than RFC 5321: no quoted local parts, no address literals, no comments, no lists. What a
person types into a form is none of those, and each has carried a second recipient or a header somewhere
(aiosmtplib GHSA-v3q9, GitLab CVE-2023-7028).
"""

import re
import unicodedata
from functools import lru_cache

import idna

from resetsvc.errors import AddressRefused

LOCAL_PART_OCTETS = 64  # RFC 5321 4.5.3.1.1
ADDRESS_OCTETS = 254  # RFC 5321 4.5.3.1.3: a path of 256 less its angle brackets

# RFC 5322 atext. Anything beyond ASCII is checked by its Unicode category instead (RFC 6531).
_ASCII_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")
_ASCII_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LETTERS_MARKS_NUMBERS = ("L", "M", "N")
# The Greek question mark, the Greek varia, the Kelvin sign: `;`, `` ` ``, `K`.
_ASCII_BY_NFC = "\u037e\u1fef\u212a"


def parse_address(typed: str) -> str:
    """Return the canonical form of one typed address, or raise AddressRefused.

    Canonical: no spaces around it, NFC, ASCII letters in lower case, the domain as ASCII (IDNA 2008). Only
    ASCII is folded: `K` (U+212A, the Kelvin sign) and `ı` (dotless) stay different from `k` and `i`, so no
    look-alike is ever found in place of an account (CVE-2019-19844).
    """
    if len(typed) > 4 * ADDRESS_OCTETS:
        raise AddressRefused  # before any work that grows with it
    # Composed once more after folding: `H` and a macron below have no letter of their own, `h` and it do.
    address = _nfc(_fold_ascii(_nfc(typed.strip(" "))))
    local, at, domain = address.rpartition("@")
    if not at or not _is_local_part(local):
        raise AddressRefused
    ascii_domain = _ascii_domain(domain)
    address = f"{local}@{ascii_domain}"
    try:
        octets = len(address.encode())
    except UnicodeEncodeError:  # a lone surrogate
        raise AddressRefused from None
    if octets > ADDRESS_OCTETS:
        raise AddressRefused
    return address


def _nfc(text: str) -> str:
    """NFC, but for the three characters that it would turn into ASCII ones: those would be taken for what they look like."""
    if text.isascii():
        return text
    return "".join(
        piece if piece in _ASCII_BY_NFC else unicodedata.normalize("NFC", piece)
        for piece in re.split(f"([{_ASCII_BY_NFC}])", text)
        if piece
    )


def _fold_ascii(text: str) -> str:
    """Lower-case every letter but those that would *become* ASCII by it."""
    if text.isascii():
        return text.lower()
    return "".join(
        letter if not letter.isascii() and letter.lower().isascii() else letter.lower() for letter in text
    )


def _is_local_part(local: str) -> bool:
    if not local or local[0] == "." or local[-1] == "." or ".." in local:
        return False
    if local.isascii():
        return len(local) <= LOCAL_PART_OCTETS and _ASCII_LOCAL_PART.fullmatch(local) is not None
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in local):
        return False
    return len(local.encode()) <= LOCAL_PART_OCTETS and all(
        _ASCII_LOCAL_PART.fullmatch(letter)
        if letter.isascii()
        else unicodedata.category(letter).startswith(_LETTERS_MARKS_NUMBERS)
        for letter in local
    )


@lru_cache(maxsize=4096)
def _ascii_domain(domain: str) -> str:
    """The domain in ASCII. Cached: most people share a few domains, and IDNA tables are slow."""
    if not domain.isascii():
        try:
            domain = idna.encode(domain).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise AddressRefused from None
    if len(domain) > 253 or not _ASCII_DOMAIN.fullmatch(domain):
        raise AddressRefused
    return domain


@lru_cache(maxsize=4096)
def written_forms(address: str) -> tuple[str, ...]:
    """How a canonical address may stand in a table that others filled: as it is, or with its domain's own letters."""
    local, _, domain = address.rpartition("@")
    if "xn--" not in domain:
        return (address,)
    try:
        return address, f"{local}@{idna.decode(domain)}"
    except (idna.IDNAError, UnicodeError):
        return (address,)


def mask_address(address: str) -> str:
    """An address as logs and terminals may show it: `d***@example.com`."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***{at}{domain}" if at else "***"
