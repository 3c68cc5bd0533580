"""Accounts in an application's table, on each kind of database: found, read, and changed in one transaction or not at all."""

import asyncio
from collections.abc import Callable

import pytest

from resetsvc.accounts.engines import open_engine
from resetsvc.accounts.mapping import read_mapping
from resetsvc.accounts.sql import Statements
from resetsvc.accounts.table import TableAccounts
from resetsvc.errors import CannotStore
from tests.accounts.conftest import HASH, MAPPING, OLD, Opened
from tests.accounts.databases import Database, database_name, insert

ANN = "ann@example.com"
Add = Callable[..., None]


def stored(database: Database, number: int = 1) -> dict[str, object]:
    (row,) = database.do(f'SELECT * FROM "members" WHERE "id" = {number}')
    return row


async def test_accounts_are_found_by_their_addresses_and_strangers_are_not(opened: Opened, add: Add) -> None:
    add(1, ANN)
    add(2, "Bob@Example.com", is_active=False)
    found = await opened().find([ANN, "bob@example.com", "nobody@example.com"])
    assert set(found) == {ANN, "bob@example.com"}
    assert (found[ANN].id, found[ANN].address, found[ANN].active) == ("1", ANN, True)
    assert not found["bob@example.com"].active


async def test_mail_goes_to_the_address_as_it_is_on_record(opened: Opened, add: Add) -> None:
    add(1, "Ann.Smith@EXAMPLE.com")
    account = (await opened().find(["ann.smith@example.com"]))["ann.smith@example.com"]
    assert account.address == "Ann.Smith@example.com"


async def test_an_exact_comparison_finds_the_address_as_it_stands_alone(opened: Opened, add: Add) -> None:
    add(1, "Ann@example.com")
    add(2, "bob@example.com")
    assert set(await opened(compare="exact").find([ANN, "bob@example.com"])) == {"bob@example.com"}


async def test_a_column_of_capitals_is_looked_up_in_capitals(
    opened: Opened, add: Add, database: Database
) -> None:
    add(1, "Ann@example.com", stamp="ANN@EXAMPLE.COM")
    columns = {"id": "id", "address": "email", "password": "password", "lookup": "stamp"}
    found = await opened(compare="upper", columns=columns).find([ANN])
    assert found[ANN].address == "Ann@example.com"


async def test_a_collation_decides_and_lookalikes_are_left_out_all_the_same(
    opened: Opened, add: Add, database: Database
) -> None:
    """A column that takes accents and capitals for nothing: `ánn@` is somebody else."""
    if database.kind == "mariadb":
        database.do(
            "ALTER TABLE members MODIFY email VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
        )
    add(1, "Ánn@example.com")
    add(2, "Bob@example.com")
    found = await opened(compare="collation").find([ANN, "bob@example.com"])
    assert set(found) == ({"bob@example.com"} if database.kind == "mariadb" else set())


async def test_a_letter_that_only_looks_like_another_finds_nobody(opened: Opened, add: Add) -> None:
    add(1, "mi\u212ae@example.com")  # the Kelvin sign: many a lower() makes a k of it
    assert not await opened().find(["mike@example.com"])


async def test_a_domain_in_its_own_letters_is_found_as_well(opened: Opened, add: Add) -> None:
    add(1, "ann@bäcker.example")
    found = await opened().find(["ann@xn--bcker-gra.example"])
    assert found["ann@xn--bcker-gra.example"].address == "ann@xn--bcker-gra.example"


async def test_of_two_accounts_with_one_address_neither_gets_a_mail(opened: Opened, add: Add) -> None:
    add(1, ANN)
    add(2, "ANN@example.com")
    add(3, "bob@example.com")
    assert set(await opened().find([ANN, "bob@example.com"])) == {"bob@example.com"}


@pytest.mark.parametrize("password", [None, "", "!", "!abcdefghij", "social", "*", "$9$unknown$abc"])
async def test_who_has_no_password_gets_no_mail(password: str | None, opened: Opened, add: Add) -> None:
    add(1, ANN, password)
    accounts = opened()
    assert not await accounts.find([ANN])
    assert await accounts.get("1") is None


@pytest.mark.parametrize(
    "address", [None, "", "no address", "a@b@c", "ann@example.com\r\nBcc: eve@example.com"]
)
async def test_what_is_no_address_is_nobody(address: str | None, opened: Opened, add: Add) -> None:
    add(1, address)
    accounts = opened()
    assert not await accounts.find([ANN])
    assert await accounts.get("1") is None


async def test_an_account_is_read_by_its_id_and_what_is_no_id_is_nobody(opened: Opened, add: Add) -> None:
    add(1, ANN)
    accounts = opened()
    account = await accounts.get("1")
    assert account is not None
    assert account.address == ANN
    assert await accounts.get("2") is None


@pytest.mark.parametrize("address", [ANN, "Ann.B@EXAMPLE.com", "ann@BÜCHER.example"])
async def test_the_credential_after_a_change_is_foreseen(address: str, opened: Opened, add: Add) -> None:
    """To the letter: by it a change that was interrupted is known for ours."""
    add(1, address)
    accounts = opened()
    account = await accounts.get("1")
    assert account is not None
    sealed = await accounts.seal("a new password of hers")
    foreseen = accounts.credential_after(account, sealed)
    assert await accounts.swap(None, account, sealed)
    after = await accounts.get("1")
    assert after is not None
    assert after.credential == foreseen != account.credential


async def test_the_credential_changes_with_the_hash_and_with_the_address(
    opened: Opened, add: Add, database: Database
) -> None:
    add(1, ANN)
    accounts = opened()
    before = await accounts.get("1")
    database.do(f"UPDATE members SET password = '{HASH.hash('another one')}'")
    between = await accounts.get("1")
    database.do("UPDATE members SET email = 'ann@elsewhere.example'")
    after = await accounts.get("1")
    assert before is not None
    assert between is not None
    assert after is not None
    assert len({before.credential, between.credential, after.credential}) == 3


async def test_a_filter_makes_those_who_do_not_meet_it_nobody(
    opened: Opened, add: Add, database: Database
) -> None:
    add(1, ANN)
    add(2, "bob@example.com", deleted_at="2026-01-01 00:00:00")
    add(3, "cid@example.com", stamp="left")
    add(4, "dan@example.com", stamp="here")
    everybody = [ANN, "bob@example.com", "cid@example.com", "dan@example.com"]
    assert set(await opened(filter="deleted_at IS NULL").find(everybody)) == {*everybody} - {
        "bob@example.com"
    }
    assert set(await opened(filter=["deleted_at is not null"]).find(everybody)) == {"bob@example.com"}
    strict = opened(filter=["deleted_at IS NULL", "stamp = 'here'", "is_active = true", "id = 4"])
    assert set(await strict.find(everybody)) == {"dan@example.com"}
    assert await strict.get("1") is None
    # Whoever stops meeting it between the look and the change is not changed.
    account = await strict.get("4")
    assert account is not None
    database.do("UPDATE members SET stamp = 'left'")
    assert not await strict.swap(None, account, HASH.hash("new"))
    assert stored(database, 4)["password"] == OLD


async def test_the_language_of_an_account_is_read(opened: Opened, add: Add) -> None:
    add(1, ANN, language="pt-BR")
    add(2, "bob@example.com", language="x" * 50)
    columns = {"id": "id", "address": "email", "password": "password", "locale": "language"}
    found = await opened(columns=columns).find([ANN, "bob@example.com"])
    assert found[ANN].locale == "pt-BR"
    assert found["bob@example.com"].locale is None


async def test_the_name_of_an_account_is_read(opened: Opened, add: Add) -> None:
    add(1, ANN, remember="Ann Smith")
    add(2, "bob@example.com", remember="")
    columns = {"id": "id", "address": "email", "password": "password", "name": "remember"}
    found = await opened(columns=columns).find([ANN, "bob@example.com"])
    assert found[ANN].name == "Ann Smith"
    assert found["bob@example.com"].name is None


EVERYWHERE = [
    *(("INTEGER", yes, "0") for yes in ("1", "-1", "10")),
    ("SMALLINT", "2", "0"),
    ("BOOLEAN", "TRUE", "FALSE"),
    *(("NUMERIC(3,1)", yes, no) for yes, no in (("1", "0"), ("0.5", "-0.0"), ("10", "00.0"))),
    ("NUMERIC(20,10)", "0.0000000001", "0"),
    ("REAL", "0.5", "0"),
    *(("VARCHAR(9)", f"'{yes}'", f"'{no}'") for yes, no in (("true", "false"), ("T", "F"), ("yes", " No "))),
    *(
        ("VARCHAR(9)", f"'{yes}'", f"'{no}'")
        for yes, no in (("1", "0"), ("on", "Off"), ("y", "n"), ("0.1", "0.0"))
    ),
    ("VARCHAR(9)", "'x'", "''"),
    ("CHAR(5)", "'t'", "'f'"),
]
ACTIVE = [
    *((kind, *each) for each in EVERYWHERE for kind in ("sqlite", "postgresql", "mariadb")),
    ("sqlite", "BLOB", "x'01'", "x'00'"),
    ("sqlite", "BLOB", "x'31'", "x'30'"),
    ("postgresql", "BIT(1)", "B'1'", "B'0'"),
    ("postgresql", "BIT(9)", "B'000000010'", "B'000000000'"),
    ("postgresql", "BIT VARYING(9)", "B'10'", "B'00'"),
    ("postgresql", '"char"', "'1'", "'0'"),
    ("postgresql", "DOUBLE PRECISION", "0.5", "0"),
    ("postgresql", "JSONB", "'true'", "'false'"),
    ("mariadb", "BIT(1)", "b'1'", "b'0'"),
    ("mariadb", "BIT(16)", "b'1'", "b'0'"),
    ("mariadb", "TINYINT(1)", "1", "0"),
    ("mariadb", "BINARY(3)", "'1'", "'0'"),
    ("mariadb", "VARBINARY(9)", "'true'", "'false'"),
    ("mariadb", "VARCHAR(9) COLLATE utf8mb4_bin", "'true'", "'FALSE'"),
    ("mariadb", "ENUM('0', '1')", "'1'", "'0'"),
]


@pytest.mark.parametrize(("kind", "type_of_it", "yes", "no"), ACTIVE)
async def test_what_is_active_is_told_by_a_bit_a_number_or_a_word_too(
    kind: str, type_of_it: str, yes: str, no: str, opened: Opened, add: Add, database: Database
) -> None:
    database.do(f'ALTER TABLE "members" ADD COLUMN "state" {type_of_it}')
    for number, name in enumerate(("ann", "bob", "cid"), 1):
        add(number, f"{name}@example.com")
    for number, state in enumerate((yes, no), 1):
        database.do(f'UPDATE "members" SET "state" = {state} WHERE "id" = {number}')  # the third stays NULL
    columns = {"id": "id", "address": "email", "password": "password", "active": "state"}
    found = await opened(columns=columns).find([ANN, "bob@example.com", "cid@example.com"])
    assert {address: account.active for address, account in found.items()} == {
        ANN: True,
        "bob@example.com": False,
        "cid@example.com": False,
    }


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_an_id_of_bytes_that_its_text_does_not_find_is_nobodys(
    kind: str, opened: Opened, database: Database
) -> None:
    """A link to it would never work."""
    blob, written = ("BLOB", "x'616263'") if kind == "sqlite" else ("BYTEA", "'abc'::bytea")
    database.do(f'CREATE TABLE "others" ("id" {blob}, "email" VARCHAR(190), "password" VARCHAR(250))')
    database.do(f"INSERT INTO \"others\" VALUES ({written}, '{ANN}', '{OLD}')")
    columns = {"id": "id", "address": "email", "password": "password"}
    assert not await opened(table="others", columns=columns).find([ANN])


@pytest.mark.parametrize("kind", ["mariadb"])
async def test_a_column_of_bytes_is_read_as_text(
    kind: str, opened: Opened, add: Add, database: Database
) -> None:
    database.do("ALTER TABLE members MODIFY password VARBINARY(250), MODIFY email VARBINARY(190)")
    add(1, ANN)
    accounts = opened(compare="exact")
    assert set(await accounts.find([ANN])) == {ANN}
    assert await change(accounts)


@pytest.mark.parametrize("kind", ["mariadb"])
async def test_ids_that_are_no_text_are_nobodys(
    kind: str, opened: Opened, add: Add, database: Database
) -> None:
    """UUIDs as 16 bytes: what they would be changed into is found no more."""
    add(1, ANN)
    database.do("ALTER TABLE members DROP PRIMARY KEY, MODIFY id VARBINARY(16)")
    database.do("UPDATE members SET id = x'0b0e5f6c6f0e4a518c551d5a0f1f6b01'")
    assert not await opened().find([ANN])
    database.do(
        "UPDATE members SET id = x'00000001'"
    )  # text with NULs, which not every database of letters keeps
    assert not await opened().find([ANN])
    database.do("UPDATE members SET id = 'a text'")
    assert await change(opened(), "a text")


async def change(accounts: TableAccounts, number: str = "1") -> bool:
    account = await accounts.get(number)
    assert account is not None
    return await accounts.swap(None, account, await accounts.seal("a new password of hers"))


async def test_a_change_stores_the_new_hash_and_touches_nobody_else(
    opened: Opened, add: Add, database: Database
) -> None:
    add(1, ANN, second_factor="secret")
    add(2, "bob@example.com")
    before = database.do('SELECT * FROM "members" ORDER BY "id"')
    assert await change(opened())
    after = database.do('SELECT * FROM "members" ORDER BY "id"')
    assert HASH.verify(after[0]["password"], "a new password of hers")
    assert not HASH.verify(after[0]["password"], "an old password of hers")
    assert after[0] | {"password": OLD} == before[0]
    assert after[1] == before[1]


async def test_a_change_that_somebody_else_was_faster_with_changes_nothing(
    opened: Opened, add: Add, database: Database
) -> None:
    add(1, ANN)
    insert(database, "web_sessions", {"id": 1, "member": 1})
    accounts = opened(effects=[{"delete": "web_sessions", "where": {"member": "{id}"}}])
    account = await accounts.get("1")
    assert account is not None
    faster = HASH.hash("theirs")
    database.do(f"UPDATE members SET password = '{faster}'")
    assert not await accounts.swap(None, account, HASH.hash("ours"))
    assert stored(database)["password"] == faster
    assert database.do("SELECT * FROM web_sessions")


async def test_a_hash_that_differs_in_capitals_alone_is_another_one(
    opened: Opened, add: Add, database: Database
) -> None:
    """Most of MariaDB's collations take them for the same."""
    add(1, ANN)
    mapping = read_mapping(MAPPING, url=database.url)
    engine = open_engine(mapping.place)
    try:
        async with engine.begin() as connection:
            swap = Statements(mapping).swap(account_id="1", address=ANN, old=OLD.swapcase(), new="x")
            assert (await connection.execute(swap)).rowcount == 0
            swap = Statements(mapping).swap(account_id="1", address=ANN, old=OLD, new="x")
            assert (await connection.execute(swap)).rowcount == 1
    finally:
        await engine.dispose()


async def test_an_address_that_changed_meanwhile_keeps_a_change_away(
    opened: Opened, add: Add, database: Database
) -> None:
    """Between the look and the change there is a moment: so both are compared once more by the change itself."""
    add(1, ANN)
    mapping = read_mapping({**MAPPING, "filter": "is_active = true"}, url=database.url)
    engine = open_engine(mapping.place)
    try:
        for after in ("email = 'ann@elsewhere.example'", "email = 'ann@example.com', is_active = FALSE"):
            database.do(f"UPDATE members SET {after}")
            async with engine.begin() as connection:
                swap = Statements(mapping).swap(account_id="1", address=ANN, old=OLD, new="x")
                assert (await connection.execute(swap)).rowcount == 0
    finally:
        await engine.dispose()
    assert stored(database)["password"] == OLD


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_times_are_those_of_utc_wherever_the_database_is(
    kind: str, opened: Opened, add: Add, database: Database
) -> None:
    database.do(f"ALTER DATABASE {database_name(database.url)} SET timezone = 'Asia/Tokyo'")
    add(1, ANN)
    database.do('ALTER TABLE "members" ADD "seen_at" TIMESTAMP WITH TIME ZONE')
    assert await change(opened(effects=[{"set": {"changed_at": "{now}", "seen_at": "{now}"}}]))
    (ages,) = database.do(
        "SELECT abs(extract(epoch FROM (now() AT TIME ZONE 'UTC') - changed_at)) AS plain, "
        "abs(extract(epoch FROM now() - seen_at)) AS zoned FROM members"
    )
    assert ages["plain"] < 60
    assert ages["zoned"] < 60


async def test_of_many_changes_at_once_one_wins(opened: Opened, add: Add, database: Database) -> None:
    add(1, ANN)
    accounts = opened()
    account = await accounts.get("1")
    assert account is not None
    hashes = [HASH.hash(f"password {number}") for number in range(8)]
    won = await asyncio.gather(
        *(accounts.swap(None, account, sealed) for sealed in hashes), return_exceptions=True
    )
    assert won.count(True) == 1
    assert stored(database)["password"] == hashes[won.index(True)]


EFFECTS = [
    {"delete": "web_sessions", "where": {"member": "{id}", "kind": "web"}},
    {"set": {"stamp": "{base32}", "changed_at": "{now}"}, "null": ["remember"]},
    {"delete": "not_there", "where": {"member": "{id}"}, "if_exists": True},
]


async def test_the_effects_happen_with_the_change_and_to_this_account_alone(
    opened: Opened, add: Add, database: Database
) -> None:
    for number, address in ((1, ANN), (2, "bob@example.com")):
        add(number, address, stamp="old", remember="me", second_factor="kept")
        insert(database, "web_sessions", {"id": number, "member": number, "kind": "web"})
        insert(database, "web_sessions", {"id": 10 + number, "member": number, "kind": "api"})
    bob = stored(database, 2)
    assert await change(opened(effects=EFFECTS))
    ann = stored(database, 1)
    assert len(str(ann["stamp"])) == 32
    assert str(ann["changed_at"])[:2] == "20"
    assert ann["remember"] is None
    assert ann["second_factor"] == "kept"
    left = database.do('SELECT "id" FROM "web_sessions" ORDER BY "id"')
    assert [row["id"] for row in left] == [2, 11, 12]
    assert stored(database, 2) == bob


async def test_an_id_in_a_column_of_text_means_itself_alone(
    opened: Opened, add: Add, database: Database
) -> None:
    """As where one table holds what belongs to several kinds of owners. MySQL takes `1` and `1a` for the same number."""
    database.do('CREATE TABLE "notes" ("id" INTEGER PRIMARY KEY, "owner" VARCHAR(20))')
    for number, owner in enumerate(("1", "1a", "01", "2")):
        insert(database, "notes", {"id": number, "owner": owner})
    add(1, ANN)
    assert await change(opened(effects=[{"delete": "notes", "where": {"owner": "{id}"}}]))
    left = database.do('SELECT "owner" FROM "notes" ORDER BY "id"')
    assert [row["owner"] for row in left] == ["1a", "01", "2"]


async def test_an_effect_that_fails_leaves_the_password_as_it_was(
    opened: Opened, add: Add, database: Database
) -> None:
    add(1, ANN, stamp="old")
    insert(database, "web_sessions", {"id": 1, "member": 1, "kind": "web"})
    accounts = opened(effects=[*EFFECTS[:2], {"delete": "not_there", "where": {"member": "{id}"}}])
    with pytest.raises(CannotStore):
        await change(accounts)
    assert stored(database)["password"] == OLD
    assert stored(database)["stamp"] == "old"
    assert database.do("SELECT * FROM web_sessions")
