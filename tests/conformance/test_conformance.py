"""Beside each framework, a reset leaves what the framework itself would have left, and nothing else."""

from pathlib import Path

import pytest

from tests.conformance.applications import Application
from tests.conformance.cases import RUNS, Case
from tests.conformance.databases import new_database

PEOPLE = {
    "ann@example.com": "the password that Ann had",
    "bob@example.com": "the password that Bob keeps",
}


@pytest.mark.parametrize(("case", "kind"), RUNS, ids=[f"{case.name}, {kind}" for case, kind in RUNS])
def test_an_application_lets_in_whom_it_was_made_with(case: Case, kind: str, tmp_path: Path) -> None:
    database = new_database(kind, tmp_path)
    with Application(case.folder, database.url, *case.arguments) as application:
        application.make(PEOPLE)
        assert {*case.changes, *case.ends} <= {*database.rows()}
        for email, password in PEOPLE.items():
            assert application.lets_in(email, password)
            assert not application.lets_in(email, f"{password}!")
            assert all(application.sessions(email).values())
            assert application.second_factor(email)
