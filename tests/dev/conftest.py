"""A mailbox in a folder of its own, the catcher before it, the page over it, and mails to send."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart.typing import TestClientProtocol

from resetsvc.dev.catcher import Address, catcher
from resetsvc.dev.caught_mails import CaughtMails
from resetsvc.dev.mailbox import create_mailbox

LINK = "http://127.0.0.1:8000/reset/eyJpIjoiNTY3OCJ9.aSkQ5A.dJ2mX0-q3lK_kd93"

Send = Callable[[EmailMessage], Awaitable[object]]


def a_mail(
    subject: str = "Reset your password",
    *,
    to: str = "demo@example.com",
    text: str = f"Hello,\n\n{LINK}\n\nThis was not you? Open {LINK}/cancel.\n",
    html: str | None = f'<!doctype html><title>Hi</title><p><a href="{LINK}">Set a new password</a></p>',
) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Acme <no-reply@example.com>"
    mail["To"] = to
    mail["Subject"] = subject
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    if html is not None:
        mail.add_alternative(html, subtype="html")
    return mail


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "var" / "mailbox"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[CaughtMails]:
    store = await CaughtMails.open(folder)
    yield store
    store.close()


@pytest.fixture
async def smtp(store: CaughtMails) -> AsyncIterator[Address]:
    async with catcher(store, port=0) as address:
        yield address


@pytest.fixture
def send(smtp: Address) -> Send:
    async def send(mail: EmailMessage) -> object:
        return await aiosmtplib.send(mail, hostname=smtp.host, port=smtp.port, start_tls=False)

    return send


@pytest.fixture
def client(store: CaughtMails) -> TestClientProtocol:
    return create_mailbox(store, service_url="http://127.0.0.1:8000/").test_client()


@dataclass(frozen=True, slots=True)
class Served:
    """The page on a real server."""

    port: int
    stop: Callable[[], Awaitable[None]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
async def served(store: CaughtMails) -> AsyncIterator[Served]:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listening.detach()}"]
    config.graceful_timeout = 60  # longer than any test: nothing may need it
    config.accesslog = config.errorlog = None
    stopping = asyncio.Event()
    mailbox = create_mailbox(store, service_url="http://127.0.0.1:8000")
    serving = asyncio.create_task(serve(mailbox, config, shutdown_trigger=stopping.wait))

    async def stop() -> None:
        """As `resetsvc dev` does it."""
        stopping.set()
        store.close()
        async with asyncio.timeout(20):
            await serving

    yield Served(port, stop)
    await stop()
