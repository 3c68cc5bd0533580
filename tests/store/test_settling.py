"""Letters that are over leave the table of those in hand, and links that ran out are written down: in time, and in slices."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from resetsvc import housekeeping
from resetsvc.app import create_app
from resetsvc.clock import Clock
from resetsvc.letters import Kind
from resetsvc.service import Service
from resetsvc.store import admissions as admission_sql
from resetsvc.store import changes as changes_sql
from resetsvc.store import kept_letters as kept
from resetsvc.store import letters as sql
from resetsvc.store import links as link_sql
from resetsvc.store import settled_letters as settled_sql
from resetsvc.store.database import Store
from resetsvc.testing import Mailbox, make_settings
from tests.flow.conftest import until
from tests.store.rows import NOW, admitted, claim, new_letter, put, row, sent

HOUR = 3600.0


async def used(store: Store, *, at: float = NOW, **changes: Any) -> str:
    letter_id = await sent(store, at=at, **changes)
    await store.unit(lambda unit: link_sql.mark_link_used(unit, letter_id, at))
    return letter_id


async def settle(store: Store, *, after: float = 0.0, until: float = NOW, limit: int = 100) -> int:
    return len(
        await store.unit(lambda c: settled_sql.settle_letters(c, after=after, until=until, limit=limit))
    )


async def end_links(store: Store, *, after: float = 0.0, until: float, limit: int = 100) -> int:
    finished = await store.write(
        lambda c: link_sql.end_old_links(c, after=after, until=until, now=NOW + HOUR, limit=limit)
    )
    return len(finished)


async def unsettled(store: Store, *letter_ids: str) -> list[str]:
    rows = await store.read(lambda c: c.fetch_all("SELECT id FROM letters"))
    return [letter_id for letter_id in letter_ids if letter_id in {row["id"] for row in rows}]


async def test_only_letters_that_nothing_can_happen_to_any_more_are_settled(store: Store) -> None:
    in_hand, open_, over = await admitted(store), await sent(store), await used(store)
    failed, revoked, dropped = [await admitted(store, account="2") for _ in range(3)]
    await store.write(lambda c: sql.fail_letters(c, [(failed, "550"), (revoked, "550")], owner="me", now=NOW))
    await store.write(lambda c: link_sql.mark_link_used(c, revoked, NOW))
    await store.write(lambda c: sql.drop_letters(c, [(dropped, "cancelled")], owner="me", now=NOW))
    await put(store, expired := new_letter(deadline_at=NOW - 1))
    await store.write(lambda c: sql.expire_letters(c, NOW))
    await put(store, told := new_letter(kind=Kind.NOTICE, account_id="1"))
    await claim(store)
    await store.write(lambda c: sql.mark_sent(c, [(told.id, NOW, "relay:25", "250 ok")]))
    await put(store, notice := new_letter(kind=Kind.NOTICE, account_id="1"), unseen := new_letter())
    left = [in_hand, open_, failed, revoked, expired.id, notice.id, unseen.id]
    assert await settle(store) == 3
    assert await unsettled(store, *left, over, dropped, told.id) == left
    assert await settle(store) == 0


async def test_a_settled_letter_is_what_it_was_but_for_its_credential(store: Store) -> None:
    letter_id = await used(store, address="x@example.com", locale="de")
    before = await row(store, letter_id)
    assert before["credential"] == "c1"
    await settle(store)
    after = await row(store, letter_id)
    gone = ("due_at", "lease_owner", "lease_until", "credential")
    assert after == {**before, **dict.fromkeys(gone)}
    assert (after["address"], after["link"], after["account_id"]) == ("x@example.com", "used", "1")


async def test_they_are_settled_in_their_time_and_so_many_at_once(store: Store) -> None:
    early = [await used(store, at=NOW + number) for number in range(5)]
    late = await used(store, at=NOW + 10)
    assert [await settle(store, until=NOW + 9, limit=2) for _ in range(3)] == [2, 2, 1]
    assert await unsettled(store, *early, late) == [late]


async def test_what_was_finished_before_that_time_is_left(store: Store) -> None:
    early, late = await used(store), await used(store, at=NOW + 2)
    assert await settle(store, after=NOW + 1, until=NOW + 9) == 1
    assert await unsettled(store, early, late) == [early]


async def test_until_they_are_settled_they_count_and_not_afterwards(store: Store) -> None:
    letter_id = await used(store)
    (found,) = await store.read(lambda c: admission_sql.earlier_resets(c, ["1"], NOW - 1))
    assert found["id"] == letter_id
    await settle(store)
    assert await store.read(lambda c: admission_sql.earlier_resets(c, ["1"], NOW - 1)) == []


async def test_those_who_look_see_settled_letters_among_the_others(store: Store) -> None:
    first, second = await used(store), await used(store, asked_at=NOW + 1, at=NOW + 1)
    await settle(store, after=NOW + 1, until=NOW + 1)
    third = await sent(store, asked_at=NOW + 2, at=NOW + 2)

    async def listed(state: str | None, limit: int = 9) -> list[str]:
        return [r["id"] for r in await store.read(lambda c: kept.list_letters(c, state, limit))]

    assert await listed(None) == await listed("sent") == [third, second, first]
    assert await listed(None, 2) == [third, second]
    assert await listed("dropped") == await listed("queued") == []
    assert await store.read(kept.count_by_state) == {"sent": 2}  # /metrics reads no settled ones
    assert [r["id"] for r in await store.read(lambda c: kept.find_letters(c, second))] == [second]
    assert {r["id"] for r in await store.read(lambda c: kept.find_letters(c, ""))} <= {first, second, third}
    assert (
        await store.read(lambda c: changes_sql.address_of(c, second)) == (await row(store, second))["address"]
    )


async def test_they_are_erased_in_their_time_with_their_attempts(store: Store) -> None:
    old, young = await used(store, at=NOW - 5), await used(store, at=NOW)
    unsettled_ = await sent(store, at=NOW - 4)
    await store.write(lambda c: sql.insert_attempts(c, [(old, NOW, "r", "retry", 451, "later")]))
    await settle(store)
    assert await store.unit(lambda unit: kept.erase_finished(unit, NOW, 1)) == 1
    assert await store.read(lambda c: kept.attempts_of(c, old)) == []
    assert await store.unit(lambda unit: kept.erase_finished(unit, NOW, 9)) == 1
    left = [r["id"] for r in await store.read(lambda c: kept.list_letters(c, None, 9))]
    assert (left, unsettled_ in left) == ([young], False)


async def test_two_that_settle_at_once_move_each_letter_once(store: Store) -> None:
    ids = [await used(store) for _ in range(40)]
    moved = await asyncio.gather(*(settle(store, limit=10) for _ in range(4)))
    while sum(moved) != 40:
        moved.append(await settle(store))
    rows = await store.read(lambda c: c.fetch_all("SELECT id FROM settled_letters"))
    assert sorted(r["id"] for r in rows) == sorted(ids)
    assert await unsettled(store, *ids) == []


async def test_links_run_out_in_their_time_and_so_many_at_once(store: Store) -> None:
    early = [await sent(store, at=NOW + number) for number in range(3)]
    late = await sent(store, at=NOW + 10)
    taken = await used(store)
    assert [await end_links(store, until=NOW + 9, limit=2) for _ in range(2)] == [2, 1]
    assert [(await row(store, letter_id))["link"] for letter_id in (*early, late, taken)] == [
        *["expired"] * 3,
        None,
        "used",
    ]
    assert (await row(store, early[0]))["link_at"] == NOW + HOUR


async def test_a_slice_tells_how_far_it_came_earliest_first(store: Store) -> None:
    for number in (3, 1, 2):
        await sent(store, at=NOW + number)
    finished = await store.write(
        lambda c: link_sql.end_old_links(c, after=NOW, until=NOW + 9, now=NOW + HOUR, limit=2)
    )
    assert sorted(finished) == [NOW + 1, NOW + 2]


async def test_a_service_that_starts_does_both_slice_by_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is old, though nothing tells it how far the process before it came: also links that nobody ended in time."""
    monkeypatch.setattr(housekeeping, "SLICE", 2)
    monkeypatch.setattr(housekeeping, "TIDY_EVERY", 0.01)
    settings = make_settings(tmp_path)
    store = Store(settings.database_url)
    await store.open()
    over, old = [await used(store) for _ in range(5)], [await sent(store, at=NOW - 5) for _ in range(5)]
    window = settings.token_ttl + settings.delivery_deadline
    young = await sent(store, at=NOW + HOUR)
    await store.close()
    app = create_app(settings, outbox=Mailbox(), clock=Clock(now=lambda: NOW + window))
    async with app.test_app():
        service = app.extensions["resetsvc.service"]
        assert isinstance(service, Service)

        async def settled() -> bool:
            return await unsettled(service.store, *over, *old) == []

        await until(settled)
        found = [await row(service.store, letter_id) for letter_id in (*over, *old, young)]
    assert [one["link"] for one in found] == [*["used"] * 5, *["expired"] * 6]
    assert [one["credential"] for one in found] == [*[None] * 10, "c1"]
