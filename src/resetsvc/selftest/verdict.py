"""What the comparisons mean: a leak, none, or that this measurement cannot say. Pure functions.

Two controls are measured in the same run and among the same requests. A/A: two halves of one class, which nothing tells
apart but chance; if they differ, the measurement is at fault. Planted: a known delay that has to be found; if it is not,
finding nothing among the others proves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from resetsvc.selftest.statistics import Comparison

PASSES_BELOW = 4.5  # |t|; by chance, one test in 150,000 reaches it
LEAKS_FROM = 10.0


class Verdict(Enum):
    """The values are what a person and a program read; `exit_code` is what a shell sees."""

    PASS = "pass"  # noqa: S105 -- no password: the word for having passed
    LEAK = "leak"
    UNDECIDED = "undecided"
    INSENSITIVE = "not sensitive enough"
    UNSOUND = "unsound"

    @property
    def exit_code(self) -> int:
        return {Verdict.PASS: 0, Verdict.LEAK: 1}.get(self, 3)

    @property
    def more_may_help(self) -> bool:
        """Whether more samples can change it."""
        return self in (Verdict.UNDECIDED, Verdict.INSENSITIVE, Verdict.UNSOUND)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was measured, with its controls.

    what         -- what was measured, in words
    comparisons  -- by the names of the two classes: `known - unknown`
    same         -- the A/A control
    planted      -- the control with a known delay
    planted_size -- that delay, in the unit of the samples
    """

    what: str
    comparisons: Mapping[str, Comparison]
    same: Comparison
    planted: Comparison
    planted_size: float

    @property
    def t(self) -> float:
        """The t of the two classes that are told apart best."""
        return max((comparison.t for comparison in self.comparisons.values()), key=abs)

    @property
    def verdict(self) -> Verdict:
        return judge(self.t, self.same.t, self.planted.t)

    @property
    def finds_from(self) -> float:
        """The smallest delay that a run like this finds with certainty, from how clearly it saw the planted one."""
        return self.planted_size * LEAKS_FROM / self.planted.t if self.planted.t > 0 else float("inf")

    @property
    def factor_needed(self) -> float:
        """How many times the samples the planted delay would take: t grows with their square root."""
        return (LEAKS_FROM / self.planted.t) ** 2 if self.planted.t > 0 else float("inf")


def judge(t: float, same: float, planted: float) -> Verdict:
    """The verdict on one comparison.

    t       -- of the classes that must not differ
    same    -- of the A/A control
    planted -- of the planted delay, positive if it was found as a delay
    """
    if abs(same) >= PASSES_BELOW:
        return Verdict.UNSOUND  # whatever else was found: halves of one class were told apart, too
    if abs(t) >= LEAKS_FROM:
        return Verdict.LEAK  # what was found was found, also by a measurement that misses smaller things
    if abs(t) >= PASSES_BELOW:
        return Verdict.UNDECIDED
    if planted <= LEAKS_FROM:
        return Verdict.INSENSITIVE
    return Verdict.PASS


# From worst to best: the whole is as its worst part. UNDECIDED is near a leak, so it comes before what only says too little.
_ORDER = (Verdict.LEAK, Verdict.UNSOUND, Verdict.UNDECIDED, Verdict.INSENSITIVE, Verdict.PASS)


def worst(verdicts: list[Verdict]) -> Verdict:
    return min(verdicts, key=_ORDER.index)
