"""What the tests of the store share: letters to put in, and a look at a whole row."""

from typing import Any

from resetsvc.clock import Clock
from resetsvc.letters import ClaimedLetter, Kind, NewLetter
from resetsvc.store import admissions as admission_sql
from resetsvc.store import kept_letters as kept
from resetsvc.store import letters as sql
from resetsvc.store.database import Store

NOW = 1_790_000_000.0
LEASE = 10.0


def new_letter(letter_id: str | None = None, **changes: Any) -> NewLetter:
    letter_id = letter_id or Clock().new_letter_id()
    return NewLetter(
        **{
            "id": letter_id,
            "kind": Kind.RESET,
            "address": f"{letter_id}@example.com",
            "locale": None,
            "client": "203.0.113.5",
            "message_id": f"m{letter_id}",
            "asked_at": NOW,
            "deadline_at": NOW + 3600,
            **changes,
        }
    )


async def put(store: Store, *letters: NewLetter) -> None:
    await store.write(lambda connection: sql.insert_letters(connection, letters))


async def claim(
    store: Store, owner: str = "me", *, fresh: bool = True, now: float = NOW, limit: int = 100
) -> list[ClaimedLetter]:
    return await store.unit(
        lambda unit: sql.claim_due_letters(
            unit, fresh=fresh, owner=owner, now=now, lease_until=now + LEASE, limit=limit
        )
    )


async def row(store: Store, letter_id: str) -> dict[str, Any]:
    found = await store.read(lambda connection: kept.find_letters(connection, letter_id))
    (only,) = found
    return dict(only)


async def admitted(
    store: Store, letter_id: str | None = None, account: str = "1", credential: str = "c1", **changes: Any
) -> str:
    """A reset letter in hand that was tied to an account."""
    letter = new_letter(letter_id, **changes)
    await put(store, letter)
    await claim(store, now=letter.asked_at)
    await store.unit(
        lambda unit: admission_sql.admit_letters(
            unit, [(letter.id, account, credential)], now=letter.asked_at
        )
    )
    return letter.id


async def sent(store: Store, letter_id: str | None = None, *, at: float = NOW, **changes: Any) -> str:
    letter_id = await admitted(store, letter_id, **changes)
    await store.write(lambda connection: sql.mark_sent(connection, [(letter_id, at, "relay:25", "250 ok")]))
    return letter_id
