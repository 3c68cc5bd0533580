"""Beside each framework, a reset leaves what the framework itself would have left, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.cases import CASES, RUNS, Case
from tests.conformance.kit import run


@pytest.mark.parametrize(("case", "kind"), RUNS, ids=[f"{case.name}, {kind}" for case, kind in RUNS])
def test_a_reset_is_as_the_framework_itself_would_have_done_it(case: Case, kind: str, tmp_path: Path) -> None:
    outcome = run(case, kind, tmp_path)
    assert outcome.made, "the application itself does not work"
    assert outcome.no_mail is not False, "an account that a reset is not for would get a mail"
    assert outcome.tried, "accounts conform does not pass"
    assert outcome.reset, "resetsvc did not change the password"
    assert outcome.logs_in, "the new password does not log in"
    assert outcome.hash_kept, "the framework made the hash anew"
    assert outcome.old_refused, "the old password still logs in"
    assert outcome.sessions_dead, "a session of the person still works, or one of somebody else does not"
    assert outcome.second_factor, "the second factor is not as it was"
    assert not outcome.stray
    if outcome.by_framework is not None:
        assert outcome.by_resetsvc - outcome.by_framework == case.besides
        assert outcome.by_framework - outcome.by_resetsvc == case.leaves


def _case(preset: str, **as_configured: object) -> Case:
    [case] = [case for case in CASES if case.preset == preset]
    return replace(case, as_configured=as_configured)


def test_a_preset_that_leaves_tokens_alive_is_seen(tmp_path: Path) -> None:
    outcome = run(_case("fastapi_users", effects=[]), "SQLite", tmp_path)
    assert (outcome.made, outcome.reset, outcome.logs_in) == (True, True, True)
    assert not outcome.sessions_dead
    assert outcome.stray == ["accesstoken: not all rows of the person are gone"]


def test_a_preset_that_writes_another_format_is_seen(tmp_path: Path) -> None:
    outcome = run(_case("aspnet_identity", hash={"format": "bcrypt"}), "SQLite", tmp_path)
    assert (outcome.made, outcome.reset) == (True, True)
    assert not outcome.logs_in


def test_a_preset_that_does_not_know_who_is_active_is_seen(tmp_path: Path) -> None:
    outcome = run(_case("fastapi_users", columns={"active": ""}), "SQLite", tmp_path)
    assert outcome.no_mail is False


def test_a_description_with_a_wrong_secret_is_seen(tmp_path: Path) -> None:
    outcome = run(_case("flask_security", hash={"password_salt": "another one"}), "SQLite", tmp_path)
    assert (outcome.made, outcome.tried, outcome.reset, outcome.logs_in) == (True, False, True, False)


def test_a_preset_with_a_lower_cost_is_seen(tmp_path: Path) -> None:
    outcome = run(_case("fastapi_users", hash={"time_cost": 1}), "SQLite", tmp_path)
    assert outcome.logs_in
    assert not outcome.hash_kept


def test_a_preset_that_sets_a_second_factor_is_seen(tmp_path: Path) -> None:
    effects = [{"null": ["totp_secret"]}, {"delete": "accesstoken", "where": {"user_id": "{id}"}}]
    outcome = run(_case("fastapi_users", effects=effects), "SQLite", tmp_path)
    assert not outcome.second_factor
    assert outcome.stray == ["user: totp_secret was changed"]


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_flask_security_is_followed_to_the_column_as_its_page_says(kind: str, tmp_path: Path) -> None:
    secret = {"password_salt": "a salt that the kit tells resetsvc too"}
    effects = [{"set": {"fs_uniquifier": "{hex}", "update_datetime": "{now}"}}]
    outcome = run(_case("flask_security", hash=secret, effects=effects), kind, tmp_path)
    assert outcome.logs_in
    assert outcome.by_resetsvc == outcome.by_framework
