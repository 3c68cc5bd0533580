"""What all tests share: the fixtures that the package ships for everybody's suite, and who may run beside whom."""

import time
from pathlib import Path
from types import SimpleNamespace

import limits.aio.storage.memory
import limits.aio.strategies
import pytest

import resetsvc.limits

pytest_plugins = ["resetsvc.testing"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n 2 --dist loadgroup`: a file stays together, and all that shares one Chromium and its event loop does."""
    for item in items:
        folder, *_, name = item.path.relative_to(HERE).parts
        group = folder if folder == "browser" else f"{folder}/{name}"
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(autouse=True)
def limits_count_in_the_middle_of_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has spent a limit gets a part of it back when a minute, an hour ends: not between two lines of a test.

    The package asks the system for the time, and its windows begin with the minutes and hours of the day.
    """
    stands_at = (
        time.time() // 3600 * 3600 + 1830.0
    )  # half past, and thirty seconds: the middle of a minute too
    still = SimpleNamespace(time=lambda: stands_at, monotonic=time.monotonic)
    for module in (limits.aio.storage.memory, limits.aio.strategies, resetsvc.limits):
        monkeypatch.setattr(module, "time", still)
