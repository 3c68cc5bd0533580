"""What this machine lacks is skipped with its reason; in CI, which installs what the tests want, it is a failure."""

import os
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """Skip the test that is running, or fail it where `CI=true`: a CI that tests less must not look green."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"this CI lacks something that .ci/run installs: {what}")
    pytest.skip(what)
