"""A client that measures: one connection that is kept, a socket that never sleeps, nothing between the clock and the wire.

The clock starts when the last byte of the request has been handed to the system and stops when the first byte of the
answer can be read. In between the socket is asked again and again: a sleeping process is woken some microseconds late,
and not always by the same ones. An event loop would add more.
"""

import contextlib
import os
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import Self
from urllib.parse import quote_plus, urlsplit

from resetsvc.errors import ResetError, WrongSettings

LONGEST_ANSWER = 30.0  # seconds
_LARGEST_ANSWER = 1 << 20
# Whose values have to be equal too. Of the others the name has to be there: a proxy may number its answers.
_EQUAL = (b"content-type", b"content-length", b"cache-control", b"retry-after", b"location", b"vary")
_OF_THE_CONNECTION = (b"connection", b"keep-alive")  # the server closes it when it likes
_WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class CannotMeasure(ResetError):
    """The service cannot be measured: it does not answer, or not as it would answer a person."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the service is. `host` and `port` for the connection, `base` in front of every path."""

    secure: bool
    host: str
    port: int
    base: str

    @property
    def is_loopback(self) -> bool:
        """Whether every address of that host is this machine itself."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise CannotMeasure(f"{self.host} cannot be found: {error.strerror or error}") from error
        return only_loopback(str(entry[4][0]) for entry in found)


def only_loopback(addresses: Iterable[str]) -> bool:
    """Whether all of these network addresses are this machine's own. One that is not might be the one connected to."""
    return all(ip_address(address.partition("%")[0]).is_loopback for address in addresses)


def parse_target(url: str) -> Target:
    """Read `http://host:port/base`; WrongSettings if it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        raise WrongSettings(["--url is not an http:// or https:// address"]) from None
    if not parts.hostname or parts.query or parts.fragment or parts.username is not None or not url.isascii():
        raise WrongSettings(["--url has to be like http://127.0.0.1:8000, without user, query or fragment"])
    return Target(parts.scheme == "https", parts.hostname, port, parts.path.rstrip("/"))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and how long it took, in nanoseconds. `said` is all of it that must not differ."""

    took: int
    status: int
    said: bytes


class Client:
    """One connection, opened when it is needed and again when the server has closed it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._socket: socket.socket | None = None
        host = f"[{target.host}]" if ":" in target.host else target.host
        head = f"Host: {host}:{target.port}\r\nAccept: text/plain\r\n"
        self._ask_head = (
            f"POST {target.base}/reset-password HTTP/1.1\r\n{head}"
            "Content-Type: application/x-www-form-urlencoded\r\n"
        ).encode()
        self._poll = f"GET {target.base}/healthz HTTP/1.1\r\n{head}\r\n".encode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, address: str, *, wait: int = 0) -> Answer:
        """Ask for a reset. CannotMeasure unless it is accepted.

        wait -- nanoseconds that the clock goes on after the answer has come: the planted delay
        """
        body = b"email=" + quote_plus(address).encode()
        answer = self._exchange(b"%sContent-Length: %d\r\n\r\n%s" % (self._ask_head, len(body), body), wait)
        if answer.status == 429:
            raise CannotMeasure(
                "the service limits this client (429): lift the limit for this address while you measure, "
                "most simply with RESETSVC_LIMIT_PER_CLIENT= (empty)"
            )
        if answer.status != 200:
            raise CannotMeasure(f"the service answers {answer.status} to POST /reset-password")
        return answer

    def poll(self, *, wait: int = 0) -> Answer:
        """Ask whether it is alive: the cheapest request that goes through the same event loop."""
        answer = self._exchange(self._poll, wait)
        if answer.status != 200:
            raise CannotMeasure(f"the service answers {answer.status} to GET /healthz")
        return answer

    def _exchange(self, request: bytes, wait: int) -> Answer:
        for again in (False, True):
            try:
                if self._socket is None:
                    self._socket = self._connect()
                    # The first exchange of a connection is slower, for all classes alike: it counts for none.
                    self._send_and_read(self._poll, 0)
                return self._send_and_read(request, wait)
            except (_Closed, ConnectionError, ssl.SSLEOFError) as error:
                # A server may close an idle connection, or one that has been used often, at any moment.
                self.close()
                if again:
                    raise CannotMeasure(f"the service closes the connection: {error}") from error
        raise AssertionError("the second time returns or raises")

    def _connect(self) -> socket.socket:
        where = self._target.host, self._target.port
        opened: socket.socket | None = None
        try:
            opened = socket.create_connection(where, timeout=LONGEST_ANSWER)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._target.secure:
                opened = ssl.create_default_context().wrap_socket(opened, server_hostname=self._target.host)
            opened.setblocking(False)
        except OSError as error:
            if opened is not None:
                opened.close()
            raise CannotMeasure(
                f"cannot connect to {where[0]}, port {where[1]}: {error.strerror or error}"
            ) from error
        return opened

    def _send_and_read(self, request: bytes, wait: int) -> Answer:
        connection = self._socket
        assert connection is not None
        clock = time.perf_counter_ns
        give_up = clock() + int(LONGEST_ANSWER * 1e9)
        left = memoryview(request)
        while left:
            with contextlib.suppress(*_WAITS):
                left = left[connection.send(left) :]
        began = clock()
        while True:
            try:
                data = connection.recv(65536)
                break
            except _WAITS:
                if clock() > give_up:
                    raise CannotMeasure(f"no answer within {LONGEST_ANSWER:.0f} s") from None
                os.sched_yield()  # where there are few processors, the service may need this one
        if wait:
            until = clock() + wait
            while clock() < until:
                pass
        took = clock() - began
        return self._read_rest(connection, data, took, give_up)

    def _read_rest(self, connection: socket.socket, data: bytes, took: int, give_up: int) -> Answer:
        """Read to the end of the answer, so that the next one begins at its beginning."""

        def more() -> bytes:
            while True:
                with contextlib.suppress(*_WAITS):
                    if received := connection.recv(65536):
                        return received
                    raise _Closed("in the middle of an answer")
                if time.perf_counter_ns() > give_up:
                    raise CannotMeasure(f"no whole answer within {LONGEST_ANSWER:.0f} s")

        if not data:
            raise _Closed("before an answer")
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += more()
            if len(data) > _LARGEST_ANSWER:
                raise CannotMeasure("the answer's headers do not end")
        first, *lines = data[:end].split(b"\r\n")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)
        }
        try:
            status = int(first.split()[1])
            length = int(headers[b"content-length"])
        except (IndexError, ValueError, KeyError):
            raise CannotMeasure("the answer is none that has a status and a Content-Length") from None
        if not first.startswith(b"HTTP/1.") or not 0 <= length <= _LARGEST_ANSWER:
            raise CannotMeasure("the answer is none of HTTP/1.1 that could be read")
        body = data[end + 4 :]
        while len(body) < length:
            body += more()
        if headers.get(b"connection", b"").lower() == b"close":
            self.close()
        said = [
            name + b": " + (headers[name] if name in _EQUAL else b"")
            for name in sorted(headers)
            if name not in _OF_THE_CONNECTION
        ]
        return Answer(took, status, b"\r\n".join((first, *said, body)))


class _Closed(Exception):
    """The server has closed the connection."""
