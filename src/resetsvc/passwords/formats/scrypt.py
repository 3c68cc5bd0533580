"""scrypt, within bounds: by OpenSSL, as the applications do it that are written in Python or run on Node."""

import hashlib
import hmac

from resetsvc.passwords.formats import bounds


class ScryptCosts:
    """n, r and p under the names that an application gives them."""

    def __init__(self, names: tuple[str, str, str], n: object, r: object, p: object) -> None:
        self.n = bounds.whole_number(names[0], n, 2, bounds.MOST_SCRYPT_OCTETS // 128)
        self.r = bounds.whole_number(names[1], r, 1, bounds.MOST_SCRYPT_BLOCK)
        self.p = bounds.whole_number(names[2], p, 1, bounds.MOST_LANES)
        if self.n & (self.n - 1):
            raise ValueError(f"{names[0]} has to be a power of two")
        if not bounds.scrypt_is_bearable(self.n, self.r, self.p):
            raise ValueError(
                f"{names[0]}, {names[1]} and {names[2]} together are too much: at most"
                f" {bounds.MOST_SCRYPT_OCTETS // 1024 // 1024} MiB (128 times the first two) and"
                f" {bounds.MOST_SCRYPT_WORK} steps (all three multiplied)"
            )

    def derive(self, octets: bytes, salt: bytes) -> bytes:
        return _scrypt(octets, salt, self.n, self.r, self.p)


def scrypt_matches(key: bytes, octets: bytes, salt: bytes, n: int, r: int, p: int) -> bool:
    """Whether 64 octets are the key of these; False for costs beyond the bounds. Compared in constant time."""
    if not bounds.scrypt_is_bearable(n, r, p):
        return False
    return hmac.compare_digest(_scrypt(octets, salt, n, r, p), key)


def _scrypt(octets: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    # OpenSSL wants to be told how much it may take, and takes a little more than the function itself needs.
    room = 128 * r * (n + p + 4) + 1024 * 1024
    return hashlib.scrypt(octets, salt=salt, n=n, r=r, p=p, maxmem=room, dklen=64)
