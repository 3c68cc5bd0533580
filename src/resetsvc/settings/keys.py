"""What is a good key to sign links with: long, not repeating itself, and known to nobody else."""

from typing import Annotated

from pydantic import AfterValidator, SecretStr

from resetsvc.settings.values import Secrets

_LENGTH = 32
_DIFFERENT_CHARACTERS = 8

# What `resetsvc.testing` signs with: everybody can read it, so no service may.
TEST_KEY = "a key for tests, and for nothing else: 0123456789"
# What people leave in from an example, as it reads in lower case without spaces and signs (CVE-2023-27524).
_LEFT_FROM_AN_EXAMPLE = (
    *("changeme", "changethis", "replaceme", "replacethis", "placeholder", "insecure", "notasecret"),
    *("yoursecret", "mysecretkey", "supersecret", "secretkeyhere", "secretgoeshere", "keygoeshere"),
    *("examplekey", "thisisasecret", "correcthorsebattery", "qwertyuiop", "asdfghjkl", "loremipsum"),
)


def _key(value: SecretStr) -> SecretStr:
    key = value.get_secret_value()
    if len(key) < _LENGTH:
        raise ValueError(f"needs at least {_LENGTH} characters: `resetsvc keygen` makes a good one")
    period = (key + key).find(key, 1)  # after how many characters it begins anew
    if len(set(key)) < _DIFFERENT_CHARACTERS or period < _DIFFERENT_CHARACTERS:
        raise ValueError("repeats a few characters, so it can be guessed: `resetsvc keygen` makes a good one")
    letters = "".join(filter(str.isalnum, key.lower()))
    if any(words in letters for words in _LEFT_FROM_AN_EXAMPLE):
        raise ValueError("is one from an example, so it can be guessed: `resetsvc keygen` makes a good one")
    return value


def _keys(values: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    return tuple(_key(value) for value in values)


Key = Annotated[SecretStr, AfterValidator(_key)]
Keys = Annotated[Secrets, AfterValidator(_keys)]


def is_known_to_all(key: SecretStr) -> bool:
    """Not part of what a key must look like: the fixtures of `resetsvc.testing` do use this one."""
    return key.get_secret_value() == TEST_KEY
