"""Migrations on PostgreSQL: from nothing, twice, two processes at once, dying in the middle, and where they may not."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from resetsvc.errors import DatabaseUnsuitable, DatabaseUnusable, SchemaTooNew
from resetsvc.store import schema
from resetsvc.store.database import Store
from tests.store.test_schema import ALL, HALF_A_MIGRATION, MIGRATE, add_migration, migrations, upgrade_from
from tests.support import postgres

__all__ = ["migrations"]  # the fixture


@pytest.fixture
def url() -> Iterator[str]:
    """A database with nothing in it."""
    url = postgres.new_database(migrated=False)
    yield url
    postgres.drop_database(url)


def tables(url: str) -> set[str]:
    found = postgres.run_sql(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in found}


def columns(url: str) -> list[dict[str, object]]:
    return postgres.run_sql(
        url,
        "SELECT table_name, column_name, data_type, column_default FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
    )


def test_a_database_is_made_from_nothing_and_a_second_time_changes_nothing(url: str) -> None:
    schema.upgrade(url)
    assert tables(url) == ALL
    before = columns(url)
    schema.upgrade(url)
    assert columns(url) == before


def test_no_length_is_enforced_so_that_no_outcome_is_refused(url: str) -> None:
    schema.upgrade(url)
    bounded = [c for c in columns(url) if c["data_type"] == "character varying"]
    assert [(c["table_name"], c["column_name"]) for c in bounded] == [("alembic_version", "version_num")]


def test_the_hot_table_is_vacuumed_often(url: str) -> None:
    schema.upgrade(url)
    ((options),) = postgres.run_sql(url, "SELECT reloptions FROM pg_class WHERE relname = 'letters'")
    assert "autovacuum_vacuum_scale_factor=0.01" in options["reloptions"]


def test_four_processes_migrate_at_once(url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", MIGRATE, url], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    told = [process.communicate(timeout=60)[1] for process in processes]
    assert ([process.returncode for process in processes], told) == ([0] * 4, [""] * 4)
    assert tables(url) == ALL
    assert postgres.run_sql(url, "SELECT version_num FROM alembic_version") == [
        {"version_num": schema.REVISION}
    ]


@pytest.mark.parametrize("from_nothing", [True, False])
def test_a_migration_that_dies_in_the_middle_leaves_everything_as_it_was(
    from_nothing: bool, url: str, migrations: Path
) -> None:
    if not from_nothing:
        schema.upgrade(url)
        postgres.run_sql(url, "INSERT INTO mutes VALUES ('1', 2.0)")
    before = columns(url)
    add_migration(migrations, f"{HALF_A_MIGRATION}raise RuntimeError('in the middle')")
    with pytest.raises(RuntimeError, match="in the middle"):
        upgrade_from(str(migrations), url)
    assert columns(url) == before
    add_migration(migrations, HALF_A_MIGRATION)  # mended, it goes through
    upgrade_from(str(migrations), url)
    assert tables(url) == ALL - {"mutes"} | {"halves"}


def test_a_database_of_a_newer_version_is_left_alone(url: str) -> None:
    schema.upgrade(url)
    postgres.run_sql(url, "UPDATE alembic_version SET version_num = '9999'")
    before = columns(url)
    with pytest.raises(SchemaTooNew):
        schema.upgrade(url)
    assert columns(url) == before


async def test_a_database_of_another_program_is_told_and_left_alone(url: str) -> None:
    postgres.run_sql(url, "CREATE TABLE accounts (name text)")
    before = columns(url)
    with pytest.raises(DatabaseUnusable, match="already exists"):
        await Store(url).migrate()
    assert columns(url) == before


async def test_a_role_that_may_create_nothing_is_told_so(url: str) -> None:
    role = f"nobody_{urlsplit(url).path[-12:]}"
    postgres.run_sql(url, postgres.create_role(role))
    with pytest.raises(DatabaseUnsuitable, match="permission denied for schema public"):
        await Store(postgres.as_role(url, role)).migrate()
    assert tables(url) == set()
    postgres.run_sql(url, f"DROP ROLE {role}")
