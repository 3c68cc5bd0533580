"""How an application's database is reached: one statement a batch, through a pooler, and by TLS to nobody but it."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiosqlite
import asyncpg
import pytest
from sqlalchemy import event

from resetsvc.accounts import table
from resetsvc.accounts.engines import open_engine
from resetsvc.accounts.place import mysql_arguments, parse_place
from resetsvc.errors import CannotStore, SetupError
from tests.accounts.conftest import HASH, MEMBERS, OLD, Opened
from tests.accounts.databases import Database, Postgresql, insert
from tests.support import mariadb, postgres
from tests.support.certificates import CertificateKind, write_ca_file, write_server_files
from tests.support.pgbouncer import pgbouncer_before, tls_before
from tests.support.ports import own_ports

ANN = "ann@example.com"
Add = Callable[..., None]


async def test_all_letters_of_a_batch_are_looked_up_by_one_statement(
    opened: Opened, add: Add, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 31):
        add(number, f"person{number}@example.com")
    accounts = opened()
    said: list[str] = []
    event.listen(
        accounts._engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_rest: said.append(statement),
    )
    ask = aiosqlite.Connection.execute_fetchall

    def overheard(connection: aiosqlite.Connection, sql: str, *values: Any) -> Any:
        said.append(sql)
        return ask(connection, sql, *values)

    monkeypatch.setattr(
        aiosqlite.Connection, "execute_fetchall", overheard
    )  # a file's driver is asked directly
    addresses = [f"person{number}@example.com" for number in range(1, 301)]
    assert len(await accounts.find(addresses)) == 30
    assert [statement.split()[0] for statement in said] == ["SELECT"]
    # A longer list is cut, and nobody is forgotten at the seam.
    addresses = [f"nobody{number}@example.com" for number in range(990)] + [
        f"person{number}@example.com" for number in range(1, 31)
    ]
    assert len(await accounts.find(addresses)) == 30
    assert not await accounts.find([])


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_a_pooler_in_transaction_mode_is_no_obstacle(
    kind: str, opened: Opened, add: Add, database: Database
) -> None:
    add(1, ANN, stamp="old")
    async with pgbouncer_before(database.url) as through:
        accounts = opened(url=through, effects=[{"set": {"stamp": "{hex}"}}])
        for number in range(12):
            account = (await accounts.find([ANN]))[ANN]
            assert await accounts.get("1") == account
            assert await accounts.swap(None, account, HASH.hash(f"password {number}"))
        await accounts.close()
    assert HASH.verify(str(database.do('SELECT "password" AS p FROM members')[0]["p"]), "password 11")


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_postgresql_is_reached_by_tls_and_nobody_else_is_taken_for_it(
    kind: str, opened: Opened
) -> None:
    server = postgres.own_server()
    database = Postgresql()
    database.url = server.url("accounts_by_tls")
    postgres.run_sql(server.url(), "CREATE DATABASE accounts_by_tls")
    try:
        database.do(MEMBERS)
        insert(database, "members", {"id": 1, "email": ANN, "password": OLD})
        async with tls_before(database.url, "good") as through:
            accounts = opened(url=f"{through}&sslmode=verify-full")
            assert set(await accounts.find([ANN])) == {ANN}
            await accounts.close()
        async with tls_before(database.url, "wrong name") as through:
            accounts = opened(url=f"{through}&sslmode=verify-full")
            with pytest.raises(CannotStore):
                await accounts.find([ANN])
            await accounts.close()
    finally:
        postgres.run_sql(server.url(), "DROP DATABASE accounts_by_tls WITH (FORCE)")


@pytest.fixture(params=["good", "expired", "wrong name", "unknown CA"])
def certificate(request: pytest.FixtureRequest) -> CertificateKind:
    found: CertificateKind = request.param
    return found


@pytest.fixture
def tls_server(certificate: CertificateKind) -> Iterator[tuple[mariadb.Server, str]]:
    """A MariaDB that lets nobody in without TLS, and its address."""
    folder = Path(tempfile.mkdtemp(prefix="resetsvc-mariadb-tls-"))
    folder.chmod(0o755)
    write_ca_file(folder / "ca.pem")
    write_server_files(certificate, folder / "certificate.pem", folder / "key.pem")
    for file in folder.iterdir():
        file.chmod(0o644)
    with own_ports(1) as (port,):
        server = mariadb.Server(
            folder,
            "--bind-address=127.0.0.1",
            f"--port={port}",
            f"--ssl-cert={folder}/certificate.pem",
            f"--ssl-key={folder}/key.pem",
        )
        server.do(
            "CREATE DATABASE app",
            "CREATE USER 'resetsvc'@'%' IDENTIFIED BY 'hunter2' REQUIRE SSL",
            "GRANT ALL ON app.* TO 'resetsvc'@'%'",
        )
        server.do(MEMBERS.replace('"', "`"), database="app")
        server.do(f"INSERT INTO members (id, email, password) VALUES (1, '{ANN}', '{OLD}')", database="app")
        yield server, f"mysql://resetsvc:hunter2@127.0.0.1:{port}/app"
        server.remove()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("kind", ["mariadb"])
async def test_mariadb_is_reached_by_tls_and_nobody_else_is_taken_for_it(
    kind: str, certificate: CertificateKind, tls_server: tuple[mariadb.Server, str], opened: Opened
) -> None:
    server, url = tls_server
    accounts = opened(url=f"{url}?tls=verify&ca={server.folder}/ca.pem")
    if certificate == "good":
        assert set(await accounts.find([ANN])) == {ANN}
    else:
        with pytest.raises(CannotStore):
            await accounts.find([ANN])
    await accounts.close()
    # Without TLS the server lets nobody in; without the authority nobody vouches for it.
    for way in ("tls=none", "tls=verify"):
        accounts = opened(url=f"{url}?{way}")
        with pytest.raises(CannotStore):
            await accounts.find([ANN])
        await accounts.close()


def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    for name in ("nothing.pem", "empty.pem"):
        place = parse_place(f"mysql://u:hunter2@db.example/app?ca={tmp_path / name}")
        with pytest.raises(
            SetupError, match=rf"accounts.url names a ca that cannot be read, .*{name}: "
        ) as told:
            open_engine(place)
        assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_a_connection_that_was_given_up_while_it_was_set_up_is_closed(
    kind: str, opened: Opened, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody but its maker knows of it: it would stay open on the server."""
    made: list[asyncpg.Connection] = []

    async def hang(connection: asyncpg.Connection, *_: object, **__: object) -> None:
        made.append(connection)
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncpg.Connection, "set_type_codec", hang)
    monkeypatch.setattr(table, "FIND_WITHIN", 0.5)
    with pytest.raises(CannotStore):
        await opened().find([ANN])
    assert [connection.is_closed() for connection in made] == [True]


def test_to_another_machine_tls_is_on_unless_it_is_turned_off() -> None:
    ways = {
        "mysql://u:p@db.example/app": "verify",
        "mysql://u:p@db.example/app?tls=none": "none",
        "mysql://u:p@127.0.0.1/app": "none",
        "mysql://u:p@localhost/app?tls=verify": "verify",
        "mysql://u@/app?unix_socket=/run/s": "none",
    }
    assert {url: mysql_arguments(url)["tls"] for url in ways} == ways
