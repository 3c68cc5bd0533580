"""Real servers on free loopback ports: the service with its dispatcher, and other people's sites beside it."""

import asyncio
import email
import email.policy
import mimetypes
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from quart import Quart, Response, request

from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.app import create_app
from resetsvc.server import read_config, serve_app
from resetsvc.service import Service
from resetsvc.testing import CaughtMail, make_settings
from tests.support.relay_on_order import AcceptedMail, RelayOnOrder

PERSON = "ann.lee@example.com"
OLD_PASSWORD = "the one she has forgotten"
NEW_PASSWORD = "four unrelated words here"


@asynccontextmanager
async def serving(app: Quart, listening: socket.socket, started: asyncio.Event) -> AsyncIterator[str]:
    """Serve an app on hypercorn in this event loop, on a socket that listens already; give the server's address."""
    url = "http://{}:{}".format(*listening.getsockname()[:2])
    config = read_config(None)
    config.bind = [f"fd://{listening.detach()}"]
    config.graceful_timeout = 2
    stop = asyncio.Event()

    async def until_stop() -> None:
        await stop.wait()

    server = asyncio.create_task(serve_app(app, config, until_stop))
    starting = asyncio.create_task(started.wait())
    await asyncio.wait([server, starting], return_when=asyncio.FIRST_COMPLETED, timeout=60)
    if server.done():
        starting.cancel()
        await server
    assert started.is_set(), "the server did not start"
    try:
        yield url
    finally:
        stop.set()
        async with asyncio.timeout(60):
            await server


@dataclass
class ResetService:
    """The service as it runs: its address, the relay that its mails go to, and its parts."""

    url: str
    relay: RelayOnOrder
    parts: Service

    @property
    def ask_url(self) -> str:
        return f"{self.url}/reset-password"

    @property
    def accounts(self) -> BuiltinAccounts:
        assert isinstance(self.parts.accounts, BuiltinAccounts)
        return self.parts.accounts

    async def next_mail(self) -> CaughtMail:
        """The oldest mail at the relay that was not asked for before."""
        return as_mail(await self.relay.next_mail())


@asynccontextmanager
async def reset_service(folder: Path, **settings: Any) -> AsyncIterator[ResetService]:
    """The whole service with a database in `folder`, a relay that takes everything, and Ann's account."""
    listening = free_socket()
    url = "http://{}:{}".format(*listening.getsockname()[:2])
    started = asyncio.Event()
    service: list[Service] = []

    async def on_start(running: Service) -> None:
        service.append(running)
        started.set()

    async with RelayOnOrder() as relay:
        wanted = {"public_url": url, "smtp_url": relay.url, "product_name": "Tidewater Books", **settings}
        app = create_app(make_settings(folder, **wanted), on_start=on_start)
        async with serving(app, listening, started):
            running = ResetService(url, relay, service[0])
            assert await running.accounts.add(PERSON, OLD_PASSWORD)
            yield running


@dataclass(frozen=True, slots=True)
class Visit:
    """A request as another site saw it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass
class OtherSite:
    """Somebody else's server: shows the files that it is given, by their paths, and writes every request down."""

    url: str = ""
    files: dict[str, str] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)

    def visits_to(self, path: str) -> list[Visit]:
        return [visit for visit in self.visits if visit.path == path]


@asynccontextmanager
async def other_site() -> AsyncIterator[OtherSite]:
    """Another origin than the service's."""
    site = OtherSite()
    app = Quart("other_site", static_folder=None)
    started = asyncio.Event()

    @app.before_serving
    async def on_start() -> None:
        started.set()

    @app.get("/")
    @app.get("/<path:name>")
    async def show(name: str = "index.html") -> Response:
        query = request.query_string.decode()
        site.visits.append(Visit(request.method, request.path, query, dict(request.headers)))
        if name == "favicon.ico":
            return Response("", 204)
        kind = mimetypes.guess_type(name)[0] or "text/html"
        return Response(site.files.get(name, ""), 200 if name in site.files else 404, mimetype=kind)

    async with serving(app, free_socket(), started) as site.url:
        yield site


def free_socket() -> socket.socket:
    """Listens on a free port of loopback: requests wait in it until a server takes it over."""
    return socket.create_server(("127.0.0.1", 0), backlog=100)


def as_mail(accepted: AcceptedMail) -> CaughtMail:
    """A mail as it arrived at the relay, to be read like one from `resetsvc_mailbox`."""
    message = email.message_from_bytes(accepted.message, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    (recipient,) = accepted.rcpt_tos
    return CaughtMail(accepted.mail_from, recipient, message, accepted.message)
