"""Welch's t-test on raw and on cropped samples, in plain Python. Pure functions, any unit of time.

The procedure is that of dudect (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2017): besides all
samples, those below several percentiles of both classes together are compared. The slowest answers are slow for reasons
of the machine; without them a small difference is found with far fewer samples.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

# dudect's 1 - 0.5^(10 (i + 1) / n) with n = 10 crops: 50 %, 75 %, 87.5 % ... The last two keep all but one in 500.
CROPS = tuple(1 - 0.5 ** (i + 1) for i in range(8))
SMALLEST_CLASS = 100  # samples left of a class: of fewer, a crop says nothing


@dataclass(frozen=True, slots=True)
class TTest:
    """One Welch test of two classes.

    kept       -- the share of all samples that was looked at; 1.0: all of them
    t          -- positive: the first class is slower
    difference -- of the means, first class less second
    error      -- the standard error of that difference
    """

    kept: float
    t: float
    difference: float
    error: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """All tests of two classes: all samples first, then crop by crop."""

    tests: tuple[TTest, ...]
    counts: tuple[int, int]
    median_difference: float

    @property
    def raw(self) -> TTest:
        return self.tests[0]

    @property
    def worst(self) -> TTest:
        """The test that tells the classes apart best: the verdict is about this one."""
        return max(self.tests, key=lambda test: abs(test.t))

    @property
    def t(self) -> float:
        return self.worst.t


def welch(first: Sequence[float], second: Sequence[float], kept: float = 1.0) -> TTest:
    """Welch's t of two classes of at least two samples each (B. L. Welch, Biometrika 34, 1947)."""
    mean, other_mean = fmean(first), fmean(second)
    difference = mean - other_mean
    error = math.sqrt(_variance(first, mean) / len(first) + _variance(second, other_mean) / len(second))
    if error == 0:
        return TTest(kept, math.copysign(math.inf, difference) if difference else 0.0, difference, 0.0)
    return TTest(kept, difference / error, difference, error)


def compare(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Welch's t on all samples and on every crop that leaves enough of both classes."""
    ordered = sorted((*first, *second))
    tests = [welch(first, second)]
    for share in CROPS:
        limit = quantile(ordered, share)
        below = [value for value in first if value < limit]
        others_below = [value for value in second if value < limit]
        if min(len(below), len(others_below)) >= SMALLEST_CLASS:
            tests.append(welch(below, others_below, share))
    return Comparison(
        tuple(tests),
        (len(first), len(second)),
        quantile(sorted(first), 0.5) - quantile(sorted(second), 0.5),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of the samples lies, between neighbours in proportion (Hyndman and Fan's type 7)."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _variance(values: Sequence[float], mean: float) -> float:
    """Unbiased. `statistics.variance` counts in exact fractions: seconds for what this does in milliseconds."""
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
