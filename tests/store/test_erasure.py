"""After the retention time nothing of an address is left: not in the rows, not in the file, not in its log."""

from pathlib import Path

from resetsvc.housekeeping import erase
from resetsvc.store import admissions as admission_sql
from resetsvc.store import kept_letters as kept
from resetsvc.store import letters as sql
from resetsvc.store import mutes
from resetsvc.store.database import Store
from resetsvc.store.sqlite import database_file
from tests.store.conftest import ON_SQLITE
from tests.store.rows import NOW, admitted, claim, new_letter, put, sent

DAY = 86400.0


async def test_only_what_ended_before_is_erased_with_its_attempts(store: Store) -> None:
    old = await sent(store, at=NOW - 1)
    young = await sent(store, at=NOW)
    in_hand = await admitted(store)
    await put(store, waiting := new_letter(asked_at=NOW - 100 * DAY))
    attempts = [(letter_id, NOW, "r", "retry", 451, "later") for letter_id in (old, young)]
    await store.write(lambda c: sql.insert_attempts(c, attempts))
    assert await store.unit(lambda unit: kept.erase_finished(unit, NOW, 100)) == 1
    left = {row["id"] for row in await store.read(lambda c: kept.list_letters(c, None, 100))}
    assert left == {young, in_hand, waiting.id}
    assert await store.read(lambda c: kept.attempts_of(c, old)) == []
    assert len(await store.read(lambda c: kept.attempts_of(c, young))) == 1
    assert await store.unit(lambda unit: kept.erase_finished(unit, NOW, 100)) == 0


async def test_erasing_goes_in_slices_oldest_first(store: Store) -> None:
    ids = [await sent(store, at=NOW - n) for n in (3, 5, 1, 4, 2)]
    assert await store.unit(lambda unit: kept.erase_finished(unit, NOW, 2)) == 2
    left = [row["id"] for row in await store.read(lambda c: kept.list_letters(c, None, 100))]
    assert left == [ids[4], ids[2], ids[0]]
    assert await erase(store, NOW + 30 * DAY, 30 * DAY) == 3
    assert await erase(store, NOW + 30 * DAY, 30 * DAY) == 0


@ON_SQLITE
async def test_no_byte_of_an_address_is_left_in_the_file_or_its_log(store: Store, database_url: str) -> None:
    """SQLite only marks what it deletes as free, unless it is told to overwrite it."""
    path = Path(database_file(database_url))
    traces = {
        "address": "a-very-particular-address@example.com",
        "client": "198.51.100.213",
        "credential": "a-very-particular-credential",
        "reply": "a-very-particular-reply",
        "account": "a-very-particular-account",
    }

    def left() -> set[str]:
        files = [file.read_bytes() for file in path.parent.glob(f"{path.name}*")]
        return {name for name, trace in traces.items() if any(trace.encode() in content for content in files)}

    letters = [
        new_letter(address=traces["address"], client=traces["client"], asked_at=NOW) for _ in range(200)
    ]
    await put(store, *letters)
    await claim(store, limit=200)
    ids = [letter.id for letter in letters]
    await store.write(
        lambda c: admission_sql.admit_letters(
            c, [(i, traces["account"], traces["credential"]) for i in ids], now=NOW
        )
    )
    await store.write(
        lambda c: sql.insert_attempts(c, [(i, NOW, "r", "retry", 451, traces["reply"]) for i in ids])
    )
    await store.write(lambda c: sql.mark_sent(c, [(i, NOW, "r", "250") for i in ids]))
    await store.write(lambda c: mutes.mute_account(c, traces["account"], NOW + DAY))
    assert left() == set(traces)  # or this test would pass on an empty file
    assert await erase(store, NOW + 30 * DAY + 1, 30 * DAY) == 200
    assert left() == set()


@ON_SQLITE
async def test_emptying_the_log_leaves_it_empty(store: Store, database_url: str) -> None:
    await put(store, new_letter())
    log = Path(database_file(database_url) + "-wal")
    assert log.stat().st_size > 0
    await store.empty_log()
    assert log.stat().st_size == 0
