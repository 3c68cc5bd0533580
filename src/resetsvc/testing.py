"""For a team's own pytest suite: the real service with a database of its own and a mailbox that catches.

In a `conftest.py`:

    pytest_plugins = ["resetsvc.testing"]

and then, in an async test:

    async def test_a_person_can_reset(resetsvc_client, resetsvc_mailbox, resetsvc_accounts):
        await resetsvc_accounts.add("ann@example.com", "an old password of hers")
        await resetsvc_client.post("/reset-password", form={"email": "ann@example.com"})
        mail = await resetsvc_mailbox.next_mail()
        answer = await resetsvc_client.post(mail.link_path, form={"password": "four unrelated words here"})
        assert answer.status_code == 200

Nothing of the service is replaced but its way out: mails are composed as ever, and caught instead of sent.
"""

import asyncio
import email
import email.policy
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from quart import Quart
from quart.typing import TestClientProtocol as Client

from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.app import create_app
from resetsvc.clock import Clock, new_id
from resetsvc.relay.conversation import Envelope
from resetsvc.relay.relays import RelayStatus
from resetsvc.relay.verdict import Attempt, Verdict
from resetsvc.service import Service
from resetsvc.settings import TEST_KEY, Settings


@dataclass(frozen=True, slots=True)
class CaughtMail:
    """A mail as it would have gone to the relay."""

    sender: str
    recipient: str
    message: EmailMessage = field(repr=False)
    raw: bytes = field(repr=False)

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        return self._part("plain")

    @property
    def html(self) -> str:
        return self._part("html")

    @property
    def link(self) -> str:
        """The reset link: the first address that stands alone on its line. AssertionError if there is none."""
        return self._lonely_links()[0]

    @property
    def cancel_link(self) -> str:
        """The "this was not me" link."""
        return self._lonely_links()[1]

    @property
    def link_path(self) -> str:
        """The reset link as a test client takes it: without scheme and host."""
        return urlsplit(self.link).path

    @property
    def cancel_path(self) -> str:
        return urlsplit(self.cancel_link).path

    @property
    def token(self) -> str:
        return urlsplit(self.cancel_link).path.split("/")[-2]

    def _lonely_links(self) -> list[str]:
        found = re.findall(r"^(https?://\S+)$", self.text, re.MULTILINE)
        assert found, "there is no link in this mail"
        return found

    def _part(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        assert part is not None
        content = part.get_content()
        assert isinstance(content, str)
        return content.replace("\r\n", "\n")


class Mailbox:
    """Takes letters over as a relay would, at once and without a network. Meets `resetsvc.relay.relays.Outbox`."""

    def __init__(self) -> None:
        self.mails: list[CaughtMail] = []
        self._read = 0
        self._arrival = asyncio.Event()
        self._room = 1000
        self._on_room: Callable[[], None] = lambda: None

    async def next_mail(self, timeout: float = 5.0) -> CaughtMail:
        """Return the first mail that this was not asked for before; wait for it; AssertionError if none comes in time."""
        try:
            async with asyncio.timeout(timeout):
                while len(self.mails) <= self._read:
                    self._arrival.clear()
                    await self._arrival.wait()
        except TimeoutError:
            raise AssertionError(f"no mail came within {timeout} s") from None
        self._read += 1
        return self.mails[self._read - 1]

    def close_for_now(self) -> None:
        """Take no letters until `open_again`: they wait in the queue."""
        self._room = 0

    def open_again(self) -> None:
        self._room = 1000
        self._on_room()

    # ---- Outbox ----

    def room(self) -> int:
        return self._room

    async def hand_over(
        self, recipient: str, compose: Callable[[], Envelope], may_send: Callable[[], bool]
    ) -> Attempt:
        envelope = compose()
        if not may_send():
            return Attempt(Verdict.WITHHELD, "mailbox", None, "not sent: its time ran out")
        message = email.message_from_bytes(envelope.body, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(CaughtMail(envelope.sender, envelope.recipient, message, envelope.body))
        self._arrival.set()
        return Attempt(Verdict.SENT, "mailbox", 250, "caught")

    async def rehearse(self, compose: Callable[[], Envelope]) -> None:
        """Nobody measures how long this mailbox takes."""

    async def tend(self) -> None:
        """There is nothing to tend."""

    async def open(self, on_room: Callable[[], None]) -> None:
        self._on_room = on_room

    async def close(self) -> None:
        """There is nothing to close."""

    def status(self) -> Sequence[RelayStatus]:
        return [RelayStatus("mailbox", up=self._room > 0, why_down=None, open_lanes=0)]


@dataclass
class HandClock:
    """A clock that goes on only when a test says so. `clock` is what the service is given."""

    seconds: float = 1_790_000_000.0  # September 2026
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = Clock(
            now=lambda: self.seconds, uptime=lambda: self.seconds, new_id=new_id, chance=lambda: 0.5
        )

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


def make_settings(folder: Path, **changes: Any) -> Settings:
    """Settings for a test: a database in `folder`, cheap hashes, nothing from the environment or a `.env` file."""
    defaults = {
        name: setting.get_default(call_default_factory=True, validated_data={})
        for name, setting in Settings.model_fields.items()
        if not setting.is_required()
    }
    return Settings(
        _env_file=None,
        **{
            **defaults,
            "database_url": f"sqlite:///{folder / 'resetsvc.db'}",
            "secret_key": TEST_KEY,
            "public_url": "https://reset.example.com",
            "smtp_url": "smtp://127.0.0.1:1025?tls=none",
            "mail_from": "Example <no-reply@example.com>",
            "product_name": "Example",
            "argon2_memory": 8192,
            "argon2_time": 1,
            "limit_per_client": "",
            **changes,
        },
    )


@pytest.fixture
def resetsvc_settings(tmp_path: Path) -> Settings:
    """Override this fixture to test with other settings: `return make_settings(tmp_path, token_ttl=600)`."""
    return make_settings(tmp_path)


@pytest_asyncio.fixture
async def resetsvc_mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def resetsvc_clock() -> Clock:
    """The real time. Override it with a `HandClock().clock` to move it by hand."""
    return Clock()


@pytest_asyncio.fixture
async def resetsvc_app(
    resetsvc_settings: Settings, resetsvc_mailbox: Mailbox, resetsvc_clock: Clock
) -> AsyncIterator[Quart]:
    """The running app; it stops when the test ends."""
    app = create_app(resetsvc_settings, outbox=resetsvc_mailbox, clock=resetsvc_clock)
    async with app.test_app():
        yield app


@pytest.fixture
def resetsvc_service(resetsvc_app: Quart) -> Service:
    """The parts behind the app: its store, its accounts, its dispatcher."""
    service = resetsvc_app.extensions["resetsvc.service"]
    assert isinstance(service, Service)
    return service


@pytest.fixture
def resetsvc_client(resetsvc_app: Quart) -> Client:
    return resetsvc_app.test_client()


@pytest.fixture
def resetsvc_accounts(resetsvc_service: Service) -> BuiltinAccounts:
    """The built-in accounts: `add`, `verify`, `disable`."""
    assert isinstance(resetsvc_service.accounts, BuiltinAccounts)
    return resetsvc_service.accounts
