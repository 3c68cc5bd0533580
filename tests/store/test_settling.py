"""Letters that are over leave the index by account, and links that ran out are written down: in time, and in slices."""

from pathlib import Path

import pytest

from resetsvc import housekeeping
from resetsvc.app import create_app
from resetsvc.clock import Clock
from resetsvc.letters import Kind
from resetsvc.service import Service
from resetsvc.store import admissions as admission_sql
from resetsvc.store import letters as sql
from resetsvc.store import links as link_sql
from resetsvc.store.database import Store
from resetsvc.testing import Mailbox, make_settings
from tests.flow.conftest import until
from tests.store.rows import NOW, admitted, new_letter, put, row, sent

HOUR = 3600.0


async def used(store: Store, *, at: float = NOW) -> str:
    letter_id = await sent(store, at=at)
    await store.unit(lambda unit: link_sql.mark_link_used(unit, letter_id, at))
    return letter_id


async def settle(store: Store, *, after: float | None, until: float, limit: int = 100) -> int:
    return len(await store.write(lambda c: link_sql.settle_letters(c, after=after, until=until, limit=limit)))


async def end_links(store: Store, *, after: float | None, until: float, limit: int = 100) -> int:
    finished = await store.write(
        lambda c: link_sql.end_old_links(c, after=after, until=until, now=NOW + HOUR, limit=limit)
    )
    return len(finished)


async def unsettled(store: Store, *letter_ids: str) -> list[str]:
    return [letter_id for letter_id in letter_ids if (await row(store, letter_id))["credential"] is not None]


FROM = pytest.mark.parametrize("after", [None, NOW], ids=["from the beginning", "since the last time"])


@FROM
async def test_only_letters_whose_link_cannot_be_used_any_more_are_settled(
    after: float | None, store: Store
) -> None:
    in_hand, open_, over = await admitted(store), await sent(store), await used(store)
    failed, dropped = await admitted(store), await admitted(store)
    await store.write(lambda c: sql.fail_letters(c, [(failed, "550")], owner="me", now=NOW))
    await store.write(lambda c: sql.drop_letters(c, [(dropped, "cancelled")], owner="me", now=NOW))
    await put(store, notice := new_letter(kind=Kind.NOTICE, account_id="1"))
    assert await settle(store, after=after, until=NOW) == 2
    assert await unsettled(store, in_hand, open_, failed, over, dropped) == [in_hand, open_, failed]
    assert (await row(store, over))["account_id"] == "1"
    assert (await row(store, notice.id))["state"] == "queued"
    assert await settle(store, after=after, until=NOW) == 0


@FROM
async def test_they_are_settled_in_their_time_and_so_many_at_once(after: float | None, store: Store) -> None:
    early = [await used(store, at=NOW + number) for number in range(5)]
    late = await used(store, at=NOW + 10)
    assert [await settle(store, after=after, until=NOW + 9, limit=2) for _ in range(3)] == [2, 2, 1]
    assert await unsettled(store, *early, late) == [late]


async def test_what_was_finished_before_that_time_is_left(store: Store) -> None:
    early, late = await used(store), await used(store, at=NOW + 2)
    assert await settle(store, after=NOW + 1, until=NOW + 9) == 1
    assert await unsettled(store, early, late) == [early]


async def test_until_they_are_settled_they_count_and_not_afterwards(store: Store) -> None:
    letter_id = await used(store)
    (found,) = await store.read(lambda c: admission_sql.earlier_resets(c, ["1"], NOW - 1))
    assert found["id"] == letter_id
    await settle(store, after=None, until=NOW)
    assert await store.read(lambda c: admission_sql.earlier_resets(c, ["1"], NOW - 1)) == []


@FROM
async def test_links_run_out_in_their_time_and_so_many_at_once(after: float | None, store: Store) -> None:
    early = [await sent(store, at=NOW + number) for number in range(3)]
    late = await sent(store, at=NOW + 10)
    taken = await used(store)
    assert [await end_links(store, after=after, until=NOW + 9, limit=2) for _ in range(2)] == [2, 1]
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
    """All that is old, though nothing tells it how far the process before it came."""
    monkeypatch.setattr(housekeeping, "SLICE", 2)
    settings = make_settings(tmp_path)
    store = Store(settings.database_url)
    await store.open()
    old = [await sent(store) for _ in range(5)]
    window = settings.token_ttl + settings.delivery_deadline
    young = await sent(store, at=NOW + HOUR)
    await store.close()
    app = create_app(settings, outbox=Mailbox(), clock=Clock(now=lambda: NOW + window))
    async with app.test_app():
        service = app.extensions["resetsvc.service"]
        assert isinstance(service, Service)

        async def settled() -> bool:
            return await unsettled(service.store, *old) == []

        await until(settled)
        found = await row(service.store, young)
        assert (found["link"], found["credential"]) == ("expired", "c1")
