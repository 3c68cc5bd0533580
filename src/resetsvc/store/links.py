"""SQL on the links in letters: open, used by exactly one, revoked, run out; and the letters that would bring another."""

from collections.abc import Sequence

from resetsvc.letters import Link
from resetsvc.store.connection import Connection, as_json


async def get_open_link(connection: Connection, letter_id: str) -> Link | None:
    """The link of a letter, unless it was used or revoked or its letter was never meant to go out.

    Also while the letter is still `sending` or waits for another attempt: a copy may have arrived whose
    acceptance never reached us.
    """
    row = await connection.fetch_one(
        """
        SELECT id, account_id, credential, address, client FROM letters
        WHERE id = :id AND kind = 'reset' AND admitted_at IS NOT NULL AND link IS NULL AND state <> 'dropped'
        """,
        {"id": letter_id},
    )
    if row is None:
        return None
    return Link(row["id"], row["account_id"], row["credential"], row["address"] or "", row["client"] or "")


async def mark_link_used(connection: Connection, letter_id: str, now: float) -> bool:
    """Use a link up. True for exactly one of any number of callers."""
    row = await connection.fetch_one(
        """
        UPDATE letters SET link = 'used', link_at = :now
        WHERE id = :id AND kind = 'reset' AND admitted_at IS NOT NULL AND link IS NULL AND state <> 'dropped'
        RETURNING id
        """,
        {"id": letter_id, "now": now},
    )
    return row is not None


async def revoke_links(connection: Connection, account_id: str, now: float) -> None:
    """End all links of an account that are still open."""
    await connection.execute(
        """
        UPDATE letters SET link = 'revoked', link_at = :now
        WHERE account_id = :account AND credential IS NOT NULL AND kind = 'reset' AND link IS NULL
        """,
        {"account": account_id, "now": now},
    )


async def drop_waiting_resets(connection: Connection, account_id: str, reason: str, now: float) -> None:
    """Drop the reset letters of an account that were admitted and not sent: they would mint a live link."""
    await connection.execute(
        """
        UPDATE letters SET state = 'dropped', reason = :reason, finished_at = :now, lease_owner = NULL, lease_until = NULL
        WHERE account_id = :account AND credential IS NOT NULL AND kind = 'reset' AND state IN ('queued', 'sending')
        """,
        {"account": account_id, "reason": reason, "now": now},
    )


async def drop_unseen_resets(
    connection: Connection, addresses: Sequence[str], reason: str, now: float
) -> None:
    """Drop the reset letters to these addresses that are not admitted yet: they have no account to go by.

    Also those that a dispatcher holds: it may have looked the account up before what is done to it here.
    """
    await connection.execute(
        """
        WITH unseen AS MATERIALIZED (
            SELECT seq FROM letters
            WHERE state = 'queued' AND kind = 'reset' AND account_id IS NULL
              AND address IN (SELECT value FROM json_each(:addresses))
            UNION ALL
            SELECT seq FROM letters
            WHERE state = 'sending' AND kind = 'reset' AND account_id IS NULL
              AND address IN (SELECT value FROM json_each(:addresses))
        )
        UPDATE letters SET state = 'dropped', reason = :reason, finished_at = :now, lease_owner = NULL, lease_until = NULL
        WHERE seq IN (SELECT seq FROM unseen) AND state IN ('queued', 'sending') AND account_id IS NULL
        """,
        {"addresses": as_json(addresses), "reason": reason, "now": now},
    )


async def end_old_links(
    connection: Connection, *, after: float, until: float, now: float, limit: int
) -> Sequence[float]:
    """Write down that links have run out, so that a clock that is put back brings none of them to life.

    Those of letters that were sent from `after` until `until`, the earliest first, `limit` of them at most. Returns when
    they were finished.
    """
    rows = await connection.fetch_all(
        """
        WITH old AS MATERIALIZED (
            SELECT seq FROM letters
            WHERE finished_at >= :after AND finished_at <= :until AND state = 'sent' AND kind = 'reset' AND link IS NULL
            ORDER BY finished_at LIMIT :limit /*postgresql FOR UPDATE */
        )
        UPDATE letters SET link = 'expired', link_at = :now WHERE seq IN (SELECT seq FROM old)
        RETURNING finished_at
        """,
        {"after": after, "until": until, "now": now, "limit": limit},
    )
    return [float(row["finished_at"]) for row in rows]
