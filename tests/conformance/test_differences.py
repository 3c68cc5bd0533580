"""The kit sees a change that should not have been, and one that is missing."""

from copy import deepcopy
from typing import Any

import pytest

from tests.conformance.cases import Case
from tests.conformance.differences import stray_changes, what_changed

CASE = Case(
    name="a framework",
    preset="none",
    real="nothing",
    folder="none",
    changes={"people": ("id", frozenset({"password", "stamp"}))},
    ends={"sessions": ("person", {"kind": "web"})},
)
BEFORE: dict[str, list[dict[str, Any]]] = {
    "people": [
        {"id": 1, "password": b"old", "stamp": "a", "totp": "x"},
        {"id": 2, "password": b"other", "stamp": "b", "totp": "y"},
    ],
    "sessions": [
        {"key": "s", "person": 1, "kind": "web"},
        {"key": "t", "person": 1, "kind": "web"},
        {"key": "u", "person": 1, "kind": "app"},
        {"key": "v", "person": 2, "kind": "web"},
    ],
    "orders": [{"person": 1}, {"person": 2}],
}


def after() -> dict[str, list[dict[str, Any]]]:
    rows = deepcopy(BEFORE)
    rows["people"][0] |= {"password": b"new", "stamp": "c"}
    rows["sessions"] = rows["sessions"][2:]
    return rows


def test_what_may_change_and_did_is_well() -> None:
    assert stray_changes(CASE, "1", "ann@example.com", BEFORE, after()) == []


def test_nothing_at_all_is_not_well() -> None:
    assert stray_changes(CASE, "1", "ann@example.com", BEFORE, BEFORE) == [
        "people: 0 rows changed, where one of the person should have",
        "sessions: not all rows of the person are gone",
    ]


@pytest.mark.parametrize(
    ("table", "rows", "seen"),
    [
        ("orders", [{"person": 1}], "orders: 1 rows are gone or changed, 0 are new"),
        ("sessions", BEFORE["sessions"][2:3], "sessions: other rows are gone"),
        ("sessions", BEFORE["sessions"][3:], "sessions: other rows are gone"),
        ("sessions", BEFORE["sessions"][1:], "sessions: not all rows of the person are gone"),
        ("sessions", [*BEFORE["sessions"][2:], {"key": "w", "person": 2}], "sessions: 1 rows are new"),
        ("people", [after()["people"][0]], "people: 2 rows changed, where one of the person should have"),
        ("emails", [{"person": 1}], "emails: 0 rows are gone or changed, 1 are new"),
    ],
)
def test_a_stray_change_is_seen(table: str, rows: list[dict[str, Any]], seen: str) -> None:
    assert stray_changes(CASE, "1", "ann@example.com", BEFORE, after() | {table: rows}) == [seen]


@pytest.mark.parametrize(
    ("changed", "seen"),
    [
        ({"totp": "z"}, "people: totp was changed"),
        ({"stamp": "a"}, "people: stamp was not changed"),
    ],
)
def test_a_column_is_seen(changed: dict[str, Any], seen: str) -> None:
    rows = after()
    rows["people"][0] |= changed
    assert stray_changes(CASE, "1", "ann@example.com", BEFORE, rows) == [seen]


def test_what_changed_is_said_by_table_and_column() -> None:
    assert what_changed(BEFORE, BEFORE) == frozenset()
    assert what_changed(BEFORE, after()) == {"people.password", "people.stamp", "rows gone from sessions"}
    assert what_changed(after(), BEFORE) == {"people.password", "people.stamp", "rows new in sessions"}
