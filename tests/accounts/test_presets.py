"""Each preset on the tables of its framework, on each database that it runs on: what a change touches, and that nothing else is."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from resetsvc.accounts.mapping import preset_names, read_mapping
from resetsvc.accounts.table import TableAccounts
from resetsvc.clock import Clock
from resetsvc.passwords.hashing import Hasher
from tests.accounts.databases import Database, insert, new_database
from tests.accounts.schemas import SCHEMAS, rows, statements

ANN, BOB = "ann@example.com", "bob@example.com"
# Each on as many databases as the framework itself; costs that a test can wait for.
COSTS: dict[str, dict[str, object]] = {
    "django": {"iterations": 1000},
    "flask_security": {"password_salt": "146585145368132386173505678016728509634"},
    "fastapi_users": {"memory_cost": 1024, "time_cost": 1, "parallelism": 1},
    "werkzeug": {"n": 1024},
    "laravel": {"rounds": 4},
    "devise": {"rounds": 4},
    "phoenix": {"rounds": 4},
    "better_auth": {},
    "wordpress": {"rounds": 4},
    "aspnet_identity": {"iterations": 1000},
}
ONLY = {"wordpress": ("mariadb",)}
CASES = [
    pytest.param(name, kind, id=f"{name}-{kind}")
    for name in SCHEMAS
    for kind in ONLY.get(name, ("sqlite", "postgresql", "mariadb"))
]
# What is another one afterwards, or gone. All else of every table is as it was.
CHANGED: dict[str, set[tuple[str, str]]] = {
    "django": {("auth_user", "password")},
    "flask_security": {("user", "password"), ("user", "fs_uniquifier")},
    "fastapi_users": {("user", "hashed_password")},
    "werkzeug": {("user", "password_hash")},
    "laravel": {("users", "password"), ("users", "remember_token"), ("users", "updated_at")},
    "devise": {
        ("users", "encrypted_password"),
        ("users", "reset_password_token"),
        ("users", "reset_password_sent_at"),
        ("users", "updated_at"),
    },
    "phoenix": {("users", "hashed_password"), ("users", "updated_at")},
    "better_auth": {("account", "password"), ("account", "updatedAt")},
    "wordpress": {("wp_users", "user_pass"), ("wp_users", "user_activation_key")},
    "aspnet_identity": {
        ("AspNetUsers", "PasswordHash"),
        ("AspNetUsers", "SecurityStamp"),
        ("AspNetUsers", "ConcurrencyStamp"),
    },
}
DELETED: dict[str, list[str]] = {
    "django": ["authtoken_token"],
    "fastapi_users": ["accesstoken"],
    "laravel": ["password_reset_tokens", "personal_access_tokens", "sessions"],
    "phoenix": ["users_tokens"],
    "better_auth": ["session"],
    "wordpress": ["wp_usermeta"],
}


def test_every_preset_is_tested_and_every_schema_has_one() -> None:
    assert set(SCHEMAS) == set(preset_names()) == set(COSTS) == set(CHANGED)


def mapping_of(preset: str, url: str) -> Any:
    return read_mapping({"preset": preset, "url": url, "hash": COSTS[preset]})


Made = Callable[..., tuple[Database, TableAccounts]]


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Made]:
    hasher = Hasher(memory_kib=8192, time_cost=1, parallelism=1, concurrency=2)
    opened: list[TableAccounts] = []

    def make(preset: str, kind: str) -> tuple[Database, TableAccounts]:
        database = new_database(kind, tmp_path)
        database.do(*statements(preset, kind))
        mapping = mapping_of(preset, database.url)
        for table, row in rows(preset, mapping.format.hash("an old password of hers")):
            if database.kind == "mariadb":  # where a backslash escapes
                row = {
                    name: value.replace("\\", "\\\\") if isinstance(value, str) else value
                    for name, value in row.items()
                }
            insert(database, table, row)
        opened.append(TableAccounts(mapping, hasher, Clock()))
        return database, opened[-1]

    yield make
    for accounts in opened:
        await accounts.close()
    hasher.close()


def contents(database: Database, preset: str) -> dict[str, list[dict[str, object]]]:
    names = [statement.split('"')[1] for statement in SCHEMAS[preset]]
    return {
        name: sorted(database.do(f'SELECT * FROM "{name}"'), key=lambda row: str(next(iter(row.values()))))
        for name in names
    }


@pytest.mark.parametrize(("preset", "kind"), CASES)
async def test_a_change_touches_what_the_framework_would_and_nothing_else(
    preset: str, kind: str, made: Made
) -> None:
    database, accounts = made(preset, kind)
    form = mapping_of(preset, database.url).format
    before = contents(database, preset)
    found = await accounts.find([ANN, BOB, "nobody@example.com"])
    assert set(found) == {ANN, BOB}
    assert found[ANN].active
    assert await accounts.get(found[ANN].id) == found[ANN]
    assert await accounts.swap(None, found[ANN], await accounts.seal("a new password of hers"))
    assert not await accounts.swap(None, found[ANN], await accounts.seal("another new one"))
    after = contents(database, preset)
    changed = {
        (table, column)
        for table, was in before.items()
        if len(was) == len(after[table])
        for one, other in zip(was, after[table], strict=True)
        for column in one
        if one[column] != other[column]
    }
    assert changed == CHANGED[preset]
    assert sorted(t for t in before if len(before[t]) != len(after[t])) == DELETED.get(preset, [])
    for table in DELETED.get(preset, []):
        gone = [row for row in before[table] if row not in after[table]]
        assert len(gone) == 1
        assert [row for row in before[table] if row not in gone] == after[table]
    # The one row that is another: Ann's.
    different = [
        (one, other)
        for table in {table for table, _ in CHANGED[preset]}
        for one, other in zip(before[table], after[table], strict=True)
        if one != other
    ]
    assert len(different) == 1
    old, new = different[0]
    password = accounts._description.columns.password
    assert form.verify(str(new[password]), "a new password of hers")
    assert not form.verify(str(new[password]), "an old password of hers")
    assert form.verify(str(old[password]), "an old password of hers")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
async def test_who_logs_in_by_others_only_gets_no_mail(kind: str, made: Made) -> None:
    database, accounts = made("better_auth", kind)
    database.do("DELETE FROM account WHERE id = 'account1'")
    assert set(await accounts.find([ANN, BOB])) == {BOB}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
async def test_tables_that_need_not_be_there_are_not_missed(kind: str, made: Made) -> None:
    database, accounts = made("laravel", kind)
    database.do(*[f'DROP TABLE "{name}"' for name in DELETED["laravel"]])
    found = await accounts.find([ANN])
    assert await accounts.swap(None, found[ANN], await accounts.seal("a new password of hers"))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_an_id_of_another_kind_is_nobodys(kind: str, made: Made) -> None:
    """As after the accounts were moved: links that were sent before are dead, and no more than that."""
    _, accounts = made("fastapi_users", kind)
    assert await accounts.get("0b0e5f6c-6f0e-4a51-8c55-1d5a0f1f6bff") is None


async def test_times_are_written_as_the_application_writes_them(made: Made) -> None:
    database, accounts = made("better_auth", "sqlite")
    found = await accounts.find([ANN])
    assert await accounts.swap(None, found[ANN], await accounts.seal("a new password of hers"))
    (row,) = database.do("""SELECT "updatedAt" FROM account WHERE id = 'account1'""")
    assert row["updatedAt"][10] == "T"
    assert row["updatedAt"].endswith("Z")
