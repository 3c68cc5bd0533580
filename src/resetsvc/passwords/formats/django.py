"""What Django 5.2 keeps: `pbkdf2_sha256`, `argon2`, `bcrypt_sha256` and `scrypt`. It does not normalise passwords."""

import base64
import binascii
import hashlib
import re

from resetsvc.passwords.formats import bounds
from resetsvc.passwords.formats.argon2id import Argon2Costs, is_phc, phc_matches
from resetsvc.passwords.formats.bcrypt_hash import bcrypt_matches, is_bcrypt, make_bcrypt
from resetsvc.passwords.formats.octets import octets_of, octets_or_none
from resetsvc.passwords.formats.pbkdf2 import iterations_to_write, pbkdf2, pbkdf2_matches
from resetsvc.passwords.formats.salts import PRINTABLE_SALT, letters_and_digits
from resetsvc.passwords.formats.scrypt import ScryptCosts, scrypt_matches

# 128 bits of letters and digits; Django makes hashes with less anew at the next log-in.
_SALT_LENGTH = 22
_PBKDF2 = re.compile(
    rf"pbkdf2_sha256\$(?P<iterations>[1-9][0-9]{{0,9}})\${PRINTABLE_SALT}\$(?P<key>[A-Za-z0-9+/]{{43}}=)"
)
_SCRYPT = re.compile(
    rf"scrypt\$(?P<n>[1-9][0-9]{{0,9}})\${PRINTABLE_SALT}\$(?P<r>[1-9][0-9]{{0,3}})\$(?P<p>[1-9][0-9]{{0,3}})"
    r"\$(?P<key>[A-Za-z0-9+/]{86}==)"
)
_ARGON2 = "argon2"
_BCRYPT = "bcrypt_sha256$"


class DjangoPbkdf2Sha256:
    """Django's first choice. Its iterations grow with each release: 1,000,000 in 5.2."""

    name = "django_pbkdf2_sha256"
    max_bytes = None

    def __init__(self, *, iterations: int = 1_000_000) -> None:
        self._iterations = iterations_to_write(iterations)

    def hash(self, password: str) -> str:
        salt = letters_and_digits(_SALT_LENGTH)
        key = pbkdf2("sha256", octets_of(password), salt.encode(), self._iterations)
        return f"pbkdf2_sha256${self._iterations}${salt}${_base64(key)}"

    def verify(self, stored: str, password: str) -> bool:
        read = _PBKDF2.fullmatch(stored)
        octets = octets_or_none(password)
        if read is None or octets is None:
            return False
        key = base64.b64decode(read["key"])
        return pbkdf2_matches(key, "sha256", octets, read["salt"].encode(), int(read["iterations"]))

    def recognises(self, stored: str) -> bool:
        return _PBKDF2.fullmatch(stored) is not None


class DjangoArgon2:
    """Argon2id behind the word `argon2`, with a salt of letters and digits."""

    name = "django_argon2"
    max_bytes = None

    def __init__(self, *, memory_cost: int = 102_400, time_cost: int = 2, parallelism: int = 8) -> None:
        self._costs = Argon2Costs(memory_cost=memory_cost, time_cost=time_cost, parallelism=parallelism)

    def hash(self, password: str) -> str:
        salt = letters_and_digits(_SALT_LENGTH).encode()
        return f"{_ARGON2}{self._costs.phc(octets_of(password), salt)}"

    def verify(self, stored: str, password: str) -> bool:
        octets = octets_or_none(password)
        if octets is None or not self.recognises(stored):
            return False
        return phc_matches(stored.removeprefix(_ARGON2), octets)

    def recognises(self, stored: str) -> bool:
        return stored.startswith(_ARGON2) and is_phc(stored.removeprefix(_ARGON2))


class DjangoBcryptSha256:
    """bcrypt over the hexadecimal SHA-256, so no password is too long for it."""

    name = "django_bcrypt_sha256"
    max_bytes = None

    def __init__(self, *, rounds: int = 12) -> None:
        self._rounds = bounds.whole_number("rounds", rounds, bounds.LEAST_ROUNDS, bounds.MOST_ROUNDS)

    def hash(self, password: str) -> str:
        return f"{_BCRYPT}{make_bcrypt(_hexadecimal(octets_of(password)), self._rounds, '2b')}"

    def verify(self, stored: str, password: str) -> bool:
        octets = octets_or_none(password)
        if octets is None or not self.recognises(stored):
            return False
        return bcrypt_matches(stored.removeprefix(_BCRYPT), _hexadecimal(octets))

    def recognises(self, stored: str) -> bool:
        return stored.startswith(_BCRYPT) and is_bcrypt(stored.removeprefix(_BCRYPT))


class DjangoScrypt:
    """scrypt with five lanes. Django's own class reads up to 32 MiB: more needs a `maxmem` there."""

    name = "django_scrypt"
    max_bytes = None

    def __init__(self, *, work_factor: int = 16_384, block_size: int = 8, parallelism: int = 5) -> None:
        self._costs = ScryptCosts(
            ("work_factor", "block_size", "parallelism"), work_factor, block_size, parallelism
        )

    def hash(self, password: str) -> str:
        salt, costs = letters_and_digits(_SALT_LENGTH), self._costs
        key = costs.derive(octets_of(password), salt.encode())
        return f"scrypt${costs.n}${salt}${costs.r}${costs.p}${_base64(key)}"

    def verify(self, stored: str, password: str) -> bool:
        read = _SCRYPT.fullmatch(stored)
        octets = octets_or_none(password)
        if read is None or octets is None:
            return False
        key = base64.b64decode(read["key"])
        return scrypt_matches(
            key, octets, read["salt"].encode(), int(read["n"]), int(read["r"]), int(read["p"])
        )

    def recognises(self, stored: str) -> bool:
        return _SCRYPT.fullmatch(stored) is not None


def _base64(key: bytes) -> str:
    return base64.b64encode(key).decode("ascii")


def _hexadecimal(octets: bytes) -> bytes:
    return binascii.hexlify(hashlib.sha256(octets).digest())
