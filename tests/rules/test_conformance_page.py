"""Every preset was held against its framework, and the page says what came of it."""

import re

from resetsvc.accounts.mapping import preset_names
from tests.conformance.cases import CASES, RUNS
from tests.rules.source import ROOT

PAGE = ROOT / "docs" / "reference" / "conformance.md"
ROW = re.compile(r"^\| (?P<name>[^|(]+) \(`(?P<preset>\w+)`.*?\) \|(?P<rest>.*)\|$", re.MULTILINE)


def test_every_preset_has_a_case() -> None:
    assert {case.preset for case in CASES} == set(preset_names())


def test_every_preset_has_a_row_on_the_page_and_every_run_too() -> None:
    rows = list(ROW.finditer(PAGE.read_text("utf-8")))
    assert {row["preset"] for row in rows} == set(preset_names())
    assert len(rows) == len(RUNS)


def test_the_page_says_yes_to_everything() -> None:
    for row in ROW.finditer(PAGE.read_text("utf-8")):
        _versions, _database, *found = [cell.strip() for cell in row["rest"].split("|")]
        assert len(found) == 10
        assert set(found) <= {"yes", "–"}, row["name"]
        assert found.count("–") <= 1, row["name"]
