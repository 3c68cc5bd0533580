"""A process that is stopped past its lease sends nothing, when it wakes, of what another has taken."""

import signal
from pathlib import Path

from tests.faults.checker import Kind
from tests.faults.conftest import RelayHere
from tests.faults.ledgers import ANSWERED
from tests.faults.machine import Machine, Setup
from tests.support.relay_on_order import Fault

SOON = 60.0
LEASE = 2.0
FIRST, SECOND = "user1@people.test", "user2@people.test"


def sent_to(relay: RelayHere, recipient: str) -> int:
    return sum(mail.rcpt_tos == (recipient,) for mail in relay.house.mails)


async def stall_past_its_lease(machine: Machine, relay: RelayHere, *, renews_first: bool) -> None:
    """One service is stopped just before the body of FIRST's letter, the other one delivers it; then it wakes.

    renews_first -- the one that wakes renews the lease of another letter before the relay lets FIRST's go on: what it
                    learns by that of the one letter must not be taken for the other
    """
    house = relay.house
    sleeper, other = machine.services
    async with machine.load(workers=0) as load:
        await other.stop()
        held = house.order(Fault.hold("DATA"), times=1)
        assert await load.ask(sleeper, FIRST) == ANSWERED
        await held.reached()
        await machine.freeze(sleeper)
        await other.start()
        await house.until(lambda: sent_to(relay, FIRST) == 1, within=SOON)
        assert await machine.until(lambda: machine.undelivered() == 0, within=SOON)
        await other.stop()
        sleeper.send(signal.SIGCONT)
        if renews_first:
            held_too = house.order(Fault.hold("DATA"), times=1)
            assert await load.ask(sleeper, SECOND) == ANSWERED
            await held_too.reached()
            until = machine.lease_until(SECOND)
            assert await machine.until(lambda: machine.lease_until(SECOND) > until, within=SOON)
            held_too.release()
        held.release()
        assert await load.ask(sleeper, SECOND) == ANSWERED
        await house.until(lambda: sent_to(relay, SECOND) == 1 + renews_first, within=SOON)
        await sleeper.stop()  # letters in hand have ended now, one way or another


async def machine_with(relay: RelayHere, folder: Path, *, renews_first: bool, mutant: str | None) -> Machine:
    setup = Setup(folder, lease=LEASE, mutant=mutant, relay_faults=(), smtp_timeout=30)
    async with Machine(setup, relay=relay) as machine:
        await stall_past_its_lease(machine, relay, renews_first=renews_first)
    return machine


async def test_a_stalled_service_does_not_send_what_another_has_taken(
    tmp_path: Path, relay_here: RelayHere
) -> None:
    machine = await machine_with(relay_here, tmp_path, renews_first=False, mutant=None)
    assert sent_to(relay_here, FIRST) == 1
    assert machine.verdict().good


async def test_a_lease_that_was_renewed_for_one_letter_is_not_taken_for_another(
    tmp_path: Path, relay_here: RelayHere
) -> None:
    machine = await machine_with(relay_here, tmp_path, renews_first=True, mutant=None)
    assert sent_to(relay_here, FIRST) == 1
    assert machine.verdict().good


async def test_a_service_that_does_not_look_at_its_lease_is_convicted(
    tmp_path: Path, relay_here: RelayHere
) -> None:
    machine = await machine_with(relay_here, tmp_path, renews_first=False, mutant="never-looks-at-its-lease")
    assert sent_to(relay_here, FIRST) == 2
    assert machine.verdict().count(Kind.DOUBLED) == 1
