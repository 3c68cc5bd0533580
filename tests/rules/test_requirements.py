"""The pages of requirements and threats name tests as their proof: each of them is there, and the counts are right."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.rules.source import ROOT

REQUIREMENTS = ROOT / "docs" / "reference" / "asvs.md"
THREATS = ROOT / "docs" / "discussion" / "threats.md"
# A parametrised test may be named with one of its cases: `tests/x/test_y.py::test_z[case]`.
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)(?:\[[^\]`]+\])?`")
VERDICTS = ("met", "not met", "operator")

# ASVS 5.0.0: how many requirements each of its sections has.
ASVS = {
    "1": (2, 10, 12, 3, 3),
    "2": (3, 3, 5, 2),
    "3": (1, 3, 5, 8, 8, 1, 5),
    "4": (5, 5, 2, 4),
    "5": (1, 6, 3, 3),
    "6": (3, 12, 8, 6, 8, 4, 2, 4),
    "7": (3, 4, 2, 5, 3, 2),
    "8": (4, 4, 3, 2),
    "9": (3, 4),
    "10": (2, 3, 5, 16, 5, 2, 3),
    "11": (4, 5, 5, 4, 2, 2, 2),
    "12": (5, 2, 5),
    "13": (4, 6, 4, 7),
    "14": (2, 8, 3),
    "15": (5, 5, 7, 4),
    "16": (1, 5, 4, 3, 4),
    "17": (2, 8, 2),
}
ALL = [
    f"{chapter}.{section}.{number}"
    for chapter, sections in ASVS.items()
    for section, size in enumerate(sections, 1)
    for number in range(1, size + 1)
]


class Row(NamedTuple):
    """One requirement of the tables."""

    id: str
    verdict: str
    tests: list[tuple[str, str]]


def tables() -> list[list[str]]:
    """The cells of each line of each table, without the lines over and under its head."""
    found = []
    for line in REQUIREMENTS.read_text("utf-8").splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")]
            if cells[0] and set(cells[0]) != {"-"}:
                found.append(cells)
    return found


def rows() -> list[Row]:
    return [Row(cells[0], cells[2], NAMED.findall(cells[4])) for cells in tables() if len(cells) == 5]


def left_out() -> list[str]:
    """The numbers that do not apply, one by one: `10` and `4.3` stand for all in them, `7.1 to 7.3` for what is between."""
    found: list[str] = []
    for cells in tables():
        if len(cells) == 2:
            assert cells[1], f"{cells[0]} does not apply, and nobody says why"
            for part in cells[0].split(", "):
                first, _, last = part.partition(" to ")
                begin = next(
                    place for place, number in enumerate(ALL) if f"{number}.".startswith(f"{first}.")
                )
                ends = [
                    place for place, number in enumerate(ALL) if f"{number}.".startswith(f"{last or first}.")
                ]
                found += ALL[begin : ends[-1] + 1]
    return found


@cache
def names_in(path: Path) -> frozenset[str]:
    """The tests of a file: functions at its top, and those in classes that pytest collects."""
    tree = ast.parse(path.read_text("utf-8"))
    bodies = [tree.body] + [node.body for node in tree.body if isinstance(node, ast.ClassDef)]
    return frozenset(
        node.name
        for body in bodies
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@pytest.mark.parametrize("page", [REQUIREMENTS, THREATS], ids=lambda page: page.name)
def test_every_test_that_is_named_as_a_proof_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    named = NAMED.findall(text)
    assert len(named) > 30, "this test finds no names"
    assert len(named) == text.count("tests/"), "a name is written in a way that this test does not understand"
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file() or name not in names_in(ROOT / file)
    ]
    assert not missing


def test_whatever_is_met_names_its_proof_and_whatever_is_not_names_none() -> None:
    for row in rows():
        assert row.verdict in VERDICTS, row.id
        assert row.tests or row.verdict != "met", row.id
        assert not row.tests or row.verdict != "not met", row.id


def test_every_line_of_a_table_is_read() -> None:
    assert {len(cells) for cells in tables()} == {2, 5}


def test_every_requirement_of_asvs_has_one_verdict_or_does_not_apply() -> None:
    assert len(ALL) == 345
    told = [row.id for row in rows() if re.fullmatch(r"[\d.]+", row.id)] + left_out()
    assert sorted(told) == sorted(ALL)


def test_no_requirement_stands_twice() -> None:
    ids = Counter(row.id for row in rows())
    assert len(ids) > 100, "this test finds no rows"
    assert max(ids.values()) == 1


def test_the_counts_are_those_of_the_table() -> None:
    counts = Counter(row.verdict for row in rows())
    stated = re.search(
        r"\*\*(\d+) met, (\d+) not met, (\d+) left to the operator\.\*\*", REQUIREMENTS.read_text("utf-8")
    )
    assert stated is not None
    assert [int(number) for number in stated.groups()] == [counts[verdict] for verdict in VERDICTS]


def test_every_threat_names_a_test_but_those_that_nothing_stops() -> None:
    stopped, _, others = THREATS.read_text("utf-8").partition("\n## What nothing here stops\n")
    parts = re.split(r"\n\n(?=\*\*)", stopped)[1:]
    assert len(parts) > 20, "this test finds no threats"
    assert not [part.splitlines()[0] for part in parts if not NAMED.search(part)]
    assert others.count("\n\n**") >= 4
    assert not NAMED.search(others)
