"""The pages on each framework say what its preset says: the rights, the tables that are touched, and what to paste."""

import re
import tomllib

import pytest

from resetsvc.accounts.mapping import PRESETS, preset, preset_names, read_mapping
from resetsvc.accounts.parts import PLACEHOLDERS
from resetsvc.accounts.rights import grants
from tests.rules.source import ROOT

GENERAL = (ROOT / "docs" / "how_to" / "beside_your_application.md").read_text("utf-8")


def page(name: str) -> str:
    return (ROOT / "docs" / "how_to" / f"beside_{name}.md").read_text("utf-8")


@pytest.mark.parametrize("name", preset_names())
def test_a_page_says_what_its_preset_says(name: str) -> None:
    text = page(name)
    assert f"(beside_{name}.md)" in GENERAL
    first, *others = [tomllib.loads(block) for block in re.findall(r"^```toml\n(.*?)^```", text, re.M | re.S)]
    accounts = first["accounts"]
    mapping = read_mapping(accounts)
    assert accounts["preset"] == name
    mysql = mapping.place.kind.value == "mysql"
    role = "'resetsvc'@'%'" if mysql else "resetsvc"
    said = {line.partition(";")[0] for line in text.splitlines() if line.startswith("GRANT ")}
    assert said == set(grants(mapping, role))
    touched = text.partition("## What it touches")[2].partition("## Undo it")[0]
    for effect in mapping.effects:
        table = effect.elsewhere or mapping.table
        assert f"`{table}" in touched
        for column in (*effect.set, *effect.null):
            assert f"{column}`" in touched
    assert f"{mapping.columns.password}`" in touched
    # What else is shown to be pasted is understood as well.
    for other in others:
        read_mapping({**accounts, **other["accounts"]})


def test_the_example_of_the_general_page_is_understood_and_its_rights_are_these() -> None:
    blocks = [tomllib.loads(block) for block in re.findall(r"^```toml\n(.*?)^```", GENERAL, re.M | re.S)]
    mapping = read_mapping(blocks[1]["accounts"])
    said = [line.rstrip(";") for line in GENERAL.splitlines() if line.startswith("GRANT ")]
    assert said == list(grants(mapping, "resetsvc"))
    assert read_mapping(blocks[0]["accounts"]).preset == "django"


def test_every_placeholder_is_explained() -> None:
    assert not [name for name in PLACEHOLDERS if f"`{name}`" not in GENERAL]


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_says_what_it_is_for_and_fills_the_whole_form(name: str) -> None:
    assert (PRESETS / f"{name}.toml").read_text("utf-8").startswith("# ")
    assert {"table", "columns", "compare", "hash"} <= set(preset(name))
    assert "url" not in preset(name)
