"""The clock jumps a day: nothing that waits is given up, delayed or sent twice, and no dead link comes to life."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from resetsvc.app import create_app
from resetsvc.clock import Clock
from resetsvc.relay.verdict import Verdict
from resetsvc.store import letters as sql
from resetsvc.store.connection import Row
from resetsvc.testing import make_settings
from tests.flow.conftest import ANN, OLD_PASSWORD, Running, until
from tests.flow.test_dispatch import BOB, MailboxOnOrder

HOUR, DAY = 3600.0, 86400.0
TTL, DEADLINE = 1800, 4 * HOUR


class WallClock:
    """The real time, but for what a test lets pass, and but for what somebody has put the clock forward by."""

    def __init__(self) -> None:
        self.put_forward = 0.0
        self.passed = 0.0
        real = Clock()
        self.clock = Clock(
            now=lambda: real.now() + self.passed + self.put_forward,
            monotonic=lambda: real.monotonic() + self.passed,
            uptime=lambda: real.uptime() + self.passed,
            chance=lambda: 0.5,
        )

    @property
    def now(self) -> float:
        return self.clock.now()


class House:
    def __init__(self, running: Running, mailbox: MailboxOnOrder, wall: WallClock) -> None:
        self.running = running
        self.mailbox = mailbox
        self.wall = wall

    async def until(self, holds: Callable[[list[Row]], bool]) -> list[Row]:
        """Let the dispatcher tidy up until its letters are so; return them."""
        rows: list[Row] = []

        async def look() -> bool:
            self.wall.passed += 0.05  # it looks once in a second of this clock
            self.running.wake()
            rows[:] = await self.running.letters()
            return holds(rows)

        await until(look)
        return rows

    async def two_looks(self) -> list[Row]:
        """The letters after the dispatcher has looked at the clock twice."""
        began = self.wall.passed
        return await self.until(lambda _: self.wall.passed > began + 3)


@asynccontextmanager
async def serving(folder: Path, wall: WallClock, lanes_open: bool = True) -> AsyncIterator[House]:
    mailbox = MailboxOnOrder()
    if not lanes_open:
        mailbox.close_for_now()
    settings = make_settings(folder, token_ttl=TTL, delivery_deadline=int(DEADLINE))
    app = create_app(settings, outbox=mailbox, clock=wall.clock)
    async with app.test_app():
        running = Running(app, app.test_client(), mailbox)
        for address in (ANN, BOB):
            await running.accounts.add(address, OLD_PASSWORD)
        yield House(running, mailbox, wall)


def queued(rows: list[Row]) -> bool:
    return {row["state"] for row in rows} == {"queued"}


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_letters_that_wait_are_not_given_up_and_leave_with_the_time_they_had(
    jump: float, tmp_path: Path
) -> None:
    wall = WallClock()
    async with serving(tmp_path, wall, lanes_open=False) as house:
        await house.running.ask(ANN)
        await house.running.ask(BOB)
        with capture_logs() as logs:
            wall.put_forward = jump
            rows = await house.until(lambda rows: all(abs(row["asked_at"] - wall.now) < 60 for row in rows))
            await house.two_looks()
        assert queued(rows)
        assert [row["deadline_at"] - row["asked_at"] for row in rows] == pytest.approx([DEADLINE] * 2)
        assert [entry["seconds"] for entry in logs if entry["event"] == "the clock jumped"] == [jump]
        house.mailbox.open_again()
        assert {(await house.mailbox.next_mail()).recipient for _ in range(2)} == {ANN, BOB}


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_retries_come_neither_all_at_once_nor_a_day_late(jump: float, tmp_path: Path) -> None:
    wall = WallClock()
    async with serving(tmp_path, wall) as house:
        people = [f"person{number}@example.com" for number in range(30)]
        for person in people:
            await house.running.accounts.add(person, OLD_PASSWORD)
        house.mailbox.orders.extend([Verdict.RETRY] * len(people))
        await asyncio.gather(*(house.running.ask(person) for person in people))
        await house.until(lambda rows: all(row["attempts"] == 1 for row in rows) and queued(rows))
        house.mailbox.close_for_now()
        wall.put_forward = jump
        rows = await house.until(lambda rows: all(abs(row["due_at"] - wall.now) < 400 for row in rows))
        pauses = sorted(row["due_at"] - row["asked_at"] for row in rows)
        assert pauses[-1] < 400
        if jump > 0:
            assert pauses[0] > 14  # as it was: fifteen seconds
        else:
            assert len({round(pause, 3) for pause in pauses}) == 30
        wall.passed += 400
        house.mailbox.open_again()
        for _ in people:
            await house.mailbox.next_mail()
        assert house.mailbox.asked == 2 * len(people)


async def test_a_letter_in_hand_when_the_clock_is_put_forward_leaves_once(tmp_path: Path) -> None:
    wall = WallClock()
    async with serving(tmp_path, wall) as house:
        held = house.mailbox.held = asyncio.Event()
        await house.running.ask()
        await house.mailbox.arrived.wait()
        wall.put_forward = DAY
        house.mailbox.held = None
        held.set()
        (letter,) = await house.until(lambda rows: rows[0]["state"] not in ("queued", "sending"))
        assert letter["state"] == "sent"
        assert len(house.mailbox.mails) == 1


async def test_a_process_does_not_take_over_what_another_holds_because_the_clock_was_put_forward(
    tmp_path: Path,
) -> None:
    """On the new clock every lease has run out; whoever lives renews it within three seconds."""
    wall = WallClock()
    async with serving(tmp_path, wall) as house, serving(tmp_path, wall, lanes_open=False) as other:
        held = house.mailbox.held = asyncio.Event()
        await house.running.ask()
        await house.mailbox.arrived.wait()
        other.mailbox.open_again()
        with capture_logs() as logs:
            wall.put_forward = HOUR
            await other.until(lambda _: sum(entry["event"] == "the clock jumped" for entry in logs) == 2)
            await other.two_looks()
        held.set()
        await house.until(lambda rows: rows[0]["state"] == "sent")
        assert len(house.mailbox.mails) + len(other.mailbox.mails) == 1


async def test_two_processes_move_a_letter_once(tmp_path: Path) -> None:
    wall = WallClock()
    async with (
        serving(tmp_path, wall, lanes_open=False) as house,
        serving(tmp_path, wall, lanes_open=False) as other,
    ):
        await house.running.ask()
        (before,) = await house.running.letters()
        with capture_logs() as logs:
            wall.put_forward = DAY
            (letter,) = await other.until(
                lambda _: sum(entry["event"] == "the clock jumped" for entry in logs) == 2
            )
        assert letter["asked_at"] - before["asked_at"] == pytest.approx(DAY, abs=0.001)
        assert letter["deadline_at"] - letter["asked_at"] == pytest.approx(DEADLINE)


async def test_what_a_killed_process_held_is_taken_over_in_time_though_the_clock_was_put_back(
    tmp_path: Path,
) -> None:
    wall = WallClock()
    async with serving(tmp_path, wall, lanes_open=False) as house:
        await house.running.ask()
        await house.running.service.store.unit(
            lambda unit: sql.claim_due_letters(
                unit, fresh=True, owner="killed", now=wall.now, lease_until=wall.now + 10, limit=9
            )
        )
        house.mailbox.open_again()
        wall.put_forward = -DAY
        began = wall.passed
        await house.until(lambda rows: rows[0]["state"] == "sent")
        assert wall.passed - began < 60


async def test_letters_survive_a_clock_that_is_put_forward_and_right_again(tmp_path: Path) -> None:
    wall = WallClock()
    async with serving(tmp_path, wall, lanes_open=False) as house:
        await house.running.ask(ANN)
        wall.put_forward = DAY
        await house.until(lambda rows: rows[0]["asked_at"] > wall.now - 60)
        await house.running.ask(BOB)
        wall.put_forward = 0.0
        rows = await house.until(lambda rows: all(row["due_at"] <= wall.now for row in rows))
        assert queued(rows)
        assert all(row["deadline_at"] <= wall.now + DEADLINE for row in rows)
        house.mailbox.open_again()
        assert {(await house.mailbox.next_mail()).recipient for _ in range(2)} == {ANN, BOB}


async def test_time_that_passes_is_no_jump(tmp_path: Path) -> None:
    """Also while the machine slept: nothing goes out after its deadline."""
    wall = WallClock()
    async with serving(tmp_path, wall, lanes_open=False) as house:
        await house.running.ask()
        wall.put_forward = 30.0  # nor is a small correction
        (before,) = await house.two_looks()
        wall.passed += DEADLINE
        with capture_logs() as logs:
            (letter,) = await house.until(lambda rows: rows[0]["state"] != "queued")
        assert (letter["state"], letter["asked_at"]) == ("expired", before["asked_at"])
        assert [entry for entry in logs if entry["event"] == "the clock jumped"] == []


def test_what_a_jump_is_told_by_goes_on_while_the_machine_sleeps_and_is_no_time_of_the_day() -> None:
    counted = time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
    assert Clock().uptime() == pytest.approx(counted, abs=10)


# ---- links and budgets ----


async def opens(house: House, path: str) -> int:
    return (await house.running.client.get(path)).status_code


async def test_a_link_that_ran_out_stays_dead_when_the_clock_is_put_back(tmp_path: Path) -> None:
    wall = WallClock()
    async with serving(tmp_path, wall) as house:
        path = (await house.running.mail_to()).link_path
        assert await opens(house, path) == 200
    wall.passed += TTL + 1
    async with serving(tmp_path, wall) as house:  # it looks for such links at its start, and every minute
        await house.until(lambda rows: rows[0]["link"] == "expired")
        wall.put_forward = -float(TTL)
        assert await opens(house, path) == 410


async def test_a_link_that_works_is_not_written_off(tmp_path: Path) -> None:
    wall = WallClock()
    async with serving(tmp_path, wall) as house:
        path = (await house.running.mail_to()).link_path
        await house.until(lambda rows: rows[0]["state"] == "sent")
    wall.passed += TTL - 60
    async with serving(tmp_path, wall) as house:
        await house.two_looks()
        assert await opens(house, path) == 200


async def test_a_link_of_before_the_clock_was_put_back_does_not_come_to_life_a_day_later(
    tmp_path: Path,
) -> None:
    wall = WallClock()
    async with serving(tmp_path, wall) as house:
        path = (await house.running.mail_to()).link_path
        await house.until(lambda rows: rows[0]["state"] == "sent")
        wall.put_forward = -DAY
        assert await opens(house, path) == 410
    async with serving(tmp_path, wall) as house:
        await house.until(lambda rows: rows[0]["link"] == "expired")
        wall.passed += DAY + 10
        assert await opens(house, path) == 410


async def test_a_used_link_stays_dead_whatever_the_clock_says(tmp_path: Path) -> None:
    wall = WallClock()
    async with serving(tmp_path, wall) as house:
        path = (await house.running.mail_to()).link_path
        assert (await house.running.set_password(path)).status_code == 200
        for wall.put_forward in (-10.0, DAY, -DAY, 0.0):
            assert await opens(house, path) == 410


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_who_had_a_mail_before_the_jump_gets_another_one_after_it(jump: float, tmp_path: Path) -> None:
    wall = WallClock()
    async with serving(tmp_path, wall) as house:
        await house.running.mail_to()
        await house.until(lambda rows: rows[0]["state"] == "sent")
        wall.put_forward = jump
        await house.running.mail_to()
