"""SQL for those who look at letters, count them, put them back, or erase them: an operator, the metrics, the retention."""

from collections.abc import Sequence

from resetsvc.letters import Kind
from resetsvc.store.connection import Connection, Row, as_json


async def list_letters(connection: Connection, state: str | None, limit: int) -> Sequence[Row]:
    """The newest letters first."""
    return await connection.fetch_all(
        """
        SELECT * FROM letters WHERE CAST(:state AS TEXT) IS NULL OR state = :state ORDER BY seq DESC LIMIT :limit
        """,
        {"state": state, "limit": limit},
    )


async def find_letters(connection: Connection, id_prefix: str) -> Sequence[Row]:
    """Letters whose id begins so, two at most: enough to see that it is not the only one."""
    return await connection.fetch_all(
        "SELECT * FROM letters WHERE id >= :low AND id < :high ORDER BY id LIMIT 2",
        {"low": id_prefix, "high": id_prefix + "g"},  # g: after every hexadecimal digit
    )


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
    rows = await connection.fetch_all(
        """
        SELECT id FROM letters WHERE finished_at IS NOT NULL AND finished_at < :before
        ORDER BY finished_at LIMIT :limit
        """,
        {"before": before, "limit": limit},
    )
    if not rows:
        return 0
    ids = as_json([row["id"] for row in rows])
    await connection.execute(
        "DELETE FROM attempts WHERE letter_id IN (SELECT value FROM json_each(:ids))", {"ids": ids}
    )
    await connection.execute(
        "DELETE FROM letters WHERE id IN (SELECT value FROM json_each(:ids))", {"ids": ids}
    )
    return len(rows)
