"""An application's database that is slow, locked, restarted, gone or not as described: in time, whole, and without words."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from resetsvc.accounts import table as table_module
from resetsvc.accounts.mapping import read_mapping
from resetsvc.accounts.table import TableAccounts
from resetsvc.clock import Clock
from resetsvc.errors import CannotStore
from resetsvc.passwords.hashing import Hasher
from resetsvc.store.address import parse_address
from resetsvc.store.postgres import connect
from tests.accounts.conftest import HASH, MAPPING, MEMBERS, OLD, Opened
from tests.accounts.databases import Database, insert, new_database
from tests.support import mariadb, postgres

ANN = "ann@example.com"
Add = Callable[..., None]


def hash_of(database: Database) -> str:
    return str(database.do('SELECT "password" FROM "members" WHERE "id" = 1')[0]["password"])


async def refused(work: object) -> list[str]:
    """The work is refused, and what is logged and raised of it holds no value."""
    with capture_logs() as logs, pytest.raises(CannotStore) as refusal:
        await work  # type: ignore[misc]  # an awaitable of any kind
    told = [*map(str, logs), repr(refusal.value.__cause__), str(refusal.value.__cause__)]
    assert not any("ann" in text or "$" in text for text in told)
    assert [log["event"] for log in logs] == ["accounts database failed"]
    return [log["why"] for log in logs]


@pytest.mark.parametrize("wrong", ["table", "column", "filter"])
async def test_a_description_that_does_not_fit_is_refused_and_changes_nothing(
    wrong: str, opened: Opened, add: Add, database: Database
) -> None:
    add(1, ANN)
    account = await opened().get("1")
    assert account is not None
    changes: dict[str, dict[str, object]] = {
        "table": {"table": "auth_user"},
        "column": {"columns": {"id": "id", "address": "email", "password": "pw"}},
        "filter": {"filter": "gone_at IS NULL"},
    }
    accounts = opened(**changes[wrong])
    await refused(accounts.find([ANN]))
    await refused(accounts.get("1"))
    await refused(accounts.swap(None, account, HASH.hash("new")))
    assert hash_of(database) == OLD


async def test_an_effect_that_breaks_a_rule_of_the_table_is_refused_without_its_values(
    opened: Opened, add: Add, database: Database
) -> None:
    database.do('CREATE UNIQUE INDEX "only_once" ON "members" ("stamp")')
    add(1, ANN)
    add(2, "bob@example.com", stamp="taken")
    accounts = opened(effects=[{"set": {"stamp": "taken", "remember": "{address}"}}])
    account = await accounts.get("1")
    assert account is not None
    await refused(accounts.swap(None, account, HASH.hash("new")))
    assert hash_of(database) == OLD


async def test_a_row_that_somebody_else_holds_is_given_up_in_time(
    opened: Opened, add: Add, database: Database
) -> None:
    add(1, ANN)
    accounts = opened()
    account = await accounts.get("1")
    assert account is not None
    async with held_row(database):
        async with asyncio.timeout(10):
            await refused(accounts.swap(None, account, HASH.hash("new")))
        assert hash_of(database) == OLD
        # Whoever only reads is not held up.
        async with asyncio.timeout(10):  # and if it were, that would be an error before
            assert set(await accounts.find([ANN])) == {ANN}
    assert await accounts.swap(None, account, HASH.hash("new"))


@asynccontextmanager
async def held_row(database: Database) -> AsyncIterator[None]:
    """Somebody else's open transaction that has changed the row."""
    change = "UPDATE members SET stamp = 'held' WHERE id = 1"
    match database.kind:
        case "sqlite":
            import sqlite3

            connection = sqlite3.connect(database.url.removeprefix("sqlite:///"), isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(change)
            yield
            connection.close()
        case "postgresql":
            driver = await connect(parse_address(database.url))
            await driver.execute("BEGIN")
            await driver.execute(change)
            yield
            await driver.close()
        case _:
            import pymysql

            held = pymysql.connect(
                unix_socket=str(mariadb.own_server().socket),
                user="root",
                database=database.url.split("/")[3].split("?")[0],
            )
            held.cursor().execute(change)
            yield
            held.close()


async def test_a_caller_who_hangs_up_neither_tears_a_change_nor_takes_a_connection_away(
    opened: Opened, add: Add, database: Database
) -> None:
    add(1, ANN)
    insert(database, "web_sessions", {"id": 1, "member": 1})
    accounts = opened(effects=[{"delete": "web_sessions", "where": {"member": "{id}"}}])
    account = await accounts.get("1")
    assert account is not None
    sealed = HASH.hash("new")
    caller = asyncio.create_task(accounts.swap(None, account, sealed))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    for _ in range(50):
        reader = asyncio.create_task(accounts.find([ANN]))
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
    await accounts.settled()
    assert hash_of(database) == sealed
    assert not database.do("SELECT * FROM web_sessions")
    assert accounts.connections_in_use() == 0
    assert set(await accounts.find([ANN])) == {ANN}


async def test_closing_finishes_what_was_begun(opened: Opened, add: Add, database: Database) -> None:
    add(1, ANN)
    accounts = opened()
    account = await accounts.get("1")
    assert account is not None
    sealed = HASH.hash("new")
    caller = asyncio.create_task(accounts.swap(None, account, sealed))
    await asyncio.sleep(0)
    await accounts.close()
    assert await caller
    assert hash_of(database) == sealed


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_a_restart_of_the_server_is_survived(kind: str, opened: Opened, tmp_path: Path) -> None:
    if kind == "postgresql" and postgres.server_url() != postgres.own_server().url():
        pytest.skip("that server is somebody else's: it cannot be stopped")
    server = postgres.own_server() if kind == "postgresql" else mariadb.own_server()
    database = new_database(kind, tmp_path)
    database.do(MEMBERS)
    insert(database, "members", {"id": 1, "email": ANN, "password": OLD})
    accounts = opened(url=database.url)
    account = await accounts.get("1")
    assert account is not None
    # Connections that have died meanwhile are not handed to anybody.
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    assert await accounts.get("1") == account
    await asyncio.to_thread(server.stop)
    try:
        async with asyncio.timeout(10):
            assert await refused(accounts.find([ANN]))
            assert await refused(accounts.get("1"))
            assert await refused(accounts.swap(None, account, HASH.hash("new")))
    finally:
        await asyncio.to_thread(server.start)
    assert set(await accounts.find([ANN])) == {ANN}
    assert hash_of(database) == OLD
    assert await accounts.swap(None, account, HASH.hash("new"))


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
async def test_a_server_that_never_answers_is_given_up_in_time(scheme: str, tmp_path: Path) -> None:
    hung_up = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()
        hung_up.set()

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    hasher = Hasher(memory_kib=8192, time_cost=1, parallelism=1, concurrency=1)
    mapping = read_mapping(MAPPING, url=f"{scheme}://u:hunter2@127.0.0.1:{port}/app")
    accounts = TableAccounts(mapping, hasher, Clock())
    async with silent, asyncio.timeout(20):  # else it would wait for ever
        await refused(accounts.find([ANN]))
        await accounts.close()
        await hung_up.wait()
    hasher.close()


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_a_file_that_is_not_there_is_refused_and_not_made(opened: Opened, tmp_path: Path) -> None:
    accounts = opened(url=f"sqlite:///{tmp_path}/nothing here.db")
    await refused(accounts.find([ANN]))
    assert not (tmp_path / "nothing here.db").exists()


async def test_a_statement_that_never_ends_is_cut_off(
    opened: Opened, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(1, ANN)
    accounts = opened()
    assert set(await accounts.find([ANN])) == {ANN}

    async def never(_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(table_module, "FIND_WITHIN", 0.05)
    monkeypatch.setattr(accounts, "_rows", never)
    assert await refused(accounts.find([ANN])) == ["TimeoutError"]
