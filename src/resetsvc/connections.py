"""Connections as hypercorn serves them, without the ways out of HTTP/1 that a client can turn against us, and with less work.

hypercorn has no setting for what is done otherwise here, so two of its classes give way to ours (`take_over`). Each is the
one it replaces but for what its methods say; tests/rules/test_canaries.py tells when hypercorn changes underneath.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

import h11
import hypercorn.asyncio.run
import hypercorn.protocol
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config
from hypercorn.events import RawData
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Response
from hypercorn.protocol.h11 import H11Protocol

Header = tuple[bytes, bytes]

# Headers that nearly all answers carry with the same value.
_REPEATED = frozenset(
    {
        b"cache-control",
        b"content-security-policy",
        b"content-type",
        b"cross-origin-opener-policy",
        b"cross-origin-resource-policy",
        b"permissions-policy",
        b"referrer-policy",
        b"strict-transport-security",
        b"vary",
        b"x-content-type-options",
        b"x-frame-options",
    }
)


def take_over() -> None:
    """Have hypercorn use ours from now on, in this process."""
    hypercorn.protocol.H11Protocol = PlainHttp1  # type: ignore[attr-defined]  # there is no setting for it
    hypercorn.asyncio.run.TCPServer = Connection  # type: ignore[assignment,attr-defined]  # nor for this


class DatedConfig(Config):
    """hypercorn's configuration; the `Date` header is put together once a second, and not for each answer."""

    _second = 0
    _headers: dict[str, list[Header]] = {}  # noqa: RUF012 -- never changed in place

    def response_headers(self, protocol: str) -> list[Header]:
        second = int(time.time())
        if second != self._second:
            self._second, self._headers = second, {}
        found = self._headers.get(protocol)
        if found is None:
            found = self._headers[protocol] = super().response_headers(protocol)
        return found


class PlainHttp1(H11Protocol):
    """HTTP/1 and no way out of it; an answer leaves in one piece."""

    _held = b""  # the head of an answer whose body comes next

    async def _check_protocol(self, event: h11.Request) -> None:
        """Leave HTTP/2 to TLS, where it is agreed upon: `Upgrade: h2c` is ignored (RFC 9110 7.8), the preface is 404.

        A proxy that hands the upgrade on sees no more of the requests that follow: they would reach us past its rules,
        with whatever `X-Forwarded-For` the client likes. And a connection that begins with the preface has no time-out
        in hypercorn 0.18: some thousands of them, and nobody else gets in.
        """

    async def _create_stream(self, request: h11.Request) -> None:
        """Ignore `Upgrade: websocket`, and take `head` for what it is, an unknown method (RFC 9110 9.1): 405.

        After a bad handshake hypercorn keeps a connection for ever. And it makes HEAD of `head`, to fail at its end, with
        a traceback in the log, for the body that h11 expects.
        """
        headers = [header for header in request.headers if header[0] != b"upgrade"]
        method = request.method if request.method == request.method.upper() else b"UNKNOWN"
        if method != request.method or len(headers) != len(request.headers):
            request = type(request)(
                method=method, target=request.target, headers=headers, http_version=request.http_version
            )
        await super()._create_stream(request)

    async def stream_send(self, event: StreamEvent) -> None:
        """Have h11 check the headers of an answer, but those that it has found good before."""
        if not isinstance(event, Response) or event.status_code < 200:
            await super().stream_send(event)
            return
        fresh, known = [], []
        for header in (*event.headers, *self.config.response_headers("h11")):
            if header[0] in _REPEATED:
                known.append(_checked(*header))
            else:
                fresh.append(header)
        if self.keep_alive_requests >= self.config.keep_alive_max_requests:
            fresh.append((b"connection", b"close"))
        response = h11.Response(status_code=event.status_code, headers=fresh)
        response.headers._full_items.extend(known)
        await self._send_h11_event(response)

    async def _send_h11_event(self, event: Any) -> None:
        """Send the head of an answer with its body, where it is known how long that is: one packet and one turn."""
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return
        data, self._held = self._held + (data or b""), b""
        if isinstance(event, h11.Response) and any(name == b"content-length" for name, _ in event.headers):
            self._held = data
        elif data:
            await self.send(RawData(data=data))


@lru_cache(maxsize=64)
def _checked(name: bytes, value: bytes) -> tuple[bytes, bytes, bytes]:
    """What h11 makes of a header; h11.LocalProtocolError if it is none."""
    return h11.Response(status_code=200, headers=[(name, value)]).headers._full_items[0]


class Connection(TCPServer):
    """One connection; it is closed when it was idle for too long, and when the service stops."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._watch = IdleWatch(self.context.terminated, self.config.keep_alive_timeout)
        self.idle_task = self._watch  # type: ignore[assignment]  # it is asked for the same two things

    async def _read_data(self) -> None:
        """End the watch with the client: hypercorn keeps a connection that was left until its idle time is over."""
        try:
            await super()._read_data()
        finally:
            self._watch.end()

    async def _idle_timeout(self) -> None:
        """What comes after the idle time: the watch itself has waited for that."""
        await asyncio.shield(self._initiate_server_close())


class IdleWatch:
    """One task for as long as a connection is there. hypercorn's own starts and ends two for each request."""

    def __init__(self, terminated: Any, limit: float) -> None:
        self._terminated = terminated
        self._limit = limit  # seconds
        self._idle_since: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    async def restart(self, task_group: Any, close: Callable[[], Awaitable[None]]) -> None:
        """It is idle from now on."""
        self._idle_since = asyncio.get_running_loop().time()
        if not self._ended and (self._task is None or self._task.done()):
            self._task = task_group._task_group.create_task(self._watch(close))

    async def stop(self) -> None:
        """It is idle no more."""
        self._idle_since = None

    def end(self) -> None:
        """There is nothing left to watch."""
        self._ended = True
        if self._task is not None:
            self._task.cancel()

    async def _watch(self, close: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        while not self._terminated.is_set():
            now = loop.time()
            due = (now if self._idle_since is None else self._idle_since) + self._limit
            if due <= now:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._terminated.wait()
        if self._idle_since is not None:  # else the answer that is under way ends it
            self._ended = True
            await close()
