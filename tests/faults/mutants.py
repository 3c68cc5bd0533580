"""The service with one part broken each: what the machine must convict, or its acquittals are worth nothing.

None of our own code is patched: each mutant is another part, passed in where the service takes one.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, cast

from resetsvc.clock import Clock
from resetsvc.intake import Intake
from resetsvc.relay.conversation import Envelope
from resetsvc.relay.relays import Outbox, Relays, RelayStatus
from resetsvc.relay.verdict import Attempt, Verdict
from resetsvc.service import Service
from resetsvc.settings import Settings
from resetsvc.web.parts import Parts

TEN_YEARS = 10 * 365 * 86400


@dataclasses.dataclass(frozen=True, slots=True)
class Mutant:
    """How to break the service.

    parts      -- other parts for `create_app`, made from the settings
    parts_seen -- what the web is given instead of the running parts
    settings   -- settings that are changed
    """

    parts: Callable[[Settings], dict[str, Any]] = lambda _: {}
    parts_seen: Callable[[Service], Parts] = lambda service: service.parts
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


class HastyIntake:
    """Acknowledges before the commit."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._unfinished: set[asyncio.Task[str]] = set()

    async def accept(self, address: str, *, client: str, locale: str | None) -> str:
        task = asyncio.create_task(self._intake.accept(address, client=client, locale=locale))
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return "an id that will be known later"


class Through:
    """The real relays, and nothing changed: what the others vary."""

    def __init__(self, settings: Settings) -> None:
        self._relays: Outbox = Relays(
            settings.relays,
            connections=settings.smtp_connections,
            timeout=settings.smtp_timeout,
            clock=Clock(),
        )

    async def hand_over(
        self, recipient: str, compose: Callable[[], Envelope], may_send: Callable[[], bool]
    ) -> Attempt:
        return await self._relays.hand_over(recipient, compose, may_send)

    async def rehearse(self, compose: Callable[[], Envelope]) -> None:
        await self._relays.rehearse(compose)

    def room(self) -> int:
        return self._relays.room()

    async def tend(self) -> None:
        await self._relays.tend()

    async def open(self, on_room: Callable[[], None]) -> None:
        await self._relays.open(on_room)

    async def close(self) -> None:
        await self._relays.close()

    def status(self) -> Sequence[RelayStatus]:
        return self._relays.status()


class SaysSentAtOnce(Through):
    """Marks sent before SMTP has answered."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._unfinished: set[asyncio.Task[Attempt]] = set()

    async def hand_over(
        self, recipient: str, compose: Callable[[], Envelope], may_send: Callable[[], bool]
    ) -> Attempt:
        task = asyncio.create_task(super().hand_over(recipient, compose, may_send))
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return Attempt(Verdict.SENT, "hope", 250, "surely")


class TakesNoRefusal(Through):
    """Repeats what was refused for good."""

    async def hand_over(
        self, recipient: str, compose: Callable[[], Envelope], may_send: Callable[[], bool]
    ) -> Attempt:
        attempt = await super().hand_over(recipient, compose, may_send)
        if attempt.verdict is Verdict.FAILED:
            return dataclasses.replace(attempt, verdict=Verdict.RETRY)
        return attempt


class NeverLooks(Through):
    """Sends without a last look at the lease."""

    async def hand_over(
        self, recipient: str, compose: Callable[[], Envelope], may_send: Callable[[], bool]
    ) -> Attempt:
        return await super().hand_over(recipient, compose, lambda: True)


def _hasty(service: Service) -> Parts:
    return dataclasses.replace(service.parts, intake=cast(Intake, HastyIntake(service.parts.intake)))


MUTANTS = {
    "acknowledges-before-the-commit": Mutant(parts_seen=_hasty),
    "marks-sent-before-the-answer": Mutant(parts=lambda settings: {"outbox": SaysSentAtOnce(settings)}),
    "no-lease": Mutant(parts=lambda _: {"lease": float(TEN_YEARS)}),
    "retries-for-ever": Mutant(
        parts=lambda settings: {"outbox": TakesNoRefusal(settings)},
        settings={"delivery_deadline": TEN_YEARS},
    ),
    "never-looks-at-its-lease": Mutant(parts=lambda settings: {"outbox": NeverLooks(settings)}),
}
