"""`accounts add`, `verify`, `disable`."""

import sqlite3
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.conftest import Command
from tests.cli.processes import one_line

PASSWORD = "Blaue Grüße über München ß"


def add(
    resetsvc: Command, address: str = "ann@example.com", password: str | bytes = PASSWORD, *more: str
) -> int:
    return resetsvc("accounts", "add", address, "--password-stdin", *more, stdin=password).exit_code


def verify(resetsvc: Command, address: str = "ann@example.com", password: str | bytes = PASSWORD) -> int:
    return resetsvc("accounts", "verify", address, "--password-stdin", stdin=password).exit_code


def test_an_account_is_added_and_its_password_verified(resetsvc: Command) -> None:
    assert add(resetsvc) == 0
    assert verify(resetsvc) == 0
    assert verify(resetsvc, password="another one altogether") == 1
    assert verify(resetsvc, "bob@example.com") == 1


def test_what_is_said_tells_wrong_from_right_and_not_wrong_from_unknown(resetsvc: Command) -> None:
    add(resetsvc)
    right = resetsvc("accounts", "verify", "ann@example.com", "--password-stdin", stdin=PASSWORD)
    wrong = resetsvc("accounts", "verify", "ann@example.com", "--password-stdin", stdin="wrong")
    unknown = resetsvc("accounts", "verify", "bob@example.com", "--password-stdin", stdin="wrong")
    assert right.output != wrong.output
    assert wrong.output == unknown.output
    for result in (right, wrong, unknown):
        assert PASSWORD not in result.output


def add_from(resetsvc: Command, file: Path, content: str | bytes) -> Result:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return resetsvc("accounts", "add", "--from", str(file), "--password-stdin", stdin=PASSWORD)


def test_a_file_of_addresses_is_added_at_once_and_may_be_added_again(
    resetsvc: Command, tmp_path: Path
) -> None:
    add(resetsvc, "ann@example.com", "the password that she has already")
    file = tmp_path / "known.txt"
    result = add_from(
        resetsvc, file, "ann@example.com\r\n\n bob@example.com\nBOB@EXAMPLE.COM\ncleo@example.com"
    )
    assert (result.exit_code, result.stdout) == (0, "2 added; 2 had an account already.\n")
    assert verify(resetsvc, "bob@example.com") == verify(resetsvc, "cleo@example.com") == 0
    assert verify(resetsvc, "ann@example.com") == 1, "hers is left alone"
    assert add_from(resetsvc, file, "bob@example.com").stdout == "0 added; 1 had an account already.\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("bob@example.com\nno address\n", "line 2 of the file is not an email address"),
        ("\n \n", "no address in the file"),
        (b"bob@example.com\n\xff\xfe\n", "not UTF-8"),
    ],
)
def test_of_a_file_with_a_mistake_nothing_is_added(
    content: str | bytes, told: str, resetsvc: Command, tmp_path: Path
) -> None:
    result = add_from(resetsvc, tmp_path / "known.txt", content)
    assert result.exit_code == 2
    assert one_line(result.stderr)
    assert told in result.stderr
    assert verify(resetsvc, "bob@example.com") == 1


@pytest.mark.parametrize("words", [[], ["ann@example.com", "--from", "known.txt"]])
def test_one_address_or_a_file_of_them_has_to_be_named(
    words: list[str], resetsvc: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "known.txt").write_text("bob@example.com\n")
    result = resetsvc("accounts", "add", *words, "--password-stdin", stdin=PASSWORD)
    assert result.exit_code == 2
    assert one_line(result.stderr)
    assert "--from" in result.stderr


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_the_end_of_the_line_is_no_part_of_the_password(end: str, resetsvc: Command) -> None:
    assert add(resetsvc, password=PASSWORD + end) == 0
    assert verify(resetsvc, password=PASSWORD) == 0
    assert verify(resetsvc, password=PASSWORD + "\n") == 0


def test_spaces_and_inner_lines_are_a_part_of_it(resetsvc: Command) -> None:
    assert add(resetsvc, password="  two\nlines  \n") == 0
    assert verify(resetsvc, password="  two\nlines  ") == 0
    assert verify(resetsvc, password="two\nlines") == 1
    assert verify(resetsvc, password="  two\nlines  \n\n") == 1


def test_one_keyboards_umlaut_is_anothers(resetsvc: Command) -> None:
    assert add(resetsvc, password="Gr\u00fc\u00dfe aus M\u00fcnchen") == 0
    assert verify(resetsvc, password="Gru\u0308\u00dfe aus Mu\u0308nchen") == 0


@pytest.mark.parametrize("stdin", [b"", b"\n", b"\r\n", b"\xff\xfe not UTF-8"])
@pytest.mark.parametrize("command", ["add", "verify"])
def test_no_password_on_standard_input_is_wrong_use(stdin: bytes, command: str, resetsvc: Command) -> None:
    result = resetsvc("accounts", command, "ann@example.com", "--password-stdin", stdin=stdin)
    assert result.exit_code == 2
    assert one_line(result.stderr), result.stderr
    assert "standard input" in result.stderr
    assert verify(resetsvc) == 1


def test_an_address_has_one_account_however_it_is_written(resetsvc: Command) -> None:
    assert add(resetsvc, "Ann@Example.com") == 0
    again = resetsvc(
        "accounts", "add", " ann@EXAMPLE.com ", "--password-stdin", stdin="another one altogether"
    )
    assert again.exit_code == 1
    assert again.stderr == "resetsvc: there is an account with this address already\n"
    assert verify(resetsvc, "ANN@example.COM") == 0


def test_addresses_beyond_ascii_work(resetsvc: Command) -> None:
    assert add(resetsvc, "jürgen@bücher.example") == 0
    assert verify(resetsvc, "jürgen@xn--bcher-kva.example") == 0


@pytest.mark.parametrize("locale", ["de", "pt-BR", "de_AT"])
def test_a_language_can_be_put_on_record(locale: str, resetsvc: Command) -> None:
    assert add(resetsvc, "ann@example.com", PASSWORD, "--locale", locale) == 0
    connection = sqlite3.connect(resetsvc.folder / "resetsvc.db")
    assert connection.execute("SELECT locale FROM accounts").fetchall() == [(locale,)]
    connection.close()


def test_what_is_no_language_is_wrong_use(resetsvc: Command) -> None:
    result = resetsvc(
        "accounts", "add", "ann@example.com", "--password-stdin", "--locale", "../x", stdin=PASSWORD
    )
    assert result.exit_code == 2
    assert "language tag" in result.stderr
    assert one_line(result.stderr)
    assert verify(resetsvc) == 1


def test_a_disabled_account_is_told_as_wrong(resetsvc: Command) -> None:
    add(resetsvc)
    for _ in range(2):
        result = resetsvc("accounts", "disable", "ANN@example.com")
        assert (result.exit_code, result.output) == (0, "Disabled.\n")
    assert verify(resetsvc) == 1


def test_who_has_no_account_cannot_be_disabled(resetsvc: Command) -> None:
    result = resetsvc("accounts", "disable", "ann@example.com")
    assert result.exit_code == 1
    assert result.stderr == "resetsvc: there is no account with this address\n"


def test_the_database_holds_no_password(resetsvc: Command) -> None:
    add(resetsvc)
    kept = b"".join(path.read_bytes() for path in resetsvc.folder.glob("resetsvc.db*"))
    assert b"ann@example.com" in kept
    assert b"$argon2id$" in kept
    assert PASSWORD.encode() not in kept


def test_the_built_in_table_is_left_alone_while_accounts_are_elsewhere(resetsvc: Command) -> None:
    resetsvc.set(accounts_url="sqlite:///shop.db", accounts_preset="django")
    result = resetsvc(
        "accounts", "add", "ann@example.com", "--password-stdin", stdin="four unrelated words here"
    )
    assert result.exit_code == 2
    assert "accounts are elsewhere" in result.stderr
