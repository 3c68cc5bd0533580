"""The machine convicts a service that is broken: without this its acquittals would be worth nothing."""

import asyncio
from pathlib import Path

from tests.faults.checker import Kind, Rules, Verdict, check
from tests.faults.ledgers import ANSWERED, Ledgers
from tests.faults.machine import Machine, Setup

SOON = 60.0


async def killed(folder: Path, mutant: str) -> Verdict:
    """Killed twice in the moment in which somebody was answered, with letters on their way."""
    setup = Setup(folder, serving=1, lease=1.5, mutant=mutant, relay_faults=("delay:DOT:0.1",))
    async with Machine(setup) as machine:
        (service,) = machine.services
        async with machine.load(rate=200) as load:
            for _ in range(2):
                await load.answers(30)
                await load.next_answer()
                await machine.kill(service)
                await service.start()
        await machine.drain(4.0)
    return machine.verdict()


async def test_acknowledging_before_the_commit_is_convicted(tmp_path: Path) -> None:
    verdict = await killed(tmp_path, "acknowledges-before-the-commit")
    assert "answered, and there is no letter" in {finding.what for finding in verdict.findings}


async def test_marking_sent_before_the_relays_answer_is_convicted(tmp_path: Path) -> None:
    verdict = await killed(tmp_path, "marks-sent-before-the-answer")
    assert "on record as sent, and no relay has it" in {finding.what for finding in verdict.findings}


async def test_claiming_without_a_lease_is_convicted(tmp_path: Path) -> None:
    verdict = await killed(tmp_path, "no-lease")
    assert "still sending at the end" in {finding.what for finding in verdict.findings}


# More than the longest pause between probes (4 s, give or take a tenth): a letter that is asked for once the relay is back
# must find it up before its own deadline.
DEADLINE = 6.0


async def after_the_deadline(folder: Path, mutant: str | None) -> Verdict:
    """The relay is away until a letter's deadline has passed, and refuses another one for good."""
    folder.mkdir()
    setup = Setup(folder, serving=1, deadline=DEADLINE, mutant=mutant, relay_faults=("refuse",))
    async with Machine(setup) as machine, machine.load(workers=0) as load:
        (service,) = machine.services
        assert await load.ask(service, "user1@people.test") == ANSWERED
        await asyncio.sleep(DEADLINE + 0.5)  # the deadline itself is what is waited for
        await machine.relay.order("clear")
        await machine.until(lambda: machine.undelivered() == 0, within=SOON)
        await machine.relay.order("reply:RCPT:550:gone")
        assert await load.ask(service, "user2@people.test") == ANSWERED
        await machine.until(
            lambda: machine.count("state <> 'queued' AND state <> 'sending'") == 2, within=DEADLINE + 2
        )
    return check(Ledgers.read(folder), Rules(deadline=DEADLINE, slack=0.5))


async def test_retrying_for_ever_is_convicted_and_the_service_itself_is_not(tmp_path: Path) -> None:
    mutant, service = await asyncio.gather(
        after_the_deadline(tmp_path / "mutant", "retries-for-ever"),
        after_the_deadline(tmp_path / "service", None),
    )
    assert mutant.count(Kind.LATE) == 1
    assert mutant.count(Kind.LOST) == 1  # the one that was refused for good still waits
    assert service.good
    assert service.figures["letters"] == {"expired deadline": 1, "failed 550": 1}
