"""Under load letters are claimed by several at once; one that comes alone waits for nothing."""

import asyncio

import pytest

from resetsvc.clock import Clock
from resetsvc.dispatch.leases import GATHER, Leases, room_for_claim
from tests.flow.conftest import Start

ROOM = 8  # lanes that are free


def suspends(leases: Leases, room: int) -> bool:
    """Whether it waits at all."""
    waiting = leases.let_letters_gather(room)
    try:
        waiting.send(None)
    except StopIteration:
        return False
    waiting.close()
    return True


@pytest.fixture
async def leases(start: Start) -> Leases:
    """Of an owner beside a service that delivers nothing itself, and that was asked twice."""
    running = await start(dispatch=False)
    for name in ("ann", "bob"):
        await running.ask(f"{name}@example.com")
    return Leases(running.service.store, Clock(), 10.0)


@pytest.mark.parametrize(
    ("places", "taken", "room"),
    [
        (8, 0, 8),
        (8, 7, 1),  # a relay that is slow: what is claimed goes into a lane
        (8, 8, 0),
        (8, 9, 0),  # its room has shrunk
        (60, 15, 45),  # lanes could run out of letters meanwhile
        (60, 39, 21),
        (60, 40, 0),
        (248, 247, 0),
    ],
)
def test_letters_are_claimed_for_any_lane_but_not_one_by_one_for_those_that_wait_for_one(
    places: int, taken: int, room: int
) -> None:
    assert room_for_claim(places, taken, lanes=8) == room


async def test_the_first_letter_is_claimed_at_once_and_the_next_ones_together(leases: Leases) -> None:
    assert not suspends(leases, ROOM)
    assert len(await leases.claim(1)) == 1
    claimed_at = asyncio.get_running_loop().time()
    await leases.let_letters_gather(ROOM)
    assert asyncio.get_running_loop().time() >= claimed_at + GATHER
    assert not suspends(leases, ROOM)


async def test_lanes_that_would_run_out_of_letters_get_them_at_once(leases: Leases) -> None:
    await leases.claim(2)
    assert suspends(leases, 3)
    assert not suspends(leases, 2)


async def test_a_look_that_finds_nothing_keeps_nobody_waiting(leases: Leases) -> None:
    await leases.claim(2)
    await leases.let_letters_gather(ROOM)
    assert await leases.claim(ROOM) == []
    assert not suspends(leases, ROOM)
