"""What the application is told of: stored with what has happened, so that neither is ever there without the other."""

import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from resetsvc.audit import Event
from resetsvc.clock import Clock
from resetsvc.store import events as sql
from resetsvc.store import letters
from resetsvc.store.connection import Connection

_KEY = b"resetsvc.event-id.1"
DEADLINE = 3 * 86400.0  # seconds that the application may be out of reach


class Type(StrEnum):
    """What is told, in the order of docs/reference/events.md."""

    RESET_SENT = "reset.sent"
    RESET_FAILED = "reset.failed"
    RESET_CANCELLED = "reset.cancelled"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 -- an event, not a password


_AUDITED = {Event.PASSWORD_CHANGED: Type.PASSWORD_CHANGED, Event.RESETS_CANCELLED: Type.RESET_CANCELLED}


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that has happened because of one letter.

    letter_id -- never told: a link signs it
    """

    type: Type
    letter_id: str
    data: Mapping[str, object]


class Events:
    """Stores what is to be told. Given to those in whose units of work things happen; they do not know what it is.

    on_stored -- called when there is something to post, in whatever thread. The unit is not committed yet: whoever looks
                 too early looks again
    """

    def __init__(self, key: str, clock: Clock) -> None:
        self.on_stored: Callable[[], None] = lambda: None
        self._key = hmac.digest(key.encode(), _KEY, "sha256")
        self._clock = clock

    async def on_record(self, unit: Connection, event: Event, detail: Mapping[str, object]) -> None:
        """What the audit trail keeps, and the application wants to know as well."""
        if event in _AUDITED:
            data = {"account": detail["account"], "client": detail["client"]}
            if event is Event.RESETS_CANCELLED:
                data["muted"] = detail["muted"]
            await self._store(unit, [Happened(_AUDITED[event], str(detail["letter"]), data)])

    async def on_ended(self, unit: Connection, letter_ids: Sequence[str]) -> None:
        """Letters that were sent, failed or expired; only resets, and only those that had an account."""
        await self._store(
            unit,
            [
                Happened(Type.RESET_SENT, row["id"], {"account": row["account_id"]})
                if row["state"] == "sent"
                else Happened(
                    Type.RESET_FAILED, row["id"], {"account": row["account_id"], "reason": row["reason"]}
                )
                for row in await letters.ends_of_resets(unit, letter_ids)
            ],
        )

    async def _store(self, unit: Connection, happened: Sequence[Happened]) -> None:
        if not happened:
            return
        now = self._clock.now()
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        rows = [
            (
                self._id_of(one),
                json.dumps({"type": one.type, "timestamp": at, "data": one.data}, separators=(",", ":")),
                now,
            )
            for one in happened
        ]
        await sql.insert_events(unit, rows, deadline_at=now + DEADLINE)
        self.on_stored()

    def _id_of(self, happened: Happened) -> str:
        """The same for the same thing, however often it is put on record: by it, whoever is told twice knows."""
        named = f"{happened.type} {happened.letter_id}".encode()
        return "evt_" + hmac.digest(self._key, named, "sha256")[:16].hex()
