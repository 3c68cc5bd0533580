"""An application that is told of events, well-behaved or not, on order. What it takes, it verifies as a stranger would."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from standardwebhooks import Webhook

SECRET = "whsec_" + "dGhlIHNlY3JldCBvZiB0aGUgZXZlbnRzIGluIHRlc3RzISE="
Manner = Literal["takes", "refuses", "silent", "hangs up", "redirects"]


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it came in, its signature checked."""

    id: str
    type: str
    data: dict[str, Any]
    timestamp: str
    raw: bytes = field(repr=False)


@dataclass
class EventsReceiver:
    """`told` is what it took; `tried` the ids of all that came, taken or not."""

    url: str = ""
    manner: Manner = "takes"
    told: list[Told] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    _arrival: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def next(self, number: int) -> Told:
        """The event of that number, from 1 on, once it is there."""
        async with asyncio.timeout(30), self._arrival:
            await self._arrival.wait_for(lambda: len(self.told) >= number)
        return self.told[number - 1]

    async def has_been_tried(self, times: int) -> None:
        async with asyncio.timeout(30), self._arrival:
            await self._arrival.wait_for(lambda: len(self.tried) >= times)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                first, *lines = head.strip().split("\r\n")
                headers = {
                    name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
                }
                body = await reader.readexactly(int(headers["content-length"]))
                assert first.startswith("POST /events ")
                async with self._arrival:
                    self.tried.append(headers["webhook-id"])
                    if self.manner == "takes":
                        self._take(headers, body)
                    self._arrival.notify_all()
                if self.manner == "hangs up":
                    return
                if self.manner == "silent":
                    await reader.read()
                    return
                status = {"takes": "204 No Content", "redirects": f"307 Go\r\nLocation: {self.url}"}
                answer = status.get(self.manner, "500 No\r\nContent-Length: 0")
                writer.write(f"HTTP/1.1 {answer}\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _take(self, headers: dict[str, str], body: bytes) -> None:
        # As `verify` of that library does it, but for the time: clocks of tests stand where they like.
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        expected = Webhook(SECRET).sign(headers["webhook-id"], at, body.decode())
        assert expected in headers["webhook-signature"].split()
        event = json.loads(body)
        assert set(event) == {"type", "timestamp", "data"}
        self.told.append(Told(headers["webhook-id"], event["type"], event["data"], event["timestamp"], body))


@asynccontextmanager
async def events_receiver() -> AsyncIterator[EventsReceiver]:
    receiver = EventsReceiver()
    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(receiver.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    receiver.url = f"http://{host}:{port}/events"
    try:
        yield receiver
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
