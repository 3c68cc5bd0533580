"""SQL on the table `events`: what the application is to be told, until it has taken it."""

from collections.abc import Sequence

from resetsvc.store.connection import Connection, Row, as_json


async def insert_events(
    connection: Connection, rows: Sequence[tuple[str, str, float]], *, deadline_at: float
) -> None:
    """Store events that are to be posted, unless they are stored already. Rows of id, body, when it happened."""
    await connection.execute(
        """
        INSERT INTO events (id, body, due_at, deadline_at, attempts, failed)
        SELECT value ->> 0, value ->> 1, CAST(value ->> 2 AS DOUBLE PRECISION), :deadline, 0, FALSE
        FROM json_each(:rows) WHERE TRUE
        ON CONFLICT (id) DO NOTHING
        """,
        {"rows": as_json(rows), "deadline": deadline_at},
    )


async def claim_due_events(connection: Connection, *, now: float, until: float, limit: int) -> Sequence[Row]:
    """Take the oldest that are due; they are due again at `until` unless they were settled by then.

    Rows of id, body, attempts, deadline_at.
    """
    return await connection.fetch_all(
        """
        WITH due AS MATERIALIZED (
            SELECT id FROM events WHERE NOT failed AND due_at <= :now
            ORDER BY due_at LIMIT :limit /*postgresql FOR UPDATE SKIP LOCKED */
        )
        UPDATE events SET due_at = :until WHERE id IN (SELECT id FROM due)
        RETURNING id, body, attempts, deadline_at
        """,
        {"now": now, "until": until, "limit": limit},
    )


async def delete_events(connection: Connection, ids: Sequence[str]) -> None:
    await connection.execute(
        "DELETE FROM events WHERE id IN (SELECT value FROM json_each(:ids))", {"ids": as_json(ids)}
    )


async def postpone_events(connection: Connection, rows: Sequence[tuple[str, float]]) -> None:
    """Rows of id, when it is due again. Counts an attempt."""
    await connection.execute(
        """
        WITH again AS (
            SELECT value ->> 0 AS id, CAST(value ->> 1 AS DOUBLE PRECISION) AS due_at FROM json_each(:rows)
        )
        UPDATE events SET due_at = again.due_at, attempts = attempts + 1 FROM again WHERE events.id = again.id
        """,
        {"rows": as_json(rows)},
    )


async def give_events_up(connection: Connection, ids: Sequence[str]) -> None:
    await connection.execute(
        "UPDATE events SET failed = TRUE WHERE id IN (SELECT value FROM json_each(:ids))",
        {"ids": as_json(ids)},
    )


async def erase_old_events(connection: Connection, before: float) -> None:
    """Those whose time was over before that: given up, or nobody posts them any more."""
    await connection.execute("DELETE FROM events WHERE deadline_at <= :before", {"before": before})


async def count_events(connection: Connection) -> tuple[int, int]:
    """How many wait, and how many were given up."""
    rows = await connection.fetch_all("SELECT failed, count(*) AS number FROM events GROUP BY failed")
    by_failed = {bool(row["failed"]): int(row["number"]) for row in rows}
    return by_failed.get(False, 0), by_failed.get(True, 0)
