"""SQL on the table `settled_letters`: letters that are over, apart from those that anything is still done with.

Each new version of a row goes into every index of its table. `letters` holds what was asked for in the last hours, and what
failed and may be put back, so that its indexes stay as small after years as on the first day.
"""

from collections.abc import Sequence

from resetsvc.store.connection import Connection, as_json

# All of a letter but who holds it, when it is due, and the credential: that is forgotten here.
COLUMNS = (
    "id, kind, state, reason, address, locale, client, message_id, asked_at, deadline_at, attempts, account_id,"
    " admitted_at, sent_at, finished_at, relay, reply, link, link_at"
)


async def settle_letters(
    connection: Connection, *, after: float, until: float, limit: int
) -> Sequence[float]:
    """Move letters that nothing can happen to any more: dropped, or sent and without a link that works.

    Those that were finished from `after` until `until`, the earliest first, `limit` of them at most. Returns when they
    were finished. Letters that failed or expired are left: somebody may put them back. In a unit: it is three statements.
    """
    over = await connection.fetch_all(
        """
        SELECT id, finished_at FROM letters
        WHERE finished_at >= :after AND finished_at <= :until
          AND (state = 'dropped' OR (state = 'sent' AND (kind <> 'reset' OR link IS NOT NULL)))
        ORDER BY finished_at LIMIT :limit /*postgresql FOR UPDATE SKIP LOCKED */
        """,
        {"after": after, "until": until, "limit": limit},
    )
    if over:
        ids = {"ids": as_json([row["id"] for row in over])}
        await connection.execute(
            f"""
            INSERT INTO settled_letters ({COLUMNS})
            SELECT {COLUMNS} FROM letters WHERE id IN (SELECT value FROM json_each(:ids))
            """,  # noqa: S608 -- the columns are a constant of this module
            ids,
        )
        await connection.execute("DELETE FROM letters WHERE id IN (SELECT value FROM json_each(:ids))", ids)
    return [float(row["finished_at"]) for row in over]
