"""The audit trail as the rest of the service sees it: `record` in a unit of work, `note` for what has none."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from resetsvc.audit import AuditKeys, Entry, Event, Head, Record, Verifier, continue_trail, detail_of
from resetsvc.client_address import limit_key
from resetsvc.clock import Clock
from resetsvc.errors import CannotStore, LinkDoesNotWork
from resetsvc.store import audit as sql
from resetsvc.store.connection import Connection, Row
from resetsvc.store.database import Store

log = structlog.stdlib.get_logger("resetsvc.audit")

AT_MOST = 60  # notes of one event in a minute: a flood of clients must not fill the disk
WAITING = 1000  # notes that wait for the database
TRY_AGAIN = 5.0  # seconds
PAGE = 1000  # records that are read at a time

Note = Callable[[Connection], Awaitable[None]]
OnRecord = Callable[[Connection, Event, Mapping[str, object]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class NotedHead:
    """Where a trail once ended, as somebody wrote it down outside of the database. `chain`: 16 digits or more of it."""

    seq: int
    chain: str


class Trail:
    """Writes the audit trail, and reads it again.

    `record` is as whole as the unit that it is part of. A note is written soon after, by a task of its own: what is
    answered does not wait for it, so it can be lost by a kill in that moment.
    """

    def __init__(
        self, store: Store, keys: Sequence[str], clock: Clock, on_record: OnRecord | None = None
    ) -> None:
        """`on_record` is told of what is recorded, in the same unit of work; not of notes."""
        self.keys = AuditKeys(keys)
        self._on_record = on_record
        self._store = store
        self._clock = clock
        self._seen: dict[Event, _ThisMinute] = {}
        self._notes: deque[Note] = deque()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def verify(self, noted: NotedHead | None = None) -> tuple[str | None, str]:
        """Read the whole trail: the first thing that does not fit, or None, and a sentence on what was found.

        Others may append meanwhile: the head is read before each page, so that it is never ahead of the records.
        """
        verifier = Verifier(self.keys)
        seq, passed = 0, noted is None
        while True:
            head, rows = await self._store.read(partial(_page, seq=seq))
            for record in map(as_record, rows):
                if (fault := verifier.fault_of(record)) is not None:
                    return fault, ""
                passed = passed or (
                    noted is not None and record.seq == noted.seq and record.chain.startswith(noted.chain)
                )
                seq = record.seq
            if not rows:
                break
        if (fault := verifier.fault_at_the_end(head)) is not None:
            return fault, ""
        if head is None:
            return (
                "there are no records: no service was ever started on this database, or all were removed",
                "",
            )
        if noted is not None and not passed:
            return f"it does not go through the head {noted.seq}:{noted.chain}", ""
        told = f"{verifier.records} records, all as they were written. Head: {head.seq}:{head.chain[:32]}"
        if verifier.vouched_for:
            told += (
                f"\nRecords 1 to {verifier.vouched_for} are under older keys: later records vouch for them."
            )
        return None, told

    # ---- in a unit of work ----

    async def record(self, unit: Connection, event: Event, **detail: object) -> None:
        """Append a record within `unit`: both are durable, or neither happened. What is personal in it is masked.

        The unit has to be one that keeps other processes from writing until it ends, as all of ours do: two that
        continue from the same record would fork the chain.
        """
        await self._append(unit, Entry(self._clock.now(), event, detail))
        if self._on_record is not None:
            await self._on_record(unit, event, detail)

    async def record_schema(self, unit: Connection, revision: str) -> None:
        """Record a migration, unless the last one on record led to this revision already.

        By comparing, and not by whoever migrates: so it is also recorded if that process was killed just after.
        """
        row = await sql.last_migration(unit)
        before = None if row is None else detail_of(row["detail"]).get("to")
        if before != revision:
            await self.record(unit, Event.SCHEMA_MIGRATED, **{"from": before, "to": revision})

    # ---- by itself, soon ----

    def note(self, event: Event, **detail: object) -> None:
        """Record this soon; return at once."""
        entry = Entry(self._clock.now(), event, detail)
        self._put(lambda unit: self._append(unit, entry))

    def note_start(self, revision: str, **detail: object) -> None:
        """The service has started on a database with this schema."""
        self._put(lambda unit: self.record_schema(unit, revision))
        self.note(Event.SERVICE_STARTED, **detail)

    def note_refused_link(self, error: LinkDoesNotWork, client: str) -> None:
        """Once a minute for each letter, and only where the token was once signed by us: garbage leaves no trace."""
        if error.letter is not None:
            self._note_rarely(
                Event.LINK_REFUSED, error.letter, letter=error.letter, why=error.why, client=client
            )

    def note_limit_hit(self, purpose: str, client: str) -> None:
        """Once a minute for each client and purpose, however often it tries."""
        self._note_rarely(Event.LIMIT_HIT, f"{purpose} {limit_key(client)}", purpose=purpose, client=client)

    def _note_rarely(self, event: Event, key: str, **detail: object) -> None:
        minute = int(self._clock.monotonic() // 60)
        seen = self._seen.get(event)
        unlisted = 0
        if seen is None or seen.minute != minute:
            unlisted = seen.unlisted if seen else 0
            seen = self._seen[event] = _ThisMinute(minute)
        if key in seen.keys:
            return
        if len(seen.keys) >= AT_MOST:
            seen.unlisted += 1
            return
        seen.keys.add(key)
        self.note(event, **detail, **({"unlisted_before": unlisted} if unlisted else {}))

    def _put(self, note: Note) -> None:
        if len(self._notes) >= WAITING:
            log.error("an audit record is lost: too many wait for the database")
            return
        self._notes.append(note)
        self._wake.set()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._keep_writing(), name="audit notes")

    async def close(self) -> None:
        """Write what waits; what the database does not take even now is lost, and told."""
        self._stopping.set()
        self._wake.set()
        if self._task is not None:
            await self._task

    async def _keep_writing(self) -> None:
        while True:
            self._wake.clear()
            while self._notes:
                batch = tuple(self._notes)
                if await self._write(batch):
                    for _ in batch:
                        self._notes.popleft()
                elif self._stopping.is_set():
                    log.error("audit records are lost: the database does not take them", records=len(batch))
                    return
                else:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(TRY_AGAIN):
                            await self._stopping.wait()
            if self._stopping.is_set():
                return
            await self._wake.wait()

    async def _write(self, batch: Sequence[Note]) -> bool:
        async def work(unit: Connection) -> None:
            for note in batch:
                await note(unit)

        try:
            await self._store.unit(work)
        except CannotStore as error:
            log.warning("audit records wait", records=len(batch), error=repr(error.__cause__ or error))
            return False
        except Exception:
            log.exception("audit records are lost", records=len(batch))
        return True

    async def _append(self, unit: Connection, entry: Entry) -> None:
        head, last = await sql.get_head(unit), await sql.last_record(unit)
        records, new_head = continue_trail(
            entry,
            head=None if head is None else as_head(head),
            last=None if last is None else as_record(last),
            keys=self.keys,
        )
        for record in records:
            if record.event == Event.TRAIL_DAMAGED:
                log.error("the audit trail is damaged: resetsvc audit verify", **detail_of(record.detail))
            await sql.insert_record(
                unit,
                seq=record.seq,
                at=record.at,
                event=record.event,
                detail=record.detail,
                before=record.before,
                key=record.key,
                chain=record.chain,
            )
        await sql.set_head(
            unit,
            seq=new_head.seq,
            digest=new_head.digest,
            chain=new_head.chain,
            key=new_head.key,
            seal=new_head.seal,
        )


async def _page(connection: Connection, seq: int) -> tuple[Head | None, Sequence[Row]]:
    head = await sql.get_head(connection)
    return None if head is None else as_head(head), await sql.records_after(connection, seq, PAGE)


class _ThisMinute:
    """What was noted in this minute already, and how many more there would have been."""

    def __init__(self, minute: int) -> None:
        self.minute = minute
        self.keys: set[str] = set()
        self.unlisted = 0


def as_record(row: Row) -> Record:
    """Whatever stands there: somebody may have altered it, and what does not fit is found by the chain."""
    at = row["at"]
    return Record(
        int(row["seq"]),
        float(at) if isinstance(at, int | float) else float("nan"),
        *(str(row[name]) for name in ("event", "detail", "before", "key", "chain")),
    )


def as_head(row: Row) -> Head:
    return Head(int(row["seq"]), *(str(row[name]) for name in ("digest", "chain", "key", "seal")))
