"""What `werkzeug.security` 3.1 keeps, which is what most Flask applications use. It does not normalise passwords."""

import re

from resetsvc.passwords.formats.octets import octets_of, octets_or_none
from resetsvc.passwords.formats.pbkdf2 import DIGEST_OCTETS, iterations_to_write, pbkdf2, pbkdf2_matches
from resetsvc.passwords.formats.salts import PRINTABLE_SALT, letters_and_digits
from resetsvc.passwords.formats.scrypt import ScryptCosts, scrypt_matches

_SALT_LENGTH = 16
_SCRYPT = re.compile(
    rf"scrypt:(?P<n>[1-9][0-9]{{0,9}}):(?P<r>[1-9][0-9]{{0,3}}):(?P<p>[1-9][0-9]{{0,3}})\${PRINTABLE_SALT}"
    r"\$(?P<key>[0-9a-f]{128})"
)
_PBKDF2 = re.compile(
    rf"pbkdf2:(?P<digest>{'|'.join(DIGEST_OCTETS)}):(?P<iterations>[1-9][0-9]{{0,9}})\${PRINTABLE_SALT}"
    r"\$(?P<key>(?:[0-9a-f]{2}){20,64})"
)


class WerkzeugScrypt:
    """Werkzeug's default."""

    name = "werkzeug_scrypt"
    max_bytes = None

    def __init__(self, *, n: int = 32_768, r: int = 8, p: int = 1) -> None:
        self._costs = ScryptCosts(("n", "r", "p"), n, r, p)

    def hash(self, password: str) -> str:
        salt, costs = letters_and_digits(_SALT_LENGTH), self._costs
        key = costs.derive(octets_of(password), salt.encode())
        return f"scrypt:{costs.n}:{costs.r}:{costs.p}${salt}${key.hex()}"

    def verify(self, stored: str, password: str) -> bool:
        read = _SCRYPT.fullmatch(stored)
        octets = octets_or_none(password)
        if read is None or octets is None:
            return False
        key, costs = bytes.fromhex(read["key"]), (int(read["n"]), int(read["r"]), int(read["p"]))
        return scrypt_matches(key, octets, read["salt"].encode(), *costs)

    def recognises(self, stored: str) -> bool:
        return _SCRYPT.fullmatch(stored) is not None


class WerkzeugPbkdf2:
    """SHA-256 is written; the other digests that Werkzeug takes are read."""

    name = "werkzeug_pbkdf2"
    max_bytes = None

    def __init__(self, *, iterations: int = 1_000_000) -> None:
        self._iterations = iterations_to_write(iterations)

    def hash(self, password: str) -> str:
        salt = letters_and_digits(_SALT_LENGTH)
        key = pbkdf2("sha256", octets_of(password), salt.encode(), self._iterations)
        return f"pbkdf2:sha256:{self._iterations}${salt}${key.hex()}"

    def verify(self, stored: str, password: str) -> bool:
        read = _read_pbkdf2(stored)
        octets = octets_or_none(password)
        if read is None or octets is None:
            return False
        key = bytes.fromhex(read["key"])
        return pbkdf2_matches(key, read["digest"], octets, read["salt"].encode(), int(read["iterations"]))

    def recognises(self, stored: str) -> bool:
        return _read_pbkdf2(stored) is not None


def _read_pbkdf2(stored: str) -> re.Match[str] | None:
    read = _PBKDF2.fullmatch(stored)
    if read is None or len(read["key"]) != 2 * DIGEST_OCTETS[read["digest"]]:
        return None
    return read
