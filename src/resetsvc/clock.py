"""Time, new ids and chance: the three things that tests replace so that nothing in them is left to luck."""

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial


def new_id() -> str:
    """128 random bits from the system's generator as 32 hexadecimal digits (ASVS 11.5.1).

    Hexadecimal, so that an id can be typed after a command without being taken for an option.
    """
    return secrets.token_hex(16)


# Seconds that never jump, and go on while the machine sleeps where the system counts those (Linux).
uptime: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


@dataclass(frozen=True, slots=True)
class Clock:
    """What the service asks when it needs to know the time or to toss a coin.

    now        -- seconds since 1970 UTC; what is stored, signed and shown
    monotonic  -- seconds that never jump, and count the sleep of a suspended machine: its leases run out meanwhile
    uptime     -- seconds that never jump either; by these a jump of `now` is told from time that passed
    new_id     -- 128 random bits: a lease owner's id, and what of a letter's id nobody can guess
    chance     -- a number from 0 up to 1; jitter only, never a secret
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = uptime
    uptime: Callable[[], float] = uptime
    new_id: Callable[[], str] = new_id
    chance: Callable[[], float] = random.random

    def new_letter_id(self) -> str:
        """The milliseconds since 1970 in 12 hexadecimal digits, as a UUIDv7 begins (RFC 9562), and a new id after them.

        What is stored together lies together in the index, however many letters there were before: random ids touch
        another page for each letter, which is read, and written to the log, as a whole.
        """
        return f"{int(self.now() * 1000):012x}{self.new_id()}"
