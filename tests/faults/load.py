"""The client: asks, and sets passwords, from a seed; writes down what it was told. An answer counts when it is whole."""

import asyncio
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode

from resetsvc.clock import Clock
from resetsvc.tokens import Tokens
from tests.faults.databases import DatabaseAway, MachineDatabase
from tests.faults.ledgers import (
    ANSWERED,
    CLIENT,
    REFUSED,
    UNKNOWN,
    ClientLedger,
    client_of,
    password_of,
)

PATIENCE = 6.0  # seconds for one answer
_PROMISES = {"ask": b"Email sent", "change": b"Your password was changed.\n"}


@dataclass(frozen=True, slots=True)
class Mix:
    """What is asked, and how often.

    rate    -- requests a second, all together
    changes -- the share of them that set a password
    kept    -- how often a connection is kept for another request
    """

    addresses: Sequence[str]
    rate: float = 100.0
    workers: int = 12
    changes: float = 0.03
    kept: float = 0.95


class Door(Protocol):
    """Where requests are sent to, while it is up."""

    @property
    def port(self) -> int | None: ...
    @property
    def up(self) -> asyncio.Event: ...


@dataclass(slots=True)
class Counts:
    """others -- what came in place of an answer, in words: for whoever reads why a test failed"""

    sent: int = 0
    others: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys((ANSWERED, REFUSED, UNKNOWN), 0))


class Load:
    """Enter it and it asks; leave it and what is under way is finished, and on record."""

    def __init__(
        self,
        folder: Path,
        database: MachineDatabase,
        services: Sequence[Door],
        mix: Mix,
        chance: random.Random,
        key: str,
    ) -> None:
        self.counts = Counts()
        self._services = [service for service in services if service.port is not None]
        self._mix = mix
        self._chance = chance
        self._database = database
        self._tokens = Tokens([key], 86400, Clock())
        self._ledger = ClientLedger(folder / CLIENT, time.time)
        self._stopping = False
        self._answered: asyncio.Future[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._changing: dict[str, float] = {}  # by address: until when somebody set a password there

    async def __aenter__(self) -> "Load":
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._mix.workers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)
        self._ledger.close()

    async def next_answer(self, within: float = 5.0) -> None:
        """Returns in the moment in which somebody was answered, or after a while in any case."""
        if self._answered is None or self._answered.done():
            self._answered = asyncio.get_running_loop().create_future()
        await asyncio.wait({self._answered}, timeout=within)

    async def answers(self, count: int, within: float = 60.0) -> None:
        """Returns when so many more were answered."""
        wanted = self.counts.outcomes[ANSWERED] + count
        async with asyncio.timeout(within):
            while self.counts.outcomes[ANSWERED] < wanted:
                await self.next_answer()

    async def ask(self, service: Door, address: str) -> str:
        """One request of its own, to one service; what came of it."""
        return await self._alone(service, "ask", address)

    async def change(self, service: Door, letter_id: str, address: str) -> str:
        """One new password by the link of a letter; what came of it."""
        return await self._alone(service, "change", address, letter_id)

    async def _alone(self, service: Door, *request: str) -> str:
        connection = _Connection(*await asyncio.open_connection("127.0.0.1", service.port))
        try:
            return (await self._send(connection, *request))[0]
        finally:
            connection.close()

    async def _work(self) -> None:
        pause = self._mix.workers / self._mix.rate
        connection: _Connection | None = None
        while not self._stopping:
            began = time.monotonic()
            if connection is None:
                connection = await self._connect()
            if connection is None:
                await asyncio.sleep(0.02)  # nobody listens at the moment
                continue
            if not await self._request(connection) or self._chance.random() >= self._mix.kept:
                connection.close()
                connection = None
            left = began + pause * 2 * self._chance.random() - time.monotonic()
            if left > 0:
                await asyncio.sleep(left)
        if connection is not None:
            connection.close()

    async def _connect(self) -> "_Connection | None":
        up = [service for service in self._services if service.up.is_set()]
        if not up:
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                return _Connection(*await asyncio.open_connection("127.0.0.1", self._chance.choice(up).port))
        except (OSError, TimeoutError):
            return None

    async def _request(self, connection: "_Connection") -> bool:
        """One request; whether the connection can take another."""
        if self._chance.random() < self._mix.changes and (link := await self._open_link()) is not None:
            letter_id, address = link
            self._changing[address] = math.inf
            try:
                return (await self._send(connection, "change", address, letter_id))[1]
            finally:
                self._changing[address] = time.monotonic()
        return (await self._send(connection, "ask", self._chance.choice(self._mix.addresses)))[1]

    async def _send(
        self, connection: "_Connection", kind: str, address: str, letter_id: str | None = None
    ) -> tuple[str, bool]:
        """One request: what came of it, and whether the connection can take another."""
        number = self._ledger.leave(kind, address, letter_id)
        self.counts.sent += 1
        if letter_id is None:
            path, fields = "/reset-password", {"email": address}
        else:
            path, fields = f"/reset/{self._tokens.sign(letter_id)}", {"password": password_of(number)}
        outcome, status, reusable = UNKNOWN, None, False
        try:
            async with asyncio.timeout(PATIENCE):
                status, body, reusable = await connection.post(path, fields, client_of(number))
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.counts.others.append(f"{kind}: {error!r}")
        else:
            outcome = ANSWERED if status == 200 and body == _PROMISES[kind] else REFUSED
            if outcome == REFUSED:
                self.counts.others.append(f"{kind}: {status} {body.decode(errors='replace')}")
        self._ledger.come_back(number, outcome, status)
        self.counts.outcomes[outcome] += 1
        if outcome == ANSWERED and self._answered is not None and not self._answered.done():
            self._answered.set_result(None)
        return outcome, reusable

    async def _open_link(self) -> tuple[str, str] | None:
        """The letter and the address of a link that somebody has just been sent.

        None of an account whose password was being set since we looked: its links are dead by then, and rightly refused.
        """
        began = time.monotonic()
        sql = (
            "SELECT id, address FROM letters WHERE state = 'sent' AND kind = 'reset' AND link IS NULL"
            " ORDER BY seq DESC LIMIT 40"
        )
        try:
            rows = await asyncio.to_thread(self._database.rows, sql, patience=0.1)
        except DatabaseAway:
            return None
        open_still = [row for row in rows if self._changing.get(row["address"], -math.inf) < began]
        if not open_still:
            return None
        row = self._chance.choice(open_still)
        return row["id"], row["address"]


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def post(self, path: str, fields: dict[str, str], client: str) -> tuple[int, bytes, bool]:
        """Status, whole body, and whether the connection stays open. EOFError if the answer is not whole."""
        body = urlencode(fields)
        self._writer.write(
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: {client}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
        answer = await self._reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), answer, headers.get("connection") != "close"

    def close(self) -> None:
        self._writer.close()
