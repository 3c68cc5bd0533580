"""A password as the octets that are hashed; what cannot be kept whole is refused, never cut."""

from resetsvc.errors import PasswordRefused, Reason


def octets_of(password: str) -> bytes:
    """Return UTF-8, as every application does; PasswordRefused for half of a character."""
    try:
        return password.encode()
    except UnicodeEncodeError:
        raise PasswordRefused([Reason("not_text")]) from None


def octets_or_none(password: str) -> bytes | None:
    """Return UTF-8, to be held against a stored hash; None for half of a character, which matches nothing."""
    try:
        return octets_of(password)
    except PasswordRefused:
        return None


def at_most(limit: int, octets: bytes) -> bytes:
    """Return what fits; PasswordRefused with the limit for what does not."""
    if len(octets) > limit:
        raise PasswordRefused([Reason("too_many_bytes", limit)])
    return octets


def without_nul(octets: bytes) -> bytes:
    """Return what C can read to its end: some implementations of bcrypt stop at the first NUL."""
    if 0 in octets:
        raise PasswordRefused([Reason("not_text")])
    return octets
