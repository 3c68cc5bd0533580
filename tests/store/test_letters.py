"""The life of a letter in the database: each statement does what its name says, to those letters and no others."""

import asyncio
from dataclasses import asdict

import pytest

from resetsvc.letters import Kind, State
from resetsvc.store import admissions as admission_sql
from resetsvc.store import kept_letters as kept
from resetsvc.store import letters as sql
from resetsvc.store import links as link_sql
from resetsvc.store.database import Store
from tests.store.rows import LEASE, NOW, admitted, claim, new_letter, put, row, sent

# ---- asking ----


async def test_a_letter_is_stored_as_it_was_given(store: Store) -> None:
    letter = new_letter(
        address="jörg+\"'%:x@example.com",
        locale="de",
        client="2001:db8::1",
        asked_at=NOW + 0.123456,
        account_id="konto-ä",
        kind=Kind.NOTICE,
    )
    await put(store, letter)
    found = await row(store, letter.id)
    assert {name: found[name] for name in asdict(letter)} == asdict(letter)
    assert (found["state"], found["attempts"], found["due_at"]) == ("queued", 0, letter.asked_at)
    assert all(
        found[name] is None
        for name in ("lease_owner", "lease_until", "sent_at", "finished_at", "link", "admitted_at", "reason")
    )


@pytest.mark.parametrize(
    "address", ["'); DROP TABLE letters;--", ":id ? %s {x}", "\\", "null", "1e5", "[]", '{"a":1}', "🚀"]
)
async def test_no_text_is_taken_for_sql_or_json(address: str, store: Store) -> None:
    letter = new_letter(address=address, locale=address, client=address)
    await put(store, letter)
    (claimed,) = await claim(store)
    assert (claimed.address, claimed.locale, claimed.client) == (address, address, address)


async def test_a_batch_is_stored_whole_or_not_at_all(store: Store) -> None:
    from resetsvc.errors import CannotStore

    twice = new_letter()
    with pytest.raises(CannotStore):
        await put(store, new_letter(), twice, twice)
    assert await store.read(kept.count_by_state) == {}
    await put(store, *(new_letter() for _ in range(1000)))
    assert await store.read(kept.count_by_state) == {"queued": 1000}
    await put(store)
    assert await store.read(kept.count_by_state) == {"queued": 1000}


async def test_what_is_undelivered_is_counted_up_to_a_bound(store: Store) -> None:
    await sent(store)
    await put(store, *(new_letter() for _ in range(5)))
    await claim(store, limit=2)
    for at_most, counted in ((100, 5), (5, 5), (4, 4), (1, 1)):
        assert await store.read(lambda c, n=at_most: sql.count_undelivered(c, n)) == counted  # type: ignore[misc]  # binds the loop's value


# ---- claiming ----


async def test_a_claim_takes_the_oldest_that_are_due_under_a_lease(store: Store) -> None:
    letters = [new_letter(f"{n:032x}", asked_at=NOW - n) for n in range(5)]
    await put(store, *letters)
    first = await claim(store, "a", limit=2)
    assert {letter.id for letter in first} == {letters[4].id, letters[3].id}
    second = await claim(store, "b")
    assert {letter.id for letter in second} == {letters[2].id, letters[1].id, letters[0].id}
    assert await claim(store, "c") == []
    found = await row(store, letters[4].id)
    assert (found["state"], found["lease_owner"], found["lease_until"]) == ("sending", "a", NOW + LEASE)


async def test_a_claim_takes_the_newest_where_it_is_asked_to(store: Store) -> None:
    letters = [new_letter(f"{n:032x}", asked_at=NOW - n) for n in range(5)]
    await put(store, *letters)
    newest = await store.unit(
        lambda unit: sql.claim_due_letters(
            unit, fresh=True, owner="me", now=NOW, lease_until=NOW + LEASE, limit=2, newest=True
        )
    )
    assert {letter.id for letter in newest} == {letters[0].id, letters[1].id}


async def test_a_claim_comes_in_the_order_of_asking(store: Store) -> None:
    letters = [new_letter(asked_at=NOW - 50 + n) for n in range(50)]
    await put(store, *letters)
    assert [letter.id for letter in await claim(store)] == [letter.id for letter in letters]


async def test_a_claimed_letter_knows_all_that_delivering_needs(store: Store) -> None:
    letter = new_letter(locale="de")
    await put(store, letter)
    (claimed,) = await claim(store)
    expected = asdict(letter) | {"attempts": 0, "credential": None}
    assert asdict(claimed) == expected


async def test_what_is_not_due_or_past_its_deadline_is_not_claimed(store: Store) -> None:
    await put(
        store, new_letter(asked_at=NOW + 0.001), new_letter(deadline_at=NOW), new_letter(deadline_at=NOW - 1)
    )
    assert await claim(store) == []
    await put(store, new_letter(deadline_at=NOW + 0.001))
    assert len(await claim(store)) == 1


async def test_those_never_tried_and_those_tried_before_are_claimed_apart(store: Store) -> None:
    tried, fresh = new_letter(asked_at=NOW - 100), new_letter(asked_at=NOW - 1)
    await put(store, tried)
    await claim(store)
    await store.unit(lambda unit: sql.postpone_letters(unit, [(tried.id, NOW - 50, 1)], owner="me"))
    await put(store, fresh)
    assert [letter.id for letter in await claim(store, fresh=True)] == [fresh.id]
    (again,) = await claim(store, fresh=False)
    assert (again.id, again.attempts) == (tried.id, 1)


async def test_no_letter_is_ever_given_to_two(store: Store, other_store: Store) -> None:
    """Two processes that claim as fast as they can, from a queue that is being filled."""
    letters = [new_letter() for _ in range(300)]

    async def take(from_store: Store, owner: str) -> list[str]:
        taken: list[str] = []
        for _ in range(40):
            taken += [letter.id for letter in await claim(from_store, owner, limit=7)]
        return taken

    async def fill() -> None:
        for start in range(0, 300, 30):
            await put(store, *letters[start : start + 30])

    async with asyncio.timeout(30):
        first, second, third, _ = await asyncio.gather(
            take(store, "a"), take(other_store, "b"), take(other_store, "c"), fill()
        )
    rest = [letter.id for letter in await claim(store, "d", limit=1000)]
    assert sorted(first + second + third + rest) == sorted(letter.id for letter in letters)
    for owner, taken in (("a", first), ("b", second), ("c", third)):
        assert {(await row(store, letter_id))["lease_owner"] for letter_id in taken} <= {owner}


# ---- leases ----


async def release(store: Store, owner: str, *in_hand: str, now: float = NOW + LEASE) -> int:
    return await store.unit(
        lambda unit: sql.release_expired_leases(unit, owner=owner, in_hand=in_hand, now=now)
    )


async def test_only_a_lease_that_ran_out_is_taken_over(store: Store) -> None:
    await put(store, new_letter())
    await claim(store, "dead")
    assert await release(store, "me", now=NOW + LEASE - 0.001) == 0
    assert await release(store, "me") == 1
    assert await release(store, "me") == 0
    (back,) = await claim(store, "me", now=NOW + LEASE)
    assert back.attempts == 0  # nothing is known of an attempt


async def test_what_one_has_in_hand_is_never_taken_from_oneself(store: Store) -> None:
    """Its lease is about to be renewed; a claim of one's own that came to nothing is put back."""
    await put(store, *(new_letter() for _ in range(2)))
    (in_hand,) = await claim(store, "me", limit=1)
    (lost,) = await claim(store, "me", limit=1)
    assert await release(store, "me", in_hand.id, lost.id) == 0
    assert await release(store, "me", in_hand.id, now=NOW + LEASE - 0.001) == 0
    assert await release(store, "me", in_hand.id) == 1
    assert (await row(store, lost.id))["state"] == "queued"
    assert await release(store, "other", in_hand.id) == 1  # what others say is in hand there holds nobody up


async def test_a_renewed_lease_holds_longer_and_only_its_owners(store: Store) -> None:
    await put(store, *(new_letter() for _ in range(4)))
    first, second, third = await claim(store, "me", limit=3)
    (other,) = await claim(store, "other", limit=1)
    await store.write(lambda c: sql.fail_letters(c, [(third.id, "550")], owner="me", now=NOW))
    asked_for = [first.id, third.id, other.id, "unknown"]
    held = await store.write(lambda c: sql.renew_leases(c, asked_for, owner="me", lease_until=NOW + 99))
    assert held == [first.id]  # the others were taken over, or are finished
    leases = [(await row(store, letter.id))["lease_until"] for letter in (first, second, third, other)]
    assert leases == [NOW + 99, NOW + LEASE, None, NOW + LEASE]


async def test_whoever_stops_puts_back_all_it_holds_and_no_more(store: Store) -> None:
    done = await sent(store)
    await put(store, *(new_letter() for _ in range(3)))
    await claim(store, "me", limit=2)
    await claim(store, "other", limit=1)
    await store.write(lambda c: sql.release_leases(c, owner="me", now=NOW + 1))
    assert await store.read(kept.count_by_state) == {"queued": 2, "sending": 1, "sent": 1}
    assert (await row(store, done))["state"] == "sent"
    assert len(await claim(store, "next", now=NOW + 1)) == 2


# ---- outcomes ----


async def test_a_sent_letter_holds_all_of_its_outcome(store: Store) -> None:
    letter_id = await admitted(store)
    await store.write(lambda c: sql.mark_sent(c, [(letter_id, NOW + 2.5, "relay:25", "250 2.0.0 'ok' ü")]))
    found = await row(store, letter_id)
    expected = {
        "state": "sent",
        "sent_at": NOW + 2.5,
        "finished_at": NOW + 2.5,
        "attempts": 1,
        "relay": "relay:25",
        "reply": "250 2.0.0 'ok' ü",
        "lease_owner": None,
        "lease_until": None,
        "reason": None,
    }
    assert {name: found[name] for name in expected} == expected


async def test_a_mail_that_left_is_on_record_whoever_holds_its_lease(store: Store) -> None:
    letter_id = await admitted(store)
    await release(store, "other")
    await claim(store, "other", now=NOW + LEASE)
    await store.write(lambda c: sql.mark_sent(c, [(letter_id, NOW, "r", "250")]))
    assert (await row(store, letter_id))["state"] == "sent"


@pytest.mark.parametrize("end", ["dropped", "failed", "expired"])
async def test_what_ended_otherwise_meanwhile_is_not_made_sent(end: str, store: Store) -> None:
    letter_id = await ended(store, end)
    await store.write(lambda c: sql.mark_sent(c, [(letter_id, NOW + 9, "r", "250")]))
    assert (await row(store, letter_id))["state"] == end


async def ended(store: Store, state: str) -> str:
    letter_id = await admitted(store)
    match state:
        case "sent":
            await store.write(lambda c: sql.mark_sent(c, [(letter_id, NOW, "r", "250")]))
        case "dropped":
            await store.write(lambda c: sql.drop_letters(c, [(letter_id, "muted")], owner="me", now=NOW))
        case "failed":
            await store.write(lambda c: sql.fail_letters(c, [(letter_id, "550")], owner="me", now=NOW))
        case "expired":
            await store.write(lambda c: sql.release_leases(c, owner="me", now=NOW))
            assert len(await store.write(lambda c: sql.expire_letters(c, NOW + 3600))) == 1
    return letter_id


@pytest.mark.parametrize("end", ["sent", "dropped", "failed", "expired"])
async def test_nothing_brings_an_ended_letter_back_by_accident(end: str, store: Store) -> None:
    letter_id = await ended(store, end)
    before = await row(store, letter_id)
    for owner in ("me", "other"):
        await store.write(lambda c, o=owner: sql.postpone_letters(c, [(letter_id, NOW, 1)], owner=o))  # type: ignore[misc]  # binds the loop's value
        await store.write(lambda c, o=owner: sql.fail_letters(c, [(letter_id, "x")], owner=o, now=NOW + 1))  # type: ignore[misc]  # the same
        await store.write(lambda c, o=owner: sql.drop_letters(c, [(letter_id, "x")], owner=o, now=NOW + 1))  # type: ignore[misc]  # the same
        await store.write(lambda c, o=owner: sql.release_leases(c, owner=o, now=NOW + 1))  # type: ignore[misc]  # the same
        await release(store, owner, now=NOW + 99)
    await store.write(lambda c: sql.expire_letters(c, NOW + 10**6))
    assert await claim(store, fresh=True, now=NOW + 10) + await claim(store, fresh=False, now=NOW + 10) == []
    assert await row(store, letter_id) == before


async def test_an_outcome_of_whoever_lost_the_lease_changes_nothing(store: Store) -> None:
    """It slept through its lease, and somebody else is sending the letter."""
    letter_id = await admitted(store)
    await release(store, "other")
    await claim(store, "other", now=NOW + LEASE)
    before = await row(store, letter_id)
    await store.write(lambda c: sql.postpone_letters(c, [(letter_id, NOW, 1)], owner="me"))
    await store.write(lambda c: sql.fail_letters(c, [(letter_id, "550")], owner="me", now=NOW))
    await store.write(lambda c: sql.drop_letters(c, [(letter_id, "muted")], owner="me", now=NOW))
    assert await row(store, letter_id) == before


async def test_a_postponed_letter_is_due_later_and_counts_only_what_was_an_attempt(store: Store) -> None:
    first, second = await admitted(store), await admitted(store)
    rows = [(first, NOW + 15, 1), (second, NOW + 20, 0)]
    await store.write(lambda c: sql.postpone_letters(c, rows, owner="me"))
    found = [await row(store, letter_id) for letter_id in (first, second)]
    assert [(f["state"], f["due_at"], f["attempts"], f["lease_owner"]) for f in found] == [
        ("queued", NOW + 15, 1, None),
        ("queued", NOW + 20, 0, None),
    ]
    assert (found[0]["account_id"], found[0]["credential"]) == ("1", "c1")  # still whose it is
    assert await claim(store, fresh=False, now=NOW + 14.9) == []
    assert len(await claim(store, fresh=False, now=NOW + 15)) == 1


async def test_a_letter_fails_or_is_dropped_with_a_reason(store: Store) -> None:
    failed, dropped = await ended(store, "failed"), await ended(store, "dropped")
    one, other = await row(store, failed), await row(store, dropped)
    assert (one["state"], one["reason"], one["finished_at"], one["attempts"]) == ("failed", "550", NOW, 1)
    assert (other["state"], other["reason"], other["finished_at"], other["attempts"]) == (
        "dropped",
        "muted",
        NOW,
        0,
    )


async def test_what_waits_past_its_deadline_is_given_up_and_what_is_in_hand_is_not(store: Store) -> None:
    in_hand = await admitted(store)
    waiting = new_letter()
    later = new_letter(deadline_at=NOW + 3600.001)
    await put(store, waiting, later)
    assert len(await store.write(lambda c: sql.expire_letters(c, NOW + 3599.999))) == 0
    assert len(await store.write(lambda c: sql.expire_letters(c, NOW + 3600))) == 1
    assert [(await row(store, i))["state"] for i in (in_hand, waiting.id, later.id)] == [
        "sending",
        "expired",
        "queued",
    ]
    found = await row(store, waiting.id)
    assert (found["reason"], found["finished_at"]) == ("deadline", NOW + 3600)


async def test_attempts_are_kept_in_their_order(store: Store) -> None:
    rows = [
        ("a", NOW, "r:25", "retry", 451, "later"),
        ("a", NOW - 5, "r:25", "retry", None, "no 'reply' ü"),
        ("b", NOW, "r", "failed", 550, "x"),
    ]
    await store.write(lambda c: sql.insert_attempts(c, rows))
    found = await store.read(lambda c: kept.attempts_of(c, "a"))
    assert [tuple(attempt) for attempt in map(dict.values, map(dict, found))] == [r[1:] for r in rows[:2]]
    assert await store.read(lambda c: kept.attempts_of(c, "c")) == []


# ---- admission ----


async def test_admitting_ties_a_letter_to_its_account(store: Store) -> None:
    letter_id = await admitted(store, account="konto", credential="fingerprint")
    found = await row(store, letter_id)
    assert (found["account_id"], found["credential"], found["admitted_at"]) == ("konto", "fingerprint", NOW)


async def test_earlier_letters_are_those_that_count(store: Store) -> None:
    since = NOW - 3600
    recent = await sent(store, asked_at=since + 1, at=since + 1)
    late = await sent(store, asked_at=since - 500, at=since + 5)  # admitted before, left after
    await sent(store, asked_at=since, at=since)
    waiting = await admitted(store, asked_at=since - 10_000)
    await put(store, new_letter(account_id="1", kind=Kind.NOTICE))
    await put(store, new_letter(account_id="1"))  # never admitted
    other = await sent(store, account="2")
    await sent(store, account="3")
    dropped = await ended(store, "dropped")
    failed = await ended(store, "failed")
    found = await store.read(lambda c: admission_sql.earlier_resets(c, ["1", "2"], since))
    assert {r["id"] for r in found} == {recent, late, waiting, other}
    assert not {dropped, failed} & {r["id"] for r in found}
    assert {(r["id"], r["account_id"], r["sent_at"]) for r in found if r["account_id"] == "2"} == {
        (other, "2", NOW)
    }
    assert await store.read(lambda c: admission_sql.earlier_resets(c, [], since)) == []


async def test_a_deadline_is_extended_and_never_shortened(store: Store) -> None:
    one, two, three = (new_letter() for _ in range(3))
    await put(store, one, two, three)
    await store.write(lambda c: admission_sql.extend_deadlines(c, [(one.id, NOW + 7200), (two.id, NOW + 10)]))
    assert [(await row(store, x.id))["deadline_at"] for x in (one, two, three)] == [
        NOW + 7200,
        NOW + 3600,
        NOW + 3600,
    ]


# ---- looking and mending ----


async def test_letters_are_listed_newest_first_by_state(store: Store) -> None:
    done = await sent(store)
    waiting = [new_letter() for _ in range(3)]
    await put(store, *waiting)

    async def listed(state: str | None, limit: int = 10) -> list[str]:
        return [r["id"] for r in await store.read(lambda c: kept.list_letters(c, state, limit))]

    assert await listed(None) == [*(letter.id for letter in reversed(waiting)), done]
    assert await listed("sent") == [done]
    assert await listed("queued", 2) == [waiting[2].id, waiting[1].id]
    assert await listed("no such state") == []


async def test_a_letter_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    ids = ["ab" + "0" * 30, "ab" + "f" * 30, "ac" + "0" * 30, "f" * 32]
    await put(store, *(new_letter(letter_id) for letter_id in ids))

    async def found(prefix: str) -> list[str]:
        return [r["id"] for r in await store.read(lambda c: kept.find_letters(c, prefix))]

    assert await found("ab") == ids[:2]
    assert await found("abf") == [ids[1]]
    assert await found(ids[2]) == [ids[2]]
    assert await found("f") == [ids[3]]
    assert len(await found("")) == 2  # enough to see that it is not the only one
    for nonsense in ("%", "_", "ag", "zz", "AB", "ab' OR 1=1", ids[0] + "0"):
        assert await found(nonsense) == []


@pytest.mark.parametrize("state", ["failed", "expired"])
async def test_a_dead_letter_is_put_back_with_a_fresh_deadline(state: str, store: Store) -> None:
    letter_id = await ended(store, state)
    done, dropped = await ended(store, "sent"), await ended(store, "dropped")

    async def retry(ids: list[str] | None, kind: Kind = Kind.RESET) -> list[str]:
        return await store.write(
            lambda c: kept.retry_letters(c, ids, kind=kind, now=NOW + 10**4, deadline_at=NOW + 2 * 10**4)
        )

    assert await retry([done, dropped, "unknown"]) == []
    assert await retry(None, Kind.NOTICE) == []
    assert await retry([letter_id]) == [letter_id]
    assert await retry(None) == []
    found = await row(store, letter_id)
    expected = {
        "state": "queued",
        "attempts": 0,
        "due_at": NOW + 10**4,
        "deadline_at": NOW + 2 * 10**4,
        "reason": None,
        "finished_at": None,
        "account_id": "1",
        "credential": "c1",
    }
    assert {name: found[name] for name in expected} == expected
    assert [letter.id for letter in await claim(store, now=NOW + 10**4)] == [letter_id]


async def test_all_dead_letters_are_put_back_at_once(store: Store) -> None:
    dead = [await ended(store, state) for state in ("failed", "expired", "failed")]
    back = await store.write(
        lambda c: kept.retry_letters(c, None, kind=Kind.RESET, now=NOW, deadline_at=NOW + 99)
    )
    assert sorted(back) == sorted(dead)


async def test_a_dead_letter_whose_link_was_used_or_revoked_is_not_put_back(store: Store) -> None:
    """A copy had arrived, or its owner said that it was not him: the mail would bring a link that does not work."""
    used, revoked = await ended(store, "failed"), await ended(store, "failed")
    assert await store.write(lambda c: link_sql.mark_link_used(c, used, NOW))
    await store.write(lambda c: link_sql.revoke_links(c, "1", NOW))
    assert (
        await store.write(
            lambda c: kept.retry_letters(c, [used, revoked], kind=Kind.RESET, now=NOW, deadline_at=NOW + 99)
        )
        == []
    )


async def test_what_has_waited_longest_is_known(store: Store) -> None:
    assert await store.read(kept.oldest_waiting) is None
    await sent(store, asked_at=NOW - 500)
    assert await store.read(kept.oldest_waiting) is None
    await put(store, new_letter(asked_at=NOW - 5), new_letter(asked_at=NOW - 50.5))
    assert await store.read(kept.oldest_waiting) == NOW - 50.5
    await claim(store)  # in hand still waits
    assert await store.read(kept.oldest_waiting) == NOW - 50.5


async def test_states_are_counted(store: Store) -> None:
    for state in ("sent", "dropped", "failed", "expired"):
        await ended(store, state)
    await put(store, new_letter())
    assert await store.read(kept.count_by_state) == {
        state.value: 1 for state in State if state is not State.SENDING
    }
