"""SQL on what is decided about letters in hand: which account they are for, whether they go, and what went before."""

from collections.abc import Sequence

from resetsvc.store.connection import Connection, Row, as_json


async def earlier_resets(connection: Connection, account_ids: Sequence[str], since: float) -> Sequence[Row]:
    """The admitted reset letters of these accounts that wait, or were admitted or sent since then.

    Rows of account_id, id, state, admitted_at, sent_at.
    """
    return await connection.fetch_all(
        """
        SELECT account_id, id, state, admitted_at, sent_at FROM letters
        WHERE account_id IN (SELECT value FROM json_each(:accounts)) AND credential IS NOT NULL
          AND kind = 'reset' AND admitted_at IS NOT NULL
          AND (state IN ('queued', 'sending') OR (state = 'sent' AND (admitted_at > :since OR sent_at > :since)))
        """,
        {"accounts": as_json(account_ids), "since": since},
    )


async def admit_letters(
    connection: Connection, rows: Sequence[tuple[str, str, str]], *, now: float
) -> list[str]:
    """Tie letters to the accounts they are for. rows: (letter id, account id, credential).

    Returns the ids of those that were still to be sent: the others have come to an end meanwhile.
    """
    found = await connection.fetch_all(
        """
        UPDATE letters SET account_id = new.account_id, credential = new.credential, admitted_at = :now, reason = NULL
        FROM (SELECT value ->> 0 AS id, value ->> 1 AS account_id, value ->> 2 AS credential FROM json_each(:rows)) AS new
        WHERE letters.id = new.id AND letters.state = 'sending'
        RETURNING letters.id
        """,
        {"rows": as_json(rows), "now": now},
    )
    return [str(row["id"]) for row in found]


async def refuse_letters(connection: Connection, rows: Sequence[tuple[str, str]]) -> None:
    """Note why letters in hand will be dropped. rows: (letter id, reason)."""
    await connection.execute(
        """
        UPDATE letters SET reason = new.reason
        FROM (SELECT value ->> 0 AS id, value ->> 1 AS reason FROM json_each(:rows)) AS new
        WHERE letters.id = new.id AND letters.state = 'sending'
        """,
        {"rows": as_json(rows)},
    )


async def extend_deadlines(connection: Connection, rows: Sequence[tuple[str, float]]) -> None:
    """Let letters wait until the later deadline of those merged into them. rows: (letter id, deadline)."""
    await connection.execute(
        """
        UPDATE letters SET deadline_at = new.deadline_at
        FROM (SELECT value ->> 0 AS id, CAST(value ->> 1 AS DOUBLE PRECISION) AS deadline_at FROM json_each(:rows)) AS new
        WHERE letters.id = new.id AND letters.deadline_at < new.deadline_at
        """,
        {"rows": as_json(rows)},
    )
