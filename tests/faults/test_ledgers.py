"""Ledgers outlive those who wrote them: what a line means after a kill."""

import sqlite3
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from resetsvc.store import schema
from tests.faults.ledgers import (
    ANSWERED,
    CLIENT,
    DATABASE,
    INITIAL_PASSWORD,
    NO_PASSWORD_WE_KNOW,
    SMTP,
    UNKNOWN,
    Account,
    ClientLedger,
    Ledgers,
    Mail,
    Request,
    client_of,
    number_of,
    password_of,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    schema.upgrade(f"sqlite:///{tmp_path / DATABASE}")
    return tmp_path


def test_a_request_without_its_second_line_was_never_answered(folder: Path) -> None:
    times = iter([1.0, 2.0, 3.0])
    client = ClientLedger(folder / CLIENT, lambda: next(times))
    first, second = client.leave("ask", "ann@people.test"), client.leave("change", "bob@people.test", "L1")
    client.come_back(first, ANSWERED, 200)  # and now the driver is killed: nothing is closed, nothing flushed
    assert Ledgers.read(folder).requests == [
        Request(first, "ask", "ann@people.test", 1.0, 3.0, ANSWERED, 200),
        Request(second, "change", "bob@people.test", 2.0, None, UNKNOWN, None, "L1"),
    ]
    client.close()


def test_a_torn_last_line_of_the_relays_ledger_counts_for_nothing(folder: Path) -> None:
    line = b'{"message_id": "<m1@machine.test>", "rcpt_tos": ["ann@people.test"], "wall_time": 5.5}\n'
    (folder / SMTP).write_bytes(line + line[:30])
    assert Ledgers.read(folder).mails == [Mail("m1", "ann@people.test", 5.5)]


@pytest.mark.parametrize("number", [0, 1, 255, 256, 65_536, (1 << 24) - 1])
def test_a_requests_number_comes_back_from_its_clients_address(number: int) -> None:
    assert number_of(client_of(number)) == number


@pytest.mark.parametrize("client", [None, "", "127.0.0.1", "::1", "unknown"])
def test_other_clients_have_no_number(client: str | None) -> None:
    assert number_of(client) is None


@pytest.mark.parametrize(
    ("password", "told"),
    [(INITIAL_PASSWORD, None), (password_of(3), 3), (password_of(4), 4), ("another", NO_PASSWORD_WE_KNOW)],
)
def test_the_database_tells_which_request_set_the_password(
    folder: Path, password: str, told: int | None
) -> None:
    stored = PasswordHasher(memory_cost=8192, time_cost=1, parallelism=1).hash(password)
    connection = sqlite3.connect(folder / DATABASE)
    with connection:
        connection.execute(
            "INSERT INTO accounts (id, address, password_hash, created_at, changed_at) VALUES ('a', 'a@b.test', ?, 0, 0)",
            (stored,),
        )
    connection.close()
    client = ClientLedger(folder / CLIENT, lambda: 1.0)
    client.next_number = 3
    client.leave("change", "a@b.test", "L1")
    client.leave("change", "a@b.test", "L2")
    client.close()
    assert Ledgers.read(folder).accounts == [Account("a", "a@b.test", active=True, password=told)]
