"""What hypercorn does otherwise here: connections are watched by one task, and answers leave in one piece."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import h11
import pytest
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.worker_context import EventWrapper, WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, RawData
from hypercorn.protocol.events import StreamClosed
from hypercorn.typing import ConnectionState

from resetsvc.connections import Connection, DatedConfig, Exchange, PlainHttp1
from resetsvc.idle_watch import IdleWatch
from resetsvc.server import read_config

NEVER = 3600.0  # seconds
HANGS = 60.0  # seconds until a test is given up


class Watched:
    """A watch, and whether it has closed its connection."""

    def __init__(self, limit: float) -> None:
        self.terminated = EventWrapper()
        self.watch = IdleWatch(self.terminated, limit)
        self.closed_at: float | None = None

    @property
    def is_closed(self) -> bool:
        return self.closed_at is not None

    async def close(self) -> None:
        self.closed_at = asyncio.get_running_loop().time()

    async def __aenter__(self) -> "Watched":
        self._given_up = asyncio.timeout(HANGS)
        await self._given_up.__aenter__()
        self.tasks = TaskGroup(asyncio.get_running_loop())
        await self.tasks.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.tasks.__aexit__(*error)  # returns when the watch has ended
        await self._given_up.__aexit__(*error)

    async def idle(self) -> None:
        await self.watch.restart(self.tasks, self.close)


async def test_a_connection_is_closed_when_it_was_idle_for_too_long() -> None:
    async with Watched(0.02) as here:
        await here.idle()
    assert here.is_closed


async def test_the_time_counts_from_the_last_answer() -> None:
    async with Watched(0.05) as here:
        await here.idle()
        await here.watch.stop()
        await asyncio.sleep(0.06)  # a request that takes longer than a connection may be idle
        assert not here.is_closed
        await here.idle()
        idle_since = asyncio.get_running_loop().time()
    assert (here.closed_at or 0) >= idle_since + 0.05


async def test_an_idle_connection_is_closed_when_the_service_stops() -> None:
    async with Watched(NEVER) as here:
        await here.idle()
        await here.terminated.set()
    assert here.is_closed


async def test_one_that_is_busy_when_the_service_stops_is_closed_after_its_answer() -> None:
    async with Watched(NEVER) as here:
        await here.idle()
        await here.watch.stop()
        await here.terminated.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not here.is_closed
        await here.idle()
    assert here.is_closed


async def test_nothing_is_left_of_a_watch_that_ended() -> None:
    async with Watched(NEVER) as here:
        await here.idle()
        here.watch.end()
        await here.idle()  # an answer that nobody waits for any more
    assert not here.is_closed


class Wire:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""

    def get_extra_info(self, name: str) -> Any:
        return self if name == "socket" else None

    family = 2

    def getpeername(self) -> tuple[str, int]:
        return "127.0.0.1", 1

    getsockname = getpeername

    def write(self, data: bytes) -> None:
        self.data += data

    def write_eof(self) -> None: ...

    def close(self) -> None: ...

    async def drain(self) -> None: ...

    async def wait_closed(self) -> None: ...

    @property
    def transport(self) -> "Wire":
        return self

    def abort(self) -> None: ...


async def test_a_connection_ends_with_its_client_and_not_when_its_idle_time_is_over() -> None:
    config = read_config(None)
    config.keep_alive_timeout = NEVER
    reader = asyncio.StreamReader()
    reader.feed_eof()
    loop = asyncio.get_running_loop()
    app, writer = cast(Any, None), cast(Any, Wire())
    async with asyncio.timeout(HANGS):
        await Connection(app, loop, config, WorkerContext(None), {}, reader, writer)


async def test_a_read_that_takes_longer_than_the_configuration_allows_ends_the_connection() -> None:
    config = read_config(None)
    config.keep_alive_timeout, config.read_timeout = NEVER, 0.01  # type: ignore[assignment]  # hypercorn takes fractions
    loop = asyncio.get_running_loop()
    app, writer = cast(Any, None), cast(Any, Wire())
    async with asyncio.timeout(HANGS):
        await Connection(app, loop, config, WorkerContext(None), {}, asyncio.StreamReader(), writer)


class LostWire(Wire):
    """As the kernel leaves it when a client has taken nothing for too long."""

    async def wait_closed(self) -> None:
        raise TimeoutError(110, "Connection timed out")


async def test_that_a_client_was_lost_is_no_error() -> None:
    reader = asyncio.StreamReader()
    reader.feed_eof()
    loop = asyncio.get_running_loop()
    app, writer = cast(Any, None), cast(Any, LostWire())
    async with asyncio.timeout(HANGS):
        await Connection(app, loop, read_config(None), WorkerContext(None), {}, reader, writer)


class SlowWire(Wire):
    """What has been written to it is never taken, though it never stands still either."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = asyncio.Event()

    def abort(self) -> None:
        self.aborted.set()

    async def wait_closed(self) -> None:
        await self.aborted.wait()


@pytest.mark.parametrize("client_has_left", [True, False])
async def test_a_client_that_reads_an_octet_now_and_then_does_not_keep_a_connection_that_has_ended(
    monkeypatch: pytest.MonkeyPatch, client_has_left: bool
) -> None:
    monkeypatch.setattr("resetsvc.connections.LONGEST_FAREWELL", 0.01)
    config = read_config(None)
    config.keep_alive_timeout = NEVER if client_has_left else 0.01
    reader, wire = asyncio.StreamReader(), SlowWire()
    if client_has_left:
        reader.feed_eof()
    loop = asyncio.get_running_loop()
    app, writer = cast(Any, None), cast(Any, wire)
    connection = Connection(app, loop, config, WorkerContext(None), {}, reader, writer)
    async with asyncio.timeout(HANGS), asyncio.TaskGroup() as group:
        group.create_task(connection.run())
        await wire.aborted.wait()
        if not client_has_left:
            reader.feed_eof()  # as its end is told then


class Http1:
    """The server's side of a connection that a request has come in on, and what it sends."""

    def __init__(
        self,
        config: Config | None = None,
        request: bytes = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        kind: type[PlainHttp1] = PlainHttp1,
    ) -> None:
        self.sent: list[bytes] = []
        nothing = cast(Any, None)
        context = WorkerContext(None)
        self.protocol = kind(
            nothing,
            config or read_config(None),
            context,
            nothing,
            ConnectionState({}),
            False,
            None,
            None,
            self._send,
        )
        self.comes(request)
        self.exchange = Exchange(self.protocol)
        self.exchange.scope = cast(
            Any, {"method": request.partition(b" ")[0].decode(), "http_version": "1.1"}
        )
        self.exchange.start_time = 0.0

    def comes(self, request: bytes) -> None:
        self.protocol.connection.receive_data(request)
        while self.protocol.connection.next_event() is not h11.NEED_DATA:
            if self.protocol.connection.their_state is h11.DONE:
                break

    async def _send(self, event: Any) -> None:
        if isinstance(event, RawData):
            self.sent.append(event.data)

    async def answer(self, headers: list[tuple[bytes, bytes]], *pieces: bytes, ends: bool = True) -> None:
        """As Quart does: a head, pieces of a body, and an end by itself."""
        messages: list[Any] = [
            {"type": "http.response.start", "status": 200, "headers": headers},
            *({"type": "http.response.body", "body": piece, "more_body": True} for piece in pieces),
        ]
        if ends:
            messages.append({"type": "http.response.body", "body": b"", "more_body": False})
        for message in messages:
            await self.exchange.app_send(message)

    @property
    def may_go_on(self) -> bool:
        """Whether the next request may come on the same connection."""
        return self.protocol.connection.our_state is h11.IDLE


TWO_OCTETS = (b"content-length", b"2")


async def test_an_answer_whose_length_is_known_leaves_in_one_piece() -> None:
    http = Http1()
    await http.answer([TWO_OCTETS, (b"content-type", b"text/plain")], b"o", b"k")
    (whole,) = http.sent
    assert whole.startswith(b"HTTP/1.1 200 \r\n")
    assert b"\r\ncontent-type: text/plain\r\n" in whole
    assert b"\r\ndate: " in whole
    assert whole.endswith(b"\r\n\r\nok")
    assert http.may_go_on


async def test_what_is_made_without_h11_is_what_h11_makes() -> None:
    headers = [TWO_OCTETS, (b"content-type", b"text/plain"), (b"x-other", b"caf\xe9 \t!")]
    ours, theirs = Http1(), Http1(kind=ByH11)
    for http in (ours, theirs):
        await http.answer(headers, b"ok")
    assert h11_reads(b"".join(ours.sent)) == h11_reads(b"".join(theirs.sent))
    assert (ours.may_go_on, theirs.may_go_on) == (True, True)


class ByH11(PlainHttp1):
    """Every answer is one that h11 has to make."""

    async def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        return False


def h11_reads(data: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """What a client makes of an answer."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    head, body = client.next_event(), b""
    assert isinstance(head, h11.Response)
    while isinstance(piece := client.next_event(), h11.Data):
        body += piece.data
    assert isinstance(piece, h11.EndOfMessage)
    return head.status_code, sorted(header for header in head.headers if header[0] != b"date"), body


async def test_one_without_a_body_leaves_in_one_piece() -> None:
    http = Http1()
    await http.answer([(b"content-length", b"0")])
    (whole,) = http.sent
    assert whole.endswith(b"\r\n\r\n")
    assert http.may_go_on


async def test_the_head_of_one_that_goes_on_leaves_at_once() -> None:
    """Server-sent events: nobody knows when the first one comes."""
    http = Http1()
    await http.answer([(b"content-type", b"text/event-stream")], b"data: 1\n\n", ends=False)
    assert http.sent[0].endswith(b"\r\n\r\n")
    assert b"data: 1" in http.sent[1]


@pytest.mark.parametrize("name", [b"content-type", b"x-other", b"date"])
async def test_a_header_that_would_begin_another_line_is_refused(name: bytes) -> None:
    http = Http1()
    with pytest.raises(h11.LocalProtocolError):
        await http.answer([TWO_OCTETS, (name, b"text/plain\r\nx-evil: 1")], b"ok")
    assert http.sent == []


async def test_an_app_that_fails_before_its_answer_is_whole_gives_500() -> None:
    http = Http1()
    await http.answer([TWO_OCTETS], b"o", ends=False)
    await http.exchange.app_send(None)  # what hypercorn says when the app has ended
    assert b"".join(http.sent).startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("body", [b"o", b"okay"])
async def test_a_body_of_another_length_than_its_head_says_never_passes_for_an_answer(body: bytes) -> None:
    """Else what follows on the connection is taken for the rest of it, or the rest for what follows."""
    http = Http1()
    with pytest.raises(h11.LocalProtocolError):
        await http.answer([TWO_OCTETS], body)
    assert not http.may_go_on


@pytest.mark.parametrize(
    "request_", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]
)
async def test_a_client_that_wants_no_more_is_told_that_it_gets_no_more(request_: bytes) -> None:
    http = Http1(request=request_)
    await http.answer([TWO_OCTETS], b"ok")
    (whole,) = http.sent
    assert b"\r\nconnection: close\r\n" in whole.lower()
    assert whole.endswith(b"\r\n\r\nok")
    assert not http.may_go_on


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_a_client_is_told_that_it_gets_no_more_when_the_service_stops(method: bytes) -> None:
    http = Http1(request=method + b" / HTTP/1.1\r\nHost: x\r\n\r\n")
    await http.protocol.context.terminated.set()
    await http.answer([TWO_OCTETS], b"ok")
    assert b"\r\nconnection: close\r\n" in b"".join(http.sent).lower()
    assert not http.may_go_on


async def test_an_answer_that_is_cut_off_is_the_last_one_and_no_error() -> None:
    """A client that does not read: the app waits for so long, and gives up."""

    class Unread(Http1):
        async def _send(self, event: Any) -> None:
            await super()._send(event)
            if isinstance(event, RawData):
                raise TimeoutError

    http = Unread()
    with pytest.raises(TimeoutError):
        await http.answer([TWO_OCTETS], b"ok")
    await http.exchange.app_send(None)  # what hypercorn says when the app has ended
    assert len(http.sent) == 1
    assert not http.may_go_on


@pytest.mark.parametrize("reason", ["the service stops", "the answer was cut off"])
async def test_what_follows_the_last_answer_is_waited_for_by_nobody(reason: str) -> None:
    http = Http1()
    http.protocol.stream = http.exchange
    http.exchange.closed = True
    reading = asyncio.create_task(http.protocol.handle(RawData(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")))
    await asyncio.sleep(0)
    assert not reading.done()  # its turn has not come
    if reason == "the service stops":
        await http.protocol.context.terminated.set()
        await http.protocol.answer(200, [TWO_OCTETS], b"ok")
    await http.protocol.stream_send(StreamClosed(stream_id=1))
    async with asyncio.timeout(HANGS):
        await reading


@pytest.mark.parametrize("more", [b"\r\n", b"Content-Length: 9\r\n\r\nabc", b"\r\nGET / HTTP/1.1\r\n"])
async def test_a_connection_ends_with_the_answer_to_a_host_that_is_not_ours(more: bytes) -> None:
    config = read_config(None)
    config.server_names = ["reset.example.com"]
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    nothing = cast(Any, None)
    state = ConnectionState({})
    protocol = PlainHttp1(nothing, config, WorkerContext(None), nothing, state, False, None, None, send)
    async with asyncio.timeout(HANGS):
        await protocol.handle(RawData(b"POST / HTTP/1.1\r\nHost: x\r\n" + more))
    said = b"".join(event.data for event in sent if isinstance(event, RawData))
    assert said.startswith(b"HTTP/1.1 404 ")
    assert said.count(b"HTTP/1.1") == said.lower().count(b"\r\nconnection: close\r\n") == 1
    assert Closed() in sent


async def test_the_answer_to_head_has_no_body() -> None:
    http = Http1(request=b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    await http.answer([TWO_OCTETS], b"ok")
    assert b"".join(http.sent).endswith(b"\r\n\r\n")
    assert b"content-length: 2\r\n" in b"".join(http.sent)


async def test_an_answer_given_before_the_request_has_ended_is_the_last_one() -> None:
    http = Http1(request=b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    await http.answer([TWO_OCTETS], b"ok")
    assert b"".join(http.sent).endswith(b"\r\n\r\nok")
    assert b"\r\nconnection: close\r\n" in b"".join(http.sent).lower()
    assert not http.may_go_on


async def test_the_next_request_on_the_connection_is_answered_too() -> None:
    http = Http1()
    await http.answer([TWO_OCTETS], b"ok")
    http.comes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert http.protocol.connection.our_state is h11.SEND_RESPONSE
    assert await http.protocol.answer(200, [TWO_OCTETS], b"ok")
    assert len(http.sent) == 2


async def test_the_last_answer_of_a_connection_says_so() -> None:
    config = read_config(None)
    http = Http1(config)
    http.protocol.keep_alive_requests = config.keep_alive_max_requests
    await http.answer([TWO_OCTETS], b"ok")
    assert b"\r\nconnection: close\r\n" in http.sent[0]


def test_the_date_is_that_of_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    second = 1_000_000_000
    times = iter((second, second + 0.9, second + 1.0))
    now = 0.0
    monkeypatch.setattr("resetsvc.connections.time.time", lambda: now)
    monkeypatch.setattr("hypercorn.config.time", lambda: now)
    config = DatedConfig()
    dates = []
    for now in times:  # noqa: B007 -- the clocks above read it
        dates += [value for name, value in config.response_headers("h11") if name == b"date"]
    assert dates == [b"Sun, 09 Sep 2001 01:46:40 GMT"] * 2 + [b"Sun, 09 Sep 2001 01:46:41 GMT"]
