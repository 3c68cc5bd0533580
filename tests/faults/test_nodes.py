"""Several that accept and several that deliver, over PostgreSQL and Redis. The long run: `python -m tests.faults nodes`."""

from pathlib import Path

from tests.faults.checker import Kind
from tests.faults.ledgers import ANSWERED
from tests.faults.machine import Machine, Setup
from tests.faults.nodes import kills_and_restarts, postgresql_and_redis, settings_of_nodes
from tests.faults.report import report

SOON = 60.0


def silent(_: str) -> None:
    pass


async def test_kills_among_six_processes_and_a_restart_of_the_database_lose_nothing(tmp_path: Path) -> None:
    async with postgresql_and_redis(tmp_path) as (database, redis):
        setup = Setup(
            tmp_path, serving=3, dispatching=3, lease=2.0, known=200, settings=settings_of_nodes(redis)
        )
        async with Machine(setup, database=database) as machine:
            async with machine.load() as load:
                await kills_and_restarts(machine, load, 8, 1, silent)
            assert await machine.drain(SOON)
            assert set((await machine.stop()).values()) == {0}
        verdict = machine.verdict()
    assert verdict.good, report(verdict, as_json=False)
    assert verdict.figures["blows"] == {"database": 1, "kill": 8}
    assert load.counts.outcomes[ANSWERED] > 40


async def test_answers_before_the_commit_are_convicted_when_the_database_ends(tmp_path: Path) -> None:
    async with postgresql_and_redis(tmp_path) as (database, redis):
        mutant = "acknowledges-before-the-commit"
        setup = Setup(tmp_path, serving=1, known=20, mutant=mutant, settings=settings_of_nodes(redis))
        async with Machine(setup, database=database) as machine, machine.load(rate=100) as load:
            await load.answers(10)
            async with machine.database_away("immediate"):
                await load.answers(20, within=SOON)  # it goes on saying yes
        verdict = machine.verdict()
    assert "answered, and there is no letter" in {finding.what for finding in verdict.findings}


async def test_leases_that_never_end_are_convicted(tmp_path: Path) -> None:
    """The look at leases can tell: without this its acquittals would be worth nothing."""
    setup = Setup(tmp_path, serving=1, mutant="no-lease", known=20, relay_faults=("delay:DOT:0.3",))
    async with Machine(setup) as machine, machine.load(rate=100) as load, machine.looking_at_leases():
        await load.answers(40)
    assert machine.verdict().count(Kind.HELD) > 0
