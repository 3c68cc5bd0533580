"""Requests at fixed times, whether or not earlier ones have been answered: what people do, who do not wait for each other.

The time of an answer counts from the moment its request was due, so a service that stands still for a second is late
for all who came in that second. Timers are exact to some microseconds (see `delay_line.exact_loop`), and a connection
is used by one request at a time.
"""

import asyncio
import gc
import math
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.harness.delay_line import exact_loop

PATIENCE = 5.0  # seconds after which an answer counts as not come
_MOST_CONNECTIONS = 800  # select() counts to 1,024


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: seconds from when it was due to the answer's last octet, and its status; 0: none came."""

    seconds: float
    status: int


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection, one request at a time. Reads the answer's length and nothing else of it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answered: asyncio.Future[int] | None = None
        self.open = False
        self.last_byte_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.open = True

    async def ask(self, request: bytes) -> int:
        """Return the status of the answer; 0 if the connection ended before it was whole."""
        assert self._transport is not None
        self._received = b""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._answered is not None and not self._answered.done() and is_whole(self._received):
            self.last_byte_at = asyncio.get_running_loop().time()
            if b"connection: close" in self._received.partition(b"\r\n\r\n")[0].lower():
                self.close()
            self._answered.set_result(int(self._received[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(0)

    def close(self) -> None:
        self.open = False
        if self._transport is not None:
            self._transport.close()


async def connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


def is_whole(received: bytes) -> bool:
    """Whether an HTTP/1.1 answer has come to its end, by its Content-Length or its last chunk."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        match name.strip().lower():
            case b"content-length":
                return len(body) >= int(value)
            case b"transfer-encoding" if b"chunked" in value.lower():
                return body.endswith(b"0\r\n\r\n")
    return True  # neither: an answer without a body, such as 204


def post(path: str, body: bytes, content_type: str = "application/x-www-form-urlencoded") -> bytes:
    """A whole request."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class _Clients:
    """Connections that are free, and as many more as are needed."""

    def __init__(self, port: int, patience: float) -> None:
        self._port = port
        self._patience = patience
        self._free: list[Connection] = []
        self._count = 0

    async def ask(self, request: bytes, due: float) -> Answer:
        loop = asyncio.get_running_loop()
        status = 0
        try:
            async with asyncio.timeout_at(due + self._patience):
                connection = await self._take()
                try:
                    status = await connection.ask(request)
                finally:
                    self._give_back(connection, usable=status != 0)
        except (TimeoutError, OSError):
            return Answer(self._patience, 0)
        return Answer(loop.time() - due if status else self._patience, status)

    async def _take(self) -> Connection:
        while self._free:
            connection = self._free.pop()
            if connection.open:
                return connection
            self._count -= 1
        if self._count >= _MOST_CONNECTIONS:
            raise TimeoutError
        self._count += 1
        try:
            return await connect(self._port)
        except OSError:
            self._count -= 1
            raise

    def _give_back(self, connection: Connection, *, usable: bool) -> None:
        if usable and connection.open:
            self._free.append(connection)
            return
        connection.close()
        self._count -= 1

    def close(self) -> None:
        for connection in self._free:
            connection.close()


async def ask_at_rate(
    port: int, requests: Callable[[int], bytes], *, rate: float, seconds: float, patience: float = PATIENCE
) -> list[Answer]:
    """Send request number 0, 1, 2, … at `rate` a second for `seconds`; return what became of each, in order.

    patience -- seconds after which an answer counts as not come, and as having taken that long
    """
    loop = asyncio.get_running_loop()
    clients = _Clients(port, patience)
    began = loop.time()
    asked = []
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        asked.append(asyncio.create_task(clients.ask(requests(number), due)))
    answers = await asyncio.gather(*asked)
    clients.close()
    return list(answers)


def run_at_rate(
    port: int, requests: Callable[[int], bytes], *, rate: float, seconds: float, patience: float = PATIENCE
) -> list[Answer]:
    """The same, in a loop of its own.

    Nothing is collected meanwhile: with all that the harness has loaded, one full collection is a pause of 40 to 60 ms, which
    would count as the service's.
    """
    gc.collect()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=exact_loop) as runner:
            return runner.run(ask_at_rate(port, requests, rate=rate, seconds=seconds, patience=patience))
    finally:
        gc.enable()


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed: one of them, not something between two."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
