"""A load balancer in small: hands each connection on to the next server in turn; a server can be taken out of it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Balancer:
    """Servers are known by their ports.

    handed_on -- how many connections each was given
    """

    def __init__(self) -> None:
        self.port = 0
        self.up = asyncio.Event()
        self.handed_on: Counter[int] = Counter()
        self._servers: list[int] = []
        self._open: Counter[int] = Counter()
        self._closed = asyncio.Event()

    def put_in(self, server: int) -> None:
        self._servers.append(server)
        self.up.set()

    async def take_out(self, server: int) -> None:
        """Returns when no connection to it is open any more."""
        self._servers.remove(server)
        while self._open[server]:
            self._closed.clear()
            await self._closed.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = self._servers[0]
        self._servers.append(self._servers.pop(0))
        self.handed_on[server] += 1
        self._open[server] += 1
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", server)
            ways = [
                asyncio.create_task(_pass_on(reader, to_server)),
                asyncio.create_task(_pass_on(from_server, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            to_server.close()
        finally:
            writer.close()
            self._open[server] -= 1
            self._closed.set()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def balancer() -> AsyncIterator[Balancer]:
    made = Balancer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made
