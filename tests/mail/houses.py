"""The whole service with real relays, and what the tests of this folder do with it."""

import asyncio
import email
import email.policy
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from quart import Quart
from quart.typing import TestClientProtocol as Client

from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.app import create_app
from resetsvc.relay.relays import Relays
from resetsvc.service import Service
from resetsvc.store import kept_letters as kept
from resetsvc.testing import HandClock, make_settings
from tests.mail.senders import AT_ONCE, PATIENT, SOON
from tests.support.accepted_mail import AcceptedMail
from tests.support.relay_on_order import RelayOnOrder

T = TypeVar("T")
OLD, NEW = "an old password of hers", "four unrelated words of mine"


class House:
    """A running service, and what a test does with it."""

    def __init__(self, app: Quart, clock: HandClock) -> None:
        self.client: Client = app.test_client()
        service = app.extensions["resetsvc.service"]
        assert isinstance(service, Service)
        assert isinstance(service.accounts, BuiltinAccounts)
        self.service = service
        self.accounts = service.accounts
        self.clock = clock

    async def ask(self, address: str) -> str:
        answer = await self.client.post("/reset-password", form={"email": address})
        assert answer.status_code == 200
        return str(await answer.get_data(as_text=True))

    async def states(self) -> dict[str, int]:
        return await self.service.store.read(kept.count_by_state)

    async def until_states(self, **expected: int) -> None:
        await self._until(self.states, lambda seen: seen == expected)

    async def until_attempts(self, attempts: int) -> None:
        async def count() -> int:
            letters = await self.service.store.read(lambda unit: kept.list_letters(unit, None, 10))
            return sum(int(letter["attempts"]) for letter in letters)

        await self._until(count, lambda seen: seen >= attempts)

    async def _until(self, look: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> None:
        """Look again and again: what is on record comes after the relay's answer, and nothing announces it."""
        end = asyncio.get_running_loop().time() + SOON
        while not holds(seen := await look()):
            assert asyncio.get_running_loop().time() < end, f"still {seen}"


@asynccontextmanager
async def serving(
    folder: Path, *relays: RelayOnOrder, timeout: float = PATIENT, connections: int = 2, **changes: object
) -> AsyncIterator[House]:
    """`now` is moved by hand, so that retries come when a test says so; leases and pauses take real time."""
    hand = HandClock()
    settings = make_settings(
        folder, smtp_url=tuple(relay.url for relay in relays), smtp_timeout=timeout, **changes
    )
    outbox = Relays(
        settings.relays,
        connections=connections,
        timeout=timeout,
        clock=hand.clock,
        probe_pauses=AT_ONCE,
        our_fault_pause=AT_ONCE[0],
    )
    app = create_app(settings, outbox=outbox, clock=hand.clock)
    async with app.test_app():
        house = House(app, hand)
        for name in ("ann", "bob", "cyd", "dan"):
            await house.accounts.add(f"{name}@user.test", OLD)
        yield house
    for relay in relays:
        await relay.until(lambda relay=relay: relay.open_connections == 0)  # type: ignore[misc]  # a default binds the loop's value


def links(mail: AcceptedMail) -> list[str]:
    """The paths of the links that stand alone on their lines."""
    message = email.message_from_bytes(mail.message, policy=email.policy.default)
    part = message.get_body(("plain",))
    assert part is not None
    return [
        urlsplit(link).path for link in re.findall(r"^(https://\S+)\r?$", part.get_content(), re.MULTILINE)
    ]
