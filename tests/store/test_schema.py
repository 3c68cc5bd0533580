"""Migrations: from nothing, twice, two processes at once, killed in the middle, and after a newer version."""

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from resetsvc.errors import DatabaseUnusable, SchemaOutdated, SchemaTooNew
from resetsvc.store import kept_letters as kept
from resetsvc.store import schema
from resetsvc.store.database import Store
from tests.store.rows import new_letter, put


def tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        found = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        return {name for (name,) in found}
    finally:
        connection.close()


def dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def do(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


ROOT = Path(__file__).parent.parent.parent
ALL = {
    "letters",
    "attempts",
    "mutes",
    "changes",
    "events",
    "settled_letters",
    "accounts",
    "audit",
    "audit_head",
    "alembic_version",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "schema.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


def test_the_revision_of_the_code_is_alembics_newest() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.REVISION]


def test_a_database_is_made_from_nothing_and_a_second_time_changes_nothing(path: Path, url: str) -> None:
    schema.upgrade(url)
    assert tables(path) == ALL
    before = dump(path)
    schema.upgrade(url)
    assert dump(path) == before


async def test_a_store_brings_its_own_database_up_to_date_and_keeps_what_is_in_it(url: str) -> None:
    for count in (1, 2):
        store = Store(url)
        await store.open()
        assert await store.read(schema.current_revision) == schema.REVISION
        await put(store, new_letter())
        assert await store.read(kept.count_by_state) == {"queued": count}
        await store.close()


async def test_a_current_database_is_opened_without_a_migration(path: Path, url: str) -> None:
    """Several `serve` start at once, and one holds a write lock: the others need not wait for it."""
    await schema.upgrade_if_needed(url)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        async with asyncio.timeout(2):
            await schema.upgrade_if_needed(url)
    finally:
        connection.close()


MIGRATE = "import sys; from resetsvc.store import schema; schema.upgrade(sys.argv[1])"
OPEN = """
import asyncio, sys
from resetsvc.store.database import Store
async def main():
    store = Store(sys.argv[1])
    await store.open()
    await store.close()
asyncio.run(main())
"""


def test_two_processes_migrate_at_once(path: Path, url: str) -> None:
    """`resetsvc migrate` on one machine while `serve` starts on another."""
    processes = [
        subprocess.Popen([sys.executable, "-c", program, url], stderr=subprocess.PIPE, text=True)
        for program in (MIGRATE, OPEN)
    ]
    told = [process.communicate(timeout=30)[1] for process in processes]
    assert ([process.returncode for process in processes], told) == ([0, 0], ["", ""])
    assert tables(path) == ALL
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(schema.REVISION,)]
    connection.close()


async def test_a_migration_looks_at_nothing_before_it_has_the_lock(path: Path, url: str) -> None:
    """Two that both saw the old revision would both run what is missing."""
    schema.upgrade(url)
    begun, loop = asyncio.Event(), asyncio.get_running_loop()
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)
        loop.call_soon_threadsafe(begun.set)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", note)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        task = asyncio.create_task(asyncio.to_thread(schema.upgrade, url))
        await begun.wait()
        done, _ = await asyncio.wait([task], timeout=0.2)
        assert not done
        assert statements == ["BEGIN IMMEDIATE"]
    finally:
        holder.close()
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", note)
    await task


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """A copy of the migrations, to which a test adds one."""
    folder = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def add_migration(folder: Path, body: str) -> None:
    (folder / "versions" / "next.py").write_text(
        f'import sqlalchemy as sa\nfrom alembic import op\nrevision = "next"\ndown_revision = "{schema.REVISION}"\n'
        f"def upgrade():\n" + "".join(f"    {line}\n" for line in body.splitlines())
    )


def upgrade_from(folder: str, url: str) -> None:
    config = Config()
    config.set_main_option("script_location", folder)
    config.attributes["url"] = url
    command.upgrade(config, "head")


HALF_A_MIGRATION = """op.add_column("letters", sa.Column("half", sa.Text()))
op.create_table("halves", sa.Column("id", sa.Integer(), primary_key=True))
op.execute("UPDATE letters SET half = 'x'")
op.drop_table("mutes")
"""


@pytest.mark.parametrize("from_nothing", [True, False])
@pytest.mark.parametrize(
    "end", ["raise RuntimeError('in the middle')", "os.kill(os.getpid(), signal.SIGKILL)"]
)
def test_a_migration_that_dies_in_the_middle_leaves_everything_as_it_was(
    end: str, from_nothing: bool, path: Path, url: str, migrations: Path
) -> None:
    if not from_nothing:
        schema.upgrade(url)
        do(path, "INSERT INTO mutes VALUES ('1', 2.0)")
    before = dump(path)
    add_migration(migrations, f"import os, signal\n{HALF_A_MIGRATION}{end}")
    if "kill" in end:
        program = f"import sys; from {__name__} import upgrade_from; upgrade_from(*sys.argv[1:])"
        died = subprocess.run([sys.executable, "-c", program, str(migrations), url], timeout=30, cwd=ROOT)
        assert died.returncode == -signal.SIGKILL
    else:
        with pytest.raises(RuntimeError, match="in the middle"):
            upgrade_from(str(migrations), url)
    assert dump(path) == before
    add_migration(migrations, HALF_A_MIGRATION)  # mended, it goes through
    upgrade_from(str(migrations), url)
    assert tables(path) == ALL - {"mutes"} | {"halves"}


async def test_a_database_of_a_newer_version_is_left_alone(path: Path, url: str) -> None:
    schema.upgrade(url)
    do(path, "UPDATE alembic_version SET version_num = '9999'")
    before = dump(path)
    with pytest.raises(SchemaTooNew):
        await schema.upgrade_if_needed(url)
    with pytest.raises(SchemaTooNew):
        schema.upgrade(url)
    with pytest.raises(SchemaTooNew):
        await Store(url).open()
    assert dump(path) == before


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE letters (id INTEGER)"],
        ["CREATE TABLE accounts (name TEXT)", "INSERT INTO accounts VALUES ('somebody else')"],
    ],
)
async def test_a_database_of_another_program_is_told_and_left_alone(
    statements: list[str], path: Path, url: str
) -> None:
    do(path, *statements)
    before = dump(path)
    with pytest.raises(DatabaseUnusable, match="already exists"):
        await Store(url).open()
    assert dump(path) == before


async def test_an_empty_version_table_counts_as_no_schema(path: Path, url: str) -> None:
    do(path, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    await schema.upgrade_if_needed(url)
    assert tables(path) == ALL


def test_only_the_very_revision_is_current() -> None:
    schema.require_current(schema.REVISION)
    for older in (None, "", "0000"):
        with pytest.raises(SchemaOutdated):
            schema.require_current(older)
    with pytest.raises(SchemaTooNew):
        schema.require_current("9999")
