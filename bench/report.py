"""Turns results into what is read: `results.json`, a table in `README.md`, and a picture for each chart."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.harness.result import Chart, Goal, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's: told apart by all eyes, and in print. resetsvc is always the first of them.
OURS = "#0072b2"
_COLORS = (OURS, "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_OTHERS = "#b8b8b8"
_LINE = "#d55e00"
_SIGNS = {"at least": "≥", "at most": "≤"}


def failed(letter: str, title: str, error: Exception) -> Result:
    """What stands in the table for a figure that could not be measured: the reason."""
    why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return Result(letter, title, goals=[Goal(title, "at least", 0, None, "", why)], failed=True)


def one_line(goal: Goal) -> str:
    """A goal as progress shows it."""
    if goal.value is None:
        return f"not measured: {goal.what} ({goal.why})"
    return f"{goal.verdict}: {goal.what}: {number(goal.value)}{_unit(goal.unit)} (must be {_SIGNS[goal.must]} {number(goal.bound)})"


def number(value: float) -> str:
    """Three digits that count, or all before the point."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}" if value == 0 else str(value)
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 4)}f}"


@dataclass(frozen=True, slots=True)
class Measured:
    """A program that takes part: what of it was installed, and what it does not do."""

    title: str
    versions: str
    lacks: Sequence[str]


def write(
    folder: Path, results: Sequence[Result], machine: Mapping[str, str], programs: Sequence[Measured] = ()
) -> None:
    """Write all three anew: a run that is interrupted leaves what it had."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {result.letter: draw(folder, result) for result in results}
    (folder / "results.json").write_text(as_json(results, machine, programs), "utf-8")
    (folder / "README.md").write_text(as_markdown(results, machine, pictures, programs), "utf-8")


def as_json(results: Sequence[Result], machine: Mapping[str, str], programs: Sequence[Measured] = ()) -> str:
    figures = []
    for result in results:
        told = dataclasses.asdict(result)
        for goal, written in zip(result.goals, told["goals"], strict=True):
            written["verdict"] = goal.verdict
        figures.append(told)
    everything = {
        "machine": dict(machine),
        "programs": [dataclasses.asdict(program) for program in programs],
        "figures": figures,
    }
    return json.dumps(everything, indent=1, ensure_ascii=False) + "\n"


def as_markdown(
    results: Sequence[Result],
    machine: Mapping[str, str],
    pictures: Mapping[str, Sequence[str]],
    programs: Sequence[Measured] = (),
) -> str:
    """The goals in one table, then each figure with its rows and pictures."""
    lines = ["# What was measured", ""]
    if machine.get("quick") == "true":
        lines += ["**A quick run, to see that everything runs: its figures mean nothing.**", ""]
    lines += ["; ".join(f"{name}: {value}" for name, value in machine.items() if name != "quick") + ".", ""]
    lines += [
        "What each figure means, and how far to trust it, is told in the [README of the benchmarks](../README.md).",
        "",
    ]
    lines += ["| figure | what | must be | is | |", "| --- | --- | --- | --- | --- |"]
    for result in results:
        lines += [_goal_row(result.letter, goal) for goal in result.goals]
    if programs:
        lines += ["", "## What each of them does not do", ""]
        lines += ["| program | does not do | releases |", "| --- | --- | --- |"]
        lines += [
            f"| {_cell(program.title)} | {_cell('; '.join(program.lacks))} | {_cell(program.versions)} |"
            for program in programs
        ]
    for result in results:
        lines += ["", f"## {result.letter}. {result.title}", ""]
        lines += [f"![{result.title}]({name})" for name in pictures.get(result.letter, ())]
        if pictures.get(result.letter):
            lines.append("")
        if result.rows:
            lines += ["| who | what | value | |", "| --- | --- | --- | --- |"]
            lines += [
                f"| {_cell(row.who)} | {_cell(row.what)} | {number(row.value)}{_unit(row.unit)} | {_cell(row.note)} |"
                for row in result.rows
            ]
        for note in result.notes:
            lines += ["", note]
        lines += ["", f"Measured in {result.seconds:.0f} s."]
    return "\n".join(lines) + "\n"


def _goal_row(letter: str, goal: Goal) -> str:
    is_now = "" if goal.value is None else f"{number(goal.value)}{_unit(goal.unit)}"
    verdict = f"not measured: {goal.why}" if goal.value is None else goal.verdict
    if goal.value is not None and goal.verdict == "not reached":
        verdict = f"**{verdict}**"
    must = (
        ""
        if goal.value is None and not goal.bound
        else f"{_SIGNS[goal.must]} {number(goal.bound)}{_unit(goal.unit)}"
    )
    return f"| {letter} | {_cell(goal.what)} | {must} | {is_now} | {_cell(verdict)} |"


def _unit(unit: str) -> str:
    match unit:
        case "" | "×":
            return unit and f" {unit}"
        case "1/s":
            return " /s"
    return f" {unit}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


# ---- pictures -------------------------------------------------------------------------------------------------


def draw(folder: Path, result: Result) -> list[str]:
    """A PNG for each chart; the names of the files."""
    names = []
    for position, chart in enumerate(result.charts):
        name = f"{result.letter.lower()}{position + 1 if len(result.charts) > 1 else ''}.png"
        _draw(folder / name, result, chart)
        names.append(name)
    return names


def _draw(path: Path, result: Result, chart: Chart) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Lying bars: names of programs are long.
    height = 1.3 + 0.28 * len(chart.groups) * max(1, len(chart.series)) + 0.18 * len(chart.groups)
    figure = Figure(figsize=(8.5, max(2.4, height)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    title = f"{result.letter}. {result.title}" + (f": {chart.title}" if chart.title else "")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    _bars(axes, chart)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _bars(axes: "Axes", chart: Chart) -> None:
    count = max(1, len(chart.series))
    thick = 0.8 / count
    values = [value for some in chart.series.values() for value in some if value is not None]
    values += [chart.line[1]] if chart.line else []
    positive = [value for value in values if value > 0]
    largest = max(values, default=1.0) or 1.0
    smallest = min(positive, default=1.0) / 3 if chart.logarithmic else 0.0
    for index, (name, some) in enumerate(chart.series.items()):
        first = next((group for group, value in enumerate(some) if value is not None), None)
        for group, value in enumerate(some):
            if value is None:
                continue
            place = group + (index - (count - 1) / 2) * thick
            color = _COLORS[index % len(_COLORS)] if count > 1 else _color_of(name, chart.groups[group])
            axes.barh(
                place,
                value,
                height=0.92 * thick,
                color=color,
                label=name if count > 1 and group == first else None,
            )
            axes.text(
                max(value, smallest),
                place,
                f" {number(value)}",
                va="center",
                fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.85},
                zorder=5,
            )
    if chart.logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.set_xlim(smallest, largest * 4)
    else:
        axes.set_xlim(0, largest * 1.15)
        axes.xaxis.set_major_formatter("{x:,g}")
    if chart.line:
        name, value = chart.line
        axes.axvline(value, color=_LINE, linewidth=1.2, linestyle="--", label=name)
    axes.set_yticks(range(len(chart.groups)), list(chart.groups), fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel(chart.unit + (" (logarithmic)" if chart.logarithmic else ""))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e5e5e5")
    axes.set_axisbelow(True)
    if count > 1 or chart.line:
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _color_of(series: str, group: str) -> str:
    """Ours stands out where there is one series only."""
    return OURS if "resetsvc" in (series, group[: len("resetsvc")]) else _OTHERS
