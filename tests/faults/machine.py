"""The machine: services on one database, a relay that misbehaves on order, and a hand that does things to them.

The database is a file of SQLite, unless the machine is given another one. Everything lives in one folder, on loopback, in processes that end with the machine.
"""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from argon2 import PasswordHasher

from resetsvc.clock import new_id
from tests.faults.checker import Rules, Verdict, check
from tests.faults.databases import DatabaseAway, MachineDatabase, PostgresServer, Rows, SqliteFile, Way
from tests.faults.ledgers import BLOWS, DATABASE, INITIAL_PASSWORD, LEASES, SMTP, Blow, Ledgers, Look
from tests.faults.load import Load, Mix
from tests.faults.processes import DidNotStart, RelayProcess, ServiceProcess, environment
from tests.support.ports import own_ports

KEY = "a key for the machine, and for nothing else: 0123456789"
LOOK_EVERY = 0.1  # seconds between looks at what is held
START_AGAIN = 0.5  # seconds until what could not start is started once more: what a supervisor does
STARTS = 60  # tries; then it is broken, and stays down


@dataclass(frozen=True, slots=True)
class Setup:
    """What the machine is made of.

    serving, dispatching -- how many `serve` (each delivers too, unless `settings` say otherwise) and how many `dispatch`
    settings             -- besides those that every machine has
    lease, deadline      -- other than the service's own: then it is started by `tests.faults.launch`
    mutant               -- with one part broken, likewise
    budget               -- mails to an account in an hour; None: no limit and no merging
    """

    folder: Path
    seed: int = 7
    serving: int = 2
    dispatching: int = 0
    known: int = 2000
    lease: float | None = None
    deadline: float | None = None
    mutant: str | None = None
    budget: int | None = None
    smtp_timeout: float = 5.0
    relay_faults: tuple[str, ...] = ("delay:DOT:0.03",)  # else no letter would ever be met on its way
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def rules(self) -> Rules:
        return Rules(
            deadline=self.deadline or 14_400,
            budget=self.budget,
            lease=self.lease or 10.0,
            slack=2.0 + self.smtp_timeout,
        )


class Relay(Protocol):
    """What the machine needs of a relay: a process of its own, or one in a test's own loop."""

    port: int

    async def start(self, *faults: str) -> None: ...
    async def order(self, words: str) -> None: ...
    async def away(self) -> None: ...


class Machine:
    def __init__(
        self, setup: Setup, relay: Relay | None = None, database: MachineDatabase | None = None
    ) -> None:
        self.setup = setup
        self.database = database or SqliteFile(setup.folder / DATABASE)
        self.chance = random.Random(setup.seed)  # noqa: S311 -- repeatable is the point
        self._held = ExitStack()
        ports = self.ports(setup.serving + 1)
        self.relay = relay or RelayProcess(setup.folder / SMTP, ports[-1])
        self.services = [self._service(f"serve-{place}", port) for place, port in enumerate(ports[:-1])] + [
            self._service(f"dispatch-{place}", None) for place in range(setup.dispatching)
        ]
        self.addresses: list[str] = []
        self._blows = (setup.folder / BLOWS).open("a", buffering=1)

    async def __aenter__(self) -> "Machine":
        try:
            self.addresses = await asyncio.to_thread(self._seed_database)
            await asyncio.gather(
                self.relay.start(*self.setup.relay_faults), *(service.start() for service in self.services)
            )
        except BaseException:
            await self._away()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._away()

    async def _away(self) -> None:
        await asyncio.gather(self.relay.away(), *(service.away() for service in self.services))
        self._blows.close()
        self._held.close()

    def ports(self, count: int) -> list[int]:
        """Ports that nobody else is given until the machine ends, also while a service is down."""
        return self._held.enter_context(own_ports(count))

    def load(self, *, rate: float = 80.0, workers: int = 12, changes: float = 0.03) -> Load:
        """The client, as `Mix` says. Without workers it asks only what it is told to."""
        mix = Mix(self.addresses, rate, workers, changes)
        chance = random.Random(self.setup.seed + 1)  # noqa: S311 -- repeatable is the point
        return Load(self.setup.folder, self.database, self.services, mix, chance, KEY)

    # ---- blows ----

    def note(self, kind: str, at: float, what: str = "") -> None:
        self._blows.write(Blow(kind, at, time.time(), what).as_json() + "\n")

    async def kill(self, *victims: ServiceProcess) -> None:
        """kill -9, and their end."""
        at = time.time()
        for victim in victims:
            if victim.running:
                victim.send(signal.SIGKILL)
                self.note("kill", at, victim.name)
        for victim in victims:
            await victim.ended()

    @asynccontextmanager
    async def stalled(self, victim: ServiceProcess) -> AsyncIterator[None]:
        """SIGSTOP, then SIGCONT."""
        at = time.time()
        victim.send(signal.SIGSTOP)
        try:
            yield
        finally:
            victim.send(signal.SIGCONT)
            self.note("stall", at, victim.name)

    async def freeze(self, victim: ServiceProcess) -> None:
        """SIGSTOP at a moment when it does not write: stopped within a write it would keep the others from writing too."""
        while True:
            victim.send(signal.SIGSTOP)
            await asyncio.to_thread(os.waitid, os.P_PID, victim.pid, os.WSTOPPED | os.WNOWAIT)
            if self._can_be_written():
                return
            victim.send(signal.SIGCONT)
            await asyncio.sleep(0.01)

    def _can_be_written(self) -> bool:
        connection = sqlite3.connect(self.setup.folder / DATABASE, timeout=0, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        finally:
            connection.close()
        return True

    @asynccontextmanager
    async def misbehaving(self, words: str) -> AsyncIterator[None]:
        """The relay under an order; every answer that it owes a mail may be lost meanwhile."""
        at = time.time()
        await self.relay.order(words)
        try:
            yield
        finally:
            await self.relay.order("start" if words == "stop" else "clear")
            self.note("relay", at, words)

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """The database is written by somebody else, who does not come to an end."""
        connection = sqlite3.connect(
            self.setup.folder / DATABASE, timeout=30, isolation_level=None, check_same_thread=False
        )
        try:
            await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
            at = time.time()
            try:
                yield
            finally:
                connection.execute("ROLLBACK")
                self.note("lock", at)
        finally:
            connection.close()

    async def restart(self, victim: ServiceProcess) -> None:
        """Start it, again and again while it cannot: the database may be away. Not if it is killed meanwhile."""
        kills = victim.kills
        for _ in range(STARTS):
            with contextlib.suppress(DidNotStart):
                await victim.start()
                return
            if victim.kills != kills:
                return
            await asyncio.sleep(START_AGAIN)

    @asynccontextmanager
    async def database_away(self, way: Way) -> AsyncIterator[None]:
        """The server of the database ended, and started again."""
        assert isinstance(self.database, PostgresServer)
        at = time.time()
        await self.database.end(way)
        try:
            yield
        finally:
            await self.database.start()
            self.note("database", at, way)

    @asynccontextmanager
    async def looking_at_leases(self) -> AsyncIterator[None]:
        """Somebody looks all the time at what is held, and until when, and writes it down."""
        stop = asyncio.Event()
        looking = asyncio.create_task(self._look_at_leases(stop))
        try:
            yield
        finally:
            stop.set()
            await looking

    async def _look_at_leases(self, stop: asyncio.Event) -> None:
        able_since: float | None = None
        sql = "SELECT id, lease_until FROM letters WHERE state = 'sending'"
        with (self.setup.folder / LEASES).open("a", buffering=1) as ledger:
            while not stop.is_set():
                began = time.time()
                try:
                    rows = await asyncio.to_thread(self.database.rows, sql)
                except DatabaseAway:
                    able_since = None
                else:
                    if not any(service.up.is_set() for service in self.services if service.delivers):
                        able_since = None
                    elif able_since is None:
                        able_since = began
                    held = {row["id"]: row["lease_until"] for row in rows}
                    ended = time.time()
                    look = Look(began, ended, ended if able_since is None else able_since, held)
                    ledger.write(look.as_json() + "\n")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY):
                        await stop.wait()

    async def command(self, *words: str, stdin: str = "") -> tuple[int, str]:
        """`resetsvc` with these words, on this machine's database: its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "resetsvc", *words),
            env=environment(self.settings),
            cwd=self.setup.folder,
            stdin=PIPE,
            stdout=PIPE,
        )
        printed, _ = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return process.returncode, printed.decode()

    # ---- the end of a run ----

    def undelivered(self) -> int:
        return self.count("state IN ('queued', 'sending')")

    def count(self, condition: str) -> int:
        """Letters of which the condition (SQL) holds."""
        return int(self._select(f"SELECT count(*) AS n FROM letters WHERE {condition}")[0]["n"])  # noqa: S608 -- a condition that a test wrote

    def letters_of(self, addresses: Collection[str]) -> list[tuple[str, str]]:
        """The ids of the reset letters for these addresses, and the addresses."""
        rows = self._select("SELECT id, address FROM letters WHERE kind = 'reset' ORDER BY seq")
        return [(row["id"], row["address"]) for row in rows if row["address"] in addresses]

    def lease_until(self, address: str) -> float:
        """Until when the newest letter for an address is held; 0 if it is not."""
        rows = self._select("SELECT address, lease_until FROM letters ORDER BY seq")
        return [row["lease_until"] or 0.0 for row in rows if row["address"] == address][-1]

    def _select(self, sql: str) -> Rows:
        return self.database.rows(sql)

    async def until(self, holds: Callable[[], bool], *, within: float) -> bool:
        """Looks twenty times a second at what other processes do; whether it came to hold in time."""
        end = time.monotonic() + within
        while not holds():
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.05)
        return True

    async def drain(self, within: float) -> bool:
        """Everybody up, nobody disturbed, until nothing waits; whether that came about in time."""
        await asyncio.gather(*(self.restart(service) for service in self.services if not service.running))
        return await self.until(lambda: self.interrupted() + self.undelivered() == 0, within=within)

    def interrupted(self) -> int:
        """Changes of passwords in another database that have no end on record."""
        return int(self._select("SELECT count(*) AS n FROM changes")[0]["n"])

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> dict[str, int]:
        """Stop all services in order; their exit codes."""
        codes = await asyncio.gather(*(service.stop(number) for service in self.services))
        return {service.name: code for service, code in zip(self.services, codes, strict=True)}

    def verdict(self) -> Verdict:
        return check(Ledgers.read(self.setup.folder, self.database), self.setup.rules)

    # ---- making ----

    def _service(self, name: str, port: int | None) -> ServiceProcess:
        setup = self.setup
        special = {"--lease": setup.lease, "--deadline": setup.deadline, "--mutant": setup.mutant}
        words = [word for name, value in special.items() if value for word in (name, str(value))]
        bind = [] if port is None else ["--bind", f"127.0.0.1:{port}"]
        if words:
            command = ["tests.faults.launch", *bind, *words]
        else:
            command = ["resetsvc", "dispatch" if port is None else "serve", *bind]
        delivers = port is None or self.settings.get("RESETSVC_DISPATCH") != "false"
        return ServiceProcess(name, command, self.settings, setup.folder, port, delivers=delivers)

    @property
    def settings(self) -> dict[str, str]:
        setup = self.setup
        return {
            "RESETSVC_DATABASE_URL": self.database.url,
            "RESETSVC_SECRET_KEY": KEY,
            "RESETSVC_PUBLIC_URL": "http://127.0.0.1:8000",
            "RESETSVC_SMTP_URL": f"smtp://127.0.0.1:{self.relay.port}?tls=none",
            "RESETSVC_SMTP_TIMEOUT": f"{setup.smtp_timeout:g}",
            "RESETSVC_MAIL_FROM": "The machine <no-reply@machine.test>",
            "RESETSVC_TRUSTED_PROXIES": "1",
            "RESETSVC_LIMIT_PER_CLIENT": "",
            "RESETSVC_LIMIT_PER_ACCOUNT": f"{setup.budget}/hour" if setup.budget else "",
            "RESETSVC_ARGON2_MEMORY": "8192",
            "RESETSVC_ARGON2_TIME": "1",
            **setup.settings,
        }

    def _seed_database(self) -> list[str]:
        """Accounts, some of them disabled; the addresses to ask for: those, and some that are nobody's."""
        known = self.setup.known
        sealed = PasswordHasher(memory_cost=8192, time_cost=1, parallelism=1).hash(INITIAL_PASSWORD)
        accounts = [(new_id(), f"user{place}@people.test", sealed, place % 12 != 0) for place in range(known)]
        self.database.make(accounts)
        return [account[1] for account in accounts] + [f"nobody{n}@people.test" for n in range(known // 10)]
