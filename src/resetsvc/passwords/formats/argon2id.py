"""Argon2id as a PHC string, which is what most write who write Argon2: fastapi-users (pwdlib), PHP, argon2-cffi itself.

Older `$argon2i$` and `$argon2d$` are read, never written.
"""

import re

import argon2
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.low_level import Type, hash_secret, verify_secret

from resetsvc.passwords.formats import bounds
from resetsvc.passwords.formats.octets import octets_of, octets_or_none
from resetsvc.passwords.formats.salts import random_octets

_PHC = re.compile(
    r"\$argon2(?P<type>id|i|d)\$(?:v=(?:16|19)\$)?m=(?P<memory>[1-9][0-9]{0,9}),t=(?P<passes>[1-9][0-9]{0,9}),"
    r"p=(?P<lanes>[1-9][0-9]{0,9})\$[A-Za-z0-9+/]{11,100}\$[A-Za-z0-9+/]{16,100}"
)
_TYPES = {"id": Type.ID, "i": Type.I, "d": Type.D}


def is_phc(stored: str) -> bool:
    return len(stored) <= bounds.LONGEST_STORED and _PHC.fullmatch(stored) is not None


def phc_matches(stored: str, octets: bytes) -> bool:
    """Whether these octets were hashed; compared by the library, in constant time."""
    read = _PHC.fullmatch(stored) if len(stored) <= bounds.LONGEST_STORED else None
    if read is None:
        return False
    if not bounds.argon2_is_bearable(int(read["memory"]), int(read["passes"]), int(read["lanes"])):
        return False
    try:
        return verify_secret(stored.encode(), octets, _TYPES[read["type"]])
    except (Argon2Error, InvalidHashError):
        return False


class Argon2Costs:
    """What a new Argon2id hash costs. The names are those of argon2-cffi, and so of most who use it."""

    def __init__(self, *, memory_cost: object, time_cost: object, parallelism: object) -> None:
        """memory_cost -- KiB"""
        self.lanes = bounds.whole_number("parallelism", parallelism, 1, bounds.MOST_LANES)
        self.passes = bounds.whole_number("time_cost", time_cost, 1, bounds.MOST_PASSES)
        self.memory = bounds.whole_number("memory_cost", memory_cost, 8 * self.lanes, bounds.MOST_ARGON2_KIB)
        if not bounds.argon2_is_bearable(self.memory, self.passes, self.lanes):
            raise ValueError(f"memory_cost times time_cost has to be at most {bounds.MOST_ARGON2_WORK}")

    def phc(self, octets: bytes, salt: bytes) -> str:
        return hash_secret(
            octets,
            salt,
            time_cost=self.passes,
            memory_cost=self.memory,
            parallelism=self.lanes,
            hash_len=argon2.DEFAULT_HASH_LENGTH,
            type=Type.ID,
        ).decode("ascii")


class Argon2id:
    """The password's UTF-8 as it was typed; the defaults are those of argon2-cffi and pwdlib."""

    name = "argon2id"
    max_bytes = None

    def __init__(
        self,
        *,
        memory_cost: int = argon2.DEFAULT_MEMORY_COST,
        time_cost: int = argon2.DEFAULT_TIME_COST,
        parallelism: int = argon2.DEFAULT_PARALLELISM,
    ) -> None:
        self._costs = Argon2Costs(memory_cost=memory_cost, time_cost=time_cost, parallelism=parallelism)

    def hash(self, password: str) -> str:
        return self._costs.phc(octets_of(password), random_octets(argon2.DEFAULT_RANDOM_SALT_LENGTH))

    def verify(self, stored: str, password: str) -> bool:
        octets = octets_or_none(password)
        return octets is not None and phc_matches(stored, octets)

    def recognises(self, stored: str) -> bool:
        return is_phc(stored)
