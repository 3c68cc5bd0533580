"""HTTP/2 as hypercorn speaks it in TLS, and what of it would end a connection with all that is under way on it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import h2.config
import h2.connection
import h2.events
import pytest
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.events import Closed, Event, RawData
from hypercorn.typing import ConnectionState

from resetsvc.http2 import Http2
from resetsvc.server import read_config

HANGS = 60.0  # seconds until a test is given up

Header = tuple[bytes, bytes]
GOOD: list[Header] = [
    (b":method", b"GET"),
    (b":path", b"/healthz"),
    (b":scheme", b"https"),
    (b":authority", b"x"),
]


async def refuses(scope: Any, receive: Any, send: Any) -> None:
    """An app that reads no body."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class Client:
    """A client that says what it likes, and the connection that it says it on."""

    def __init__(self, tasks: TaskGroup) -> None:
        self.says = h2.connection.H2Connection(
            h2.config.H2Configuration(validate_outbound_headers=False, header_encoding=None)
        )
        self.says.initiate_connection()
        self.server = Http2(
            ASGIWrapper(refuses),
            read_config(None),
            WorkerContext(None),
            tasks,
            ConnectionState({}),
            True,
            None,
            None,
            self._hears,
        )
        self._over: dict[int, asyncio.Event] = {}
        self.statuses: dict[int, bytes] = {}

    async def _hears(self, event: Event) -> None:
        if not isinstance(event, RawData):
            return
        for heard in self.says.receive_data(event.data):
            if isinstance(heard, h2.events.ResponseReceived):
                self.statuses[heard.stream_id] = dict(cast(Any, heard.headers))[b":status"]
            elif isinstance(heard, h2.events.StreamEnded):
                self._over[heard.stream_id].set()

    async def ask(self, number: int, headers: list[Header], *, ends: bool = True) -> bytes:
        """The status of the answer."""
        self._over[number] = asyncio.Event()
        self.says.send_headers(number, headers, end_stream=ends)
        await self.send()
        await self._over[number].wait()
        return self.statuses[number]

    async def send(self) -> None:
        await self.server.handle(RawData(self.says.data_to_send()))


@asynccontextmanager
async def connected() -> AsyncIterator[Client]:
    async with asyncio.timeout(HANGS), TaskGroup(asyncio.get_running_loop()) as tasks:
        client = Client(tasks)
        await client.server.initiate()
        yield client
        await client.server.handle(Closed())


async def test_what_is_still_sent_of_a_request_that_was_answered_is_read_over() -> None:
    """413: whoever uploads too much learns of it while sending, and what else is under way goes on."""
    async with connected() as client:
        post = [(b":method", b"POST"), *GOOD[1:]]
        assert await client.ask(1, post, ends=False) == b"404"
        for _ in range(10):
            client.says.send_data(1, b"a" * 10_000)
            await client.send()
        client.says.end_stream(1)
        assert await client.ask(3, GOOD) == b"404"


@pytest.mark.parametrize(
    "headers",
    [
        [GOOD[0], (b":path", b"/\xff"), *GOOD[2:]],
        [(b":method", b"G\xff"), *GOOD[1:]],
        [(b":method", b"CONNECT"), (b":authority", b"x:443")],
    ],
)
async def test_a_request_for_something_odd_is_refused_and_the_next_one_answered(
    headers: list[Header],
) -> None:
    async with connected() as client:
        assert (await client.ask(1, headers))[:1] == b"4"
        assert await client.ask(3, GOOD) == b"404"
