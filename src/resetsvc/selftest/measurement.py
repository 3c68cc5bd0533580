"""What both measurements share: the classes in an order of chance, rounds that are repeated with more, what came of it."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from resetsvc.selftest.statistics import compare
from resetsvc.selftest.verdict import Finding, Verdict, worst

DROPPED = 0.01  # of each round's requests, from its beginning: caches fill, the server wakes
PLANTED = "planted"
Samples = dict[str, list[float]]  # by class, in microseconds, in the order in which they were taken


@dataclass(frozen=True, slots=True)
class Result:
    """All that a measurement found.

    name     -- `timing` or `echo`
    findings -- one for each thing that was measured
    samples  -- those of the first finding, for the picture
    rounds   -- how often it was measured; each round after the first doubles the samples
    unequal  -- classes whose answers differ from those of unknown addresses in more than time
    notes    -- what a reader should know besides
    """

    name: str
    findings: Sequence[Finding]
    samples: Mapping[str, Sequence[float]]
    rounds: int
    unequal: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def verdict(self) -> Verdict:
        if self.unequal:
            return Verdict.LEAK
        return worst([finding.verdict for finding in self.findings])


class Measurement(Protocol):
    """Something that can be measured a bit longer."""

    def measure(self, samples: int) -> None:
        """Take so many samples a class more."""
        ...

    def result(self, rounds: int) -> Result:
        """What all samples so far say."""
        ...


def measure_until_decided(
    measurement: Measurement, samples: int, repeats: int, tell: Callable[[str], None]
) -> Result:
    """Measure; as long as it is undecided and repeats are left, double the samples."""
    taken = 0
    for round_number in itertools.count(1):
        more = max(samples, taken)
        tell(f"round {round_number}: {more:,} samples a class")
        measurement.measure(more)
        taken += more
        result = measurement.result(round_number)
        if round_number > repeats or not result.verdict.more_may_help:
            return result
    raise AssertionError("counts for ever")


@dataclass
class Classes:
    """The classes and whom each asks for next, in an order that a seed decides.

    The planted class asks for unknown addresses. Every class goes through all of its addresses before it begins anew.
    """

    lists: Mapping[str, Sequence[str]]
    seed: int
    _chance: Random = field(init=False)
    _next: dict[str, Iterator[str]] = field(init=False)

    def __post_init__(self) -> None:
        self._chance = Random(self.seed)  # noqa: S311 -- an order that can be had again, and no secret
        lists = {**self.lists, PLANTED: self.lists["unknown"]}
        self._next = {
            name: itertools.cycle(self._chance.sample(addresses, len(addresses)))
            for name, addresses in lists.items()
        }

    @property
    def names(self) -> list[str]:
        return list(self._next)

    @property
    def compared(self) -> list[str]:
        """Those that must not differ from unknown addresses."""
        return [name for name in self.lists if name != "unknown"]

    def one_round(self, samples: int) -> Iterator[tuple[str, str, bool]]:
        """So many requests of each class in an order of chance: class, address, and whether it counts."""
        order = [name for name in self._next for _ in range(samples)]
        self._chance.shuffle(order)
        drop = int(len(order) * DROPPED)
        for number, name in enumerate(order):
            yield name, next(self._next[name]), number >= drop


def find(what: str, samples: Samples, compared: Sequence[str], planted_size: float) -> Finding:
    """Compare each class with the unknown addresses, and the two controls."""
    unknown = samples["unknown"]
    return Finding(
        what,
        {f"{name} - unknown": compare(samples[name], unknown) for name in compared},
        # Every other one: the halves were asked in turn, so that whatever changes meanwhile changes for both.
        same=compare(unknown[0::2], unknown[1::2]),
        planted=compare(samples[PLANTED], unknown),
        planted_size=planted_size,
    )
