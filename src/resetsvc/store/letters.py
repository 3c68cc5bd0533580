"""SQL on the tables `letters` and `attempts`: a function for each statement, named by what it does."""

from collections.abc import Sequence

from resetsvc.letters import ClaimedLetter, Kind, Link, NewLetter
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


async def admit_letters(connection: Connection, rows: Sequence[tuple[str, str, str]], *, now: float) -> None:
    """Tie letters to the accounts they are for. rows: (letter id, account id, credential)."""
    await connection.execute(
        """
        UPDATE letters SET account_id = new.account_id, credential = new.credential, admitted_at = :now, reason = NULL
        FROM (SELECT value ->> 0 AS id, value ->> 1 AS account_id, value ->> 2 AS credential FROM json_each(:rows)) AS new
        WHERE letters.id = new.id
        """,
        {"rows": as_json(rows), "now": now},
    )


async def refuse_letters(connection: Connection, rows: Sequence[tuple[str, str]]) -> None:
    """Note why letters in hand will be dropped. rows: (letter id, reason)."""
    await connection.execute(
        """
        UPDATE letters SET reason = new.reason
        FROM (SELECT value ->> 0 AS id, value ->> 1 AS reason FROM json_each(:rows)) AS new
        WHERE letters.id = new.id
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


# ---- links ----------------------------------------------------------------------------------------------------


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


async def end_old_links(
    connection: Connection, *, after: float | None, until: float, now: float, limit: int
) -> int:
    """Write down that links have run out, so that a clock that is put back brings none of them to life.

    Those of letters that were sent from `after` until `until`, or at any time until then; `limit` of them at most.
    """
    rows = await connection.fetch_all(
        f"""
        UPDATE letters SET link = 'expired', link_at = :now
        WHERE link IS NULL AND seq IN (
            SELECT seq FROM letters
            WHERE credential IS NOT NULL AND state = 'sent' AND kind = 'reset' AND link IS NULL AND {_finished(after)}
            LIMIT :limit
        )
        RETURNING seq
        """,  # noqa: S608 -- one of two conditions of this module
        {"after": after, "until": until, "now": now, "limit": limit},
    )
    return len(rows)


async def settle_letters(connection: Connection, *, after: float | None, until: float, limit: int) -> int:
    """Forget the credential of letters that nobody asks about by their account any more: no link of theirs can be used.

    Those that were finished from `after` until `until`, or at any time until then; `limit` of them at most. Only with
    a credential is a letter in the index by account, which so holds those of some hours and not of months: a new one
    would else meet another page of it each time.
    """
    rows = await connection.fetch_all(
        f"""
        UPDATE letters SET credential = NULL
        WHERE credential IS NOT NULL AND seq IN (
            SELECT seq FROM letters
            WHERE credential IS NOT NULL AND (link IS NOT NULL OR state = 'dropped') AND {_finished(after)}
            LIMIT :limit
        )
        RETURNING seq
        """,  # noqa: S608 -- one of two conditions of this module
        {"after": after, "until": until, "limit": limit},
    )
    return len(rows)


def _finished(after: float | None) -> str:
    """The time in which letters were finished, and the index that finds them.

    From the beginning, by the one of letters with a credential: the one by time holds all that are kept, and would be
    read from its beginning at each start.
    """
    if after is None:
        return "finished_at <= :until ORDER BY account_id"
    return "finished_at >= :after AND finished_at <= :until ORDER BY finished_at"


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
    """Drop the reset letters to these addresses that no dispatcher has looked at: they have no account yet to go by."""
    await connection.execute(
        """
        UPDATE letters SET state = 'dropped', reason = :reason, finished_at = :now
        WHERE state = 'queued' AND kind = 'reset' AND account_id IS NULL
          AND address IN (SELECT value FROM json_each(:addresses))
        """,
        {"addresses": as_json(addresses), "reason": reason, "now": now},
    )


# ---- looking and mending --------------------------------------------------------------------------------------


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
