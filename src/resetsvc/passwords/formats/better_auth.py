"""Better Auth 1.7: scrypt over the password in NFKC, with costs that are fixed and so stand in no hash."""

import re
import unicodedata

from resetsvc.errors import PasswordRefused, Reason
from resetsvc.passwords.formats import bounds
from resetsvc.passwords.formats.octets import octets_of
from resetsvc.passwords.formats.salts import random_octets
from resetsvc.passwords.formats.scrypt import ScryptCosts, scrypt_matches

_N, _R, _P = 16_384, 16, 1
_COSTS = ScryptCosts(("N", "r", "p"), _N, _R, _P)
_STORED = re.compile(r"(?P<salt>[0-9a-f]{32}):(?P<key>[0-9a-f]{128})")


class BetterAuthScrypt:
    """The salt is the hexadecimal text itself, and not the octets that it stands for."""

    name = "better_auth_scrypt"
    max_bytes = None

    def __init__(self, *, max_length: int = 128) -> None:
        """max_length -- `emailAndPassword.maxPasswordLength`: a log-in with more characters is refused there."""
        self._max_length = bounds.whole_number("max_length", max_length, 1, 4096)

    def hash(self, password: str) -> str:
        octets = self._octets(password)
        salt = random_octets(16).hex()
        return f"{salt}:{_COSTS.derive(octets, salt.encode()).hex()}"

    def verify(self, stored: str, password: str) -> bool:
        read = _STORED.fullmatch(stored)
        if read is None:
            return False
        try:
            octets = self._octets(password)
        except PasswordRefused:
            return False
        return scrypt_matches(bytes.fromhex(read["key"]), octets, read["salt"].encode(), _N, _R, _P)

    def recognises(self, stored: str) -> bool:
        return _STORED.fullmatch(stored) is not None

    def _octets(self, password: str) -> bytes:
        octets = octets_of(unicodedata.normalize("NFKC", password))
        # JavaScript counts UTF-16, of what was typed: an emoji is two.
        if len(password.encode("utf-16-le")) // 2 > self._max_length:
            raise PasswordRefused([Reason("too_long", self._max_length)])
        return octets
