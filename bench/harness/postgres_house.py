"""A PostgreSQL of the benchmarks' own, as it is run in earnest (synced and vacuumed), and the service on it."""

import functools
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support import postgres

from bench.contenders import ADDRESSES, Contender, Place, resetsvc_dispatch_command, resetsvc_environment
from bench.harness.bench import Bench
from bench.harness.machine import free_port
from bench.harness.processes import Program, running
from bench.harness.relays import Relay
from resetsvc.settings import Settings
from resetsvc.store.address import parse_address
from resetsvc.store.postgres import connect
from resetsvc.store.schema import upgrade

_SETTINGS = "-c max_connections=200 -c shared_buffers=512MB -c max_wal_size=4GB"
_DAY = 86_400.0
_DAYS = 25  # however many there are, none is old enough to be erased: the service would do that while it is measured


@dataclass(frozen=True, slots=True)
class House:
    """One server; a database is known by its name."""

    server: postgres.Server

    def url(self, database: str) -> str:
        return self.server.url(database)

    def run(self, database: str, *statements: str) -> list[dict[str, Any]]:
        """Each statement commits by itself, and may take its time. Returns the rows of the last one."""

        async def work() -> list[dict[str, Any]]:
            driver = await connect(
                parse_address(self.url(database)), command_timeout=None, server_settings={}
            )
            rows: list[dict[str, Any]] = []
            for statement in statements:
                rows = [dict(row) for row in await driver.fetch(statement)]
            await driver.close()
            return rows

        return postgres.elsewhere(work())

    def make(self, database: str) -> None:
        """A database with the present schema and 100,000 accounts."""
        self.run("postgres", f"CREATE DATABASE {database}")
        upgrade(self.url(database))
        self.run(
            database,
            f"""
            INSERT INTO accounts (id, address, password_hash, active, created_at, changed_at)
            SELECT md5(n::text), 'user' || lpad(n::text, 6, '0') || '@bench.example', '{_password_hash()}', TRUE, 0, 0
            FROM generate_series(0, {ADDRESSES - 1}) AS n
            """,  # noqa: S608 -- constants of ours
            "VACUUM ANALYZE accounts",
        )

    def add_finished_letters(self, database: str, number: int) -> None:
        """As the service would have left them: sent, their links used or expired, settled."""
        self.run(
            database,
            f"""
            INSERT INTO settled_letters (id, kind, state, address, client, message_id, asked_at, deadline_at, attempts,
                                         account_id, admitted_at, sent_at, finished_at, relay, reply, link, link_at)
            SELECT lpad(to_hex(CAST(at * 1000 AS bigint)), 12, '0') || md5('id' || n), 'reset', 'sent', 'other' || n || '@bench.example', '192.0.2.1', md5('message' || n),
                   at, at + 14400, 1, md5('account' || n), at, at, at + 1,
                   '127.0.0.1:25', '250 2.0.0 Ok', CASE n % 2 WHEN 0 THEN 'used' ELSE 'expired' END, at + 1800
            FROM (SELECT n, extract(epoch FROM now()) - {_DAY} - ({number} - n) * {_DAYS * _DAY / number} AS at
                  FROM generate_series(0, {number - 1}) AS n) AS made
            """,  # noqa: S608 -- constants of ours
            "VACUUM ANALYZE settled_letters",
            "CHECKPOINT",
        )

    def count(self, database: str, condition: str) -> int:
        (row,) = self.run(database, f"SELECT count(*) AS n FROM letters WHERE {condition}")  # noqa: S608 -- a figure's own
        return int(row["n"])

    def wal(self) -> int:
        """Octets of the log that were ever written."""
        (row,) = self.run("postgres", "SELECT pg_current_wal_lsn() - '0/0' AS octets")
        return int(row["octets"])


@functools.cache
def _password_hash() -> str:
    from argon2 import PasswordHasher

    defaults = Settings.model_fields
    return PasswordHasher(
        memory_cost=defaults["argon2_memory"].default,
        time_cost=defaults["argon2_time"].default,
        parallelism=defaults["argon2_parallelism"].default,
    ).hash("the same for everybody")


@contextmanager
def postgres_house() -> Iterator[House]:
    server = postgres.Server(Path(tempfile.mkdtemp(prefix="resetsvc-pg-")), settings=_SETTINGS)
    try:
        yield House(server)
    finally:
        server.remove()


# ---- the service on it ----


def environment(house: House, database: str, place: Place) -> dict[str, str]:
    """The settings of one that accepts, and does not deliver."""
    return {
        **resetsvc_environment(place),
        "RESETSVC_DATABASE_URL": house.url(database),
        "RESETSVC_DISPATCH": "false",
    }


def bare_settings(house: House, database: str) -> dict[str, str]:
    """The same where nothing is served and nothing is mailed."""
    return environment(house, database, Place(1, Path(), "127.0.0.1", 1, "all"))


def contender(bench: Bench, house: House, database: str) -> Contender:
    return replace(
        bench.contender("resetsvc-accepting"),
        environment=lambda place: environment(house, database, place),
        make_database=None,
    )


def place_on(bench: Bench, relay: Relay) -> Place:
    """A port and a folder for one that accepts."""
    return Place(free_port(), bench.new_folder("postgresql"), "127.0.0.1", relay.port, "all")


def dispatching(bench: Bench, house: House, database: str, place: Place) -> AbstractContextManager[Program]:
    return running(
        resetsvc_dispatch_command(place),
        core=None,
        log=bench.new_folder("dispatch") / "dispatch.log",
        env={**environment(house, database, place), "RESETSVC_DISPATCH": "true"},
        folder=place.folder,
    )
