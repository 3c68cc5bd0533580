"""An SMTP server that keeps every mail and passes none on. Inside the running event loop, on loopback only."""

import asyncio
import errno
import ipaddress
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiosmtpd.smtp import SMTP
from aiosmtpd.smtp import Envelope as ReceivedEnvelope

from resetsvc.dev.caught_mails import CaughtMails
from resetsvc.dev.eml import Envelope

SIZE_LIMIT = 10 * 1024 * 1024


class PortTaken(Exception):
    """The port is in use by another program."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is in use by another program")
        self.port = port


class Address(NamedTuple):
    host: str
    port: int


@asynccontextmanager
async def catcher(store: CaughtMails, *, host: str = "127.0.0.1", port: int = 1025) -> AsyncIterator[Address]:
    """Catch mails into `store` while inside. Port 0 takes any free one: the address that is given says which.

    Raises `PortTaken`, and `ValueError` for a host that is not a loopback address.
    """
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"the SMTP catcher listens on loopback only, not on {host}")
    # At INFO, aiosmtpd writes several lines for each connection; at DEBUG, the links in the mails.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    connections: set[_Connection] = set()
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(lambda: _Connection(store, connections, loop), host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(port) from error
        raise
    try:
        yield Address(*server.sockets[0].getsockname()[:2])
    finally:
        server.close()
        # Closing the server leaves its connections open, and the dispatcher keeps its own for the next mail.
        await asyncio.gather(*(connection.hang_up() for connection in connections))


class _Connection(SMTP):
    """One client. Known to the catcher, so that no connection and no task outlives it."""

    def __init__(
        self, store: CaughtMails, connections: "set[_Connection]", loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(
            _Keep(store),
            data_size_limit=SIZE_LIMIT,
            enable_SMTPUTF8=True,
            hostname="localhost",  # without it, aiosmtpd asks DNS, and blocks the loop
            ident="resetsvc dev, catches every mail",
            loop=loop,
        )
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        super().connection_lost(error)

    async def hang_up(self) -> None:
        if isinstance(self.transport, asyncio.WriteTransport):
            # Not `close`: what the client would read is sent already, and one that reads nothing must not hold us up.
            self.transport.abort()
        if self._handler_coroutine is not None:
            await asyncio.wait([self._handler_coroutine])


class _Keep:
    """What aiosmtpd calls with each mail."""

    def __init__(self, store: CaughtMails) -> None:
        self._store = store

    async def handle_DATA(self, server: SMTP, session: Any, received: ReceivedEnvelope) -> str:  # noqa: N802 - aiosmtpd's name
        envelope = Envelope(received.mail_from or "", tuple(received.rcpt_tos))
        source = received.original_content or b""
        try:
            await self._store.add(source, envelope)
        except OSError as error:
            # 4yz, so that the sender keeps the letter and tries again. An error left to aiosmtpd would say 500: never.
            return f"452 4.3.1 the mailbox cannot write the mail: {error.strerror}"
        return "250 2.0.0 caught"
