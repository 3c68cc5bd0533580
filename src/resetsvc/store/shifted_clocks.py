"""SQL for letters of before this machine's clock was put forward or back."""

from resetsvc.store.connection import Connection


async def move_waiting_letters(connection: Connection, *, asked_by: float, seconds: float) -> int:
    """The clock was put forward: nobody has waited longer for that. Letters keep what is left until their deadline.

    asked_by -- the time before the jump: what was asked since is left alone, and so is what another process has
                moved, unless it had waited for longer than the jump
    """
    rows = await connection.fetch_all(
        """
        UPDATE letters SET asked_at = asked_at + :seconds, due_at = due_at + :seconds, deadline_at = deadline_at + :seconds
        WHERE asked_at <= :asked_by AND seq IN (
            SELECT seq FROM letters WHERE state = 'queued'
            UNION ALL SELECT seq FROM letters WHERE state = 'sending'
        )
        RETURNING seq
        """,
        {"asked_by": asked_by, "seconds": seconds},
    )
    return len(rows)


async def bring_back_letters(
    connection: Connection, *, now: float, fresh_by: float, retries_by: float
) -> int:
    """The clock was put back: letters that are due later than any pause says were stored before that.

    Fresh ones are due now, the others spread over five minutes; none gets more time than it had at first.
    """
    rows = await connection.fetch_all(
        """
        UPDATE letters SET
            due_at = CASE WHEN attempts > 0 THEN CAST(:now AS DOUBLE PRECISION) + seq % 300 ELSE :now END,
            deadline_at = CASE WHEN asked_at > :now THEN deadline_at - (asked_at - :now) ELSE deadline_at END,
            asked_at = CASE WHEN asked_at > :now THEN :now ELSE asked_at END
        WHERE seq IN (
            SELECT seq FROM letters WHERE state = 'queued' AND (attempts > 0) = FALSE AND due_at > :fresh_by
            UNION ALL
            SELECT seq FROM letters WHERE state = 'queued' AND (attempts > 0) = TRUE AND due_at > :retries_by
        )
        RETURNING seq
        """,
        {"now": now, "fresh_by": fresh_by, "retries_by": retries_by},
    )
    return len(rows)


async def cut_leases(connection: Connection, *, longest: float, until: float) -> None:
    """The clock was put back: a lease that ends after `longest` ends at `until`, unless its owner lives and renews it."""
    await connection.execute(
        "UPDATE letters SET lease_until = :until WHERE state = 'sending' AND lease_until > :longest",
        {"longest": longest, "until": until},
    )
