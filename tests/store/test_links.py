"""The link in a letter: open, used by exactly one, revoked; and what a changed password does to those that wait."""

import asyncio

import pytest

from resetsvc.letters import Kind, Link
from resetsvc.store import admissions as admission_sql
from resetsvc.store import letters as sql
from resetsvc.store import links as link_sql
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store
from tests.store.rows import NOW, admitted, claim, new_letter, put, row, sent


async def is_open(store: Store, letter_id: str) -> bool:
    return await store.read(lambda c: link_sql.get_open_link(c, letter_id)) is not None


async def use(store: Store, letter_id: str, now: float = NOW) -> bool:
    return await store.unit(lambda unit: link_sql.mark_link_used(unit, letter_id, now))


async def test_the_link_of_a_sent_letter_is_open_until_it_is_used(store: Store) -> None:
    letter_id = await sent(store, address="ann@example.com")
    for _ in range(3):  # looking uses nothing up
        link = await store.read(lambda c: link_sql.get_open_link(c, letter_id))
        assert link == Link(letter_id, "1", "c1", "ann@example.com", "203.0.113.5")
    assert await use(store, letter_id, NOW + 7)
    assert not await is_open(store, letter_id)
    assert not await use(store, letter_id, NOW + 8)
    found = await row(store, letter_id)
    assert (found["link"], found["link_at"]) == ("used", NOW + 7)


async def test_a_copy_that_arrived_unnoticed_has_a_link_that_works(store: Store) -> None:
    """Still `sending`, waiting for another attempt, failed or expired: the relay may have taken a copy all the same."""
    sending = await admitted(store)
    waiting = await admitted(store)
    await store.write(lambda c: sql.postpone_letters(c, [(waiting, NOW + 15, 1)], owner="me"))
    failed = await admitted(store)
    await store.write(lambda c: sql.fail_letters(c, [(failed, "550")], owner="me", now=NOW))
    for letter_id in (sending, waiting, failed):
        assert await is_open(store, letter_id)
        assert await use(store, letter_id)


@pytest.mark.parametrize("kind", ["never admitted", "notice", "dropped", "unknown"])
async def test_what_was_never_meant_to_go_out_has_no_link(kind: str, store: Store) -> None:
    letter = new_letter(kind=Kind.NOTICE if kind == "notice" else Kind.RESET, account_id="1")
    if kind == "dropped":
        await admitted(store, letter.id)
        await store.write(lambda c: sql.drop_letters(c, [(letter.id, "muted")], owner="me", now=NOW))
    elif kind != "unknown":
        await put(store, letter)
    if kind == "notice":
        await claim(store)
        await store.write(lambda c: admission_sql.admit_letters(c, [(letter.id, "1", "c")], now=NOW))
    assert not await is_open(store, letter.id)
    assert not await use(store, letter.id)


async def test_of_fifty_at_once_exactly_one_uses_a_link(store: Store, other_store: Store) -> None:
    letter_id = await sent(store)
    used = await asyncio.gather(
        *(use(one, letter_id, NOW + n) for n in range(25) for one in (store, other_store))
    )
    assert used.count(True) == 1
    assert len(used) == 50
    (winner,) = {n // 2 for n, won in enumerate(used) if won}
    assert (await row(store, letter_id))["link_at"] == NOW + winner


async def test_a_link_that_was_used_in_a_unit_that_failed_is_open_again(store: Store) -> None:
    letter_id = await sent(store)

    async def work(unit: Connection) -> None:
        assert await link_sql.mark_link_used(unit, letter_id, NOW)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.unit(work)
    assert await is_open(store, letter_id)


async def test_revoking_ends_all_open_links_of_one_account_and_keeps_what_was_used(store: Store) -> None:
    used, first, second, in_hand = (
        await sent(store),
        await sent(store),
        await sent(store),
        await admitted(store),
    )
    other = await sent(store, account="2")
    await put(store, notice := new_letter(kind=Kind.NOTICE, account_id="1"))
    await use(store, used, NOW + 1)
    await store.write(lambda c: link_sql.revoke_links(c, "1", NOW + 2))
    for letter_id in (first, second, in_hand):
        assert not await is_open(store, letter_id)
        assert not await use(store, letter_id)
        found = await row(store, letter_id)
        assert (found["link"], found["link_at"]) == ("revoked", NOW + 2)
    assert ((await row(store, used))["link"], (await row(store, used))["link_at"]) == ("used", NOW + 1)
    assert (await row(store, notice.id))["link"] is None
    assert await is_open(store, other)


async def test_a_link_that_was_revoked_stays_so_when_its_letter_is_sent_after_all(store: Store) -> None:
    letter_id = await admitted(store)
    await store.write(lambda c: link_sql.revoke_links(c, "1", NOW))
    await store.write(lambda c: sql.mark_sent(c, [(letter_id, NOW + 1, "r", "250")]))
    assert not await is_open(store, letter_id)


async def test_reset_letters_that_wait_are_dropped_and_the_notice_is_not(store: Store) -> None:
    done, in_hand, waiting, other = (
        await sent(store),
        await admitted(store),
        await admitted(store),
        await admitted(store, account="2"),
    )
    await store.write(lambda c: sql.postpone_letters(c, [(waiting, NOW + 15, 1)], owner="me"))
    await put(store, notice := new_letter(kind=Kind.NOTICE, account_id="1"), unclaimed := new_letter())
    await store.write(lambda c: link_sql.drop_waiting_resets(c, "1", "password_changed", NOW + 3))
    for letter_id in (in_hand, waiting):
        found = await row(store, letter_id)
        assert (found["state"], found["reason"], found["finished_at"], found["lease_owner"]) == (
            "dropped",
            "password_changed",
            NOW + 3,
            None,
        )
    states = [(await row(store, letter_id))["state"] for letter_id in (done, other, notice.id, unclaimed.id)]
    assert states == ["sent", "sending", "queued", "queued"]


async def test_reset_letters_that_nobody_has_looked_at_are_dropped_by_their_address(store: Store) -> None:
    """They were asked for before the password changed, and have no account yet to go by."""
    ann = "ann@example.com"
    seen = await admitted(store, address=ann)
    await store.write(lambda c: sql.postpone_letters(c, [(seen, NOW + 15, 1)], owner="me"))
    claimed = new_letter(address=ann)
    await put(store, claimed)
    assert [letter.id for letter in await claim(store)] == [claimed.id]
    unseen, other, notice = (
        new_letter(address=ann),
        new_letter(address="ben@example.com"),
        new_letter(address=ann, kind=Kind.NOTICE),
    )
    await put(store, unseen, other, notice)
    await store.write(
        lambda c: link_sql.drop_unseen_resets(c, ["x@example.com", ann], "password_changed", NOW + 3)
    )
    for letter in (unseen, claimed):
        found = await row(store, letter.id)
        ended = (found["state"], found["reason"], found["finished_at"], found["lease_owner"])
        assert ended == ("dropped", "password_changed", NOW + 3, None)
    states = [(await row(store, i))["state"] for i in (seen, other.id, notice.id)]
    assert states == ["queued"] * 3
