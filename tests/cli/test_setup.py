"""`keygen` and `migrate`."""

import asyncio
import sqlite3
from pathlib import Path

from resetsvc.store.schema import REVISION
from tests.cli.conftest import Command
from tests.cli.processes import environment, run


def test_each_key_is_another_one_and_good_enough_to_sign_with(resetsvc: Command) -> None:
    keys = [resetsvc("keygen").stdout for _ in range(20)]
    assert len(set(keys)) == 20
    for key in keys:
        assert key.endswith("\n")
        assert len(key.strip()) == 43  # 256 bits in base64
        resetsvc.set(secret_key=key.strip())
    assert resetsvc("migrate").exit_code == 0


def test_keygen_needs_no_settings(resetsvc: Command) -> None:
    resetsvc.env = {}
    assert resetsvc("keygen").exit_code == 0


def test_migrate_makes_the_database_and_may_run_again(resetsvc: Command) -> None:
    for _ in range(2):
        result = resetsvc("migrate")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == f"The schema is at revision {REVISION}.\n"
    with sqlite3.connect(resetsvc.folder / "resetsvc.db") as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISION,)]
    connection.close()


async def test_two_that_migrate_at_once_both_succeed(tmp_path: Path) -> None:
    env = environment(tmp_path)
    ended = await asyncio.gather(*(run("migrate", env=env, cwd=tmp_path) for _ in range(2)))
    assert [one.code for one in ended] == [0, 0], [one.err for one in ended]


def test_a_database_of_a_later_version_is_left_alone(resetsvc: Command) -> None:
    resetsvc("migrate")
    with sqlite3.connect(resetsvc.folder / "resetsvc.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for command in (["migrate"], ["letters", "list"], ["serve", "--bind", "127.0.0.1:0"], ["dispatch"]):
        result = resetsvc(*command)
        assert result.exit_code == 2, command
        assert "newer version" in result.stderr.splitlines()[-1]
