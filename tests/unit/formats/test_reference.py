"""The page on hash formats says what the code does: every format, every cost, every default."""

import inspect
import re

from resetsvc.passwords.formats import FORMATS
from tests.rules.source import ROOT

PAGE = (ROOT / "docs" / "reference" / "hash_formats.md").read_text("utf-8")


def rows(heading: str) -> dict[str, str]:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \|(.*)$", section, re.MULTILINE))


def test_every_format_is_described_and_no_other() -> None:
    assert list(rows("What there is")) == list(FORMATS)
    assert list(rows("Costs")) == list(FORMATS)


def test_every_cost_is_described_with_the_default_that_it_has() -> None:
    for name, row in rows("Costs").items():
        told = dict(re.findall(r"`(\w+) = ([^`]*)`", row))
        defaults = {
            cost: f'"{made.default}"' if isinstance(made.default, str) else str(made.default)
            for cost, made in inspect.signature(FORMATS[name]).parameters.items()
        }
        assert told == defaults, name
