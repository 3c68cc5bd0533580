"""WordPress 6.8 and later: bcrypt over an HMAC, so that no password is too long for it. Older hashes are read.

A password goes through WordPress as a form sends it: with a backslash before each quote and backslash (its forms never
take them off again), and without white space at both ends. What is hashed here is the same, or a password with a quote
in it could not log in.
"""

import base64
import hmac
import re

from resetsvc.errors import PasswordRefused
from resetsvc.passwords.formats import bounds
from resetsvc.passwords.formats.argon2id import is_phc, phc_matches
from resetsvc.passwords.formats.bcrypt_hash import MOST_OCTETS, bcrypt_matches, is_bcrypt, make_bcrypt
from resetsvc.passwords.formats.octets import at_most, octets_of
from resetsvc.passwords.formats.phpass import is_phpass, phpass_matches

_PREFIX = "$wp"
_KEY = b"wp-sha384"  # no secret: it tells this use of SHA-384 from others
_LONGEST = 4096  # octets; WordPress takes no more
_WHITE_SPACE = " \n\r\t\v\0"  # what PHP's trim takes off


class WordPress:
    """rounds -- PHP's own default: 10 before PHP 8.4 and 12 since. WordPress makes others anew at the next log-in."""

    name = "wordpress"
    max_bytes = _LONGEST

    def __init__(self, *, rounds: int = 10) -> None:
        self._rounds = bounds.whole_number("rounds", rounds, bounds.LEAST_ROUNDS, bounds.MOST_ROUNDS)

    def hash(self, password: str) -> str:
        return f"{_PREFIX}{make_bcrypt(_keyed(_as_sent(password)), self._rounds, '2y')}"

    def verify(self, stored: str, password: str) -> bool:
        try:
            octets = _as_sent(password)
        except PasswordRefused:
            return False
        if stored.startswith(_PREFIX):
            return bcrypt_matches(stored.removeprefix(_PREFIX), _keyed(octets))
        if is_phpass(stored):
            return phpass_matches(stored, octets)
        if is_bcrypt(stored):
            # Of a plugin; PHP's bcrypt reads 72 octets, and a longer password was cut there, not by us.
            return len(octets) <= MOST_OCTETS and bcrypt_matches(stored, octets)
        return phc_matches(stored, octets)

    def recognises(self, stored: str) -> bool:
        if stored.startswith(_PREFIX):
            return is_bcrypt(stored.removeprefix(_PREFIX))
        return is_phpass(stored) or is_bcrypt(stored) or is_phc(stored)


def _as_sent(password: str) -> bytes:
    slashed = re.sub(r"""(["'\\])""", r"\\\1", password).replace("\0", "\\0")
    return at_most(_LONGEST, octets_of(slashed.strip(_WHITE_SPACE)))


def _keyed(octets: bytes) -> bytes:
    return base64.b64encode(hmac.digest(_KEY, octets, "sha384"))
