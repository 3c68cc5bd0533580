"""A service to measure, in processes of its own: addresses with and without an account, a relay, `serve`, `dispatch`."""

import asyncio
import random
import socket
import sqlite3
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from argon2 import PasswordHasher

from resetsvc.clock import new_id
from resetsvc.store.database import Store
from tests.cli.processes import environment, relay_process
from tests.rules.source import ROOT
from tests.support.ports import own_ports

CLASSES = ("known", "unknown", "disabled")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Scene:
    """A service that runs. `options` are those of `resetsvc selftest timing` that name it and its addresses."""

    url: str
    options: tuple[str, ...]
    folder: Path
    env: Mapping[str, str]


def write_lists(folder: Path, count: int, seed: int = 7) -> dict[str, Path]:
    """So many addresses a class, one a line. Nothing but chance tells the classes apart."""
    chance = random.Random(seed)  # noqa: S311 -- names that a seed decides
    names: set[str] = set()
    while len(names) < len(CLASSES) * count:
        names.add("".join(chance.choices(_LETTERS, k=12)))
    shuffled = sorted(names)
    chance.shuffle(shuffled)
    files = {}
    for number, name in enumerate(CLASSES):
        part = shuffled[number * count : (number + 1) * count]
        files[name] = folder / f"{name}.txt"
        files[name].write_text("".join(f"{local}@example.com\n" for local in part))
    return files


async def add_accounts(env: Mapping[str, str], files: Mapping[str, Path]) -> None:
    """The known and the disabled ones, all with one hash: it is not looked at when somebody asks for a reset."""
    store = Store(env["RESETSVC_DATABASE_URL"])
    await store.open()
    await store.close()
    password_hash = PasswordHasher(memory_cost=8192, time_cost=1, parallelism=1).hash(
        "an old password of theirs"
    )
    rows = [
        (new_id(), address, password_hash, name == "known")
        for name in ("known", "disabled")
        for address in files[name].read_text().split()
    ]
    connection = sqlite3.connect(env["RESETSVC_DATABASE_URL"].removeprefix("sqlite:///"))
    with connection:
        connection.executemany(
            "INSERT INTO accounts (id, address, password_hash, active, created_at, changed_at)"
            " VALUES (?, ?, ?, ?, 0, 0)",
            rows,
        )
    connection.close()


@asynccontextmanager
async def scene(
    folder: Path,
    *,
    addresses: int,
    program: Sequence[str] = ("resetsvc", "serve"),
    apart: bool = False,
    relay_fault: str | None = None,
    sink: str | None = None,
    **settings: str,
) -> AsyncIterator[Scene]:
    """Everything running, and ended at the end.

    addresses   -- in each class
    program     -- the module to start and its words; it is given `--bind`
    apart       -- deliver in a process of its own
    relay_fault -- what the relay does with every letter, in the words of tests.support.relay_command
    sink        -- the path of Postfix's `smtp-sink`, to take the mails instead of our relay: it costs the machine much
                   less, and what the relay's process costs is not the service's echo
    """
    faults = ("--fault", relay_fault) if relay_fault else ()
    async with AsyncExitStack() as stack:
        if sink is None:
            _, port = await stack.enter_async_context(relay_process(*faults))
        else:
            port = await stack.enter_async_context(_sink(sink, folder))
        env = environment(
            folder,
            f"smtp://127.0.0.1:{port}?tls=none",
            **{"limit_per_account": "", "dispatch": "false" if apart else "true", **settings},
        )
        env["PYTHONPATH"] = f"{ROOT / 'src'}:{ROOT}"
        files = await asyncio.to_thread(write_lists, folder, addresses)
        await add_accounts(env, files)
        # Listens before the service starts: who asks early waits, and nobody has to guess when it is ready.
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        bind = ("--bind", f"fd://{listening.fileno()}")
        await stack.enter_async_context(_process(*program, *bind, env=env, folder=folder, keep=listening))
        if apart:
            await stack.enter_async_context(_process("resetsvc", "dispatch", env=env, folder=folder))
        await _until_it_serves(url, folder)
        options = ("--url", url, *(f"--{name}={path}" for name, path in files.items()))
        yield Scene(url, options, folder, env)


@asynccontextmanager
async def _sink(program: str, folder: Path) -> AsyncIterator[int]:
    with own_ports(1) as (port,):
        sink = await asyncio.create_subprocess_exec(
            program, "-u", "nobody", f"127.0.0.1:{port}", "1024", cwd=folder, stdout=DEVNULL, stderr=DEVNULL
        )
        try:
            yield port
        finally:
            sink.terminate()
            await sink.wait()


async def _until_it_serves(url: str, folder: Path) -> None:
    try:
        async with httpx.AsyncClient(timeout=60) as client:
            assert (await client.get(f"{url}/healthz")).status_code == 200
    except httpx.HTTPError as error:
        said = "".join(log.read_text("utf-8", "replace")[-2000:] for log in folder.glob("*.log"))
        raise AssertionError(f"it did not start:\n{said}") from error


@asynccontextmanager
async def _process(
    module: str, *words: str, env: Mapping[str, str], folder: Path, keep: socket.socket | None = None
) -> AsyncIterator[None]:
    """A process that logs to a file: tens of thousands of lines would keep whoever reads them from measuring."""
    log = folder / f"{'-'.join((module, *words[:1]))}.log"
    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *words),
            env=dict(env),
            cwd=folder,
            stdin=DEVNULL,
            stdout=written,
            stderr=written,
            pass_fds=(keep.fileno(),) if keep else (),
        )
    if keep is not None:
        keep.close()  # so that nobody waits for an answer from a service that did not start
    try:
        yield
        assert process.returncode is None, log.read_text("utf-8", "replace")[-2000:]
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(30):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
