"""The shape of a result: what was measured, what had to be reached, and what the picture shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: who, what, how much, and what has to be known about it."""

    who: str
    what: str
    value: float
    unit: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """What must be reached, and what was. `value` None: it could not be measured, and `why` says why not."""

    what: str
    must: Literal["at least", "at most"]
    bound: float
    value: float | None
    unit: str = ""
    why: str = ""

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        reached = self.value >= self.bound if self.must == "at least" else self.value <= self.bound
        return "reached" if reached else "not reached"


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars: for each group one of each series. A value of None leaves its place empty.

    line -- what is to be compared with: its name and its value
    """

    unit: str
    groups: Sequence[str]
    series: Mapping[str, Sequence[float | None]]
    logarithmic: bool = False
    line: tuple[str, float] | None = None
    title: str = ""


@dataclass(slots=True)
class Result:
    """All that a figure says."""

    letter: str
    title: str
    rows: list[Row] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0  # that measuring it took
    failed: bool = False

    def add(self, who: str, what: str, value: float, unit: str, note: str = "") -> None:
        self.rows.append(Row(who, what, value, unit, note))
