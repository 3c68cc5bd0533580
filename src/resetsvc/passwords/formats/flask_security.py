"""Flask-Security 5: an HMAC of the password by `SECURITY_PASSWORD_SALT`, and that in Argon2id or bcrypt."""

import base64
import binascii
import hmac
import re
import unicodedata
from typing import Literal, cast

import argon2

from resetsvc.errors import PasswordRefused
from resetsvc.passwords.formats import bounds
from resetsvc.passwords.formats.argon2id import Argon2Costs, is_phc, phc_matches
from resetsvc.passwords.formats.bcrypt_hash import MOST_OCTETS, bcrypt_matches, is_bcrypt, make_bcrypt
from resetsvc.passwords.formats.octets import octets_of
from resetsvc.passwords.formats.pbkdf2 import DIGEST_OCTETS, pbkdf2_matches
from resetsvc.passwords.formats.salts import random_octets

# Of passlib. Flask-Security wrote it by choice; its base64 has a dot for the plus sign, and no padding.
_PBKDF2 = re.compile(
    r"\$pbkdf2-(?P<digest>sha256|sha512)\$(?P<iterations>[1-9][0-9]{0,9})\$(?P<salt>[./0-9A-Za-z]{1,128})"
    r"\$(?P<key>[./0-9A-Za-z]{43,86})"
)


class FlaskSecurity:
    """No password is too long: what bcrypt cuts is the HMAC, as Flask-Security does it."""

    name = "flask_security"
    max_bytes = None

    def __init__(
        self,
        *,
        password_salt: str = "",
        inner: str = "argon2",
        normalize: str = "NFKD",
        memory_cost: int = argon2.DEFAULT_MEMORY_COST,
        time_cost: int = argon2.DEFAULT_TIME_COST,
        parallelism: int = argon2.DEFAULT_PARALLELISM,
        rounds: int = 12,
    ) -> None:
        """
        password_salt -- `SECURITY_PASSWORD_SALT`, the key of the HMAC: required
        inner         -- `SECURITY_PASSWORD_HASH`: "argon2" or "bcrypt"; both are read
        normalize     -- `SECURITY_PASSWORD_NORMALIZE_FORM`; "" for none
        """
        self._key = bounds.text("password_salt", password_salt).encode()
        if not self._key:
            raise ValueError("password_salt is missing: it is the application's SECURITY_PASSWORD_SALT")
        self._inner = bounds.one_of("inner", inner, "argon2", "bcrypt")
        self._form = bounds.one_of("normalize", normalize, "NFKD", "NFKC", "NFD", "NFC", "")
        self._argon2 = Argon2Costs(memory_cost=memory_cost, time_cost=time_cost, parallelism=parallelism)
        self._rounds = bounds.whole_number("rounds", rounds, bounds.LEAST_ROUNDS, bounds.MOST_ROUNDS)

    def hash(self, password: str) -> str:
        keyed = self._keyed(password)
        if self._inner == "bcrypt":
            return make_bcrypt(keyed[:MOST_OCTETS], self._rounds, "2b")
        return self._argon2.phc(keyed, random_octets(argon2.DEFAULT_RANDOM_SALT_LENGTH))

    def verify(self, stored: str, password: str) -> bool:
        try:
            keyed = self._keyed(password)
        except PasswordRefused:
            return False
        if is_bcrypt(stored):
            return bcrypt_matches(stored, keyed[:MOST_OCTETS])
        read = _PBKDF2.fullmatch(stored)
        if read is not None:
            salt, key = _decoded(read["salt"]), _decoded(read["key"])
            if salt is None or key is None or len(key) != DIGEST_OCTETS[read["digest"]]:
                return False
            return pbkdf2_matches(key, read["digest"], keyed, salt, int(read["iterations"]))
        return phc_matches(stored, keyed)

    def recognises(self, stored: str) -> bool:
        return is_bcrypt(stored) or is_phc(stored) or _PBKDF2.fullmatch(stored) is not None

    def _keyed(self, password: str) -> bytes:
        octets_of(password)  # what is no text is refused before it is normalised
        if self._form:
            form = cast(Literal["NFC", "NFD", "NFKC", "NFKD"], self._form)
            password = unicodedata.normalize(form, password)
        return base64.b64encode(hmac.digest(self._key, octets_of(password), "sha512"))


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.replace(".", "+") + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None
