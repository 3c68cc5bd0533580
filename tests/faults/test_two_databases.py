"""Accounts in an application's own database: kill -9 at any moment leaves nothing changed, or everything done in the end.

A notice tells of every password that was changed, and a link is used up if and only if it has changed one: the checker
of the ledgers looks at it for each account.
"""

import asyncio
import time
from pathlib import Path

from tests.faults.campaigns import kill_and_kill_again
from tests.faults.databases import SqliteBesideAnApplication
from tests.faults.ledgers import ANSWERED, DATABASE, UNKNOWN
from tests.faults.machine import Machine, Setup
from tests.faults.report import report

SOON = 60.0  # seconds; a busy machine is no fault of the service


def beside_an_application(folder: Path, **setup: object) -> Machine:
    database = SqliteBesideAnApplication(folder, DATABASE)
    made = Setup(folder, lease=1.5, settings=database.settings, **setup)  # type: ignore[arg-type]  # passed on
    return Machine(made, database=database)


def hashes(machine: Machine) -> set[str]:
    return {row["password_hash"] for row in machine.database.rows("SELECT password_hash FROM accounts")}


def wait_for_a_new_hash(machine: Machine, known: set[str]) -> None:
    """Return in the very moment in which the application's table has one."""
    end = time.monotonic() + SOON
    while hashes(machine) == known and time.monotonic() < end:
        pass


async def test_a_kill_just_after_the_swap_leaves_password_and_notice_both_in_the_end(tmp_path: Path) -> None:
    """Ten people set passwords at once, and the service is killed when the first hash is there: five times."""
    torn_off = 0
    async with (
        beside_an_application(tmp_path, serving=1, relay_faults=(), known=60) as machine,
        machine.load(workers=0) as load,
    ):
        (service,) = machine.services
        for place in range(5):
            people = [f"user{12 * place + n}@people.test" for n in range(1, 11)]
            for person in people:
                assert await load.ask(service, person) == ANSWERED
            assert await machine.until(lambda: machine.undelivered() == 0, within=SOON)
            known = hashes(machine)
            changes = [
                asyncio.create_task(load.change(service, letter_id, person))
                for letter_id, person in machine.letters_of(people)
            ]
            await asyncio.to_thread(wait_for_a_new_hash, machine, known)
            await machine.kill(service)
            torn_off += (await asyncio.gather(*changes)).count(UNKNOWN)
            await service.start()
        assert await machine.drain(SOON)
    assert torn_off > 0
    verdict = machine.verdict()
    assert verdict.good, report(verdict, as_json=False)


async def test_kills_under_load_lose_nothing_over_two_databases(tmp_path: Path) -> None:
    async with beside_an_application(tmp_path) as machine:
        async with machine.load(changes=0.3) as load:
            await kill_and_kill_again(machine, load, 12, lambda _: None)
            await load.answers(20)
        assert await machine.drain(SOON)
    verdict = machine.verdict()
    assert verdict.good, report(verdict, as_json=False)
    assert machine.count("kind = 'notice'") > 5
