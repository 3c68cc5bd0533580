"""Leaves alone for some seconds what failed again and again; then one attempt shows whether it works."""

from collections.abc import Iterator
from contextlib import contextmanager

from resetsvc.clock import Clock


class Resting(Exception):
    """Left alone after failures in a row: nothing was tried."""


class Breaker:
    """Goes around each attempt. Whoever waits for what is down waits in vain, and adds to its load when it comes back."""

    def __init__(self, clock: Clock, *, failures: int = 5, rest: float = 5.0) -> None:
        """Take how many failures in a row are too many, and the seconds of rest after them."""
        self._clock = clock
        self._most = failures
        self._rest = rest
        self._failures = 0
        self._rest_until = 0.0
        self._probing = False

    @property
    def open(self) -> bool:
        """Whether it failed too often, and has not been seen to work since."""
        return self._failures >= self._most

    @contextmanager
    def attempt(self, *about_one: type[Exception]) -> Iterator[None]:
        """Let one attempt through, or raise Resting. An attempt that was called off tells nothing.

        about_one -- errors that say of one question that it is wrong: what gives such an answer works
        """
        probe = self._enter()
        try:
            yield
        except about_one:
            self._failures = 0
            raise
        except Exception:
            self._failures += 1
            self._rest_until = self._clock.monotonic() + self._rest
            raise
        else:
            self._failures = 0
        finally:
            if probe:
                self._probing = False

    def _enter(self) -> bool:
        if not self.open:
            return False
        if self._probing or self._clock.monotonic() < self._rest_until:
            raise Resting
        self._probing = True
        return True
