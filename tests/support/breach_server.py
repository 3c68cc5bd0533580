"""A service that knows breached passwords, in the manner of Have I Been Pwned, well-behaved or not, on order.

It speaks HTTP by hand, so that it can also speak it badly, and writes down every octet that it is sent.
"""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

Manner = Literal[
    "well",
    "silent",
    "dripping",
    "hangs up",
    "cut short",
    "garbage",
    "portal",
    "endless",
    "endless line",
    "redirect",
    "missing",
    "broken",
    "compressed",
]
HTML = b"<!doctype html><title>Welcome to our WLAN</title>"


@dataclass
class BreachServer:
    """`known` are passwords with their counts; a count of 0 is what padding looks like."""

    known: dict[str, int] = field(default_factory=dict)
    manner: Manner = "well"
    elsewhere: str = "https://192.0.2.1/range/00000"
    lower_case: bool = False
    requests: list[bytes] = field(default_factory=list)
    url: str = ""

    @property
    def asked_for(self) -> list[str]:
        """The last part of every path that was asked for."""
        return [request.split(b" ", 2)[1].rpartition(b"/")[2].decode() for request in self.requests]

    def lines(self, prefix: str) -> Sequence[str]:
        padding = [
            f"{hashlib.sha1(bytes([n]), usedforsecurity=False).hexdigest()[5:].upper()}:0" for n in range(20)
        ]
        mine = [
            f"{digest[5:]}:{count}"
            for password, count in self.known.items()
            if (digest := sha1(password)).startswith(prefix)
        ]
        lines = [*padding[:10], *mine, *padding[10:]]
        return [line.lower() for line in lines] if self.lower_case else lines

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(request)
                await self._answer(self.asked_for[-1], writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other side has enough
        finally:
            writer.close()

    async def _answer(self, prefix: str, writer: asyncio.StreamWriter) -> None:
        body = "\r\n".join(self.lines(prefix)).encode()
        match self.manner:
            case "well":
                writer.write(_head(200, len(body)) + body)
            case "silent":
                await _until_gone(writer)
            case "dripping":
                writer.write(_head(200, None))
                while not writer.is_closing():
                    writer.write(b"\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.05)
            case "hangs up":
                writer.close()
            case "cut short":
                writer.write(_head(200, len(body) + 1000) + body)
                writer.close()
            case "garbage":
                writer.write(b"\x00\xff\x15\x03\x01 what is this?\r\n\r\n")
                writer.close()
            case "portal":
                page = HTML + body
                writer.write(_head(200, len(page)) + page)
            case "endless":
                writer.write(_head(200, None))
                while not writer.is_closing():
                    writer.write(body + b"\r\n")
                    await writer.drain()
            case "endless line":
                writer.write(_head(200, None))
                while not writer.is_closing():
                    writer.write(b"0" * 65536)
                    await writer.drain()
            case "redirect":
                writer.write(_head(302, 0, f"Location: {self.elsewhere}"))
            case "missing":
                writer.write(_head(404, len(body)) + body)
            case "broken":
                writer.write(_head(500, len(body)) + body)
            case "compressed":
                writer.write(_head(200, 20, "Content-Encoding: gzip") + b"\x1f\x8b" + b"\0" * 18)
        await writer.drain()


def sha1(password: str) -> str:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


@asynccontextmanager
async def breach_server(
    tls: ssl.SSLContext | None = None, known: dict[str, int] | None = None
) -> AsyncIterator[BreachServer]:
    server = BreachServer(known=known or {})
    talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks[task] = writer
        await server.answer(reader, writer)

    listening = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/range"
    try:
        yield server
    finally:
        listening.close()
        for writer in talks.values():  # not cancelled: asyncio's streams on Python 3.11 stumble over that
            writer.transport.abort()
        async with asyncio.timeout(10):
            await asyncio.gather(*talks)


def _head(status: int, length: int | None, *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Told", "Content-Type: text/plain", *more]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    else:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode()


async def _until_gone(writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()
