"""bcrypt: Laravel (`$2y$`), Devise (`$2a$`), Phoenix (`$2b$`). It reads 72 octets, so longer passwords are refused.

The three prefixes name one and the same function; what differs is which of them an application takes for its own.
"""

import re

from resetsvc.errors import PasswordRefused
from resetsvc.passwords.formats import bounds
from resetsvc.passwords.formats.octets import at_most, octets_of, without_nul

MOST_OCTETS = 72
_MODULAR = re.compile(r"\$2[aby]\$(?P<rounds>0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")


def is_bcrypt(stored: str) -> bool:
    return _MODULAR.fullmatch(stored) is not None


def make_bcrypt(octets: bytes, rounds: int, prefix: str) -> str:
    """At most 72 octets, and no NUL among them: for whoever calls this to see to."""
    import bcrypt  # for those who have such a table

    salt = bcrypt.gensalt(rounds).replace(b"$2b$", f"${prefix}$".encode(), 1)
    return bcrypt.hashpw(octets, salt).decode("ascii")


def bcrypt_matches(stored: str, octets: bytes) -> bool:
    """Whether these octets were hashed; compared by the library, in constant time."""
    read = _MODULAR.fullmatch(stored)
    if read is None or int(read["rounds"]) > bounds.MOST_ROUNDS:
        return False
    import bcrypt  # for those who have such a table

    try:
        return bcrypt.checkpw(octets, stored.encode())
    except ValueError:
        return False


class Bcrypt:
    """The password's UTF-8 as it was typed, with Devise's pepper behind it if there is one."""

    name = "bcrypt"
    max_bytes = MOST_OCTETS

    def __init__(self, *, rounds: int = 12, prefix: str = "2b", pepper: str = "") -> None:
        """rounds -- a power of two: Laravel's `rounds`, Devise's `stretches`, Phoenix' `log_rounds`, PHP's `cost`"""
        self._rounds = bounds.whole_number("rounds", rounds, bounds.LEAST_ROUNDS, bounds.MOST_ROUNDS)
        self._prefix = bounds.one_of("prefix", prefix, "2a", "2b", "2y")
        self._pepper = bounds.text("pepper", pepper).encode()

    def hash(self, password: str) -> str:
        return make_bcrypt(self._octets(password), self._rounds, self._prefix)

    def verify(self, stored: str, password: str) -> bool:
        """A longer password than 72 octets matches nothing, not even what an application has cut to them."""
        try:
            return bcrypt_matches(stored, self._octets(password))
        except PasswordRefused:
            return False

    def recognises(self, stored: str) -> bool:
        return is_bcrypt(stored)

    def _octets(self, password: str) -> bytes:
        octets = without_nul(at_most(MOST_OCTETS, octets_of(password)))
        # The password is whole; what Devise's bcrypt does not read any more is the end of the pepper.
        return (octets + self._pepper)[:MOST_OCTETS]
