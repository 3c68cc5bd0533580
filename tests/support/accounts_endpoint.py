"""An application's endpoint for its accounts, well-behaved or not, on order.

It speaks HTTP by hand, so that it can also speak it badly; it signs and verifies by the reference library and not by our
own code; and it writes down every question that it was asked.
"""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from standardwebhooks.webhooks import Webhook

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(bytes(range(100, 132))).decode()

Manner = Literal[
    "well",
    "silent",
    "dripping",
    "hangs up",
    "loses its answer",
    "cut short",
    "garbage",
    "endless",
    "too large",
    "redirect",
    "unsigned",
    "signed by another",
    "answer to another",
    "our own question",
    "an old answer",
    "an answer from the future",
    "compressed",
    "400",
    "401",
    "403",
    "404",
    "409",
    "422",
    "429",
    "500",
    "503",
]


@dataclass
class Person:
    """A row of the application's user table."""

    id: str
    address: str
    password: str = "an old password of hers"
    active: bool = True
    version: int = 1
    locale: str | None = None


@dataclass
class Question:
    """What came in."""

    message_id: str
    body: dict[str, Any]
    raw: bytes
    head: bytes


@dataclass
class AccountsEndpoint:
    """Keeps people; `manners` are used up one by one, then `manner` is."""

    url: str = ""
    secret: str = SECRET
    people: dict[str, Person] = field(default_factory=dict)
    manner: Manner = "well"
    manners: list[Manner] = field(default_factory=list)
    says_instead: object = None  # a body in place of the right one: JSON, or bytes as they are
    refuses: set[str] = field(default_factory=set)  # addresses with which no question is taken
    believes_everybody: bool = False
    forgets: bool = False  # which questions it was asked
    elsewhere: str = "http://127.0.0.1:1/"
    questions: list[Question] = field(default_factory=list)
    not_genuine: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    changes: int = 0
    connections: int = 0
    swaps_answered: dict[str, bytes] = field(default_factory=dict)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, address: str, **more: Any) -> Person:
        person = Person(str(len(self.people) + 1), address, **more)
        self.people[person.id] = person
        return person

    def types(self) -> list[str]:
        """What was asked, in order: `find`, `get`, `swap`."""
        return [question.body["type"].removeprefix("accounts.") for question in self.questions]

    # ---- what it answers ----

    def reply(self, message_id: str, body: dict[str, Any]) -> bytes:
        match body:
            case {"type": "accounts.find", "addresses": [*addresses]}:
                found = [
                    {**self.told(person), "asked": address}
                    for address in addresses
                    for person in self.people.values()
                    if person.address.lower() == address.lower()
                ]
                return json.dumps({"accounts": found}).encode()
            case {"type": "accounts.get", "id": account_id}:
                there = self.people.get(account_id)
                return json.dumps({"account": None if there is None else self.told(there)}).encode()
            case {"type": "accounts.swap", "id": account_id, "version": version, **new}:
                if message_id not in self.swaps_answered:
                    self.swaps_answered[message_id] = json.dumps(
                        {"swapped": self.swap(account_id, version, new)}
                    ).encode()
                return self.swaps_answered[message_id]
        raise AssertionError(f"no question of the contract: {body}")

    def told(self, person: Person) -> dict[str, Any]:
        return {
            "id": person.id,
            "address": person.address,
            "active": person.active,
            "version": f"v{person.version}",
            "locale": person.locale,
        }

    def swap(self, account_id: str, version: str, new: dict[str, str]) -> bool:
        person = self.people.get(account_id)
        if person is None or f"v{person.version}" != version:
            return False
        (person.password,) = new.values()
        person.version += 1
        self.changes += 1
        return True

    # ---- how it answers ----

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                headers = {
                    name.strip().lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in head.decode().splitlines()[1:])
                }
                raw = await reader.readexactly(int(headers["content-length"]))
                try:
                    body = Webhook(self.secret).verify(raw, headers)
                except Exception as error:  # whatever it stumbles over
                    if not self.believes_everybody:
                        self.not_genuine.append(repr(error))
                        writer.write(_head("401 No", 0))
                        continue
                    body = json.loads(raw)
                message_id = headers.get("webhook-id", "none")
                if message_id in self.seen and "swap" not in body["type"] and not self.forgets:
                    writer.write(_head("409 Seen", 0))
                    continue
                self.seen.add(message_id)
                self.questions.append(Question(message_id, body, raw, head))
                self.asked.set()
                await self._answer(message_id, body, raw, headers, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other side has enough
        finally:
            writer.close()

    async def _answer(
        self,
        message_id: str,
        body: dict[str, Any],
        raw: bytes,
        headers: dict[str, str],
        writer: asyncio.StreamWriter,
    ) -> None:
        manner = self.manners.pop(0) if self.manners else self.manner
        if self.refuses & set(body.get("addresses", [])):
            manner = "422"
        if manner.isdecimal():
            writer.write(_head(f"{manner} Told", 2) + b"{}")
            return await writer.drain()
        if manner == "silent":
            return await writer.wait_closed()
        if manner == "hangs up":
            return writer.close()
        reply = self.reply(message_id, body)
        if self.says_instead is not None:
            reply = (
                self.says_instead
                if isinstance(self.says_instead, bytes)
                else json.dumps(self.says_instead).encode()
            )
        match manner:
            case "loses its answer":
                writer.close()
            case "dripping":
                writer.write(_head("200 OK", None, *self._signed(message_id, reply)))
                while not writer.is_closing():
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.05)
            case "cut short":
                writer.write(_head("200 OK", len(reply) + 100, *self._signed(message_id, reply)) + reply)
                writer.close()
            case "garbage":
                writer.write(b"\x00\xff\x15\x03\x01 what is this?\r\n\r\n")
                writer.close()
            case "endless":
                writer.write(_head("200 OK", None, *self._signed(message_id, reply)))
                while not writer.is_closing():
                    writer.write(b" " * 65536)
                    await writer.drain()
            case "too large":
                reply += b" " * 600_000
                writer.write(_head("200 OK", len(reply), *self._signed(message_id, reply)) + reply)
            case "redirect":
                writer.write(_head("307 Elsewhere", 0, f"Location: {self.elsewhere}"))
            case "unsigned":
                writer.write(_head("200 OK", len(reply)) + reply)
            case "signed by another":
                signed = self._signed(message_id, reply, secret=OTHER_SECRET)
                writer.write(_head("200 OK", len(reply), *signed) + reply)
            case "answer to another":
                signed = self._signed("0" * 32, reply)
                writer.write(_head("200 OK", len(reply), *signed) + reply)
            case "our own question":
                own = (f"{name}: {value}" for name, value in headers.items() if name.startswith("webhook-"))
                writer.write(_head("200 OK", len(raw), *own) + raw)
            case "an old answer" | "an answer from the future":
                minutes = -6 if manner == "an old answer" else 6
                signed = self._signed(message_id, reply, later=timedelta(minutes=minutes))
                writer.write(_head("200 OK", len(reply), *signed) + reply)
            case "compressed":
                signed = self._signed(message_id, reply)
                packed = b"\x1f\x8b" + b"\0" * 18
                writer.write(_head("200 OK", 20, "Content-Encoding: gzip", *signed) + packed)
            case _:
                writer.write(_head("200 OK", len(reply), *self._signed(message_id, reply)) + reply)
        return await writer.drain()

    def _signed(
        self, message_id: str, reply: bytes, *, secret: str | None = None, later: timedelta = timedelta(0)
    ) -> list[str]:
        at = datetime.now(UTC) + later
        signature = Webhook(secret or self.secret).sign(f"answer_to_{message_id}", at, reply.decode())
        return [
            f"Webhook-Id: answer_to_{message_id}",
            f"Webhook-Timestamp: {int(at.timestamp())}",
            f"Webhook-Signature: {signature}",
        ]


@asynccontextmanager
async def accounts_endpoint(tls: ssl.SSLContext | None = None) -> AsyncIterator[AccountsEndpoint]:
    endpoint = AccountsEndpoint()
    talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks[task] = writer
        await endpoint.answer(reader, writer)

    listening = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    endpoint.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/internal/accounts"
    try:
        yield endpoint
    finally:
        listening.close()
        for writer in talks.values():  # not cancelled: asyncio's streams on Python 3.11 stumble over that
            writer.transport.abort()
        async with asyncio.timeout(10):
            await asyncio.gather(*talks)


def _head(status: str, length: int | None, *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *more]
    lines.append("Connection: close" if length is None else f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()
