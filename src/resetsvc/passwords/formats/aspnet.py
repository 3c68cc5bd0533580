"""ASP.NET Core Identity, version 3: PBKDF2 in a small binary layout, as base64. Version 2 is read.

    1   0x01
    4   the digest: 0 SHA-1, 1 SHA-256, 2 SHA-512      (all numbers big-endian)
    4   iterations
    4   length of the salt
    …   salt
    …   key

Version 2: 0x00, 16 octets of salt, 32 octets of key by 1,000 iterations of SHA-1.
"""

import base64
import binascii
import struct
from dataclasses import dataclass

from resetsvc.passwords.formats import bounds
from resetsvc.passwords.formats.octets import octets_of, octets_or_none
from resetsvc.passwords.formats.pbkdf2 import iterations_to_write, pbkdf2, pbkdf2_matches
from resetsvc.passwords.formats.salts import random_octets

_HEAD = struct.Struct(">BIII")
_DIGESTS = ("sha1", "sha256", "sha512")
_SALT_OCTETS, _KEY_OCTETS = 16, 32
_LEAST_OCTETS = 16  # of salt and of key: Identity takes no fewer


@dataclass(frozen=True, slots=True)
class _Read:
    digest: str
    iterations: int
    salt: bytes
    key: bytes


class AspNetIdentityV3:
    """SHA-512, as written since .NET 7. Identity does not normalise passwords."""

    name = "aspnet_identity_v3"
    max_bytes = None

    def __init__(self, *, iterations: int = 100_000) -> None:
        self._iterations = iterations_to_write(iterations)

    def hash(self, password: str) -> str:
        salt = random_octets(_SALT_OCTETS)
        key = pbkdf2("sha512", octets_of(password), salt, self._iterations, _KEY_OCTETS)
        head = _HEAD.pack(1, _DIGESTS.index("sha512"), self._iterations, len(salt))
        return base64.b64encode(head + salt + key).decode("ascii")

    def verify(self, stored: str, password: str) -> bool:
        read = _read(stored)
        octets = octets_or_none(password)
        if read is None or octets is None:
            return False
        return pbkdf2_matches(read.key, read.digest, octets, read.salt, read.iterations)

    def recognises(self, stored: str) -> bool:
        return _read(stored) is not None


def _read(stored: str) -> _Read | None:
    if len(stored) > bounds.LONGEST_STORED:
        return None
    try:
        octets = base64.b64decode(stored, validate=True)
    except (binascii.Error, ValueError):
        return None
    if octets[:1] == b"\0":
        whole = len(octets) == 1 + _SALT_OCTETS + _KEY_OCTETS
        salt, key = octets[1 : 1 + _SALT_OCTETS], octets[1 + _SALT_OCTETS :]
        return _Read("sha1", 1_000, salt, key) if whole else None
    if octets[:1] != b"\1" or len(octets) < _HEAD.size + 2 * _LEAST_OCTETS:
        return None
    _, digest, iterations, length = _HEAD.unpack_from(octets)
    salt, key = octets[_HEAD.size : _HEAD.size + length], octets[_HEAD.size + length :]
    if digest >= len(_DIGESTS) or length < _LEAST_OCTETS or len(key) < _LEAST_OCTETS:
        return None
    return _Read(_DIGESTS[digest], iterations, salt, key)
