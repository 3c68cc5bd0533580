"""The service works with exactly the rights that it says it needs; each of them taken away is missed."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from resetsvc.accounts.mapping import Mapping, read_mapping
from resetsvc.accounts.place import Kind
from resetsvc.accounts.rights import grants, needed_rights
from resetsvc.accounts.table import TableAccounts
from resetsvc.errors import CannotStore
from tests.accounts.conftest import HASH, MAPPING, Opened
from tests.accounts.databases import Database, Mariadb, Postgresql, insert
from tests.support import postgres

ANN = "ann@example.com"
Add = Callable[..., None]
KINDS = pytest.mark.parametrize("kind", ["postgresql", "mariadb"])  # SQLite has no roles

WIDE = {
    **MAPPING,
    "columns": {**MAPPING["columns"], "locale": "language"},
    "filter": "deleted_at IS NULL",
    "effects": [
        {"set": {"stamp": "{hex}", "changed_at": "{now}"}, "null": ["remember"]},
        {"delete": "web_sessions", "where": {"member": "{id}", "kind": "web"}},
        {"update": "devices", "set": {"trusted": False}, "where": {"owner": "{id}"}, "if_exists": True},
        {"delete": "not_there", "where": {"member": "{id}"}, "if_exists": True},
    ],
}


def in_schema(schema: str) -> dict[str, object]:
    """The same description for tables of a schema of their own."""
    effects = [
        {key: f"{schema}.{value}" if key in ("delete", "update") else value for key, value in effect.items()}
        for effect in WIDE["effects"]
    ]
    return {**WIDE, "table": f"{schema}.members", "effects": effects}


class Role:
    """A role of the application's database, that owns nothing."""

    def __init__(self, database: Postgresql | Mariadb) -> None:
        self._database = database
        self.name = f"role_{uuid4().hex[:12]}"
        if isinstance(database, Postgresql):
            self.written = self.name
            database.do(postgres.create_role(self.name))
        else:
            self.written = f"'{self.name}'@'localhost'"
            database.do(f"CREATE USER {self.written} IDENTIFIED BY '{postgres.ROLE_PASSWORD}'")

    @property
    def url(self) -> str:
        return self._database.url_of(self.name)

    def allow(self, *statements: str) -> None:
        self._database.do(*statements)

    def drop(self) -> None:
        if isinstance(self._database, Postgresql):
            self._database.do(f"DROP OWNED BY {self.name}", f"DROP ROLE {self.name}")
        else:
            self._database.do(f"DROP USER {self.written}")


@pytest.fixture
def role(database: Database) -> Iterator[Role]:
    assert isinstance(database, Postgresql | Mariadb)
    database.do('CREATE TABLE "devices" ("id" INTEGER PRIMARY KEY, "owner" INTEGER, "trusted" BOOLEAN)')
    insert(database, "devices", {"id": 1, "owner": 1, "trusted": True})
    insert(database, "web_sessions", {"id": 1, "member": 1, "kind": "web"})
    made = Role(database)
    yield made
    made.drop()


def mapping(url: str) -> Mapping:
    return read_mapping(WIDE, url=url)


def needed_grants(database: Database, role: Role, described: dict[str, object] | None = None) -> list[str]:
    found = read_mapping(described or WIDE, url=database.url)
    return [text for text in grants(found, role.written) if "not_there" not in text]


async def change(accounts: TableAccounts) -> bool:
    account = (await accounts.find([ANN]))[ANN]
    again = await accounts.get(account.id)
    assert again == account
    return await accounts.swap(None, account, HASH.hash("a new password of hers"))


@KINDS
async def test_exactly_these_rights_are_enough(
    kind: str, role: Role, database: Database, opened: Opened, add: Add
) -> None:
    add(1, ANN, stamp="old", remember="me", second_factor="kept")
    role.allow(*needed_grants(database, role))
    assert await change(opened(url=role.url, **WIDE))
    (row,) = database.do('SELECT * FROM "members"')
    assert HASH.verify(row["password"], "a new password of hers")
    assert row["stamp"] != "old"
    assert row["remember"] is None
    assert row["second_factor"] == "kept"
    assert not database.do('SELECT * FROM "web_sessions"')
    assert not database.do('SELECT * FROM "devices"')[0]["trusted"]


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_exactly_these_rights_are_enough_in_a_schema_of_its_own(
    kind: str, role: Role, database: Database, opened: Opened, add: Add
) -> None:
    add(1, ANN, stamp="old")
    tables = ("members", "web_sessions", "devices")
    database.do("CREATE SCHEMA shop", *(f"ALTER TABLE {table} SET SCHEMA shop" for table in tables))
    described = in_schema("shop")
    role.allow(*needed_grants(database, role, described))
    accounts = opened(url=role.url, **described)
    assert await change(accounts)
    (row,) = database.do("SELECT * FROM shop.members")
    assert HASH.verify(row["password"], "a new password of hers")
    assert row["stamp"] != "old"
    assert not database.do("SELECT * FROM shop.web_sessions")
    role.allow(f"REVOKE USAGE ON SCHEMA shop FROM {role.written}")
    with pytest.raises(CannotStore):
        await change(accounts)


@KINDS
async def test_without_any_one_of_them_nothing_is_changed(
    kind: str, role: Role, database: Database, opened: Opened, add: Add
) -> None:
    """So none is asked for that is not needed."""
    add(1, ANN)
    before = database.do('SELECT * FROM "members"')
    whole = mapping(database.url)
    accounts = opened(url=role.url, **WIDE)
    tried = 0
    for rights in needed_rights(whole):
        if rights.table == "not_there":
            continue
        every = [("SELECT", name) for name in sorted(rights.reads)]
        every += [("UPDATE", name) for name in sorted(rights.changes)]
        every += [("DELETE", "")] if rights.deletes else []
        for right, name in every:
            role.allow(*needed_grants(database, role))
            column = f' ("{name}")' if name else ""
            role.allow(f'REVOKE {right}{column} ON "{rights.table}" FROM {role.written}')
            with pytest.raises(CannotStore):
                await change(accounts)
            tried += 1
    assert tried == 15
    assert database.do('SELECT * FROM "members"') == before
    assert database.do('SELECT * FROM "web_sessions"')


def test_the_rights_of_a_preset_are_read_off_it() -> None:
    found = {
        rights.table: rights
        for rights in needed_rights(read_mapping({"preset": "better_auth", "url": "sqlite:///a.db"}))
    }
    assert found["user"].reads == {"id", "email"}
    assert found["user"].changes == set()
    assert found["account"].reads == {"userId", "providerId", "password"}
    assert found["account"].changes == {"password", "updatedAt"}
    assert found["session"].deletes
    assert not found["session"].if_exists


def test_a_schema_that_is_named_has_to_be_allowed_as_well() -> None:
    for url, first in {
        "postgresql://u@h/d": 'GRANT USAGE ON SCHEMA "shop" TO r',
        "mysql://u@h/d": "GRANT SELECT (`deleted_at`,",
    }.items():
        found = list(grants(read_mapping(in_schema("shop"), url=url), "r"))
        assert found[0].startswith(first)
        assert not any("USAGE" in text for text in found[1:])
    assert not any("USAGE" in text for text in grants(mapping("postgresql://u@h/d"), "r"))


def test_grants_are_written_as_each_server_reads_them() -> None:
    for url, expected in {
        "postgresql://u@h/d": 'GRANT SELECT ("email", "id", "is_active", "password"), UPDATE ("password") ON "auth_user" TO r',
        "mysql://u@h/d": "GRANT SELECT (`email`, `id`, `is_active`, `password`), UPDATE (`password`) ON `auth_user` TO r",
    }.items():
        found = read_mapping({"preset": "django", "url": url})
        assert next(grants(found, "r")) == expected
        assert found.place.kind in (Kind.POSTGRESQL, Kind.MYSQL)
