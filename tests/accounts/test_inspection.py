"""`check` on a mapping: what it sees, what is wrong with it, and what could be better; never an address, never a hash."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from resetsvc.accounts import engines, inspection
from resetsvc.accounts.inspection import inspect
from resetsvc.accounts.mapping import read_mapping
from resetsvc.accounts.recognition import Recognised, recognise_framework
from tests.accounts.conftest import HASH, MAPPING
from tests.accounts.databases import Database, Mariadb, Postgresql, database_name, new_database
from tests.accounts.schemas import SCHEMAS, statements
from tests.accounts.test_rights import WIDE, Role, in_schema, needed_grants

ANN = "ann@example.com"
Add = Callable[..., None]


async def findings(url: str, **changes: object) -> dict[str, tuple[bool, str]]:
    mapping = read_mapping({**MAPPING, **changes}, url=url)
    found = {name: (fine, seen) async for name, fine, seen in inspect(mapping)}
    assert "example.com" not in str(found)
    assert "pbkdf2_sha256$" not in str(found)
    assert "hunter2" not in str(found)
    return found


async def test_accounts_are_counted_by_what_becomes_of_them(database: Database, add: Add) -> None:
    for number in range(1, 5):
        add(number, f"person{number}@example.com")
    add(5, ANN)
    add(6, "Ann@Example.com")
    add(7, "bob@example.com", "!unusable")
    add(8, "cid@example.com", None)
    add(9, "not an address")
    add(10, "dan@example.com", "$2b$04$" + "a" * 53)
    add(11, None)
    found = await findings(database.url)
    assert list(found) == [
        "accounts", "accounts columns", "accounts rows", "accounts hashes", "accounts rights", "accounts index",
    ]  # fmt: skip
    assert all(fine for fine, _ in found.values()), found
    assert found["accounts"][1].endswith("table members")
    assert found["accounts columns"][1].startswith(
        "id id, address email, password password, active is_active"
    )
    assert found["accounts rows"][1] == (
        "11 accounts; addresses that belong to several accounts: 1 (no mail to any of these)"
    )
    assert found["accounts hashes"][1] == (
        "django_pbkdf2_sha256 8, bcrypt 1, none or unusable 2 (no mail), without an address 2 (no mail); "
        "new ones: django_pbkdf2_sha256"
    )


@pytest.mark.parametrize("kind", ["mariadb"])
async def test_addresses_and_hashes_of_bytes_are_read_as_a_reset_reads_them(
    kind: str, database: Database, add: Add
) -> None:
    database.do("ALTER TABLE members MODIFY password VARBINARY(250), MODIFY email VARBINARY(190)")
    add(1, ANN)
    assert (await findings(database.url, compare="exact"))["accounts hashes"] == (
        True,
        "django_pbkdf2_sha256 1; new ones: django_pbkdf2_sha256",
    )


async def test_accounts_whose_ids_are_bytes_are_told_as_those_who_get_no_mail(database: Database) -> None:
    column, uuid, text = {
        "sqlite": ("BLOB", "x'0b0e5f6c6f0e4a518c551d5a0f1f6b01'", "'a text'"),
        "postgresql": ("BYTEA", r"'\x0b0e5f6c6f0e4a518c551d5a0f1f6b01'::bytea", ""),
        "mariadb": ("VARBINARY(16)", "x'0b0e5f6c6f0e4a518c551d5a0f1f6b01'", "'a text'"),
    }[database.kind]
    database.do(f'CREATE TABLE "others" ("id" {column}, "email" VARCHAR(190), "password" VARCHAR(250))')
    hashed = HASH.hash("the same for all")
    database.do(f"INSERT INTO \"others\" VALUES ({uuid}, '{ANN}', '{hashed}')")
    others = {"table": "others", "columns": {"id": "id", "address": "email", "password": "password"}}
    assert (await findings(database.url, **others))["accounts hashes"] == (
        False,
        "nobody would get a mail: column id holds bytes that are no text, and no letter can keep such an id",
    )
    if text:
        database.do(f"INSERT INTO \"others\" VALUES ({text}, 'bob@example.com', '{hashed}')")
        assert (await findings(database.url, **others))["accounts hashes"] == (
            True,
            "django_pbkdf2_sha256 2, with an id of bytes 1 (no mail); new ones: django_pbkdf2_sha256",
        )


async def test_a_sample_of_the_hashes_is_enough_and_said_to_be_one(
    database: Database, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 5):
        add(number, f"person{number}@example.com")
    monkeypatch.setattr(inspection, "SAMPLE", 3)
    found = await findings(database.url)
    assert found["accounts rows"][1] == "4 accounts"
    assert found["accounts hashes"][1].startswith("django_pbkdf2_sha256 3 (the first 3 rows alone);")


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_more_accounts_than_can_be_counted_are_no_failure(
    kind: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database gives up, as it is told to; all else is looked at."""
    fill(database, 10_001)
    database.do('ALTER TABLE "members" RENAME TO "others"')
    slow = "pg_sleep(0.001) IS NOT NULL" if kind == "postgresql" else "sleep(0.001) = 0"
    database.do(f'CREATE VIEW "members" AS SELECT * FROM "others" WHERE {slow}')
    monkeypatch.setattr(engines, "STATEMENT_TIMEOUT", 1)
    monkeypatch.setattr(
        engines, "_POSTGRES_SETTINGS", engines._POSTGRES_SETTINGS | {"statement_timeout": "1000"}
    )
    monkeypatch.setattr(inspection, "SAMPLE", 20)
    found = await findings(database.url)
    assert found["accounts rows"] == (True, "more accounts than can be counted in some seconds")
    assert found["accounts hashes"][1].startswith("django_pbkdf2_sha256 20")
    assert "accounts index" in found


async def test_another_format_than_all_there_are_is_doubtful(database: Database, add: Add) -> None:
    add(1, ANN)
    fine, seen = (await findings(database.url, hash={"format": "bcrypt"}))["accounts hashes"]
    assert fine
    assert seen.startswith("warning: none of these is the format")


async def test_what_is_missing_is_named(database: Database) -> None:
    columns = {"id": "id", "address": "mail", "password": "pw", "locale": "language"}
    found = await findings(database.url, columns=columns, filter="gone_at IS NULL")
    fine, seen = found["accounts columns"]
    assert not fine
    for name in ("gone_at", "mail", "pw"):
        assert f"members has no column {name}" in seen
    assert "language" not in seen
    assert list(found) == ["accounts", "accounts columns"]
    _, seen = (await findings(database.url, effects=[{"set": {"stamp2": "{hex}"}}]))["accounts columns"]
    assert seen == "members has no column stamp2 that we may change"
    fine, seen = (await findings(database.url, effects=[{"delete": "nowhere", "where": {"a": "{id}"}}]))[
        "accounts columns"
    ]
    assert not fine
    assert seen == "there is no table nowhere"


async def test_a_table_that_need_not_be_there_is_told_as_that(database: Database, add: Add) -> None:
    add(1, ANN)
    effects = [{"delete": "nowhere", "where": {"a": "{id}"}, "if_exists": True}]
    fine, seen = (await findings(database.url, effects=effects))["accounts columns"]
    assert fine
    assert seen.endswith("1 effects (not there: nowhere, which need not be there)")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
async def test_a_wrong_preset_is_told_with_the_one_that_fits(kind: str, tmp_path: Path) -> None:
    database = new_database(kind, tmp_path)
    database.do(*statements("laravel", kind))
    mapping = read_mapping({"preset": "django", "url": database.url})
    found = {name: (fine, seen) async for name, fine, seen in inspect(mapping)}
    fine, seen = found["accounts columns"]
    assert not fine
    assert "there is no table auth_user" in seen
    assert "the tables look like those of laravel" in seen


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("preset", list(SCHEMAS))
def test_each_framework_is_recognised_by_its_tables(preset: str, kind: str, tmp_path: Path) -> None:
    database = new_database(kind, tmp_path)
    database.do(*statements(preset, kind))
    found: dict[str, set[str]] = {}
    for row in database.do(
        "SELECT m.name AS t, p.name AS c FROM sqlite_master m, pragma_table_info(m.name) p"
    ):
        found.setdefault(row["t"], set()).add(row["c"])
    assert recognise_framework(found) == Recognised(preset)


def test_a_custom_user_model_of_django_is_recognised() -> None:
    columns = {"id", "email", "password", "last_login", "is_active", "nickname"}
    found = {"shop_member": columns, "django_migrations": {"id"}}
    assert recognise_framework(found) == Recognised("django", {"table": "shop_member"})
    without = recognise_framework(found | {"shop_member": columns - {"is_active"}})
    assert without == Recognised("django", {"table": "shop_member", "columns": {"active": ""}})


def test_wordpress_under_another_prefix_is_recognised() -> None:
    found = {
        "x1_users": {"ID", "user_email", "user_pass", "user_activation_key"},
        "x1_usermeta": {"umeta_id", "user_id", "meta_key", "meta_value"},
    }
    recognised = recognise_framework(found)
    assert recognised is not None
    mapping = read_mapping({"preset": recognised.preset, "url": "mysql://u@h/d", **recognised.changes})
    assert mapping.table == "x1_users"
    assert [effect.delete for effect in mapping.effects] == [None, "x1_usermeta"]
    assert mapping.effects[0].set == {"user_activation_key": ""}


def test_other_tables_are_nobodys() -> None:
    assert recognise_framework({"users": {"id", "email"}, "members": {"id", "email", "password"}}) is None
    assert recognise_framework({}) is None


# ---- rights ----


@pytest.fixture
def role(database: Database) -> Iterator[Role]:
    assert isinstance(database, Postgresql | Mariadb)
    database.do('CREATE TABLE "devices" ("id" INTEGER PRIMARY KEY, "owner" INTEGER, "trusted" BOOLEAN)')
    made = Role(database)
    yield made
    made.drop()


async def rights(role: Role) -> tuple[bool, str]:
    mapping = read_mapping(WIDE, url=role.url)
    return {name: (fine, seen) async for name, fine, seen in inspect(mapping)}["accounts rights"]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_just_enough_rights_are_told_as_that(
    kind: str, role: Role, database: Database, add: Add
) -> None:
    add(1, ANN)
    role.allow(*needed_grants(database, role))
    assert await rights(role) == (True, "no more than is needed")


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_more_rights_than_are_needed_are_named(
    kind: str, role: Role, database: Database, add: Add
) -> None:
    add(1, ANN)
    database.do('CREATE TABLE "orders" ("id" INTEGER PRIMARY KEY)')
    role.allow(
        *needed_grants(database, role),
        f'GRANT SELECT, UPDATE, INSERT ON "members" TO {role.written}',
        f'GRANT SELECT ON "orders" TO {role.written}',
    )
    fine, seen = await rights(role)
    assert fine
    assert seen == (
        "warning: more than is needed: SELECT of 4 more columns of members, UPDATE of 6 more columns of members, "
        "INSERT on members, something on 1 more tables"
    )


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_an_administrator_is_more_than_is_needed(kind: str, database: Database, add: Add) -> None:
    add(1, ANN)
    fine, seen = (await findings(database.url))["accounts rights"]
    assert fine
    assert seen.startswith("warning: more than is needed: ")
    assert ("is a superuser" if kind == "postgresql" else "in every database") in seen


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_missing_rights_are_named(kind: str, role: Role, database: Database, add: Add) -> None:
    add(1, ANN)
    role.allow(
        *needed_grants(database, role),
        f'REVOKE DELETE ON "web_sessions" FROM {role.written}',
        f'REVOKE UPDATE ("password") ON "members" FROM {role.written}',
    )
    fine, seen = await rights(role)
    assert not fine
    assert seen == "missing: UPDATE (password) on members, DELETE on web_sessions"


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_a_right_that_is_no_matter_here_hides_none_that_is_missing(
    kind: str, role: Role, database: Database, add: Add
) -> None:
    add(1, ANN)
    more = (
        f"ALTER ROLE {role.written} CREATEDB"
        if kind == "postgresql"
        else f"GRANT CREATE VIEW, SELECT ON `{database_name(database.url)}`.* TO {role.written}"
    )
    role.allow(*needed_grants(database, role), f'REVOKE DELETE ON "web_sessions" FROM {role.written}', more)
    assert await rights(role) == (False, "missing: DELETE on web_sessions")


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_a_table_of_the_same_name_in_another_schema_is_another_table(
    kind: str, role: Role, database: Database, add: Add
) -> None:
    add(1, ANN)
    other = f"other_{uuid4().hex[:12]}"
    everything = f'GRANT ALL ON "{other}"."web_sessions" TO {role.written}'
    database.do(
        f'CREATE SCHEMA "{other}"',
        f'CREATE TABLE "{other}"."web_sessions" AS SELECT * FROM "web_sessions"',
        f'CREATE TABLE "{other}"."members" AS SELECT * FROM "members"',
    )
    enough = needed_grants(database, role)
    role.allow(*enough, f'REVOKE DELETE ON "web_sessions" FROM {role.written}', everything)
    assert await rights(role) == (False, "missing: DELETE on web_sessions")
    role.allow(*enough)
    assert await rights(role) == (True, "warning: more than is needed: something on 1 more tables")


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_a_schema_that_we_may_not_use_is_named(
    kind: str, role: Role, database: Database, add: Add
) -> None:
    add(1, ANN)
    tables = ("members", "web_sessions", "devices")
    database.do("CREATE SCHEMA shop", *(f"ALTER TABLE {table} SET SCHEMA shop" for table in tables))
    described = in_schema("shop")
    use, *others = needed_grants(database, role, described)
    role.allow(*others)
    fine, seen = (await findings(role.url, **described))["accounts columns"]
    assert not fine
    assert seen.startswith("shop.members cannot be seen: missing is USAGE on schema shop; ")
    role.allow(use)
    assert (await findings(role.url, **described))["accounts rights"] == (True, "no more than is needed")


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_a_public_schema_that_was_closed_is_named(
    kind: str, role: Role, database: Database, add: Add
) -> None:
    add(1, ANN)
    role.allow(*needed_grants(database, role), "REVOKE ALL ON SCHEMA public FROM PUBLIC")
    fine, seen = (await findings(role.url))["accounts columns"]
    assert not fine
    assert seen == "members cannot be seen: missing is USAGE on schema public"
    role.allow(f"GRANT USAGE ON SCHEMA public TO {role.written}")
    assert (await findings(role.url))["accounts columns"][0]


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_a_table_that_is_named_in_two_ways_is_one_table(
    kind: str, role: Role, database: Database, add: Add
) -> None:
    add(1, ANN)
    with_schema = {"update": "public.members", "set": {"changed_at": "{now}"}, "where": {"id": "{id}"}}
    role.allow(*needed_grants(database, role))
    mapping = read_mapping({**WIDE, "effects": [*WIDE["effects"], with_schema]}, url=role.url)
    found = {name: (fine, seen) async for name, fine, seen in inspect(mapping)}
    assert found["accounts rights"] == (True, "no more than is needed")


@pytest.mark.parametrize("kind", ["mariadb"])
async def test_rights_that_come_by_a_role_are_seen(
    kind: str, role: Role, database: Database, add: Add
) -> None:
    """And those that come by a role of that role."""
    add(1, ANN)
    outer, inner = f"outer_{role.name}", f"inner_{role.name}"
    accounts, *others = needed_grants(database, role)
    role.allow(
        f"CREATE ROLE {outer}",
        f"CREATE ROLE {inner}",
        f"GRANT {inner} TO {outer}",
        f"GRANT {outer} TO {role.written}",
        f"SET DEFAULT ROLE {outer} FOR {role.written}",
        accounts.replace(role.written, inner),
        *(grant.replace(role.written, outer) for grant in others),
    )
    assert await rights(role) == (True, "no more than is needed")
    here = database_name(database.url)
    role.allow(f"GRANT SELECT ON `{here}`.* TO {inner}", f'GRANT INSERT ON "members" TO {outer}')
    assert await rights(role) == (
        True,
        f"warning: more than is needed: has SELECT in every table of {here}, INSERT on members",
    )
    role.allow(f'REVOKE DELETE ON "web_sessions" FROM {outer}')
    assert await rights(role) == (False, "missing: DELETE on web_sessions")


@pytest.mark.parametrize("kind", ["mariadb"])
async def test_all_privileges_are_more_than_is_needed_and_lack_nothing(
    kind: str, role: Role, database: Database, add: Add
) -> None:
    add(1, ANN)
    role.allow(
        *(f'GRANT ALL ON "{table}" TO {role.written}' for table in ("members", "web_sessions", "devices"))
    )
    fine, seen = await rights(role)
    assert fine
    assert seen.startswith("warning: more than is needed: SELECT of 4 more columns of members, ")


@pytest.mark.parametrize("kind", ["mariadb"])
async def test_a_table_without_transactions_is_doubtful(kind: str, database: Database, add: Add) -> None:
    add(1, ANN)
    database.do("ALTER TABLE members ENGINE = MyISAM")
    _, seen = (await findings(database.url))["accounts rights"]
    assert "a change could be left half done, without transactions in members" in seen


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_a_file_that_cannot_be_written_is_told(
    kind: str, database: Database, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(1, ANN)
    assert (await findings(database.url))["accounts rights"] == (
        True,
        "the file and its folder can be written",
    )
    monkeypatch.setattr("os.access", lambda _path, mode: mode != 2)  # who runs the tests may write anything
    fine, _ = (await findings(database.url))["accounts rights"]
    assert not fine


# ---- indexes ----


def fill(database: Database, number: int) -> None:
    hashed = HASH.hash("the same for all")
    rows = ", ".join(f"({n}, 'person{n}@example.com', '{hashed}')" for n in range(1, number + 1))
    database.do(f'INSERT INTO "members" ("id", "email", "password") VALUES {rows}')
    if database.kind != "sqlite":
        database.do("ANALYZE members" if database.kind == "postgresql" else "ANALYZE TABLE members")


async def test_a_look_up_that_reads_a_large_table_from_end_to_end_is_doubtful(database: Database) -> None:
    fill(database, 10_001)
    fine, seen = (await findings(database.url))["accounts index"]
    assert fine
    assert seen.startswith("warning: each look-up reads all of 10,001 rows; to end that: ")
    if not isinstance(database, Mariadb):
        # What it says to do does end it.
        database.do(seen.partition("to end that: ")[2])
        assert (await findings(database.url))["accounts index"] == (True, "look-ups go by one")
        return
    assert 'compare = "collation"' in seen
    database.do('CREATE INDEX by_email ON "members" ("email")')
    found = await findings(database.url, compare="collation")
    assert found["accounts index"] == (True, "look-ups go by one")


async def test_a_small_table_needs_no_index(database: Database, add: Add) -> None:
    add(1, ANN)
    assert (await findings(database.url))["accounts index"] == (
        True,
        "1 accounts are few enough to do without one",
    )


# ---- what cannot be reached ----


@pytest.mark.parametrize(
    "url", ["postgresql://u:hunter2@127.0.0.1:1/app", "mysql://u:hunter2@127.0.0.1:1/app"]
)
async def test_a_database_that_is_down_is_told_and_ends_it(url: str) -> None:
    ((name, (fine, seen)),) = (await findings(url)).items()
    assert name == "accounts"
    assert not fine
    assert seen.startswith("the database at 127.0.0.1")


async def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    ((_, (fine, seen)),) = (await findings(f"sqlite:///{tmp_path}/nothing.db")).items()
    assert not fine
    assert "FileNotFoundError" in seen
    assert not (tmp_path / "nothing.db").exists()
