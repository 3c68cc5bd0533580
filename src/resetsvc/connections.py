"""Connections as hypercorn serves them, without the ways out of HTTP/1 that a client can turn against us, and with less work.

hypercorn has no setting for what is done otherwise here, so three of its classes give way to ours (`take_over`). Each is the
one it replaces but for what its methods say; tests/rules/test_canaries.py tells when hypercorn changes underneath.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import h11
import hypercorn.asyncio.run
import hypercorn.protocol
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config
from hypercorn.events import Closed, RawData
from hypercorn.protocol.events import Request, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.typing import ASGISendEvent, HTTPResponseStartEvent

from resetsvc.http2 import Http2
from resetsvc.idle_watch import IdleWatch

Header = tuple[bytes, bytes]

LARGEST_READ = 65_536  # octets
LONGEST_FAREWELL = 20.0  # seconds for what has been written to be taken, once a connection is to end

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

_FRAMING = frozenset({b"transfer-encoding", b"connection", b"upgrade"})
# RFC 9110 5.1 and 5.5: a token, and a value without controls.
_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n")


def take_over() -> None:
    """Have hypercorn use ours from now on, in this process."""
    hypercorn.protocol.H11Protocol = PlainHttp1  # type: ignore[attr-defined]  # there is no setting for it
    hypercorn.protocol.H2Protocol = Http2  # type: ignore[assignment,attr-defined]  # nor for this
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
    """HTTP/1 and no way out of it; an answer leaves in one piece, and most are made without h11."""

    _held = b""  # the head of an answer that h11 has made, until its body comes

    async def _check_protocol(self, event: h11.Request) -> None:
        """Leave HTTP/2 to TLS, where it is agreed upon: `Upgrade: h2c` is ignored (RFC 9110 7.8), the preface is 404.

        A proxy that hands the upgrade on sees no more of the requests that follow: they would reach us past its rules,
        with whatever `X-Forwarded-For` the client likes. And a connection that begins with the preface has no time-out
        in hypercorn 0.18: some thousands of them, and nobody else gets in.
        """

    async def _create_stream(self, request: h11.Request) -> None:
        """Ignore `Upgrade: websocket`, and take `head` for what it is, an unknown method (RFC 9110 9.1): 405.

        After a bad handshake hypercorn keeps a connection for ever, and after a `Host` that is none of `server_names`. And
        it makes HEAD of `head`, to fail at its end, with a traceback in the log, for the body that h11 expects.
        """
        method = request.method.decode("ascii")
        stream = self.stream = Exchange(self)
        await stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=[header for header in request.headers if header[0] != b"upgrade"],
                http_version=request.http_version.decode("ascii"),
                method=method if method == method.upper() else "UNKNOWN",
                raw_path=request.target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1
        await self.context.mark_request()
        if stream.closed:
            await self._maybe_recycle()

    async def answer(self, status: int, headers: Sequence[Header], body: bytes) -> bool:
        """Send an answer as a whole: one packet and one turn. False, and nothing is sent, where h11 has to make it.

        h11 takes an eighth of the time of a whole request to make an answer. It is told that there was one.
        h11.LocalProtocolError for a header that is none, or more than one.
        """
        if not self._is_ordinary or status in (204, 304) or not _is_whole(headers, body):
            return False
        lines = [_line_of(header) for header in headers]
        lines += [_line_of(header) for header in self.config.response_headers("h11")]
        states = self.connection._cstate  # type: ignore[union-attr]  # `_is_ordinary` has seen of which kind it is
        states.process_event(h11.SERVER, h11.Response)
        await self.send(RawData(data=b"HTTP/1.1 %d \r\n%s\r\n%s" % (status, b"".join(lines), body)))
        states.process_event(h11.SERVER, h11.EndOfMessage)
        return True

    async def _send_h11_event(self, event: Any) -> None:
        """Send the head of an answer with its body, where it is known how long that is.

        nginx, unless told otherwise, asks in HTTP/1.0 and closes: then h11 makes every answer. It says `Connection: close`
        where it knows of that, but not before the request has ended or when the service stops: somebody's next request
        would meet a connection that is just being closed.
        """
        if isinstance(event, h11.Response) and not self._may_go_on:
            self.connection._cstate.process_keep_alive_disabled()  # type: ignore[union-attr]  # never of the other kind
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

    async def _maybe_recycle(self) -> None:
        """After the last answer, what the client has sent on is no request: hypercorn waits for a turn of it, for ever."""
        if self.connection.our_state is not h11.DONE or self.context.terminated.is_set():
            self.connection.send_failed()  # type: ignore[union-attr]  # never of the other kind
        await super()._maybe_recycle()

    @property
    def _may_go_on(self) -> bool:
        """As far as we are concerned another request may follow this one, which has been read to its end."""
        return self.connection.their_state is not h11.SEND_BODY and not self.context.terminated.is_set()

    @property
    def _is_ordinary(self) -> bool:
        """The request has been read to its end, and nothing about it asks for an answer that is special, or the last one."""
        connection = self.connection
        return (
            isinstance(connection, h11.Connection)
            and connection.our_state is h11.SEND_RESPONSE
            and connection.their_state is h11.DONE
            and connection._cstate.keep_alive
            and not self.context.terminated.is_set()
            and connection._request_method in (b"GET", b"POST")
            and self.keep_alive_requests < self.config.keep_alive_max_requests
        )


class Exchange(HTTPStream):
    """A request and its answer."""

    def __init__(self, http: PlainHttp1) -> None:
        super().__init__(
            http.app,
            http.config,
            http.context,
            http.task_group,
            http.ssl,
            http.client,
            http.server,
            http.stream_send,
            STREAM_ID,
        )
        self._http = http
        self._begun: HTTPResponseStartEvent | None = None  # an answer that is kept until all of it is there
        self._body = b""

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Keep an answer that says how long it is until it is whole: Quart gives its end apart from its body."""
        if message is None and self._http.connection.our_state is h11.SEND_BODY:
            self.state = ASGIHTTPState.RESPONSE  # it was cut off: 500 comes too late
        if message is None or self.state is not ASGIHTTPState.REQUEST:
            await super().app_send(message)
        elif message["type"] == "http.response.start" and self._begun is None:
            self._begun = message
            if not any(name == b"content-length" for name, _ in message["headers"]):
                await super().app_send(message)
        elif message["type"] == "http.response.body" and self._begun is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._begun)
        else:
            await super().app_send(message)

    async def _finish(self, begun: HTTPResponseStartEvent) -> None:
        if not await self._http.answer(begun["status"], [*begun["headers"]], self._body):
            await super().app_send(begun)
            await super().app_send({"type": "http.response.body", "body": self._body, "more_body": False})
            return
        self.response = begun
        self.state = ASGIHTTPState.CLOSED
        await self.config.log.access(self.scope, begun, time.time() - self.start_time)
        await self.send(StreamClosed(stream_id=STREAM_ID))


def _is_whole(headers: Sequence[Header], body: bytes) -> bool:
    """Whether the headers announce just this body. Else h11 says how its end is told, or that something is wrong."""
    lengths = [value for name, value in headers if name == b"content-length"]
    return lengths == [b"%d" % len(body)] and not any(name in _FRAMING for name, _ in headers)


def _line_of(header: Header) -> bytes:
    return _known_line(*header) if header[0] in _REPEATED else _line(*header)


def _line(name: bytes, value: bytes) -> bytes:
    """A header as it is sent. h11.LocalProtocolError if it is none, or more than one: then nothing is sent."""
    line = b"%s: %s\r\n" % (name, value)
    if not _LINE.fullmatch(line):
        raise h11.LocalProtocolError(f"the header {name!r} cannot be sent")
    return line


_known_line = lru_cache(maxsize=64)(_line)


class Connection(TCPServer):
    """One connection; it is closed when it was idle for too long, and when the service stops."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._watch = IdleWatch(self.context.terminated, self.config.keep_alive_timeout)
        self.idle_task = self._watch  # type: ignore[assignment]  # it is asked for the same two things

    async def _read_data(self) -> None:
        """End the watch with the client: hypercorn keeps a connection that was left until its idle time is over."""
        try:
            while not self.reader.at_eof():
                try:
                    data = await self._read()
                except OSError:  # also TimeoutError, ssl.SSLError and ConnectionError
                    break
                await self.protocol.handle(RawData(data=data))
        finally:
            self._watch.end()
        await self.protocol.handle(Closed())

    async def _read(self) -> bytes:
        limit = self.config.read_timeout
        if limit is None:  # as it comes
            return await self.reader.read(LARGEST_READ)
        async with asyncio.timeout(limit):
            return await self.reader.read(LARGEST_READ)

    async def _idle_timeout(self) -> None:
        """What comes after the idle time: the watch itself has waited for that."""
        await self.protocol.handle(Closed())
        await self._close()

    async def _close(self) -> None:
        """Wait for a client that still reads, but not for ever. That it takes nothing, or is gone, is no error of ours."""
        cut_off = self.loop.call_later(LONGEST_FAREWELL, self.writer.transport.abort)
        with contextlib.suppress(OSError):  # ETIMEDOUT, as `TCP_USER_TIMEOUT` in server.py ends it
            await super()._close()
        cut_off.cancel()
