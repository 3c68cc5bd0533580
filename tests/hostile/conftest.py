"""How long to look: seconds in the suite, the same every time; as long as wished by `make fuzz`, and new each time."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.hostile.house import House, open_house

EXAMPLES = int(os.environ.get("RESETSVC_TEST_FUZZ", "0"))  # for each test; 0: the short form
SHORT = 60

fuzzing = settings(
    max_examples=EXAMPLES or SHORT,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,  # what is slow is looked for by itself, not by a busy machine
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.function_scoped_fixture,
    ],
    phases=[phase for phase in Phase if phase is not Phase.explain],
    print_blob=True,
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One service for a whole file: that it is as healthy as before is part of every test."""
    with open_house(tmp_path_factory.mktemp("house")) as opened:
        yield opened
