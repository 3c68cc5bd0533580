"""The audit trail's rules: what a record holds, how each is chained to the one before, and what does not fit. No I/O.

Each record carries an HMAC over itself and the one before, under a key derived from the secret key, and the digest of
all that was before it. A head, sealed with the same key, says where the trail ends. So whoever changes the database
without having the key is found out: by an edited, removed, moved or added record, or by a trail that ends too early.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from resetsvc.addresses import mask_address
from resetsvc.client_address import mask_client
from resetsvc.letters import short_id

_CHAIN = b"resetsvc.audit-chain.1"
_FINGERPRINT = b"resetsvc.audit-key-fingerprint.1"
_HEAD = "head"
NOTHING = "0" * 64  # digest and chain of what is before the first record


class Event(StrEnum):
    """What is kept. In the order of docs/reference/audit.md."""

    LINK_USED = "link_used"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 -- an event, not a password
    CHANGE_UNCLEAR = "change_unclear"
    RESETS_CANCELLED = "resets_cancelled"
    LINK_REFUSED = "link_refused"  # only where the signature is right: anybody can send garbage
    LIMIT_HIT = "limit_hit"
    LETTERS_PUT_BACK = "letters_put_back"
    SERVICE_STARTED = "service_started"
    SCHEMA_MIGRATED = "schema_migrated"
    KEY_CHANGED = "key_changed"
    TRAIL_DAMAGED = "trail_damaged"


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it is stored. `detail` is JSON, kept as text: the chain is over its very characters.

    before -- the digest of all records before this one
    key    -- the fingerprint of the key that `chain` was made with
    """

    seq: int
    at: float
    event: str
    detail: str
    before: str
    key: str
    chain: str

    @property
    def canonical(self) -> str:
        return json.dumps([self.seq, float(self.at), self.event, self.detail, self.before, self.key])

    @property
    def digest(self) -> str:
        """Of this record and, by `before`, of all before it. No key goes into it: it fixes, and proves nothing."""
        return hashlib.sha256((self.canonical + self.chain).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """Where the trail ends, and the seal that says so."""

    seq: int
    digest: str
    chain: str
    key: str
    seal: str

    @property
    def canonical(self) -> str:
        return json.dumps([_HEAD, self.seq, self.digest, self.chain, self.key])


class AuditKeys:
    """The keys of the chain, derived from the signing keys for this purpose alone. `keys`: oldest first, as in settings."""

    def __init__(self, keys: Sequence[str]) -> None:
        derived = [hmac.digest(key.encode(), _CHAIN, "sha256") for key in keys]
        self._by_name = {hmac.digest(key, _FINGERPRINT, "sha256")[:6].hex(): key for key in derived}
        self.present = hmac.digest(derived[-1], _FINGERPRINT, "sha256")[:6].hex()

    def knows(self, name: str) -> bool:
        return name in self._by_name

    def mac(self, name: str, text: str) -> str:
        return hmac.digest(self._by_name[name], text.encode(), "sha256").hex()

    def chains(self, record: Record, previous: str) -> bool:
        """Whether this record was written after one whose chain value is `previous`, by somebody with the key."""
        return self.knows(record.key) and hmac.compare_digest(
            self.mac(record.key, previous + record.canonical), record.chain
        )

    def sealed(self, head: Head) -> bool:
        return self.knows(head.key) and hmac.compare_digest(self.mac(head.key, head.canonical), head.seal)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be recorded."""

    at: float
    event: Event
    detail: Mapping[str, object]


def continue_trail(
    entry: Entry, *, head: Head | None, last: Record | None, keys: AuditKeys
) -> tuple[list[Record], Head]:
    """The records to append for one entry, and the new head. Mostly one record; before it stands what was found amiss.

    Continues from where the *head* says that the trail ends. If it went on from the last row instead, whoever cuts off
    the end would only have to wait until the next record hides it.
    """
    entries = [entry]
    damage = _damage(head, last, keys)
    if damage is not None:
        entries.insert(0, Entry(entry.at, Event.TRAIL_DAMAGED, {"why": damage}))
    elif head is not None and head.key != keys.present:
        checked = keys.knows(head.key)
        entries.insert(0, Entry(entry.at, Event.KEY_CHANGED, {"from": head.key, "checked": checked}))
    seq, digest, chain = 0, NOTHING, NOTHING
    if head is not None and (keys.sealed(head) or not keys.knows(head.key)):
        seq, digest, chain = head.seq, head.digest, head.chain
    elif last is not None:
        seq, digest, chain = last.seq, last.digest, last.chain
    if last is not None:
        seq = max(seq, last.seq)  # rows beyond the head are somebody else's, and their numbers are taken
    written = []
    for each in entries:
        seq += 1
        detail = json.dumps(masked(each.detail), sort_keys=True)
        record = Record(seq, each.at, each.event, detail, digest, keys.present, "")
        chain = keys.mac(keys.present, chain + record.canonical)
        record = Record(seq, each.at, each.event, detail, digest, keys.present, chain)
        digest = record.digest
        written.append(record)
    new_head = Head(seq, digest, chain, keys.present, "")
    return written, Head(seq, digest, chain, keys.present, keys.mac(keys.present, new_head.canonical))


def _damage(head: Head | None, last: Record | None, keys: AuditKeys) -> str | None:
    """Why the end of the trail is not as it was left, or None."""
    if head is None:
        return None if last is None else "there is no head"
    if keys.knows(head.key) and not keys.sealed(head):
        return "the head was altered"
    if last is None or last.seq < head.seq:
        return f"it ended at record {last.seq if last else 0}, and went on to {head.seq}"
    if last.seq > head.seq:
        return f"it ended at record {head.seq}, and there are records after that"
    if (last.digest, last.chain) != (head.digest, head.chain):
        return f"record {last.seq} is not the one that was written"
    return None


class Verifier:
    """Takes the records in their order, one by one, then the head; tells the first thing that does not fit.

    A record whose key is not known (it has been rotated out) is good if the change to the next key was recorded by a
    process that still had both: that record fixes, by its digest, everything before it.
    """

    def __init__(self, keys: AuditKeys) -> None:
        self._keys = keys
        self._previous: Record | None = None
        self._on_trust: Record | None = None  # the first record that nothing vouches for yet
        self.records = 0
        self.vouched_for = 0  # records whose key is not known, and that a later one vouches for

    def fault_of(self, record: Record) -> str | None:
        """Why this record, or the trail before it, is not as it was written; None if all is well."""
        previous, self._previous = self._previous, record
        number = previous.seq + 1 if previous else 1
        if record.seq != number:
            return f"record {number} is missing"
        if record.before != (previous.digest if previous else NOTHING):
            return f"record {number} does not follow the one before it: that was altered, or this one was"
        self.records += 1
        changed = detail_of(record.detail) if record.event == Event.KEY_CHANGED else {}
        told = record.event == Event.TRAIL_DAMAGED or (previous and changed.get("from") == previous.key)
        if previous and record.key != previous.key and not told:
            return f"record {number} is under another key, and no change of keys stands before it"
        if not self._keys.knows(record.key):
            self._on_trust = self._on_trust or record
            return None
        if not self._keys.chains(record, previous.chain if previous else NOTHING):
            return f"record {number} was altered, moved, or written without the key"
        if record.event == Event.TRAIL_DAMAGED:
            return f"record {number} says that the trail before it was damaged: {detail_of(record.detail).get('why')}"
        if self._on_trust and changed.get("checked") is True:
            self.vouched_for, self._on_trust = number - 1, None
        return None

    def fault_at_the_end(self, head: Head | None) -> str | None:
        """Why the trail should not end where it does, or None."""
        if self._on_trust is not None:
            return (
                f"record {self._on_trust.seq} was made with the key {self._on_trust.key}, which is not here: "
                "name it in RESETSVC_SECRET_KEY_FALLBACKS for this command"
            )
        if head is not None and not self._keys.knows(head.key):
            return f"the head was sealed with the key {head.key}, which is not here"
        return _damage(head, self._previous, self._keys)


def masked(detail: Mapping[str, object]) -> dict[str, object]:
    """What may stand in a record: ids of letters cut short, addresses and clients masked, also where nobody expects one."""
    return {name: _masked(name, value) for name, value in detail.items()}


def _masked(name: str, value: object) -> object:
    match name, value:
        case "letter" | "letters", str():
            return short_id(value)
        case "client", str():
            return mask_client(value)
        case _, str() if "@" in value:  # an account's id may be its address
            return mask_address(value)
        case _, list() | tuple():
            return [_masked(name, each) for each in value]
        case _, dict():
            return masked(value)
        case _:
            return value


def detail_of(text: str) -> dict[str, object]:
    """A record's detail as it was given; nothing if it is none, as whoever altered it may have left it."""
    try:
        detail = json.loads(text)
    except ValueError:
        return {}
    return detail if isinstance(detail, dict) else {}
