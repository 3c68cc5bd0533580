"""Long runs: a thousand kills, or everything mixed. A seed gives the same plan; what it meets is left to the moment."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from tests.faults.load import Load
from tests.faults.machine import Machine
from tests.faults.processes import ServiceProcess

Tell = Callable[[str], None]

# What the relay does wrong for a while in a mixed run; `*N` bounds what would otherwise strike every letter.
RELAY_FAULTS = (
    *("hang:BANNER", "hang:EHLO", "hang:MAIL", "hang:RCPT", "hang:DATA", "hang:BODY", "hang:DOT*8"),
    *("hang:DOT:accept*8", "drop:DOT", "drop:DOT:accept*8", "drop:DOT:after_answer", "drop:RCPT:reset"),
    *("reply:MAIL:421:busy", "reply:RCPT:450:later*40", "reply:DATA:451:later*40", "reply:RCPT:550:gone*20"),
    *("reply:DOT:452:full*40", "garbage:EHLO", "garbage:RCPT*20", "endless:EHLO", "drip:RCPT:0.2*8"),
    *("refuse", "hang:CONNECT", "delay:0.05", "rate:5", "stop"),
)


async def kill_and_kill_again(machine: Machine, load: Load, kills: int, tell: Tell) -> None:
    """kill -9 at random moments: at any time of a life, right after an answer, while it starts, all at once."""
    chance = machine.chance
    starting: set[asyncio.Task[None]] = set()

    def start_again(victim: ServiceProcess) -> None:
        task = asyncio.create_task(machine.restart(victim))
        starting.add(task)
        task.add_done_callback(starting.discard)

    done = 0
    while done < kills:
        victim = chance.choice(machine.services)
        way = chance.random()
        if way < 0.1 and victim.running:  # perhaps while it starts
            await asyncio.sleep(chance.random() * 0.5)
        else:
            await _up(machine, victim)
            if way < 0.5:
                await load.next_answer()
                await asyncio.sleep(chance.choice((0.0, 0.0, 0.001, 0.003, 0.01)))
            else:
                await asyncio.sleep(chance.random() * 0.6)
        victims = [victim]
        if way > 0.9:
            victims += [other for other in machine.services if other is not victim]
        victims = [one for one in victims if one.running][: kills - done]
        await machine.kill(*victims)
        done += len(victims)
        for one in victims:
            start_again(one)
        tell(f"{done} of {kills} kills, {load.counts.sent} requests {load.counts.outcomes}")
    await asyncio.gather(*starting)


async def _up(machine: Machine, victim: ServiceProcess) -> None:
    while not victim.up.is_set():
        if not victim.running:
            await asyncio.sleep(0.01)  # its next life is about to begin
            continue
        up = asyncio.create_task(victim.up.wait())
        await asyncio.wait({up}, timeout=1.0)
        up.cancel()


async def everything(machine: Machine, load: Load, seconds: float, tell: Tell) -> None:
    """Kills, stops, stalls, relay faults and locks of the database, several at a time."""
    end = time.monotonic() + seconds
    hands = (_hand_on_services, _hand_on_services, _hand_on_relay, _hand_on_database)

    async def telling() -> None:
        while (left := end - time.monotonic()) > 0:
            tell(f"{left:.0f} s left, {load.counts.sent} requests {load.counts.outcomes}")
            await asyncio.sleep(min(1.0, left))

    owners: dict[str, asyncio.Lock] = {service.name: asyncio.Lock() for service in machine.services}
    async with asyncio.TaskGroup() as group:
        group.create_task(telling())
        for hand in hands:
            group.create_task(_while_time(end, lambda hand=hand: hand(machine, owners, end)))  # type: ignore[misc]  # a default binds the loop's value


async def _while_time(end: float, act: Callable[[], Awaitable[None]]) -> None:
    while time.monotonic() < end:
        await act()


def _for(end: float, seconds: float) -> float:
    return max(0.0, min(seconds, end - time.monotonic()))


async def _hand_on_services(machine: Machine, owners: dict[str, asyncio.Lock], end: float) -> None:
    chance = machine.chance
    victim = chance.choice(machine.services)
    await asyncio.sleep(_for(end, chance.expovariate(1 / 3)))
    async with owners[victim.name]:
        if not victim.running:
            await machine.restart(victim)
            return
        way = chance.random()
        if way < 0.5:
            await machine.kill(victim)
        elif way < 0.75:
            began = time.time()
            code = await victim.stop()
            machine.note("other", began, f"SIGTERM ({code})")
        else:
            lease = machine.setup.rules.lease
            async with machine.stalled(victim):
                await asyncio.sleep(_for(end, chance.choice((0.2, 1.0, 0.9 * lease, 1.5 * lease))))
            return
        await machine.restart(victim)


async def _hand_on_relay(machine: Machine, _: dict[str, asyncio.Lock], end: float) -> None:
    chance = machine.chance
    await asyncio.sleep(_for(end, chance.expovariate(1 / 6)))
    async with machine.misbehaving(chance.choice(RELAY_FAULTS)):
        await asyncio.sleep(_for(end, chance.uniform(1, 8)))


async def _hand_on_database(machine: Machine, _: dict[str, asyncio.Lock], end: float) -> None:
    chance = machine.chance
    await asyncio.sleep(_for(end, chance.expovariate(1 / 20)))
    async with machine.locked():
        await asyncio.sleep(_for(end, chance.choice((0.1, 1.0, 3.0, 8.0, 15.0))))
