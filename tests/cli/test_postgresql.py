"""The commands on PostgreSQL: who migrates and who does not, and one clear line, with exit 2, for what cannot work."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from resetsvc.store.schema import REVISION
from tests.cli.conftest import Command
from tests.cli.processes import environment, run
from tests.support import postgres

COMMANDS = (
    ["letters", "list"],
    ["serve", "--bind", "127.0.0.1:0"],
    ["dispatch"],
    ["accounts", "disable", "a@example.com"],
)


@pytest.fixture
def url() -> Iterator[str]:
    """A database with nothing in it."""
    url = postgres.new_database(migrated=False)
    yield url
    postgres.drop_database(url)


def tables(url: str) -> int:
    (row,) = postgres.run_sql(url, "SELECT count(*) AS n FROM pg_tables WHERE schemaname = 'public'")
    return int(row["n"])


def last_line(text: str) -> str:
    return text.splitlines()[-1]


async def test_two_that_migrate_at_once_both_succeed_and_the_trail_says_so_once(
    tmp_path: Path, url: str
) -> None:
    env = environment(tmp_path, database_url=url)
    ended = await asyncio.gather(*(run("migrate", env=env, cwd=tmp_path, within=60) for _ in range(2)))
    assert [(one.code, one.err) for one in ended] == [(0, "")] * 2
    assert {one.out for one in ended} == {f"The schema is at revision {REVISION}.\n"}
    events = postgres.run_sql(url, "SELECT event FROM audit")
    assert [row["event"] for row in events] == ["schema_migrated"]


def test_nothing_but_migrate_makes_a_schema(resetsvc: Command, url: str) -> None:
    resetsvc.set(database_url=url)
    for command in COMMANDS:
        result = resetsvc(*command)
        assert result.exit_code == 2, command
        assert "run `resetsvc migrate`" in last_line(result.stderr)
    assert tables(url) == 0
    assert resetsvc("migrate").exit_code == 0
    assert resetsvc("letters", "list").exit_code == 0
    checked = resetsvc("check").stdout.splitlines()
    assert [line.split()[1] for line in checked if line.startswith("database")] == ["ok"]


@pytest.mark.parametrize(("revision", "told"), [("0001", "resetsvc migrate"), ("9999", "newer version")])
def test_another_schema_is_told_in_one_line(revision: str, told: str, resetsvc: Command, url: str) -> None:
    resetsvc.set(database_url=url)
    resetsvc("migrate")
    postgres.run_sql(url, f"UPDATE alembic_version SET version_num = '{revision}'")  # noqa: S608 -- of the table above
    for command in (*COMMANDS, *([["migrate"]] if revision == "9999" else [])):
        result = resetsvc(*command)
        assert result.exit_code == 2, command
        assert told in last_line(result.stderr)
    assert postgres.run_sql(url, "SELECT version_num FROM alembic_version") == [{"version_num": revision}]


@pytest.mark.parametrize("command", [["migrate"], *COMMANDS], ids=" ".join)
@pytest.mark.parametrize("wrong", ["database", "role"])
def test_a_database_or_a_role_that_is_not_there_is_named(
    wrong: str, command: list[str], resetsvc: Command, url: str
) -> None:
    changed = (
        postgres.with_database(url, "no_such_thing")
        if wrong == "database"
        else postgres.as_role(url, "no_such_thing")
    )
    resetsvc.set(database_url=changed)
    result = resetsvc(*command)
    assert result.exit_code == 2
    assert "no_such_thing" in last_line(result.stderr)
    assert "hunter2" not in result.output


def test_a_server_that_does_not_answer_is_named_and_may_be_tried_again(resetsvc: Command) -> None:
    resetsvc.set(database_url=f"postgresql://u:hunter2@/resetsvc?host={resetsvc.folder}")
    for command in (["migrate"], *COMMANDS):
        result = resetsvc(*command)
        assert result.exit_code == 1, command
        assert f"the database {resetsvc.folder}/resetsvc cannot be used" in last_line(result.stderr)
        assert "hunter2" not in result.output


def test_a_role_without_permissions_is_told_what_it_lacks(resetsvc: Command, url: str) -> None:
    role = f"poor_{urlsplit(url).path[-12:]}"
    resetsvc.set(database_url=postgres.as_role(url, role))
    postgres.run_sql(url, postgres.create_role(role))
    refused = resetsvc("migrate")
    assert (refused.exit_code, tables(url)) == (2, 0)
    assert "permission denied for schema public" in last_line(refused.stderr)
    resetsvc.set(database_url=url)
    resetsvc("migrate")
    postgres.run_sql(url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    resetsvc.set(database_url=postgres.as_role(url, role))
    refused = resetsvc("letters", "list")
    assert refused.exit_code == 2
    assert "lacks permissions: INSERT on letters" in last_line(refused.stderr)
    postgres.run_sql(url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_wrong_password_is_told_as_such_and_not_repeated(resetsvc: Command) -> None:
    server = postgres.own_server()
    postgres.run_sql(server.url(), "CREATE DATABASE guarded", postgres.create_role("guarded"))
    postgres.run_sql(server.url("guarded"), "GRANT ALL ON SCHEMA public TO guarded")
    server.ask_for_password("guarded")
    resetsvc.set(database_url=postgres.as_role(server.url("guarded"), "guarded"))
    assert resetsvc("migrate").exit_code == 0
    resetsvc.set(database_url=postgres.as_role(server.url("guarded"), "guarded", "mellon123"))
    for command in (["migrate"], *COMMANDS):
        result = resetsvc(*command)
        assert result.exit_code == 2, command
        assert 'password authentication failed for user "guarded"' in last_line(result.stderr)
        assert "mellon123" not in result.output
    postgres.run_sql(
        server.url(), "DROP DATABASE guarded WITH (FORCE)", "DROP OWNED BY guarded", "DROP ROLE guarded"
    )


class OldServer:
    """Says at once that it is PostgreSQL 12, and answers nothing else."""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def message(kind: bytes, body: bytes) -> bytes:
            return kind + (len(body) + 4).to_bytes(4, "big") + body

        size = int.from_bytes(await reader.readexactly(4), "big")
        first = await reader.readexactly(size - 4)
        if first == (80877103).to_bytes(4, "big"):  # TLS? No.
            writer.write(b"N")
            size = int.from_bytes(await reader.readexactly(4), "big")
            await reader.readexactly(size - 4)
        said = {"server_version": "12.22", "in_hot_standby": "off", "default_transaction_read_only": "off"}
        writer.write(message(b"R", bytes(4)))
        for name, value in said.items():
            writer.write(message(b"S", f"{name}\0{value}\0".encode()))
        writer.write(message(b"K", bytes(8)) + message(b"Z", b"I"))
        await reader.read()
        writer.close()


async def test_a_server_that_is_too_old_is_told_its_version(tmp_path: Path) -> None:
    server = await asyncio.start_server(OldServer().answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    env = environment(tmp_path, database_url=f"postgresql://u:hunter2@127.0.0.1:{port}/resetsvc")
    async with server:
        for command in (["migrate"], ["serve", "--bind", "127.0.0.1:0"]):
            ended = await run(*command, env=env, cwd=tmp_path)
            assert ended.code == 2
            assert "the server is PostgreSQL 12, and resetsvc needs 14 or later" in last_line(ended.err)
            assert "hunter2" not in ended.said


@pytest.mark.parametrize(
    ("driver", "setting", "extra"),
    [
        ("asyncpg", {"database_url": "postgresql://u:hunter2@localhost/resetsvc"}, "postgres"),
        ("redis", {"limit_storage_url": "redis://u:hunter2@localhost"}, "redis"),
    ],
)
async def test_a_missing_driver_is_told_with_what_to_install(
    driver: str, setting: dict[str, str], extra: str, tmp_path: Path
) -> None:
    """As in an installation without the extra: its import is answered as if it were not there."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfound = u.find_spec\n"
        f"u.find_spec = lambda name, *rest: None if name == '{driver}' else found(name, *rest)\n"
    )
    env = environment(tmp_path, **setting) | {"PYTHONPATH": str(tmp_path)}
    ended = await run("serve", "--bind", "127.0.0.1:0", env=env, cwd=tmp_path)
    assert ended.code == 2
    assert f"pip install 'resetsvc[{extra}]'" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert "hunter2" not in ended.said
