"""PBKDF2-HMAC, within bounds: by OpenSSL."""

import hashlib
import hmac

from resetsvc.passwords.formats import bounds

DIGEST_OCTETS = {"sha1": 20, "sha224": 28, "sha256": 32, "sha384": 48, "sha512": 64}


def iterations_to_write(value: object) -> int:
    return bounds.whole_number("iterations", value, bounds.LEAST_ITERATIONS, bounds.MOST_ITERATIONS)


def pbkdf2(digest: str, octets: bytes, salt: bytes, iterations: int, length: int | None = None) -> bytes:
    """length -- octets of the key; None: as many as the digest has"""
    return hashlib.pbkdf2_hmac(digest, octets, salt, iterations, length)


def pbkdf2_matches(key: bytes, digest: str, octets: bytes, salt: bytes, iterations: int) -> bool:
    """Whether this is the key of these octets; False for costs beyond the bounds. Compared in constant time."""
    # A key that is longer than the digest costs all iterations once more for each time that it is.
    if not 1 <= iterations <= bounds.MOST_ITERATIONS or not 16 <= len(key) <= 64:
        return False
    return hmac.compare_digest(pbkdf2(digest, octets, salt, iterations, len(key)), key)
