"""The audit trail's rules: every tampering without the key is found, over changes of keys too, and nothing personal is kept."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from resetsvc.audit import NOTHING, AuditKeys, Entry, Event, Head, Record, Verifier, continue_trail, masked

OLDEST, OLD, NEW = (f"the key of {year}: 0123456789 abcdefgh" for year in (2024, 2025, 2026))
THIEF = "a key of the thief's own: 0123456789 abc"
AT = 1_790_000_000.25
LETTER = "0123456789abcdef0123456789abcdef0123456789ab"


@dataclass
class Book:
    """A trail in memory, written as the store writes it."""

    records: list[Record] = field(default_factory=list)
    head: Head | None = None

    def write(self, *keys: str, number: int = 1, event: Event = Event.LINK_USED) -> "Book":
        for _ in range(number):
            entry = Entry(AT + len(self.records), event, {"letter": LETTER, "n": len(self.records)})
            new, self.head = continue_trail(
                entry,
                head=self.head,
                last=self.records[-1] if self.records else None,
                keys=AuditKeys(keys),
            )
            self.records += new
        return self

    def fault(self, *keys: str) -> str | None:
        verifier = Verifier(AuditKeys(keys))
        for record in self.records:
            if (fault := verifier.fault_of(record)) is not None:
                return fault
        return verifier.fault_at_the_end(self.head)

    @property
    def events(self) -> list[str]:
        return [record.event for record in self.records]


# ---- what fits ----


def test_a_trail_as_it_was_written_is_good() -> None:
    book = Book().write(OLD, number=10)
    assert book.fault(OLD) is None
    assert [record.seq for record in book.records] == list(range(1, 11))
    assert len({record.chain for record in book.records}) == 10


def test_a_trail_without_a_record_is_good_as_far_as_rules_go() -> None:
    assert Book().fault(OLD) is None


def test_the_key_of_the_chain_is_not_the_one_that_signs_links_and_its_name_tells_nothing_of_it() -> None:
    book = Book().write(OLD)
    keys = AuditKeys([OLD])
    assert book.records[0].key == keys.present
    assert len(keys.present) == 12
    other = AuditKeys([NEW])
    assert other.present != keys.present
    assert not other.knows(keys.present)


def test_another_key_takes_nothing_for_its_own() -> None:
    book = Book().write(OLD, number=3)
    assert book.fault(NEW) is not None


# ---- what does not ----


def recomputed(records: list[Record]) -> list[Record]:
    """What a thief of the database can do without the key: number and digest anew, and keep the chain values."""
    before, result = NOTHING, []
    for seq, record in enumerate(records, 1):
        result.append(replace(record, seq=seq, before=before))
        before = result[-1].digest
    return result


def renumbered(book: Book, records: list[Record]) -> None:
    book.records = recomputed(records)


def edit(**changes: object) -> Callable[[Book], None]:
    def tamper(book: Book) -> None:
        book.records[4] = replace(book.records[4], **changes)  # type: ignore[arg-type]  # a field's name and its new value

    return tamper


def edit_and_recompute(**changes: object) -> Callable[[Book], None]:
    def tamper(book: Book) -> None:
        edit(**changes)(book)
        renumbered(book, book.records)

    return tamper


def remove(book: Book) -> None:
    del book.records[4]


def remove_and_renumber(book: Book) -> None:
    renumbered(book, book.records[:4] + book.records[5:])


def remove_first(book: Book) -> None:
    del book.records[0]


def swap(book: Book) -> None:
    one, two = book.records[4:6]
    book.records[4:6] = [replace(two, seq=one.seq), replace(one, seq=two.seq)]


def swap_and_renumber(book: Book) -> None:
    book.records[4:6] = reversed(book.records[4:6])
    renumbered(book, book.records)


def insert_a_copy(book: Book) -> None:
    renumbered(book, [*book.records[:5], *book.records[4:]])


def append_a_copy(book: Book) -> None:
    renumbered(book, [*book.records, book.records[0]])


def append_a_copy_and_move_the_head(book: Book) -> None:
    append_a_copy(book)
    assert book.head is not None
    book.head = replace(book.head, seq=11, digest=book.records[-1].digest, chain=book.records[-1].chain)


def append_with_a_key_of_ones_own(book: Book) -> None:
    book.write(THIEF)


def cut_the_end(book: Book) -> None:
    del book.records[7:]


def cut_the_end_and_move_the_head(book: Book) -> None:
    cut_the_end(book)
    assert book.head is not None
    last = book.records[-1]
    book.head = replace(book.head, seq=last.seq, digest=last.digest, chain=last.chain)


def cut_the_end_and_remove_the_head(book: Book) -> None:
    cut_the_end(book)
    book.head = None


def remove_everything_but_the_head(book: Book) -> None:
    book.records = []


def name_another_key(book: Book) -> None:
    book.records = [replace(record, key="0" * 12) for record in book.records]
    renumbered(book, book.records)


def name_another_key_everywhere(book: Book) -> None:
    name_another_key(book)
    assert book.head is not None
    book.head = replace(book.head, key="0" * 12)


TAMPERINGS: dict[str, Callable[[Book], None]] = {
    "event": edit(event=Event.LINK_REFUSED),
    "detail": edit(detail="{}"),
    "a space in the detail": edit(detail=json.dumps({"letter": LETTER[:16], "n": 4}) + " "),
    "time": edit(at=AT + 4.5),
    "key": edit(key="0" * 12),
    "chain": edit(chain="f" * 64),
    "before": edit(before="f" * 64),
    "number": edit(seq=40),
    "event, digests recomputed": edit_and_recompute(event=Event.LINK_REFUSED),
    "detail, digests recomputed": edit_and_recompute(detail="{}"),
    "chain, digests recomputed": edit_and_recompute(chain="f" * 64),
    **{
        tampering.__name__: tampering
        for tampering in (
            *(remove, remove_and_renumber, remove_first, swap, swap_and_renumber),
            *(insert_a_copy, append_a_copy, append_a_copy_and_move_the_head, append_with_a_key_of_ones_own),
            *(cut_the_end, cut_the_end_and_move_the_head, cut_the_end_and_remove_the_head),
            *(remove_everything_but_the_head, name_another_key, name_another_key_everywhere),
        )
    },
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_every_tampering_is_found(tampering: str) -> None:
    book = Book().write(OLD, number=10)
    TAMPERINGS[tampering](book)
    assert book.fault(OLD) is not None


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_what_is_recorded_after_a_tampering_does_not_hide_it(tampering: str) -> None:
    """Continuing from the last row, and not from the head, would hide an end that was cut off."""
    book = Book().write(OLD, number=10)
    TAMPERINGS[tampering](book)
    book.write(OLD, number=3)
    assert book.fault(OLD) is not None


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_a_change_of_keys_after_a_tampering_does_not_hide_it(tampering: str) -> None:
    book = Book().write(OLD, number=10)
    TAMPERINGS[tampering](book)
    book.write(OLD, NEW, number=3)
    assert book.fault(OLD, NEW) is not None


def test_the_first_record_that_does_not_fit_is_named() -> None:
    for tampering, told in {
        "detail": "record 5 was altered",
        "remove": "record 5 is missing",
        "swap": "record 5 does not follow",
        "key": "record 5 is under another key",
        "cut_the_end": "it ended at record 7, and went on to 10",
        "append_a_copy": "record 11 was altered, moved, or written without the key",
        "cut_the_end_and_remove_the_head": "there is no head",
        "cut_the_end_and_move_the_head": "the head was altered",
        "remove_everything_but_the_head": "it ended at record 0, and went on to 10",
    }.items():
        book = Book().write(OLD, number=10)
        TAMPERINGS[tampering](book)
        assert (book.fault(OLD) or "").startswith(told), tampering


def test_damage_that_the_writer_sees_is_written_down() -> None:
    book = Book().write(OLD, number=10)
    cut_the_end_and_remove_the_head(book)
    book.write(OLD)
    assert book.events[-2:] == [Event.TRAIL_DAMAGED, Event.LINK_USED]
    assert json.loads(book.records[-2].detail) == {"why": "there is no head"}
    assert book.fault(OLD) == "record 8 says that the trail before it was damaged: there is no head"


def test_records_go_on_from_the_head_so_that_a_gap_stays_where_an_end_was_cut_off() -> None:
    book = Book().write(OLD, number=10)
    cut_the_end(book)
    book.write(OLD, number=2)
    assert [record.seq for record in book.records[6:]] == [7, 11, 12, 13]
    assert book.fault(OLD) == "record 8 is missing"


def test_a_last_record_that_is_not_the_one_that_was_written_is_written_down() -> None:
    book = Book().write(OLD, number=3)
    book.records[-1] = replace(book.records[-1], detail="{}")
    book.write(OLD)
    assert json.loads(book.records[3].detail) == {"why": "record 3 is not the one that was written"}
    assert book.fault(OLD) == "record 3 was altered, moved, or written without the key"


def test_of_two_trails_under_one_key_the_end_of_one_is_not_that_of_the_other() -> None:
    """Records copied from another database of the same service: each fits, and the head is not theirs."""
    book, other = (
        Book().write(OLD, number=3),
        Book().write(OLD, number=1, event=Event.LIMIT_HIT).write(OLD, number=2),
    )
    book.records = other.records
    assert book.fault(OLD) == "record 3 is not the one that was written"


def test_going_back_to_an_older_copy_of_everything_cannot_be_found_here() -> None:
    """Told in the docs; a head that was noted elsewhere finds it."""
    book = Book().write(OLD, number=5)
    records, head = list(book.records), book.head
    book.write(OLD, number=5)
    assert Book(records, head).fault(OLD) is None


# ---- changes of keys ----


def test_a_change_of_keys_is_recorded_and_the_trail_goes_on() -> None:
    book = Book().write(OLD, number=3).write(OLD, NEW, number=2)
    assert book.events == [Event.LINK_USED] * 3 + [Event.KEY_CHANGED] + [Event.LINK_USED] * 2
    assert json.loads(book.records[3].detail) == {"from": AuditKeys([OLD]).present, "checked": True}
    assert book.fault(OLD, NEW) is None


def test_processes_that_change_keys_one_after_the_other_may_take_turns() -> None:
    book = Book().write(OLD)
    for keys in ((OLD, NEW), (NEW, OLD), (OLD, NEW), (NEW, OLD)):
        book.write(*keys)
    assert book.events.count(Event.KEY_CHANGED) == 4
    assert book.fault(OLD, NEW) is None


def test_old_records_are_good_without_their_key_once_the_change_is_on_record() -> None:
    book = Book().write(OLDEST, number=2).write(OLDEST, OLD, number=2).write(OLD, NEW, number=2)
    assert book.fault(OLDEST, OLD, NEW) is None
    assert book.fault(OLD, NEW) is None
    assert book.fault(NEW) is None


@pytest.mark.parametrize("place", [0, 2, 3, 4, 6])
def test_old_records_cannot_be_altered_although_their_key_is_gone(place: int) -> None:
    for change in ({"detail": "{}"}, {"chain": "f" * 64}, {"at": 1.0}):
        for recompute in (False, True):
            book = Book().write(OLDEST, number=2).write(OLDEST, OLD, number=2).write(OLD, NEW, number=2)
            book.records[place] = replace(book.records[place], **change)
            if recompute:
                renumbered(book, book.records)
            assert book.fault(NEW) is not None


def test_a_key_that_is_gone_at_once_leaves_old_records_unvouched_until_it_is_given() -> None:
    book = Book().write(OLD, number=3).write(NEW, number=3)
    assert json.loads(book.records[3].detail) == {"from": AuditKeys([OLD]).present, "checked": False}
    fault = book.fault(NEW)
    assert fault is not None
    assert fault.startswith(f"record 1 was made with the key {AuditKeys([OLD]).present}, which is not here")
    assert "RESETSVC_SECRET_KEY_FALLBACKS" in fault
    assert book.fault(OLD, NEW) is None


def test_a_trail_of_somebody_elses_making_is_not_vouched_for_by_the_next_record() -> None:
    """A whole trail under a made-up key: the service goes on from it, and says that it could not check it."""
    forged = Book().write(THIEF, number=5)
    forged.write(NEW)
    assert forged.fault(NEW) is not None


def test_a_change_of_keys_cannot_be_made_up() -> None:
    book = Book().write(OLD, number=3)
    book.write(OLD, THIEF, number=2)  # as it would look had the thief had the old key
    assert book.fault(OLD, THIEF) is None
    assert book.fault(OLD) is not None


def test_a_key_that_was_never_written_with_takes_nothing_away() -> None:
    assert Book().write(OLD, number=3).fault(OLDEST, OLD, NEW) is None


# ---- what is kept ----


def test_what_is_personal_is_masked_wherever_it_stands() -> None:
    assert masked(
        {
            "letter": LETTER,
            "letters": [LETTER, LETTER[:16]],
            "client": "198.51.100.77",
            "address": "ann.person@example.com",
            "account": "ann.person@example.com",
            "account_too": "4711",
            "deep": {"client": "2001:db8:1:2::3", "list": ["bob@example.com"]},
            "number": 7,
            "muted": True,
            "nothing": None,
        }
    ) == {
        "letter": LETTER[:16],
        "letters": [LETTER[:16]] * 2,
        "client": "198.51.100.x",
        "address": "a***@example.com",
        "account": "a***@example.com",
        "account_too": "4711",
        "deep": {"client": "2001:db8:1:x", "list": ["b***@example.com"]},
        "number": 7,
        "muted": True,
        "nothing": None,
    }


def test_a_detail_is_written_so_that_any_text_fits_on_one_line() -> None:
    (record,), _ = continue_trail(
        Entry(AT, Event.LIMIT_HIT, {"purpose": "a\nb\u2028c\ud800"}),
        head=None,
        last=None,
        keys=AuditKeys([OLD]),
    )
    assert record.detail.isascii()
    assert "\n" not in record.detail
    assert Book([record], None).fault(OLD) == "there is no head"
