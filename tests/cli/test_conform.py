"""`accounts conform`: a description is tried on one account, and the account is as it was."""

import asyncio
import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from resetsvc.accounts import Account
from resetsvc.accounts.mapping import read_mapping
from resetsvc.accounts.table import TableAccounts
from resetsvc.cli.conform import Trial
from resetsvc.clock import Clock
from resetsvc.passwords.formats import format_named
from resetsvc.passwords.hashing import Hasher
from resetsvc.store.connection import Connection
from tests.cli.conftest import Command
from tests.cli.processes import one_line, running

PASSWORD = "Blaue Grüße über München ß"
FORMAT = format_named("django_pbkdf2_sha256", iterations=1000)
OLD = FORMAT.hash(PASSWORD)
OLDER = format_named("werkzeug_pbkdf2", iterations=1000).hash(PASSWORD)


class Members:
    """Another application's table, in a file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "members.db"
        self.do(
            "CREATE TABLE members (id INTEGER PRIMARY KEY, email TEXT, password TEXT, is_active INTEGER, stamp TEXT)",
            "CREATE TABLE sessions (member INTEGER)",
            f"INSERT INTO members VALUES (7, 'ann@example.com', '{OLD}', 1, 'a')",  # noqa: S608  # a hash of this file
            "INSERT INTO sessions VALUES (7), (8)",
        )

    def do(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    @property
    def row(self) -> tuple[Any, ...]:
        with closing(sqlite3.connect(self.path)) as connection:
            return tuple(connection.execute("SELECT password, stamp FROM members WHERE id = 7").fetchone())

    @property
    def sessions(self) -> list[int]:
        with closing(sqlite3.connect(self.path)) as connection:
            return [member for (member,) in connection.execute("SELECT member FROM sessions")]

    def described(self, **more: object) -> dict[str, Any]:
        return {
            "url": f"sqlite:///{self.path}",
            "table": "members",
            "columns": {"id": "id", "address": "email", "password": "password", "active": "is_active"},
            "hash": {"format": FORMAT.name, "iterations": 1000},
            "effects": [
                {"set": {"stamp": "{uuid}"}},
                {"delete": "sessions", "where": {"member": "{id}"}},
            ],
            **more,
        }


@pytest.fixture
def members(tmp_path: Path) -> Members:
    return Members(tmp_path)


@pytest.fixture
def conform(resetsvc: Command, members: Members) -> Callable[..., Result]:
    def run(password: str = PASSWORD, email: str = "ann@example.com", **more: object) -> Result:
        resetsvc.set(accounts=json.dumps(members.described(**more)))
        result = resetsvc("accounts", "conform", email, "--password-stdin", stdin=password)
        assert email not in result.output
        assert password not in result.output
        assert "pbkdf2_sha256$" not in result.output
        return result

    return run


def test_each_step_is_said_and_the_old_hash_is_back(conform: Callable[..., Result], members: Members) -> None:
    result = conform()
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "account: found, and mail would go to it",
        "stored hash: django_pbkdf2_sha256",
        "old password: right",
        "new hash: django_pbkdf2_sha256 written, with 2 effects",
        "read back: takes the new password and no longer the old one",
        "old hash: back in place",
    ]
    assert members.row[0] == OLD


def test_what_a_change_does_besides_is_done(conform: Callable[..., Result], members: Members) -> None:
    assert conform().exit_code == 0
    assert members.row[1] != "a"
    assert members.sessions == [8]


def test_a_wrong_password_changes_nothing(conform: Callable[..., Result], members: Members) -> None:
    result = conform(password="not the password of hers")
    assert result.exit_code == 1
    assert result.stderr == "resetsvc: old password: wrong, so nothing was changed\n"
    assert members.row == (OLD, "a")
    assert members.sessions == [7, 8]


def test_a_hash_of_before_the_configured_format_is_read(
    conform: Callable[..., Result], members: Members
) -> None:
    members.do(f"UPDATE members SET password = '{OLDER}'")  # noqa: S608  # the same
    result = conform()
    assert "stored hash: werkzeug_pbkdf2\n" in result.stdout
    assert "new hash: django_pbkdf2_sha256 written" in result.stdout
    assert (result.exit_code, members.row[0]) == (0, OLDER)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM members", "nobody has this address"),
        ("UPDATE members SET password = '!unusable'", "the hash is of no known format"),
        ("INSERT INTO members SELECT 8, email, password, 1, 'b' FROM members", "several have"),
        ("UPDATE members SET is_active = 0", "it is disabled"),
    ],
)
def test_an_account_that_would_get_no_mail_is_refused(
    statement: str, told: str, conform: Callable[..., Result], members: Members
) -> None:
    members.do(statement)
    result = conform()
    assert (result.exit_code, result.stdout) == (1, "")
    assert told in result.stderr
    assert one_line(result.stderr)


def test_a_column_that_cuts_is_seen_and_the_old_hash_is_back(
    conform: Callable[..., Result], members: Members
) -> None:
    members.do(
        "CREATE TRIGGER cuts AFTER UPDATE OF password ON members "  # noqa: S608  # the same
        f"WHEN new.password <> '{OLD}' AND length(new.password) > 20 "
        "BEGIN UPDATE members SET password = substr(new.password, 1, 20) WHERE id = new.id; END"
    )
    result = conform()
    assert result.exit_code == 1
    assert f"another text is stored (20 characters of {len(OLD)})" in result.stderr
    assert one_line(result.stderr)
    assert members.row[0] == OLD


def test_an_effect_that_fails_leaves_everything_as_it_was(
    conform: Callable[..., Result], members: Members
) -> None:
    result = conform(effects=[{"set": {"stamp": "b"}}, {"delete": "gone", "where": {"member": "{id}"}}])
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "resetsvc: new hash: the database did not do it (OperationalError SQLITE_ERROR)"
    )
    assert one_line(result.stderr)
    assert result.stdout.splitlines()[-1] == "old password: right"
    assert members.row == (OLD, "a")


def test_a_trigger_that_keeps_the_new_hash_is_told(conform: Callable[..., Result], members: Members) -> None:
    members.do(
        "CREATE TRIGGER keeps BEFORE UPDATE OF password ON members "
        f"WHEN new.password = '{OLD}' BEGIN SELECT RAISE(IGNORE); END"
    )
    result = conform()
    assert result.exit_code == 1
    assert "old hash: NOT put back" in result.stderr


def test_the_built_in_accounts_have_nothing_to_conform_to(resetsvc: Command) -> None:
    result = resetsvc("accounts", "conform", "ann@example.com", "--password-stdin", stdin=PASSWORD)
    assert result.exit_code == 2
    assert "no table of another application is configured" in result.stderr


class Stopped(TableAccounts):
    """One whose caller is stopped while a change is under way. `trial` is that caller."""

    trial: "asyncio.Task[None]"

    async def swap(self, unit: Connection | None, account: Account, sealed: str) -> bool:
        self.trial.cancel()
        await asyncio.sleep(0)  # the caller learns of it first
        return await super().swap(unit, account, sealed)


async def test_one_who_is_stopped_in_the_middle_puts_the_old_hash_back(members: Members) -> None:
    described = read_mapping(members.described())
    hasher = Hasher(memory_kib=8192, time_cost=1, parallelism=1, concurrency=1)
    accounts = Stopped(described, hasher, Clock())
    said: list[str] = []
    accounts.trial = asyncio.create_task(
        Trial(accounts, described, hasher, said.append).run("ann@example.com", PASSWORD)
    )
    try:
        with pytest.raises(asyncio.CancelledError):
            await accounts.trial
    finally:
        await accounts.close()
        hasher.close()
    assert said[-1] == "old password: right"
    # The change was made, as its effects tell, and the hash of it taken back.
    assert members.sessions == [8]
    assert members.row[0] == OLD


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGHUP])
async def test_whoever_stops_it_or_closes_the_terminal_leaves_the_old_hash(
    members: Members, tmp_path: Path, resetsvc: Command, stop: signal.Signals
) -> None:
    env = resetsvc.env | {"RESETSVC_ACCOUNTS": json.dumps(members.described())}
    with closing(sqlite3.connect(members.path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")  # the change has to wait
        async with running(
            "accounts", "conform", "ann@example.com", "--password-stdin", env=env, cwd=tmp_path
        ) as command:
            assert command.process.stdin is not None
            command.process.stdin.write(PASSWORD.encode())
            command.process.stdin.write_eof()
            await command.until(lambda said: "old password: right" in said)
            command.signal(stop)
            holder.execute("ROLLBACK")
            assert await command.ended() == 130
            await command.until(lambda said: "resetsvc: interrupted\n" in said)
    assert members.row[0] == OLD


def test_a_database_that_is_down_is_told_in_one_line(
    conform: Callable[..., Result], members: Members
) -> None:
    result = conform(url=f"sqlite:///{members.path}.gone")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("resetsvc: account: the database did not do it (")
    assert one_line(result.stderr)
