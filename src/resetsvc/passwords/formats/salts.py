"""Salts that are letters and digits, as the applications make them; from the system's generator."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits


def letters_and_digits(length: int) -> str:
    """Just under six bits for each character."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def random_octets(length: int) -> bytes:
    return secrets.token_bytes(length)
