"""All relays in their order: the first that is up takes the letter; the next ones stand in for it."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from resetsvc.clock import Clock
from resetsvc.relay.conversation import Envelope
from resetsvc.relay.destinations import WAITING_ROOM, Destinations
from resetsvc.relay.lane import open_lane
from resetsvc.relay.lanes import Lanes
from resetsvc.relay.relay import OUR_FAULT_PAUSE, PROBE_PAUSES, Relay
from resetsvc.relay.url import RelayAddress
from resetsvc.relay.verdict import Attempt, Verdict


class RelayStatus(NamedTuple):
    """How a relay does. `why_down`: what was said last, while it is not up."""

    name: str
    up: bool
    why_down: Attempt | None
    open_lanes: int


class Outbox(Protocol):
    """What the dispatcher needs of whoever takes letters over: real relays, or a mailbox in a test."""

    def room(self) -> int:
        """How many letters it makes sense to hold in hand at the moment; 0 while nobody would take any.

        Those that wait for word from their domain come on top: they use no lane, and others go past them.
        """
        ...

    async def hand_over(
        self, recipient: str, compose: Callable[[], Envelope], may_send: Callable[[], bool]
    ) -> Attempt:
        """Make one attempt at a letter. Raises only what `compose` raises.

        compose  -- called when there is a lane for it; the envelope is to `recipient`
        may_send -- asked just before the first byte of the body: False withholds the letter
        """
        ...

    async def rehearse(self, compose: Callable[[], Envelope]) -> None:
        """Do the work that handing a letter over is, without handing it over. Raises only what `compose` raises."""
        ...

    async def tend(self) -> None:
        """Called about once a second: a time to close what is not needed."""
        ...

    async def open(self, on_room: Callable[[], None]) -> None:
        """Make ready. `on_room` is called when there is room again where there was none."""
        ...

    async def close(self) -> None: ...

    def status(self) -> Sequence[RelayStatus]:
        """How each relay does at the moment, in their order."""
        ...


class Relays:
    """The relays of the settings. Meets `Outbox`."""

    def __init__(
        self,
        addresses: Sequence[RelayAddress],
        *,
        connections: int,
        timeout: float,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
        probe_pauses: Sequence[float] = PROBE_PAUSES,
        our_fault_pause: float = OUR_FAULT_PAUSE,
        destinations: type[Destinations] = Destinations,
    ) -> None:
        self._on_room: Callable[[], None] = lambda: None
        # One context for all lanes: reading the system's certificates costs 37 ms.
        opening = partial(open_lane, timeout=timeout, tls=tls or ssl.create_default_context())
        self._relays = [
            Relay(
                Lanes(address.name, partial(opening, address), most=connections, clock=clock),
                clock=clock,
                destinations=destinations(clock, connections),
                on_up=lambda: self._on_room(),
                probe_pauses=probe_pauses,
                our_fault_pause=our_fault_pause,
            )
            for address in addresses
        ]

    async def open(self, on_room: Callable[[], None]) -> None:
        self._on_room = on_room

    def room(self) -> int:
        up = [relay for relay in self._relays if relay.up]
        if up and not _one_speaks(up):
            # What came now would go back for ten seconds, one after the other, all that wait: they stay where they are.
            return sum(relay.under_way + relay.worth_a_try for relay in up)
        room = sum(min(relay.destinations.waiting, WAITING_ROOM) for relay in self._relays)
        for relay in self._relays:
            if relay.up:
                room += relay.capacity + relay.letters_ahead
                if not relay.on_trial and not relay.silent:
                    break
        return room

    async def hand_over(
        self, recipient: str, compose: Callable[[], Envelope], may_send: Callable[[], bool]
    ) -> Attempt:
        """Try the relays in their order until one says something about the letter."""
        attempt = Attempt(Verdict.RELAY_DOWN, "none", None, "no relay is up")
        domain = recipient.rpartition("@")[2].lower()
        for place, relay in enumerate(self._relays):
            if not relay.up:
                continue
            later = self._relays[place + 1 :]
            if relay.trial_under_way and any(other.up for other in later):
                continue  # it greets again, but may hang: one letter finds out, the others do not wait for that
            if relay.silent and not relay.worth_a_try and _one_speaks(later):
                continue  # those that hang in it find out
            attempt = await relay.hand_over(
                domain,
                compose,
                may_send,
                lambda later=later: _one_speaks(later),  # type: ignore[misc]  # a default binds the loop's value
            )
            if attempt.verdict is Verdict.POSTPONED:
                if _one_speaks(later) and not relay.destinations.others_spoke_since(domain):
                    continue  # perhaps it is the relay that says nothing, and not the domain
                return attempt
            if attempt.verdict not in (Verdict.RELAY_DOWN, Verdict.OUR_FAULT):
                return attempt
        return attempt

    async def rehearse(self, compose: Callable[[], Envelope]) -> None:
        for relay in self._relays:
            if relay.up and not relay.on_trial and not relay.silent:
                await relay.rehearse(compose)
                return

    async def tend(self) -> None:
        for relay in self._relays:
            relay.tend()

    async def close(self) -> None:
        await asyncio.gather(*(relay.close() for relay in self._relays))

    def status(self) -> Sequence[RelayStatus]:
        return [RelayStatus(relay.name, relay.up, relay.why_down, relay.open_lanes) for relay in self._relays]


def _one_speaks(relays: Sequence[Relay]) -> bool:
    return any(relay.up and not relay.silent for relay in relays)
