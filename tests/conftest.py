"""What all tests share: the fixtures that the package ships for everybody's suite, and who may run beside whom."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import limits.aio.storage.memory
import limits.aio.strategies
import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]  # it ships no types
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # the same

import resetsvc.limits
from tests.support.unhurried_loop import UnhurriedLoop

pytest_plugins = ["resetsvc.testing"]

HERE = Path(__file__).parent
# Folders and files whose tests share something that is dear to make: a browser and its event loop, a server, a house.
TOGETHER = (
    "browser",
    "hostile",
    "bench/test_postgresql_figure.py",
    "faults/test_postgresql.py",
    "flow/test_bad_input.py",
    "store/test_query_plans_on_postgresql.py",
)


class Dealer(LoadScopeScheduling):  # type: ignore[misc]  # the same
    """Deals tests out to the workers one by one, but for those that stay together."""

    def _split_scope(self, nodeid: str) -> str:
        return next((shared for shared in TOGETHER if nodeid.startswith(f"tests/{shared}")), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Dealer:
    """The mark xdist_group would say the same, but is not heard with pytest 9.2 (pytest-xdist 1386)."""
    return Dealer(config, log)


def pytest_itemcollected(item: pytest.Item) -> None:
    """What claims seconds of the real clock is repeated once if it fails: the machine may have been late, and not the service.

    A service that is too slow fails both times. The summary names each test that was repeated.
    """
    if item.get_closest_marker("wall_clock") is not None:
        item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Where both sides of a conversation are in one process, a pause of that process is nobody's silence."""
    return {"unhurried": UnhurriedLoop}


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
