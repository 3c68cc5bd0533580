"""`resetsvc` as a real process: started, waited for by what it says, and always ended."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.clock import Clock
from resetsvc.passwords.hashing import Hasher
from resetsvc.store import kept_letters as kept
from resetsvc.store.database import Store
from tests.rules.source import ROOT
from tests.support.bell import Bell

SECRETS = {
    "key": "kKz9_2mW81-aDk3PqLx7vBn4TzRy6UiO0",
    "ops": "an-ops-token-of-8FjQ2",
}


def environment(
    folder: Path, relay_url: str = "smtp://127.0.0.1:1?tls=none", **changes: str
) -> dict[str, str]:
    """The whole environment of a command: nothing comes from the machine but where programs are."""
    settings = {
        "database_url": f"sqlite:///{folder / 'resetsvc.db'}",
        "secret_key": SECRETS["key"],
        "public_url": "https://reset.example.com",
        "smtp_url": relay_url,
        "smtp_timeout": "5",
        "mail_from": "Example <no-reply@example.com>",
        "product_name": "Example",
        "argon2_memory": "8192",
        "argon2_time": "1",
        "limit_per_client": "",
        **changes,
    }
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "PYTHONWARNINGS": "error",
        **{f"RESETSVC_{name.upper()}": value for name, value in settings.items()},
    }


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


async def run(
    *arguments: str, env: Mapping[str, str], cwd: Path, stdin: bytes = b"", within: float = 60.0
) -> Ended:
    """Run a command to its end."""
    process = await asyncio.create_subprocess_exec(
        *resetsvc(), *arguments, env=dict(env), cwd=cwd, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


def resetsvc() -> list[str]:
    return [sys.executable, "-m", "resetsvc"]


@dataclass
class Running:
    """A process that goes on until it is stopped. `said` is all that it wrote so far, both streams."""

    process: asyncio.subprocess.Process
    said: str = ""
    bell: Bell = field(default_factory=Bell)

    async def until(self, holds: Callable[[str], bool], *, within: float = 60.0) -> None:
        """Wait until what it said fulfils a condition; fail at once if it ends before."""
        try:
            async with asyncio.timeout(within):
                await self.bell.until(lambda: holds(self.said) or self.process.returncode is not None)
        except TimeoutError:
            raise AssertionError(f"not within {within} s; it said:\n{self.said}") from None
        assert holds(self.said), f"it ended with {self.process.returncode}; it said:\n{self.said}"

    async def until_event(self, event: str) -> dict[str, Any]:
        await self.until(lambda _: bool(self.events(event)))
        return self.events(event)[0]

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The log so far, in JSON."""
        found = []
        for line in self.said.splitlines():
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict) and (name is None or record.get("event") == name):
                    found.append(record)
        return found

    @property
    def url(self) -> str:
        return f"http://{self.events('serving')[0]['bind'][0]}"

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def ended(self, *, within: float = 60.0) -> int:
        async with asyncio.timeout(within):
            return await self.process.wait()

    async def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.ended()


@asynccontextmanager
async def running(
    *arguments: str, env: Mapping[str, str], cwd: Path, program: list[str] | None = None
) -> AsyncIterator[Running]:
    """Start a command; it is killed at the end if it still runs then."""
    process = await asyncio.create_subprocess_exec(
        *(program or resetsvc()),
        *arguments,
        env=dict(env),
        cwd=cwd,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    here = Running(process)

    async def read(stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            here.said += line.decode()
            here.bell.ring()
        await process.wait()
        here.bell.ring()

    assert process.stdout is not None
    assert process.stderr is not None
    readers = [asyncio.create_task(read(stream)) for stream in (process.stdout, process.stderr)]
    try:
        yield here
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.gather(*readers)


@asynccontextmanager
async def serving(env: Mapping[str, str], cwd: Path, *arguments: str) -> AsyncIterator[Running]:
    """`serve` on a port that the system chooses, as soon as it takes requests."""
    async with running("serve", "--bind", "127.0.0.1:0", *arguments, env=env, cwd=cwd) as server:
        await server.until_event("serving")
        yield server


@asynccontextmanager
async def dispatching(env: Mapping[str, str], cwd: Path) -> AsyncIterator[Running]:
    async with running("dispatch", env=env, cwd=cwd) as dispatcher:
        await dispatcher.until_event("dispatching")
        yield dispatcher


@asynccontextmanager
async def relay_process(*arguments: str) -> AsyncIterator[tuple[Running, int]]:
    """The relay on order as a process of its own, and its port."""
    program = [sys.executable, "-m", "tests.support.relay_on_order"]
    async with running(*arguments, program=program, env=os.environ, cwd=ROOT) as relay:
        await relay.until(lambda said: "listening on" in said)
        port = re.search(r"listening on (\d+)", relay.said)
        assert port is not None
        yield relay, int(port[1])


async def add_account(env: Mapping[str, str], address: str, password: str) -> None:
    """Without a process: that the command works has tests of its own."""
    hasher = Hasher(memory_kib=8192, time_cost=1, parallelism=1, concurrency=1)
    store = Store(env["RESETSVC_DATABASE_URL"])
    await store.open()
    try:
        assert await BuiltinAccounts(store, hasher, Clock()).add(address, password)
    finally:
        await store.close()
        hasher.close()


async def states_of_letters(env: Mapping[str, str]) -> list[str]:
    store = Store(env["RESETSVC_DATABASE_URL"])
    await store.open()
    try:
        rows = await store.read(lambda connection: kept.list_letters(connection, None, 100))
    finally:
        await store.close()
    return [row["state"] for row in rows]


def one_line(text: str) -> bool:
    return text.endswith("\n") and text.count("\n") == 1
