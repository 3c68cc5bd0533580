"""A client that says what it is told and sees every byte: what the tests of the relay talk with."""

import asyncio
import base64
import smtplib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.relay_on_order import Fault, Order, RelayOnOrder, Step, client_context

MAIL = b"From: a@shop.test\r\nTo: b@user.test\r\nMessage-ID: <1@shop.test>\r\n\r\nHello\r\n..two dots\r\n"
ENVELOPE = b"MAIL FROM:<a@shop.test>\r\nRCPT TO:<b@user.test>\r\nDATA\r\n"
STEPS_OF_A_MAIL: tuple[Step, ...] = ("BANNER", "EHLO", "MAIL", "RCPT", "DATA", "DOT", "QUIT")
GIVES_UP_AFTER = 0.05


class Client:
    """A client that says what it is told, step by step; every reply has ten seconds."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def reply(self) -> str:
        async with asyncio.timeout(10):
            lines = [await self.reader.readline()]
            while lines[-1][3:4] == b"-":
                lines.append(await self.reader.readline())
        return b"".join(lines).decode("latin-1")

    async def say(self, line: str | bytes) -> str:
        self.writer.write(line.encode() + b"\r\n" if isinstance(line, str) else line)
        return await self.reply()

    async def code(self, line: str | bytes) -> int:
        return int((await self.say(line))[:3])

    async def everything(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.read()

    async def envelope(self) -> int:
        assert await self.code("MAIL FROM:<a@shop.test>") == 250
        assert await self.code("RCPT TO:<b@user.test>") == 250
        return await self.code("DATA")

    async def step(self, step: Step) -> str:
        """All steps up to this one; gives its reply."""
        said: dict[Step, str | bytes] = {
            "BANNER": b"",
            "EHLO": "EHLO me.test",
            "MAIL": "MAIL FROM:<a@shop.test>",
            "RCPT": "RCPT TO:<b@user.test>",
            "DATA": "DATA",
            "DOT": MAIL + b".\r\n",
            "QUIT": "QUIT",
        }
        for at in STEPS_OF_A_MAIL[: STEPS_OF_A_MAIL.index(step)]:
            assert (await self.say(said[at]))[0] in "23"
        return await self.say(said[step])


@asynccontextmanager
async def connected(relay: RelayOnOrder) -> AsyncIterator[Client]:
    context = client_context() if relay.tls == "implicit" else None
    reader, writer = await asyncio.open_connection(relay.host, relay.port, ssl=context)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def greeted(relay: RelayOnOrder) -> AsyncIterator[Client]:
    async with connected(relay) as client:
        assert (await client.reply())[:3] == "220"
        assert (await client.say("EHLO me.test"))[:3] == "250"
        yield client


@asynccontextmanager
async def ordered(fault: Fault) -> AsyncIterator[tuple[RelayOnOrder, Order, Client]]:
    """A client of a relay that got its order first: before the banner, that is."""
    async with RelayOnOrder() as relay:
        order = relay.order(fault)
        async with connected(relay) as client:
            yield relay, order, client


def send(relay: RelayOnOrder, message: bytes = MAIL) -> None:
    with smtplib.SMTP(relay.host, relay.port, local_hostname="me.test", timeout=10) as client:
        client.sendmail("a@shop.test", ["b@user.test"], message)


async def gives_up(client: Client) -> None:
    """Waits in vain for a reply, as long as this client's patience lasts."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(GIVES_UP_AFTER):
            await client.reader.read(1)
    client.writer.close()


async def all_have_left(relay: RelayOnOrder) -> None:
    await relay.until(lambda: relay.open_connections == 0)


def send_with_tls(relay: RelayOnOrder) -> None:
    context = ssl.create_default_context(cafile=relay.ca_file)
    if relay.tls == "implicit":
        client: smtplib.SMTP = smtplib.SMTP_SSL(
            relay.host, relay.port, local_hostname="me.test", timeout=10, context=context
        )
    else:
        client = smtplib.SMTP(relay.host, relay.port, local_hostname="me.test", timeout=10)
    with client:
        if relay.tls == "starttls":
            client.starttls(context=context)
        client.sendmail("a@shop.test", ["b@user.test"], MAIL)


def auth_plain(user: str, password: str) -> str:
    return "AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode()
