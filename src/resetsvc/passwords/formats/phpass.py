"""phpass, the portable one (`$P$`): thousands of rounds of MD5. Read only: WordPress before 6.8 wrote it."""

import hashlib
import hmac
import re

from resetsvc.passwords.formats import bounds

_SIGNS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_STORED = re.compile(r"\$P\$(?P<rounds>[5-9A-S])(?P<salt>[./0-9A-Za-z]{8})(?P<key>[./0-9A-Za-z]{22})")


def is_phpass(stored: str) -> bool:
    return _STORED.fullmatch(stored) is not None


def phpass_matches(stored: str, octets: bytes) -> bool:
    """Whether these octets were hashed; False for costs beyond the bounds. Compared in constant time."""
    read = _STORED.fullmatch(stored)
    if read is None or _SIGNS.index(read["rounds"]) > bounds.MOST_PHPASS_ROUNDS:
        return False
    key = _md5(read["salt"].encode() + octets)
    for _ in range(1 << _SIGNS.index(read["rounds"])):
        key = _md5(key + octets)
    return hmac.compare_digest(_encoded(key), read["key"])


def _md5(octets: bytes) -> bytes:
    return hashlib.md5(octets, usedforsecurity=False).digest()


def _encoded(key: bytes) -> str:
    """Three octets to four signs, the lowest six bits first."""
    signs = ""
    for start in range(0, len(key), 3):
        group = key[start : start + 3]
        value = int.from_bytes(group, "little")
        signs += "".join(_SIGNS[value >> 6 * place & 63] for place in range(len(group) + 1))
    return signs
