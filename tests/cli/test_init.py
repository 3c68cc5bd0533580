"""`init`: from a few answers, or a database, to a configuration that works; and nothing is written over unasked."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from resetsvc.cli import main
from tests.accounts.databases import new_database
from tests.accounts.schemas import SCHEMAS, statements
from tests.cli.conftest import Command
from tests.support.relay_on_order import RelayOnOrder

ANSWERS = "https://reset.example.com\nsmtp://127.0.0.1:1025?tls=none\nExample <no-reply@example.com>\n"


def init(*options: str, stdin: str | None = None) -> Result:
    """As somebody who has not set anything yet."""
    result = CliRunner().invoke(main, ["init", *options], input=stdin, env={}, prog_name="resetsvc")
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def folder(resetsvc: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    # `init` leaves the file's name in the environment: it is taken away again.
    monkeypatch.setenv("RESETSVC_CONFIG", "")
    return resetsvc.folder


def application(folder: Path, preset: str) -> str:
    database = new_database("sqlite", folder)
    database.do(*statements(preset, "sqlite"))
    return database.url


def written(path: Path) -> dict[str, object]:
    return tomllib.loads(path.read_text("utf-8"))


def test_a_database_of_django_becomes_a_configuration_that_check_reads(folder: Path) -> None:
    url = application(folder, "django")
    result = init(stdin=f"{url}\n{ANSWERS}")
    assert "These look like the tables of django." in result.output
    path = folder / "resetsvc.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = written(path)
    key = found.pop("secret_key")
    assert len(str(key)) == 43
    assert str(key) not in result.output
    assert found == {
        "public_url": "https://reset.example.com",
        "smtp_url": "smtp://127.0.0.1:1025?tls=none",
        "mail_from": "Example <no-reply@example.com>",
        "accounts": {"preset": "django", "url": url},
    }
    lines = result.output.splitlines()
    assert next(line for line in lines if line.startswith("accounts columns")).split()[2] == "ok"
    assert next(line for line in lines if line.startswith("settings")).split()[1] == "ok"
    # Nobody listens there.
    assert result.exit_code == 1


@pytest.mark.parametrize("preset", list(SCHEMAS))
def test_each_framework_is_written_by_its_name(preset: str, folder: Path) -> None:
    result = init("--url", application(folder, preset), "--no-questions", "--output", "other.toml")
    assert result.exit_code == 0, result.output
    accounts = written(folder / "other.toml")["accounts"]
    assert isinstance(accounts, dict)
    assert accounts["preset"] == preset


def test_without_questions_what_is_missing_is_left_to_be_filled_in(folder: Path) -> None:
    result = init("--no-questions")
    assert result.exit_code == 0
    assert set(written(folder / "resetsvc.toml")) == {"secret_key"}
    assert '# public_url = "http://localhost:8000"' in (folder / "resetsvc.toml").read_text()


def test_without_a_database_accounts_are_the_built_in_ones(folder: Path) -> None:
    init(stdin=f"\n{ANSWERS}")
    assert "accounts" not in written(folder / "resetsvc.toml")


def test_a_file_that_is_there_is_left_alone(folder: Path) -> None:
    path = folder / "resetsvc.toml"
    path.write_text("# mine")
    path.chmod(0o644)
    result = init("--no-questions")
    assert result.exit_code == 2
    assert "resetsvc.toml is there already" in result.stderr
    assert path.read_text() == "# mine"
    assert init("--no-questions", "--force").exit_code == 0
    assert "secret_key" in written(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_whole_takes_the_place_of_none(folder: Path) -> None:
    """As on a full disk: the old one is there to its last byte, and nothing else is."""
    path = folder / "resetsvc.toml"
    path.write_text("# mine")
    before = sorted(folder.iterdir())
    result = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", sys.executable, "-m", "resetsvc", "init", "--no-questions", "--force"],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (
        1,
        "resetsvc: resetsvc.toml cannot be written: File too large\n",
    )
    assert path.read_text() == "# mine"
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("url", "code", "problem"),
    [
        ("oracle://u:hunter2@h/d", 2, "the URL is not of the form"),
        ("postgresql://u:hunter2@127.0.0.1:1/app", 1, "the database at 127.0.0.1:1/app cannot be used"),
        ("sqlite:///nothing.db", 1, "the database at nothing.db cannot be used"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_and_nothing_written(
    url: str, code: int, problem: str, folder: Path
) -> None:
    result = init("--url", url, "--no-questions")
    assert (result.exit_code, len(result.stderr.splitlines())) == (code, 1)
    assert problem in result.stderr
    assert "hunter2" not in result.output
    assert not (folder / "resetsvc.toml").exists()


def test_tables_that_nobody_knows_are_told_and_nothing_written(folder: Path) -> None:
    with sqlite3.connect(folder / "own.db") as connection:
        connection.execute("CREATE TABLE people (nr INTEGER PRIMARY KEY, mail TEXT, pw TEXT)")
    connection.close()
    url = f"sqlite:///{folder / 'own.db'}"
    result = init("--url", url, "--no-questions")
    assert result.exit_code == 1
    assert "none of the 1 tables there looks like" in result.stderr
    assert not (folder / "resetsvc.toml").exists()
    # Whoever knows better says so.
    assert init("--url", url, "--no-questions", "--preset", "werkzeug").exit_code == 0


def test_the_salt_of_flask_security_is_asked_for_and_not_shown(folder: Path) -> None:
    url = application(folder, "flask_security")
    result = init(stdin=f"{url}\na salt that nobody knows\n{ANSWERS}")
    assert "a salt that nobody knows" not in result.output
    accounts = written(folder / "resetsvc.toml")["accounts"]
    assert accounts == {
        "preset": "flask_security",
        "url": url,
        "hash": {"password_salt": "a salt that nobody knows"},
    }


def test_a_salt_of_flask_security_that_was_not_given_is_asked_for_before_anything_is_hashed(
    folder: Path,
) -> None:
    """A text in its place would be taken for the salt: no password that was set with it would log in."""
    url = application(folder, "flask_security")
    assert init("--url", url, "--no-questions").exit_code == 0
    text = (folder / "resetsvc.toml").read_text()
    assert '# password_salt = "…"' in text
    accounts = written(folder / "resetsvc.toml")["accounts"]
    assert accounts == {"preset": "flask_security", "url": url, "hash": {}}
    (folder / "resetsvc.toml").unlink()
    result = init(stdin=f"{url}\n\n{ANSWERS}")
    assert result.exit_code == 2
    assert "password_salt is missing: it is the application's SECURITY_PASSWORD_SALT" in result.output


def test_a_folder_that_is_not_there_is_told(folder: Path) -> None:
    result = init("--no-questions", "--output", "nowhere/resetsvc.toml")
    assert (result.exit_code, result.stderr) == (
        1,
        "resetsvc: nowhere/resetsvc.toml cannot be written: No such file or directory\n",
    )


def test_what_is_called_otherwise_is_written_out(folder: Path) -> None:
    with sqlite3.connect(folder / "own.db") as connection:
        connection.execute(
            "CREATE TABLE x1_users (ID INTEGER PRIMARY KEY, user_email, user_pass, user_activation_key)"
        )
        connection.execute("CREATE TABLE x1_usermeta (user_id INTEGER, meta_key, meta_value)")
    connection.close()
    result = init("--url", f"sqlite:///{folder / 'own.db'}", "--no-questions")
    assert "wordpress, with the users in x1_users" in result.output
    accounts = written(folder / "resetsvc.toml")["accounts"]
    assert isinstance(accounts, dict)
    assert accounts["table"] == "x1_users"
    assert accounts["effects"] == [
        {"set": {"user_activation_key": ""}},
        {"delete": "x1_usermeta", "where": {"user_id": "{id}", "meta_key": "session_tokens"}},
    ]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_the_rights_that_are_needed_stand_in_the_file_and_can_be_granted(kind: str, folder: Path) -> None:
    database = new_database(kind, folder)
    database.do(*statements("better_auth", kind))
    assert init("--url", database.url, "--no-questions").exit_code == 0
    text = (folder / "resetsvc.toml").read_text()
    role = "resetsvc" if kind == "postgresql" else "'resetsvc'@'%'"
    granted = [line.removeprefix("#   ") for line in text.splitlines() if line.startswith("#   GRANT ")]
    assert len(granted) == 3
    assert all(line.endswith(f" TO {role};") for line in granted)
    # The server takes them, for a role that there is.
    me = "CURRENT_USER" if kind == "postgresql" else "CURRENT_USER()"
    database.do(*[f"{line.rpartition(' TO ')[0]} TO {me}" for line in granted])


def test_rights_on_a_table_that_need_not_be_there_say_so(folder: Path) -> None:
    """Whoever pastes all of them would else meet an error at a table that is not there."""
    database = new_database("postgresql", folder)
    database.do(*statements("django", "postgresql"))
    assert init("--url", database.url, "--no-questions").exit_code == 0
    lines = (folder / "resetsvc.toml").read_text().splitlines()
    granted = {line.split('" TO ')[0].rpartition('"')[2]: line for line in lines if " ON " in line}
    assert granted["auth_user"].endswith(" TO resetsvc;")
    assert granted["authtoken_token"].endswith(" TO resetsvc;  -- if there is such a table")


async def test_a_configuration_that_was_just_written_is_in_order(folder: Path) -> None:
    url = application(folder, "django")
    async with RelayOnOrder() as relay:
        answers = f"{url}\nhttp://localhost:8000\n{relay.url}\nno-reply@example.com\n"
        result = await asyncio.to_thread(init, stdin=answers)
    assert result.exit_code == 0, result.output
