"""Beside each framework, a reset leaves what the framework itself would have left, and nothing else."""

from pathlib import Path

import pytest

from tests.conformance.cases import RUNS, Case
from tests.conformance.kit import run


@pytest.mark.parametrize(("case", "kind"), RUNS, ids=[f"{case.name}, {kind}" for case, kind in RUNS])
def test_a_reset_is_as_the_framework_itself_would_have_done_it(case: Case, kind: str, tmp_path: Path) -> None:
    outcome = run(case, kind, tmp_path)
    assert outcome.made, "the application itself does not work"
    assert outcome.reset, "resetsvc did not change the password"
    assert outcome.logs_in, "the new password does not log in"
    assert outcome.old_refused, "the old password still logs in"
    assert outcome.sessions_dead, "a session of the person still works, or one of somebody else does not"
    assert outcome.second_factor, "the second factor is not as it was"
    assert not outcome.stray
