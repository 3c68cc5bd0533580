"""The database's clock, read over a way that takes its time."""

import pytest

from resetsvc.clock import Clock
from resetsvc.database_time import DatabaseTime


class SlowTeller:
    """A store whose clock a test sets, and the way to which takes a second each way."""

    def __init__(self) -> None:
        self.uptime = 1000.0
        self.ahead = 5000.0
        self.takes = 1.0

    async def time(self) -> float:
        self.uptime += self.takes
        now = self.uptime + self.ahead
        self.uptime += self.takes
        return now


async def test_what_lies_within_the_error_of_a_look_moves_no_clock_and_a_jump_does() -> None:
    there = SlowTeller()
    time = DatabaseTime(there, Clock(uptime=lambda: there.uptime))  # type: ignore[arg-type]  # asked for the time only
    await time.look()
    assert time.now() == there.uptime + 5000
    there.ahead += 1.5
    await time.look()
    assert time.now() == there.uptime + 5000
    there.takes = 0.1  # a better look
    await time.look()
    assert time.now() == pytest.approx(there.uptime + 5001.5)
    there.ahead -= 3600
    await time.look()
    assert time.now() == pytest.approx(there.uptime + 5001.5 - 3600)
