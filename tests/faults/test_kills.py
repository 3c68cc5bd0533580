"""kill -9 at any moment: nothing that was answered is lost, and there are no more copies than kills explain."""

import asyncio
from pathlib import Path

from tests.faults.campaigns import kill_and_kill_again
from tests.faults.conftest import RelayHere
from tests.faults.ledgers import ANSWERED, INITIAL_PASSWORD, UNKNOWN, Ledgers, password_of
from tests.faults.machine import Machine, Setup
from tests.faults.report import report
from tests.support.relay_on_order import Fault

SOON = 60.0  # seconds; a busy machine is no fault of the service


def silent(_: str) -> None:
    pass


async def test_25_kills_under_load_lose_nothing(tmp_path: Path) -> None:
    async with Machine(Setup(tmp_path, lease=2.0)) as machine:
        async with machine.load() as load:
            await kill_and_kill_again(machine, load, 25, silent)
            await load.answers(10)
        assert await machine.drain(SOON)
        assert await machine.stop() == {"serve-0": 0, "serve-1": 0}
    verdict = machine.verdict()
    assert verdict.good, report(verdict, as_json=False)
    assert verdict.figures["blows"] == {"kill": 25}
    assert load.counts.outcomes[ANSWERED] > 100
    assert machine.count("kind = 'notice'") > 0


async def test_kills_with_merging_and_a_budget_leave_every_request_answered_by_some_mail(
    tmp_path: Path,
) -> None:
    async with Machine(Setup(tmp_path, lease=2.0, budget=2, known=20, serving=1)) as machine:
        async with machine.load(rate=150) as load:
            await kill_and_kill_again(machine, load, 2, silent)
            await load.answers(80)
        assert await machine.drain(SOON)
        assert machine.count("reason = 'over_budget'") > 0
        assert machine.count("reason = 'merged'") > 0
    verdict = machine.verdict()
    assert verdict.good, report(verdict, as_json=False)


async def test_a_kill_between_the_relays_yes_and_the_record_costs_one_copy_of_the_same_message_id(
    tmp_path: Path, relay_here: RelayHere
) -> None:
    house = relay_here.house
    async with (
        Machine(Setup(tmp_path, lease=2.0, serving=1, relay_faults=()), relay=relay_here) as machine,
        machine.load(workers=0) as load,
    ):
        (service,) = machine.services
        held = house.order(Fault.hold("DOT", accept=True), times=1)
        assert await load.ask(service, "user1@people.test") == ANSWERED
        await held.reached()  # on the relay's disk, and not answered
        await machine.kill(service)
        held.release()
        await service.start()
        assert await machine.drain(SOON)
    first, second = house.mails
    assert first.message_id == second.message_id
    assert first.rcpt_tos == second.rcpt_tos == ("user1@people.test",)
    assert machine.verdict().good


async def test_a_kill_leaves_password_and_notice_both_or_neither(tmp_path: Path) -> None:
    async with (
        Machine(Setup(tmp_path, lease=2.0, serving=1, relay_faults=())) as machine,
        machine.load(workers=0) as load,
    ):
        (service,) = machine.services
        for place in range(3):
            people = [f"user{12 * place + n}@people.test" for n in range(1, 11)]
            for person in people:
                assert await load.ask(service, person) == ANSWERED
            assert await machine.until(lambda: machine.undelivered() == 0, within=SOON)
            changes = [
                asyncio.create_task(load.change(service, letter_id, person))
                for letter_id, person in machine.letters_of(people)
            ]
            await asyncio.wait(changes, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(machine.chance.random() * 0.02)  # the moment is what is varied here
            await machine.kill(service)
            assert UNKNOWN in await asyncio.gather(*changes)
            await service.start()
        assert await machine.drain(SOON)
        ledgers = Ledgers.read(tmp_path)
        torn_off = next(found for found in ledgers.requests if found.outcome == UNKNOWN)
        (account,) = (found for found in ledgers.accounts if found.address == torn_off.address)
        noticed = torn_off.number in {letter.number for letter in ledgers.letters if letter.kind == "notice"}
        assert await verifies(machine, account.address, password_of(torn_off.number)) == noticed
        assert await verifies(machine, account.address, INITIAL_PASSWORD) == (not noticed)
    verdict = machine.verdict()
    assert verdict.good, report(verdict, as_json=False)


async def verifies(machine: Machine, address: str, password: str) -> bool:
    """What `resetsvc accounts verify` says."""
    code, _ = await machine.command("accounts", "verify", address, "--password-stdin", stdin=password)
    assert code in (0, 1)
    return code == 0
