"""The answer itself: how long `POST /reset-password` takes for addresses with an account and without.

The planted delay is a wait of the client's before its clock stops, after requests that are like all others. That is an
honest control: those samples come from the same connection at the same time, carry the same noise, and go through the
same sums as the others, so a procedure that is too coarse, mixes up its classes or crops away what it looks for does
not find them. What it does not show is what a network would hide: measure from where the attacker would sit.
"""

from collections import defaultdict

from resetsvc.selftest.client import Client
from resetsvc.selftest.measurement import PLANTED, Classes, Result, Samples, find

PLANTED_DELAY = 50  # microseconds


class Timing:
    """Asks for all classes in an order of chance, one request at a time."""

    def __init__(self, client: Client, classes: Classes) -> None:
        self._client = client
        self._classes = classes
        self._samples: Samples = defaultdict(list)
        self._said: dict[str, set[bytes]] = defaultdict(set)

    def measure(self, samples: int) -> None:
        for name, address, counts in self._classes.one_round(samples):
            wait = PLANTED_DELAY * 1000 if name == PLANTED else 0
            answer = self._client.ask(address, wait=wait)
            self._said[name].add(answer.said)
            if counts:
                self._samples[name].append(answer.took / 1000)

    def result(self, rounds: int) -> Result:
        return Result(
            "timing",
            [
                find(
                    "the answer to POST /reset-password", self._samples, self._classes.compared, PLANTED_DELAY
                )
            ],
            self._samples,
            rounds,
            unequal=[name for name in self._classes.compared if self._said[name] != self._said["unknown"]],
        )
