"""All relays in their order: the first that is up takes the letter; the next ones stand in for it."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Protocol

from resetsvc.clock import Clock
from resetsvc.relay.conversation import Envelope
from resetsvc.relay.relay import Relay
from resetsvc.relay.url import RelayAddress
from resetsvc.relay.verdict import Attempt, Verdict


class Outbox(Protocol):
    """What the dispatcher needs of whoever takes letters over: real relays, or a mailbox in a test."""

    def room(self) -> int:
        """How many letters it makes sense to hold in hand at the moment; 0 while nobody would take any."""
        ...

    async def hand_over(self, compose: Callable[[], Envelope], may_send: Callable[[], bool]) -> Attempt:
        """Make one attempt at a letter. Raises only what `compose` raises.

        may_send -- asked just before the first byte of the body: False withholds the letter
        """
        ...

    async def tend(self) -> None:
        """Called about once a second: a time to close what is not needed."""
        ...

    async def open(self, on_room: Callable[[], None]) -> None:
        """Make ready. `on_room` is called when there is room again where there was none."""
        ...

    async def close(self) -> None: ...

    def status(self) -> Sequence[tuple[str, bool, Attempt | None]]:
        """For each relay: its name, whether it is up, and if not, why."""
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
    ) -> None:
        self._on_room: Callable[[], None] = lambda: None
        # One context for all lanes: reading the system's certificates costs 37 ms.
        tls = tls or ssl.create_default_context()
        self._relays = [
            Relay(
                address,
                connections=connections,
                timeout=timeout,
                tls=tls,
                clock=clock,
                on_up=lambda: self._on_room(),
            )
            for address in addresses
        ]

    async def open(self, on_room: Callable[[], None]) -> None:
        self._on_room = on_room

    def room(self) -> int:
        for relay in self._relays:
            if relay.up:
                return relay.lanes + relay.letters_ahead
        return 0

    async def hand_over(self, compose: Callable[[], Envelope], may_send: Callable[[], bool]) -> Attempt:
        """Try the relays in their order until one says something about the letter."""
        attempt = Attempt(Verdict.RELAY_DOWN, "none", None, "no relay is up")
        for relay in self._relays:
            if relay.up:
                attempt = await relay.hand_over(compose, may_send)
                if attempt.verdict not in (Verdict.RELAY_DOWN, Verdict.OUR_FAULT):
                    return attempt
        return attempt

    async def tend(self) -> None:
        await asyncio.gather(*(relay.close_idle_lanes() for relay in self._relays if relay.up))

    async def close(self) -> None:
        await asyncio.gather(*(relay.close() for relay in self._relays))

    def status(self) -> Sequence[tuple[str, bool, Attempt | None]]:
        return [(relay.name, relay.up, relay.why_down) for relay in self._relays]

    @property
    def open_lanes(self) -> dict[str, int]:
        return {relay.name: relay.open_lanes for relay in self._relays}
