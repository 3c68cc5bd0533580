"""Salts as the applications make them, from the system's generator, and as they are read again."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits
PRINTABLE_SALT = r"(?P<salt>[!-#%-~]{1,128})"  # printable ASCII but for the dollar sign, which ends it


def letters_and_digits(length: int) -> str:
    """Just under six bits for each character."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def random_octets(length: int) -> bytes:
    return secrets.token_bytes(length)
