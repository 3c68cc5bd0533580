"""What hypercorn does otherwise here: connections are watched by one task, and answers leave in one piece."""

import asyncio
from typing import Any, cast

import h11
import pytest
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.worker_context import EventWrapper, WorkerContext
from hypercorn.config import Config
from hypercorn.events import RawData
from hypercorn.protocol.events import Body, EndBody, Response
from hypercorn.typing import ConnectionState

from resetsvc.connections import Connection, DatedConfig, IdleWatch, PlainHttp1
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


async def test_a_connection_ends_with_its_client_and_not_when_its_idle_time_is_over() -> None:
    config = read_config(None)
    config.keep_alive_timeout = NEVER
    reader = asyncio.StreamReader()
    reader.feed_eof()
    loop = asyncio.get_running_loop()
    app, writer = cast(Any, None), cast(Any, Wire())
    async with asyncio.timeout(HANGS):
        await Connection(app, loop, config, WorkerContext(None), {}, reader, writer)


class Http1:
    """The server's side of a connection that a request has come in on, and what it sends."""

    def __init__(self, config: Config) -> None:
        self.sent: list[bytes] = []
        nothing = cast(Any, None)
        context = WorkerContext(None)
        self.protocol = PlainHttp1(
            nothing, config, context, nothing, ConnectionState({}), False, None, None, self._send
        )
        self.protocol.connection.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while self.protocol.connection.next_event() is not h11.NEED_DATA:
            if self.protocol.connection.their_state is h11.DONE:
                break

    async def _send(self, event: Any) -> None:
        assert isinstance(event, RawData)
        self.sent.append(event.data)

    async def answer(self, headers: list[tuple[bytes, bytes]], *pieces: bytes) -> None:
        await self.protocol.stream_send(Response(stream_id=1, headers=headers, status_code=200))
        for piece in pieces:
            await self.protocol.stream_send(Body(stream_id=1, data=piece))
        await self.protocol.stream_send(EndBody(stream_id=1))


async def test_an_answer_whose_length_is_known_leaves_in_one_piece() -> None:
    http = Http1(read_config(None))
    await http.answer([(b"content-length", b"2"), (b"content-type", b"text/plain")], b"ok")
    (whole,) = http.sent
    assert whole.startswith(b"HTTP/1.1 200 \r\n")
    assert b"\r\ncontent-type: text/plain\r\n" in whole
    assert whole.endswith(b"\r\n\r\nok")


async def test_the_head_of_one_without_a_body_leaves_with_its_end() -> None:
    http = Http1(read_config(None))
    await http.answer([(b"content-length", b"0")])
    (whole,) = http.sent
    assert whole.endswith(b"\r\n\r\n")


async def test_the_head_of_one_that_goes_on_leaves_at_once() -> None:
    """Server-sent events: nobody knows when the first one comes."""
    http = Http1(read_config(None))
    await http.answer([(b"content-type", b"text/event-stream")], b"data: 1\n\n")
    assert http.sent[0].endswith(b"\r\n\r\n")
    assert b"data: 1" in http.sent[1]


@pytest.mark.parametrize("name", [b"content-type", b"x-other"])
async def test_a_header_that_would_begin_another_line_is_refused(name: bytes) -> None:
    http = Http1(read_config(None))
    with pytest.raises(h11.LocalProtocolError):
        await http.answer([(b"content-length", b"2"), (name, b"text/plain\r\nx-evil: 1")], b"ok")
    assert http.sent == []


async def test_the_last_answer_of_a_connection_says_so() -> None:
    config = read_config(None)
    http = Http1(config)
    http.protocol.keep_alive_requests = config.keep_alive_max_requests
    await http.answer([(b"content-length", b"2")], b"ok")
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
