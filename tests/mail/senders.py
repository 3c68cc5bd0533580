"""Real `Relays` that hand letters over to relays on order: what the tests of this folder begin with."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from resetsvc.clock import Clock
from resetsvc.relay.conversation import Envelope
from resetsvc.relay.destinations import Destinations, Pass
from resetsvc.relay.relays import Relays
from resetsvc.relay.url import parse_relay_url
from resetsvc.relay.verdict import Attempt, Verdict
from tests.support.relay_on_order import Fault, RelayOnOrder, client_context

# Seconds for one SMTP step where a test lets a relay hang. The relay answers in the same event loop: were it shorter, a
# process that got no turn for so long would find a relay silent that is not.
IMPATIENT = 0.3
PATIENT = 10.0  # where nothing hangs: a busy machine must not look like a slow relay
SOON = 30.0  # until then at the latest, or the test fails
AT_ONCE = (0.01,)

SENDER = "no-reply@shop.test"
RECIPIENT = "ann@user.test"
MAIL = b"From: no-reply@shop.test\r\nTo: ann@user.test\r\nMessage-ID: <1@shop.test>\r\n\r\nHello\r\n"


def letter(recipient: str = RECIPIENT, body: bytes = MAIL, *, utf8: bool = False) -> Envelope:
    return Envelope(SENDER, recipient, body, utf8)


class HandTime:
    """Monotonic seconds that go on when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.clock = Clock(monotonic=lambda: self.seconds, chance=lambda: 0.5)


class OpenToAll(Destinations):
    """Lets all letters go at once, whatever their domain: most tests here are about the relay alone."""

    async def enter(self, name: str) -> Pass:
        return self._start(self._domain(name), self._clock.monotonic(), probe=False)


class Sender:
    """Hands letters over; `room_again` is set when a relay came up."""

    def __init__(self, outbox: Relays) -> None:
        self.outbox = outbox
        self.room_again = asyncio.Event()

    async def send(
        self, envelope: Envelope | None = None, may_send: Callable[[], bool] = lambda: True
    ) -> Attempt:
        async with asyncio.timeout(SOON):
            sent = envelope or letter()
            return await self.outbox.hand_over(sent.recipient, lambda: sent, may_send)

    def begin(self, envelope: Envelope | None = None) -> asyncio.Task[Attempt]:
        return asyncio.create_task(self.send(envelope))

    async def until_room(self) -> None:
        async with asyncio.timeout(SOON):
            while not self.outbox.room():
                self.room_again.clear()
                await self.room_again.wait()

    @property
    def open_lanes(self) -> list[int]:
        return [status.open_lanes for status in self.outbox.status()]

    @property
    def up(self) -> list[bool]:
        return [relay.up for relay in self.outbox.status()]


@asynccontextmanager
async def sending_to(
    *relays: RelayOnOrder,
    connections: int = 2,
    timeout: float = PATIENT,
    clock: Clock | None = None,
    probe_pauses: Sequence[float] = AT_ONCE,
    our_fault_pause: float = AT_ONCE[0],
    destinations: type[Destinations] = OpenToAll,
) -> AsyncIterator[Sender]:
    """At the end: no lane, no connection and no task of ours is left, whatever the relays did."""
    outbox = Relays(
        [parse_relay_url(relay.url) for relay in relays],
        connections=connections,
        timeout=timeout,
        clock=clock or Clock(),
        tls=client_context(),
        probe_pauses=probe_pauses,
        our_fault_pause=our_fault_pause,
        destinations=destinations,
    )
    sender = Sender(outbox)
    before = asyncio.all_tasks()
    await outbox.open(sender.room_again.set)
    try:
        yield sender
    finally:
        async with asyncio.timeout(SOON):
            await outbox.close()
    assert sender.open_lanes == [0] * len(relays)
    for relay in relays:
        await relay.until(lambda relay=relay: relay.open_connections == 0)  # type: ignore[misc]  # a default binds the loop's value
    ours = {task.get_name() for task in asyncio.all_tasks() - before if not task.done()}
    assert not {name for name in ours if name.startswith(("probe", "leave"))}


def commands(relay: RelayOnOrder, connection: int | None = None) -> list[str]:
    """The verbs that the relay has read, of all connections or of one."""
    return [line.split(" ")[0] for number, line in relay.commands if connection in (None, number)]


async def all_lanes_open(relay: RelayOnOrder, sender: Sender, lanes: int) -> None:
    """So many letters at once, so that so many lanes are open and idle afterwards."""
    at_once = relay.order(Fault.hold("DOT"))
    letters = [sender.begin() for _ in range(lanes)]
    await at_once.reached(lanes)
    at_once.release()
    assert [(await each).verdict for each in letters] == [Verdict.SENT] * lanes
