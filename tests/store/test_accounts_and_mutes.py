"""The built-in accounts, and the accounts whose owner asked for a day of rest."""

import asyncio

import pytest

from resetsvc.store import accounts as sql
from resetsvc.store import mutes
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store
from tests.store.rows import NOW


async def add(
    store: Store, account_id: str, address: str, *, locale: str | None = None, now: float = NOW
) -> bool:
    return await store.unit(
        lambda unit: sql.insert_account(
            unit,
            account_id=account_id,
            address=address,
            password_hash=f"hash of {account_id}",
            locale=locale,
            now=now,
        )
    )


async def found(store: Store, *addresses: str) -> dict[str, dict[str, object]]:
    rows = await store.read(lambda c: sql.find_accounts(c, addresses))
    return {row["address"]: dict(row) for row in rows}


async def swap(store: Store, account_id: str, old: str, new: str) -> bool:
    return await store.unit(
        lambda unit: sql.swap_password_hash(unit, account_id=account_id, old=old, new=new, now=NOW + 1)
    )


async def test_an_account_is_found_by_its_address_and_by_its_id(store: Store) -> None:
    assert await add(store, "1", "ann@example.com", locale="de")
    expected = {
        "id": "1",
        "address": "ann@example.com",
        "password_hash": "hash of 1",
        "locale": "de",
        "active": True,
    }
    assert await found(store, "ann@example.com", "nobody@example.com") == {"ann@example.com": expected}
    row = await store.read(lambda c: sql.get_account(c, "1"))
    assert row is not None
    assert dict(row) == expected
    assert await store.read(lambda c: sql.get_account(c, "2")) is None


async def test_many_accounts_are_found_at_once(store: Store) -> None:
    for n in range(50):
        await add(store, str(n), f"a{n}@example.com")
    assert len(await found(store, *(f"a{n}@example.com" for n in range(100)))) == 50
    assert await found(store) == {}


@pytest.mark.parametrize(
    "typed",
    [
        "ANN@example.com",
        "ann@example.co",
        "ann@example.com ",
        "ann%",
        "%",
        "_nn@example.com",
        "\u212aelvin@example.com",
        "",
    ],
)
async def test_only_the_very_address_finds_an_account(typed: str, store: Store) -> None:
    await add(store, "1", "ann@example.com")
    await add(store, "2", "kelvin@example.com")
    assert await found(store, typed) == {}


async def test_an_address_has_one_account(store: Store, other_store: Store) -> None:
    added = await asyncio.gather(
        *(add(one, f"{n}", "ann@example.com") for n, one in enumerate([store, other_store] * 5))
    )
    assert added.count(True) == 1
    winner = str(added.index(True))
    assert (await found(store, "ann@example.com"))["ann@example.com"]["id"] == winner


async def test_a_hash_is_swapped_only_if_the_old_one_is_still_there(store: Store) -> None:
    await add(store, "1", "ann@example.com")
    await add(store, "2", "ben@example.com")
    assert not await swap(store, "1", "another hash", "new")
    assert not await swap(store, "3", "hash of 1", "new")
    assert await swap(store, "1", "hash of 1", "new")
    assert not await swap(store, "1", "hash of 1", "newer")
    hashes = {
        address: row["password_hash"]
        for address, row in (await found(store, "ann@example.com", "ben@example.com")).items()
    }
    assert hashes == {"ann@example.com": "new", "ben@example.com": "hash of 2"}


async def test_of_fifty_swaps_at_once_exactly_one_wins(store: Store, other_store: Store) -> None:
    await add(store, "1", "ann@example.com")
    won = await asyncio.gather(
        *(swap(one, "1", "hash of 1", f"new {n}") for n, one in enumerate([store, other_store] * 25))
    )
    assert won.count(True) == 1
    assert (await found(store, "ann@example.com"))["ann@example.com"][
        "password_hash"
    ] == f"new {won.index(True)}"


async def test_a_disabled_account_takes_no_new_password(store: Store) -> None:
    await add(store, "1", "ann@example.com")
    assert await store.unit(lambda unit: sql.disable_account(unit, "ann@example.com", NOW))
    assert not await store.unit(lambda unit: sql.disable_account(unit, "nobody@example.com", NOW))
    assert not (await found(store, "ann@example.com"))["ann@example.com"]["active"]
    assert not await swap(store, "1", "hash of 1", "new")


async def muted(store: Store, *accounts: str, now: float = NOW) -> set[str]:
    return await store.read(lambda c: mutes.muted_accounts(c, accounts, now))


async def mute(store: Store, account: str, until: float) -> None:
    await store.unit(lambda unit: mutes.mute_account(unit, account, until))


async def test_an_account_is_muted_until_its_time_and_no_longer(store: Store) -> None:
    await mute(store, "1", NOW + 10)
    assert await muted(store, "1", "2") == {"1"}
    assert await muted(store, "2") == set()
    assert await muted(store) == set()
    assert await muted(store, "1", now=NOW + 9.999) == {"1"}
    assert await muted(store, "1", now=NOW + 10) == set()


async def test_muting_twice_keeps_the_later_end(store: Store) -> None:
    await mute(store, "1", NOW + 10)
    await mute(store, "1", NOW + 5)
    assert await muted(store, "1", now=NOW + 7) == {"1"}
    await mute(store, "1", NOW + 20)
    assert await muted(store, "1", now=NOW + 15) == {"1"}


async def test_mutes_that_ended_are_erased_and_others_stay(store: Store) -> None:
    await mute(store, "1", NOW + 10)
    await mute(store, "2", NOW + 20)
    await store.write(lambda c: mutes.erase_ended_mutes(c, NOW + 10))

    async def count(connection: Connection) -> list[str]:
        return [row["account_id"] for row in await connection.fetch_all("SELECT account_id FROM mutes")]

    assert await store.read(count) == ["2"]
