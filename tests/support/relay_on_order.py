"""An SMTP server for tests, over real sockets, that keeps the protocol until it is ordered to break it.

    async with RelayOnOrder() as relay:
        relay.order(Fault.reply("DATA", 451, "try later"), times=1)
        ...
        mail = await relay.next_mail()

Also a process of its own: `python -m tests.support.relay_on_order --help`.
"""

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

from tests.support.accepted_mail import AcceptedMail, Ledger
from tests.support.answering import Offers
from tests.support.bell import Bell
from tests.support.certificates import CertificateKind, client_context, server_context, write_ca_file
from tests.support.conversation import Conversation
from tests.support.faults import Fault, Hold, Refuse, Step
from tests.support.listener import Listener
from tests.support.orders import Order, OrderBook
from tests.support.wire import Gone, Wire

__all__ = ["AcceptedMail", "Fault", "Offers", "Order", "RelayOnOrder", "Step", "client_context"]

Tls = Literal["none", "starttls", "implicit"]


class RelayOnOrder:
    """`offers`, `certificate` and `credentials` may be changed at any time: the next command or handshake sees it.

    With `credentials`, AUTH is offered (with STARTTLS, inside TLS only) and MAIL refused without it. `ledger` is a
    file that gets a JSON line per accepted mail, synced before its 250. `remember=False` keeps no mails and
    commands, for runs of hours.
    """

    def __init__(
        self,
        *,
        tls: Tls = "none",
        certificate: CertificateKind = "good",
        credentials: tuple[str, str] | None = None,
        offers: Offers | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        ledger: Path | None = None,
        ledger_with_message: bool = False,
        remember: bool = True,
    ) -> None:
        self.tls = tls
        self.certificate: CertificateKind = certificate
        self.credentials = credentials
        self.offers = offers or Offers()
        self.host = host
        self.port = port
        self.mails: list[AcceptedMail] = []
        self.commands: list[tuple[int, str]] = []
        """(number of the connection from 1, command line), in the order in which they were read."""
        self.early_talk: list[tuple[int, Step]] = []
        """Steps at which the client had spoken before its turn: a pipelining server would now be out of step with it."""
        self.accepted = 0
        self.connections = 0
        self.open_connections = 0
        self.most_open = 0
        self.bell = Bell()
        self.orders = OrderBook(self.bell, changed=self._obey_at_the_door)
        self.failures: list[Exception] = []
        """Errors of this server itself; leaving the context raises them."""
        self._ledger_path = ledger
        self._ledger_with_message = ledger_with_message
        self._ledger: Ledger | None = None
        self._listener: Listener | None = None
        self._running = False
        self._conversations: set[asyncio.Task[None]] = set()
        self._handed_out = 0
        self._remember = remember
        self._folder: TemporaryDirectory[str] | None = None

    # Living.

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
        if self.failures and error is None:
            raise ExceptionGroup("the relay itself failed", self.failures)

    async def start(self) -> None:
        """Listens; after `stop()`, on the same port again. Orders stay in force."""
        if self._listener is None:
            self._listener = Listener(self.host, self.port, self._accepted)
            self.port = self._listener.port
        if self._ledger is None and self._ledger_path is not None:
            self._ledger = Ledger(self._ledger_path, with_message=self._ledger_with_message)
        self._running = True
        self._obey_at_the_door()

    async def stop(self) -> None:
        """As a relay that dies: no new connections, and those that are open are cut off."""
        self._running = False
        if self._listener is not None:
            self._listener.refuse()
        await asyncio.sleep(0)  # a task that is cancelled before its first step would never close its socket
        conversations = list(self._conversations)
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)
        await asyncio.sleep(0)  # asyncio closes an aborted socket in the next turn of its loop

    async def close(self) -> None:
        await self.stop()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._ledger is not None:
            await self._ledger.close()
            self._ledger = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    # Orders.

    def order(
        self, fault: Fault, *, times: int | None = None, only_for: Callable[[str], bool] | None = None
    ) -> Order:
        """From now on, or so many times, and only in mails to certain recipients. The oldest order that fits wins."""
        if _is_at_the_door(fault) and times is not None:
            raise ValueError("what happens before a connection is accepted cannot be counted")
        return self.orders.add(fault, times, only_for)

    def clear(self) -> None:
        """Well-behaved again, for all steps to come; a step that hangs stays so until `release()` or `stop()`."""
        self.orders.clear()

    # Looking and waiting.

    @property
    def url(self) -> str:
        user = "".join(f"{quote(user, safe='')}:{quote(word, safe='')}@" for user, word in self._users())
        scheme = "smtps" if self.tls == "implicit" else "smtp"
        query = "?tls=none" if self.tls == "none" else ""
        return f"{scheme}://{user}{self.host}:{self.port}{query}"

    @property
    def ca_file(self) -> Path:
        """A PEM file with the authority that signs all certificates but those of `unknown CA`."""
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="relay-on-order-")
            write_ca_file(Path(self._folder.name) / "ca.pem")
        return Path(self._folder.name) / "ca.pem"

    async def until(self, holds: Callable[[], bool], *, within: float = 30.0) -> None:
        """Waits by event for anything that can be seen here: `await relay.until(lambda: len(relay.mails) == 3)`."""
        try:
            async with asyncio.timeout(within):
                await self.bell.until(holds)
        except TimeoutError:
            raise TimeoutError(
                f"not within {within} s: {self.accepted} mails, {self.connections} connections, "
                f"{self.open_connections} open; last commands: {self.commands[-12:]}"
            ) from None

    async def next_mail(self, *, within: float = 30.0) -> AcceptedMail:
        """The oldest mail that no `next_mail()` has given yet."""
        await self.until(lambda: len(self.mails) > self._handed_out, within=within)
        self._handed_out += 1
        return self.mails[self._handed_out - 1]

    # What conversations ask of the house.

    @property
    def offers_starttls(self) -> bool:
        return self.tls == "starttls"

    def tls_context(self) -> ssl.SSLContext:
        return server_context(self.certificate)

    async def accept(self, mail: AcceptedMail) -> None:
        if self._ledger is not None:
            await self._ledger.write(mail)
        self.accepted += 1
        if self._remember:
            self.mails.append(mail)
        self.bell.ring()

    def note_command(self, connection: int, command: str) -> None:
        if self._remember:
            self.commands.append((connection, command))
            self.bell.ring()

    def note_early_talk(self, connection: int, step: Step) -> None:
        if self._remember:
            self.early_talk.append((connection, step))

    # Connections.

    def _users(self) -> list[tuple[str, str]]:
        return [] if self.credentials is None else [self.credentials]

    def _obey_at_the_door(self) -> None:
        """Brings the listening socket into the state that the orders ask for."""
        if self._listener is None or not self._running:
            return
        door = next((order.fault.act for order in self.orders.orders if _is_at_the_door(order.fault)), None)
        match door:
            case None:
                self._listener.listen()
            case Refuse():
                self._listener.refuse()
            case _:
                self._listener.swallow()

    def _accepted(self, connection: socket.socket) -> None:
        self.connections += 1
        conversation = asyncio.get_running_loop().create_task(self._serve(connection, self.connections))
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)

    async def _serve(self, connection: socket.socket, number: int) -> None:
        self.open_connections += 1
        self.most_open = max(self.most_open, self.open_connections)
        self.bell.ring()
        implicit_tls = self.tls == "implicit"
        wire = Wire(reads_at_once=not implicit_tls)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: wire, connection)
            self._drop_at_once_if_ordered(wire)
            await Conversation(self, wire, number).hold(implicit_tls=implicit_tls)
        except Gone:
            pass
        except Exception as error:
            self.failures.append(error)
        finally:
            wire.abort()
            self.open_connections -= 1
            self.bell.ring()

    def _drop_at_once_if_ordered(self, wire: Wire) -> None:
        order = self.orders.take("CONNECT", ()).act
        if order is not None:
            wire.abort(reset=True)
            order.strike()
            raise Gone


def _is_at_the_door(fault: Fault) -> bool:
    return isinstance(fault.act, Refuse) or (fault.step == "CONNECT" and isinstance(fault.act, Hold))


if __name__ == "__main__":
    from tests.support.relay_command import main

    sys.exit(main())
