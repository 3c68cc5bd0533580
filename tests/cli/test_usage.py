"""Wrong use and wrong settings: one line on stderr, exit code 2, never a traceback, never a secret."""

from pathlib import Path

import pytest

from resetsvc.version import __version__
from tests.cli.conftest import Command
from tests.cli.processes import SECRETS, one_line, run

COMMANDS = [
    ["serve"],
    ["dispatch"],
    ["migrate"],
    ["accounts", "disable", "ann@example.com"],
    ["letters", "list"],
    ["letters", "show", "abc"],
    ["letters", "retry", "--failed"],
    ["audit", "list"],
    ["audit", "verify"],
]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["--nonsense"], "No such option"),
        (["serve", "--nonsense"], "No such option"),
        (["serve", "--bind"], "requires an argument"),
        (["serve", "--config", "."], "is a directory"),
        (["dispatch", "now"], "unexpected extra argument"),
        (["dev", "--port", "0"], "not in the range"),
        (["dev", "--port", "http"], "not a valid integer"),
        (["accounts", "add", "ann@example.com"], "--password-stdin"),
        (["accounts", "add", "not an address", "--password-stdin"], "not an email address"),
        (["accounts", "add", "a@b,c@d", "--password-stdin"], "not an email address"),
        (["accounts", "verify", "ann@example.com"], "--password-stdin"),
        (["accounts", "disable"], "Missing argument"),
        (["letters", "list", "--state", "lost"], "is not one of"),
        (["letters", "list", "--limit", "0"], "not in the range"),
        (["letters", "show"], "Missing argument"),
        (["letters", "show", "../etc"], "is not the id of a letter"),
        (["letters", "show", "%"], "is not the id of a letter"),
        (["letters", "show", ""], "is not the id of a letter"),
        (["letters", "retry"], "name letters, or say --failed"),
        (["letters", "retry", "abc", "--failed"], "name letters, or say --failed"),
        (["check", "--send-to", "nobody"], "not an email address"),
    ],
)
def test_wrong_use_is_told_in_one_line(arguments: list[str], problem: str, resetsvc: Command) -> None:
    result = resetsvc(*arguments)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert one_line(result.stderr), result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("group", [[], ["accounts"], ["letters"]])
def test_a_group_alone_shows_its_commands(group: list[str], resetsvc: Command) -> None:
    result = resetsvc(*group)
    assert result.exit_code == 2
    assert "Commands:" in result.output


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_no_failure(option: str, resetsvc: Command) -> None:
    for command in ([], *COMMANDS):
        result = resetsvc(*command[:2], option)
        assert result.exit_code == 0, command
        assert result.stdout.startswith("Usage: resetsvc")


def test_the_version_is_told(resetsvc: Command) -> None:
    assert resetsvc("--version").stdout == f"resetsvc, version {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_all_wrong_settings_are_named_at_once_and_without_their_values(
    command: list[str], resetsvc: Command
) -> None:
    resetsvc.env |= {
        "RESETSVC_SECRET_KEY": "short-secret",
        "RESETSVC_SMTP_URL": "smtp://user:hunter2@[broken",
        "RESETSVC_TOKEN_TTL": "soon",
        "RESETSVC_OPS_TOKEN": "tiny-ops",
        "RESETSVC_TOKEN_TLL": "60",
    }
    del resetsvc.env["RESETSVC_MAIL_FROM"]
    result = resetsvc(*command)
    assert result.exit_code == 2
    assert one_line(result.stderr), result.stderr
    for name in ("SECRET_KEY", "SMTP_URL", "TOKEN_TTL", "OPS_TOKEN", "MAIL_FROM is missing", "TOKEN_TLL"):
        assert f"RESETSVC_{name}" in result.stderr
    for secret in ("short-secret", "hunter2", "tiny-ops", "soon"):
        assert secret not in result.output
    assert not list(resetsvc.folder.glob("*.db")), "nothing has been started"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_that_cannot_be_opened_is_named(command: list[str], resetsvc: Command) -> None:
    (resetsvc.folder / "a file").write_text("")
    resetsvc.set(database_url=f"sqlite:///{resetsvc.folder}/a file/resetsvc.db")
    result = resetsvc(*command, *(["--bind", "127.0.0.1:0"] if command == ["serve"] else []))
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert "a file/resetsvc.db cannot be used" in last
    assert last.startswith("resetsvc: ")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_file_that_is_no_database_is_named(command: list[str], resetsvc: Command) -> None:
    (resetsvc.folder / "resetsvc.db").write_bytes(
        b"no database at all, but long enough to look like one" * 40
    )
    result = resetsvc(*command, *(["--bind", "127.0.0.1:0"] if command == ["serve"] else []))
    assert result.exit_code == 1
    assert "resetsvc.db" in result.stderr.splitlines()[-1]
    assert "not a database" in result.stderr.splitlines()[-1]


async def test_python_m_is_the_command(tmp_path: Path) -> None:
    ended = await run("--version", env={"PATH": "/usr/bin:/bin", "PYTHONWARNINGS": "error"}, cwd=tmp_path)
    assert (ended.code, ended.out, ended.err) == (0, f"resetsvc, version {__version__}\n", "")


async def test_a_process_tells_wrong_settings_in_one_line_too(tmp_path: Path) -> None:
    ended = await run("serve", env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path)
    assert ended.code == 2
    assert ended.out == ""
    assert one_line(ended.err), ended.err
    assert "RESETSVC_SECRET_KEY is missing" in ended.err


def test_settings_come_from_a_dotenv_and_a_toml_file_and_the_environment_wins(resetsvc: Command) -> None:
    folder = resetsvc.folder
    (folder / ".env").write_text(
        f"RESETSVC_SECRET_KEY={SECRETS['key']}\nRESETSVC_DATABASE_URL=sqlite:///from_dotenv.db\n"
    )
    (folder / ".env").chmod(0o600)
    (folder / "settings.toml").write_text(
        'public_url = "https://a.example"\nsmtp_url = "smtp://127.0.0.1:1?tls=none"\nmail_from = "a@b.example"\n'
        'database_url = "sqlite:///from_toml.db"\n'
    )
    resetsvc.env = {"RESETSVC_CONFIG": "settings.toml"}
    assert resetsvc("migrate").exit_code == 0
    assert (folder / "from_dotenv.db").exists()
    resetsvc.set(database_url="sqlite:///from_env.db")
    assert resetsvc("migrate").exit_code == 0
    assert (folder / "from_env.db").exists()
    assert not (folder / "from_toml.db").exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("public_url = ", "RESETSVC_CONFIG cannot be read"),
        ("secret_kay = 'planted-value'", "secret_kay (in the file named by RESETSVC_CONFIG) is no setting"),
        (None, "RESETSVC_CONFIG names a file that does not exist"),
    ],
)
def test_a_wrong_settings_file_is_named(content: str | None, problem: str, resetsvc: Command) -> None:
    if content is not None:
        (resetsvc.folder / "settings.toml").write_text(content)
    resetsvc.env["RESETSVC_CONFIG"] = "settings.toml"
    result = resetsvc("migrate")
    assert result.exit_code == 2
    assert problem in result.stderr
    assert "planted-value" not in result.output
    assert one_line(result.stderr)
