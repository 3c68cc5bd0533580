"""SQL for those who look at letters, count them, put them back, or erase them: an operator, the metrics, the retention."""

from collections.abc import Sequence

from resetsvc.letters import Kind, State
from resetsvc.store.connection import Connection, Row, as_json
from resetsvc.store.settled_letters import COLUMNS as SETTLED

# What is known of a letter for as long as anything may be done with it.
_OF_THE_UNSETTLED = "due_at, lease_owner, lease_until, credential"
_AFTER_EVERY_DIGIT = "g"


async def list_letters(connection: Connection, state: str | None, limit: int) -> Sequence[Row]:
    """The newest letters first."""
    rows = await connection.fetch_all(
        _from_both("CAST(:state AS TEXT) IS NULL OR state = :state", newest_first=True),
        # Others than these are never settled: nobody reads millions of letters to find none.
        {"state": state, "limit": limit, "settled": state in (None, State.SENT, State.DROPPED)},
    )
    # Both parts are in their order, which sorting by time alone keeps for letters of one moment.
    return sorted(rows, key=lambda row: float(row["asked_at"]), reverse=True)[:limit]


async def find_letters(connection: Connection, id_prefix: str) -> Sequence[Row]:
    """Letters whose id begins so, two at most: enough to see that it is not the only one."""
    rows = await connection.fetch_all(
        _from_both("id >= :low AND id < :high", newest_first=False),
        {"low": id_prefix, "high": id_prefix + _AFTER_EVERY_DIGIT, "limit": 2, "settled": True},
    )
    return sorted(rows, key=lambda row: str(row["id"]))[:2]


def _from_both(condition: str, *, newest_first: bool) -> str:
    """Letters that are settled and others, up to :limit of either, in one look: a letter moves from one to the other."""
    unsettled, settled = ("seq DESC", "id DESC") if newest_first else ("id", "id")
    return f"""
        SELECT * FROM (
            SELECT {SETTLED}, {_OF_THE_UNSETTLED} FROM letters WHERE {condition} ORDER BY {unsettled} LIMIT :limit
        ) AS unsettled
        UNION ALL
        SELECT settled.*, NULL, NULL, NULL, NULL FROM (
            SELECT {SETTLED} FROM settled_letters
            WHERE CAST(:settled AS BOOLEAN) AND ({condition}) ORDER BY {settled} LIMIT :limit
        ) AS settled
        """  # noqa: S608 -- constants of this module


async def attempts_of(connection: Connection, letter_id: str) -> Sequence[Row]:
    return await connection.fetch_all(
        "SELECT at, relay, verdict, code, reply FROM attempts WHERE letter_id = :id ORDER BY seq",
        {"id": letter_id},
    )


async def retry_letters(
    connection: Connection, ids: Sequence[str] | None, *, kind: Kind, now: float, deadline_at: float
) -> list[str]:
    """Put failed and expired letters back with a fresh deadline; all of them if `ids` is None. Returns those put back.

    Not those whose link was used or revoked: what they would bring is a link that does not work.
    """
    rows = await connection.fetch_all(
        """
        UPDATE letters SET state = 'queued', reason = NULL, finished_at = NULL, due_at = :now, deadline_at = :deadline_at,
            attempts = 0
        WHERE state IN ('failed', 'expired') AND kind = :kind AND link IS NULL
          AND (CAST(:ids AS TEXT) IS NULL OR id IN (SELECT value FROM json_each(:ids)))
        RETURNING id
        """,
        {"ids": None if ids is None else as_json(ids), "kind": kind, "now": now, "deadline_at": deadline_at},
    )
    return [str(row["id"]) for row in rows]


async def count_by_state(connection: Connection) -> dict[str, int]:
    """Letters that are not settled, by state: those of the last hours, and all that failed or expired."""
    rows = await connection.fetch_all("SELECT state, count(*) AS n FROM letters GROUP BY state")
    return {str(row["state"]): int(row["n"]) for row in rows}


async def oldest_waiting(connection: Connection) -> float | None:
    """When the request was made that has waited longest, or None if nothing waits."""
    row = await connection.fetch_one(
        """
        SELECT min(asked_at) AS at FROM (
            SELECT asked_at FROM letters WHERE state = 'queued'
            UNION ALL SELECT asked_at FROM letters WHERE state = 'sending'
        ) AS waiting
        """
    )
    return None if row is None or row["at"] is None else float(row["at"])


async def erase_finished(connection: Connection, before: float, limit: int) -> int:
    """Delete letters that were finished before then, and their attempts. Returns how many letters went."""
    # A limit on either: without, SQLite reads all that is to go, and sorts it, for each slice.
    rows = await connection.fetch_all(
        """
        SELECT * FROM (
            SELECT id, finished_at FROM settled_letters WHERE finished_at < :before ORDER BY finished_at LIMIT :limit
        ) AS settled
        UNION ALL
        SELECT * FROM (
            SELECT id, finished_at FROM letters WHERE finished_at < :before ORDER BY finished_at LIMIT :limit
        ) AS unsettled
        ORDER BY finished_at LIMIT :limit
        """,
        {"before": before, "limit": limit},
    )
    if not rows:
        return 0
    ids = {"ids": as_json([row["id"] for row in rows])}
    # In the order in which a letter goes through them: one that is being settled at this moment is met afterwards.
    for delete in (
        "DELETE FROM attempts WHERE letter_id IN (SELECT value FROM json_each(:ids))",
        "DELETE FROM letters WHERE id IN (SELECT value FROM json_each(:ids))",
        "DELETE FROM settled_letters WHERE id IN (SELECT value FROM json_each(:ids))",
    ):
        await connection.execute(delete, ids)
    return len(rows)
