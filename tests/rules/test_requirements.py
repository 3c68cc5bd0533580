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
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
VERDICTS = ("met", "not met", "operator")


class Row(NamedTuple):
    """One requirement of the tables."""

    id: str
    verdict: str
    tests: list[tuple[str, str]]


def rows() -> list[Row]:
    found = []
    for line in REQUIREMENTS.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 5 and cells[0] and not cells[0].startswith("---"):
            found.append(Row(cells[0], cells[2], NAMED.findall(cells[4])))
    return found


@cache
def names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@pytest.mark.parametrize("page", [REQUIREMENTS, THREATS], ids=lambda page: page.name)
def test_every_test_that_is_named_as_a_proof_is_there(page: Path) -> None:
    named = NAMED.findall(page.read_text("utf-8"))
    assert len(named) > 30, "this test finds no names"
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file() or name not in names_in(ROOT / file)
    ]
    assert not missing


def test_whatever_is_met_names_its_proof_and_nothing_else_does() -> None:
    for row in rows():
        assert row.verdict in VERDICTS, row.id
        assert bool(row.tests) == (row.verdict == "met"), row.id


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


def test_every_threat_names_a_test_but_the_one_that_nothing_stops() -> None:
    parts = re.split(r"\n\n(?=\*\*)", THREATS.read_text("utf-8"))[1:]
    without = [part.partition("**")[2].partition("**")[0] for part in parts if not NAMED.search(part)]
    assert without == ["The relay itself"]
