"""A proxy before PostgreSQL that loses an answer on order, or stands still: what was asked is done, and nobody hears of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit


class Proxy:
    """An answer is lost with its connection.

    lose  -- how the answer begins that is lost the next time it comes (`INSERT 0 1`, `COMMIT`)
    after -- a text in the statement that has to be sent over the same connection before; None: on whichever it comes first
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self.lose: bytes | None = None
        self.after: bytes | None = None
        self.lost = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._goes_on = asyncio.Event()
        self._goes_on.set()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Whoever connects is let in; nothing passes, in either direction, until the end, and then all of it does."""
        self._goes_on.clear()
        try:
            yield
        finally:
            self._goes_on.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._server)
        sent = asyncio.Event()
        ways = [
            asyncio.create_task(self._pass_on_questions(reader, to_server, sent)),
            asyncio.create_task(self._pass_on_answers(from_server, writer, sent)),
        ]
        self._tasks.update(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
            self._tasks.discard(way)
        writer.close()
        to_server.close()

    async def _pass_on_questions(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._goes_on.wait()
                if self.after is not None and self.after in data:
                    sent.set()
                writer.write(data)
                await writer.drain()

    async def _pass_on_answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._goes_on.wait()
                is_here = self.after is None or sent.is_set()
                if is_here and self.lose is not None and b"C" in data and self.lose in data:
                    self.lose = None
                    self.lost.set()
                    return
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def proxy_before(url: str, folder: Path) -> AsyncIterator[tuple[Proxy, str]]:
    """The proxy, and the URL under which the same database is reached through it. The URL has to name a socket."""
    host = dict(parse_qsl(urlsplit(url).query))["host"]
    proxy = Proxy(f"{host}/.s.PGSQL.5432")
    server = await asyncio.start_unix_server(proxy.serve, folder / ".s.PGSQL.5432")
    async with server:
        yield proxy, url.replace(host, str(folder))
