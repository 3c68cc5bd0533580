"""SQL on the way of a letter, from asking to its end: a function for each statement, named by what it does."""

from collections.abc import Sequence

from resetsvc.letters import ClaimedLetter, Kind, NewLetter
from resetsvc.store.connection import Connection, Row, as_json

_CLAIMED = (
    "id, kind, address, locale, client, message_id, asked_at, deadline_at, attempts, account_id, credential"
)

# ---- asking ---------------------------------------------------------------------------------------------------


async def insert_letters(connection: Connection, letters: Sequence[NewLetter]) -> None:
    """Store any number of letters with one statement and one commit."""
    await connection.execute(
        """
        INSERT INTO letters (id, kind, state, address, locale, client, message_id, asked_at, due_at, deadline_at, account_id)
        SELECT value ->> 0, value ->> 1, 'queued', value ->> 2, value ->> 3, value ->> 4, value ->> 5,
               CAST(value ->> 6 AS DOUBLE PRECISION), CAST(value ->> 6 AS DOUBLE PRECISION),
               CAST(value ->> 7 AS DOUBLE PRECISION), value ->> 8
        FROM json_each(:rows)
        """,
        {
            "rows": as_json(
                [
                    (
                        letter.id,
                        letter.kind,
                        letter.address,
                        letter.locale,
                        letter.client,
                        letter.message_id,
                        letter.asked_at,
                        letter.deadline_at,
                        letter.account_id,
                    )
                    for letter in letters
                ]
            )
        },
    )


async def count_undelivered(connection: Connection, at_most: int) -> int:
    """How many letters wait or are being sent; counting stops at `at_most`."""
    row = await connection.fetch_one(
        """
        SELECT count(*) AS n FROM (
            SELECT 1 FROM letters WHERE state = 'queued'
            UNION ALL SELECT 1 FROM letters WHERE state = 'sending'
            LIMIT :at_most
        ) AS undelivered
        """,
        {"at_most": at_most},
    )
    assert row is not None
    return int(row["n"])


# ---- delivering -----------------------------------------------------------------------------------------------


async def claim_due_letters(
    connection: Connection,
    *,
    fresh: bool,
    owner: str,
    now: float,
    lease_until: float,
    limit: int,
    newest: bool = False,
) -> list[ClaimedLetter]:
    """Take up to `limit` letters that are due, oldest or newest first: those never tried, or those to be tried again."""
    # `+ 0`: not by the index on the deadline. By the statistics of all letters hardly any has one ahead, so that
    # PostgreSQL would go there, and then sort all that wait for each claim.
    rows = await connection.fetch_all(
        f"""
        WITH due AS MATERIALIZED (
            SELECT seq FROM letters
            WHERE state = 'queued' AND (attempts > 0) = :retry AND due_at <= :now AND deadline_at + 0 > :now
            ORDER BY due_at {"DESC" if newest else "ASC"} LIMIT :limit /*postgresql FOR UPDATE SKIP LOCKED */
        )
        UPDATE letters SET state = 'sending', lease_owner = :owner, lease_until = :lease_until
        WHERE seq IN (SELECT seq FROM due)
        RETURNING seq, {_CLAIMED}
        """,  # noqa: S608 -- the columns are a constant of this module, and the order is one of two words
        {"owner": owner, "lease_until": lease_until, "now": now, "retry": not fresh, "limit": limit},
    )
    # RETURNING promises no order.
    return [_claimed(row) for row in sorted(rows, key=lambda row: int(row["seq"]))]


async def renew_leases(
    connection: Connection, ids: Sequence[str], *, owner: str, lease_until: float
) -> list[str]:
    """Hold letters in hand for longer. Returns those that are still held: the others were taken over, or finished."""
    rows = await connection.fetch_all(
        """
        WITH held AS MATERIALIZED (
            SELECT seq FROM letters
            WHERE state = 'sending' AND lease_owner = :owner AND id IN (SELECT value FROM json_each(:ids))
            ORDER BY seq /*postgresql FOR UPDATE SKIP LOCKED */
        )
        UPDATE letters SET lease_until = :lease_until WHERE seq IN (SELECT seq FROM held)
        RETURNING id
        """,
        {"ids": as_json(ids), "owner": owner, "lease_until": lease_until},
    )
    return [str(row["id"]) for row in rows]


async def release_expired_leases(
    connection: Connection, *, owner: str, in_hand: Sequence[str], now: float
) -> int:
    """Put back what a process that no longer renews its leases left in the middle.

    Of one's own, only what is not in hand: a claim whose admission the database refused.
    """
    rows = await connection.fetch_all(
        """
        WITH left_behind AS MATERIALIZED (
            SELECT seq FROM letters
            WHERE state = 'sending' AND lease_until <= :now
              AND (lease_owner <> :owner OR id NOT IN (SELECT value FROM json_each(:in_hand)))
            /*postgresql FOR UPDATE SKIP LOCKED */
        )
        UPDATE letters SET state = 'queued', due_at = :now, lease_owner = NULL, lease_until = NULL
        WHERE seq IN (SELECT seq FROM left_behind)
        RETURNING seq
        """,
        {"owner": owner, "in_hand": as_json(in_hand), "now": now},
    )
    return len(rows)


async def release_leases(connection: Connection, *, owner: str, now: float) -> None:
    """Put back all that one owner holds: it stops."""
    await connection.execute(
        """
        UPDATE letters SET state = 'queued', due_at = :now, lease_owner = NULL, lease_until = NULL
        WHERE state = 'sending' AND lease_owner = :owner
        """,
        {"owner": owner, "now": now},
    )


async def expire_letters(connection: Connection, now: float) -> list[str]:
    """Give up what waits past its deadline; return the ids."""
    rows = await connection.fetch_all(
        """
        WITH late AS MATERIALIZED (
            SELECT seq FROM letters WHERE state = 'queued' AND deadline_at <= :now /*postgresql AND deadline_at > 0 */
            /*postgresql FOR UPDATE SKIP LOCKED */
        )
        UPDATE letters SET state = 'expired', reason = 'deadline', finished_at = :now
        WHERE seq IN (SELECT seq FROM late) RETURNING id
        """,
        {"now": now},
    )
    return [str(row["id"]) for row in rows]


async def ends_of_resets(connection: Connection, ids: Sequence[str]) -> Sequence[Row]:
    """Of these letters the resets of an account that were sent, failed or expired. Rows of id, account_id, state, reason."""
    return await connection.fetch_all(
        """
        SELECT id, account_id, state, reason FROM letters
        WHERE id IN (SELECT value FROM json_each(:ids)) AND kind = 'reset' AND account_id IS NOT NULL
          AND state IN ('sent', 'failed', 'expired')
        """,
        {"ids": as_json(ids)},
    )


async def drop_letters(
    connection: Connection, rows: Sequence[tuple[str, str]], *, owner: str, now: float
) -> None:
    """Record why letters in hand are not sent. rows: (letter id, reason)."""
    await connection.execute(
        """
        UPDATE letters SET state = 'dropped', reason = new.reason, finished_at = :now, lease_owner = NULL, lease_until = NULL
        FROM (SELECT value ->> 0 AS id, value ->> 1 AS reason FROM json_each(:rows)) AS new
        WHERE letters.id = new.id AND letters.state = 'sending' AND letters.lease_owner = :owner
        """,
        {"rows": as_json(rows), "owner": owner, "now": now},
    )


async def mark_sent(connection: Connection, rows: Sequence[tuple[str, float, str, str]]) -> None:
    """Record letters that a relay took over. rows: (letter id, time, relay, reply).

    Whoever holds the lease by now: that the mail left is a fact. What finished otherwise meanwhile (its account's
    password was changed) stays so.
    """
    await connection.execute(
        """
        UPDATE letters SET state = 'sent', reason = NULL, sent_at = new.at, finished_at = new.at, attempts = attempts + 1,
            relay = new.relay, reply = new.reply, lease_owner = NULL, lease_until = NULL
        FROM (SELECT value ->> 0 AS id, CAST(value ->> 1 AS DOUBLE PRECISION) AS at, value ->> 2 AS relay, value ->> 3 AS reply
              FROM json_each(:rows)) AS new
        WHERE letters.id = new.id AND letters.state IN ('queued', 'sending')
        """,
        {"rows": as_json(rows)},
    )


async def postpone_letters(
    connection: Connection, rows: Sequence[tuple[str, float, int]], *, owner: str
) -> None:
    """Put letters in hand back until later. rows: (letter id, due at, 1 if this was an attempt at the letter, else 0)."""
    await connection.execute(
        """
        UPDATE letters SET state = 'queued', due_at = new.due_at, attempts = attempts + new.tried,
            lease_owner = NULL, lease_until = NULL
        FROM (SELECT value ->> 0 AS id, CAST(value ->> 1 AS DOUBLE PRECISION) AS due_at, CAST(value ->> 2 AS INTEGER) AS tried
              FROM json_each(:rows)) AS new
        WHERE letters.id = new.id AND letters.state = 'sending' AND letters.lease_owner = :owner
        """,
        {"rows": as_json(rows), "owner": owner},
    )


async def fail_letters(
    connection: Connection, rows: Sequence[tuple[str, str]], *, owner: str, now: float
) -> None:
    """Give letters in hand up for good. rows: (letter id, reason)."""
    await connection.execute(
        """
        UPDATE letters SET state = 'failed', reason = new.reason, finished_at = :now, attempts = attempts + 1,
            lease_owner = NULL, lease_until = NULL
        FROM (SELECT value ->> 0 AS id, value ->> 1 AS reason FROM json_each(:rows)) AS new
        WHERE letters.id = new.id AND letters.state = 'sending' AND letters.lease_owner = :owner
        """,
        {"rows": as_json(rows), "owner": owner, "now": now},
    )


async def insert_attempts(
    connection: Connection, rows: Sequence[tuple[str, float, str, str, int | None, str]]
) -> None:
    """Keep attempts that did not end in `sent` (that one is in the letter). rows: (letter id, at, relay, verdict, code, reply)."""
    await connection.execute(
        """
        INSERT INTO attempts (letter_id, at, relay, verdict, code, reply)
        SELECT value ->> 0, CAST(value ->> 1 AS DOUBLE PRECISION), value ->> 2, value ->> 3, CAST(value ->> 4 AS INTEGER), value ->> 5
        FROM json_each(:rows)
        """,
        {"rows": as_json(rows)},
    )


def _claimed(row: Row) -> ClaimedLetter:
    return ClaimedLetter(
        id=row["id"],
        kind=Kind(row["kind"]),
        address=row["address"],
        locale=row["locale"],
        client=row["client"] or "",
        message_id=row["message_id"],
        asked_at=row["asked_at"],
        deadline_at=row["deadline_at"],
        attempts=row["attempts"],
        account_id=row["account_id"],
        credential=row["credential"],
    )
