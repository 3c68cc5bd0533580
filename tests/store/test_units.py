"""A unit of work is done whole or not at all, whatever becomes of whoever asked for it."""

import asyncio

import pytest

from resetsvc.errors import CannotStore, DatabaseUnusable, LinkDoesNotWork
from resetsvc.store import kept_letters as kept
from resetsvc.store import letters as sql
from resetsvc.store import mutes
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store
from tests.store.rows import NOW, new_letter, put
from tests.support.gate import Gate


async def stored(store: Store) -> int:
    return sum((await store.read(kept.count_by_state)).values())


async def test_what_a_unit_returns_comes_back_and_what_it_did_is_seen_by_others(
    store: Store, other_store: Store
) -> None:
    async def work(unit: Connection) -> str:
        await sql.insert_letters(unit, [new_letter()])
        return "done"

    assert await store.unit(work) == "done"
    assert await stored(other_store) == 1


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), LinkDoesNotWork()], ids=["any", "ours"])
async def test_raising_rolls_back_everything_and_comes_out_as_it_is(error: Exception, store: Store) -> None:
    async def work(unit: Connection) -> None:
        await sql.insert_letters(unit, [new_letter()])
        await mutes.mute_account(unit, "1", NOW)
        raise error

    with pytest.raises(type(error)) as raised:
        await store.unit(work)
    assert raised.value is error
    assert await stored(store) == 0
    assert await store.read(lambda c: mutes.muted_accounts(c, ["1"], 0)) == set()
    await put(store, new_letter())  # and the store goes on
    assert await stored(store) == 1


async def test_what_the_database_refuses_is_told_as_cannot_store_with_its_cause(store: Store) -> None:
    letter = new_letter()

    async def work(unit: Connection) -> None:
        await sql.insert_letters(unit, [letter])
        await sql.insert_letters(unit, [letter])

    with pytest.raises(CannotStore) as refused:
        await store.unit(work)
    assert "unique" in str(refused.value.__cause__).lower()
    assert letter.address not in str(refused.value)
    assert await stored(store) == 0


async def test_an_unfinished_unit_is_seen_by_nobody_else(store: Store, other_store: Store) -> None:
    written = Gate()

    async def work(unit: Connection) -> None:
        await sql.insert_letters(unit, [new_letter()])
        await written.wait()

    task = asyncio.create_task(store.unit(work))
    await written.reached()
    async with asyncio.timeout(5):
        assert await stored(store) == 0  # reading goes on beside it
        assert await stored(other_store) == 0
    written.open()
    await task
    assert await stored(store) == await stored(other_store) == 1


async def test_a_caller_who_hangs_up_in_the_middle_tears_no_unit(store: Store) -> None:
    written = Gate()

    async def work(unit: Connection) -> None:
        await sql.insert_letters(unit, [new_letter()])
        await written.wait()
        await sql.insert_letters(unit, [new_letter()])

    task = asyncio.create_task(store.unit(work))
    await written.reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    written.open()
    await put(store, new_letter())
    async with asyncio.timeout(5):  # on PostgreSQL they are done beside each other
        while await stored(store) < 3:  # noqa: ASYNC110 -- a row in a database sets no event
            await asyncio.sleep(0.005)
    assert await stored(store) == 3


async def test_a_caller_who_hangs_up_while_waiting_loses_nothing_of_the_unit(store: Store) -> None:
    gate = Gate()

    async def hold(unit: Connection) -> None:
        await gate.wait()

    holding = asyncio.create_task(store.unit(hold))
    await gate.reached()
    waiting = [asyncio.create_task(put(store, new_letter())) for _ in range(5)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    gate.open()
    await holding
    await put(store, new_letter())
    async with asyncio.timeout(5):  # on PostgreSQL they are done beside each other
        while await stored(store) < 6:  # noqa: ASYNC110 -- a row in a database sets no event
            await asyncio.sleep(0.005)
    assert await stored(store) == 6


async def test_an_error_after_its_caller_hung_up_is_nobodys_and_stops_nothing(store: Store) -> None:
    begun = Gate()

    async def work(unit: Connection) -> None:
        await begun.wait()
        raise ZeroDivisionError

    task = asyncio.create_task(store.unit(work))
    await begun.reached()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    begun.open()
    await put(store, new_letter())
    assert await stored(store) == 1


async def test_units_do_not_mix(store: Store) -> None:
    """A hundred read-then-write units at once: each sees what the one before it left."""

    async def add_one(unit: Connection) -> None:
        row = await unit.fetch_one("SELECT until FROM mutes WHERE account_id = 'n'")
        await mutes.mute_account(unit, "n", 1 if row is None else row["until"] + 1)

    await asyncio.gather(*(store.unit(add_one) for _ in range(100)))
    assert await store.read(lambda c: mutes.muted_accounts(c, ["n"], 99)) == {"n"}
    assert await store.read(lambda c: mutes.muted_accounts(c, ["n"], 100)) == set()


async def test_units_of_two_processes_do_not_mix_either(store: Store, other_store: Store) -> None:
    async def add_one(unit: Connection) -> None:
        row = await unit.fetch_one("SELECT until FROM mutes WHERE account_id = 'n'")
        await mutes.mute_account(unit, "n", 1 if row is None else row["until"] + 1)

    await asyncio.gather(*(one.unit(add_one) for one in (store, other_store) for _ in range(20)))
    assert await store.read(lambda c: mutes.muted_accounts(c, ["n"], 39)) == {"n"}


async def test_closing_finishes_what_waits_and_then_takes_nothing_more(database_url: str) -> None:
    store = Store(database_url)
    await store.open()
    tasks = [asyncio.create_task(put(store, new_letter())) for _ in range(20)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*tasks)
    with pytest.raises(CannotStore):
        await put(store, new_letter())
    with pytest.raises(CannotStore):
        await store.read(kept.count_by_state)
    again = Store(database_url)
    await again.open()
    assert await stored(again) == 20
    await again.close()


async def test_a_store_that_was_never_opened_takes_nothing(database_url: str) -> None:
    store = Store(database_url)
    with pytest.raises(CannotStore):
        await put(store, new_letter())
    await store.close()


async def test_opening_what_cannot_be_opened_is_told_and_leaves_nothing_open(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("unusable")
    (folder / "garbage.db").write_bytes(b"this is no database" * 1000)
    (folder / "a file").write_bytes(b"")
    (folder / "a folder").mkdir()
    for place in ("garbage.db", "a file/x.db", "a folder"):
        store = Store(f"sqlite:///{folder / place}")
        with pytest.raises(DatabaseUnusable) as told:
            await store.open()
        assert place in str(told.value)
        await store.close()
