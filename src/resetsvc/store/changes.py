"""SQL on the table `changes`: changes of passwords that were begun in another database and have no end on record yet."""

from collections.abc import Sequence

from resetsvc.store.connection import Connection, Row


async def begin_change(
    connection: Connection,
    *,
    letter_id: str,
    account_id: str,
    credential: str,
    becomes: str | None,
    client: str,
    look_at: float,
) -> bool:
    """Write down that a link is about to change a password; False while another change of that account has no end.

    credential, becomes -- the account's, as it is and as it will be; None: nobody can tell
    """
    row = await connection.fetch_one(
        """
        INSERT INTO changes (letter_id, account_id, credential, becomes, client, look_at)
        VALUES (:letter, :account, :credential, :becomes, :client, :look_at)
        ON CONFLICT DO NOTHING RETURNING letter_id
        """,
        {
            "letter": letter_id,
            "account": account_id,
            "credential": credential,
            "becomes": becomes,
            "client": client,
            "look_at": look_at,
        },
    )
    return row is not None


async def end_change(connection: Connection, letter_id: str) -> bool:
    """Take a change off the record; False if somebody has done so before."""
    row = await connection.fetch_one(
        "DELETE FROM changes WHERE letter_id = :letter RETURNING letter_id", {"letter": letter_id}
    )
    return row is not None


async def take_interrupted_changes(
    connection: Connection, *, now: float, look_again_at: float
) -> Sequence[Row]:
    """Changes that nobody has ended in time; until `look_again_at` no other process gets them.

    Rows of letter_id, account_id, credential, becomes, client.
    """
    return await connection.fetch_all(
        """
        UPDATE changes SET look_at = :again WHERE look_at <= :now
        RETURNING letter_id, account_id, credential, becomes, client
        """,
        {"now": now, "again": look_again_at},
    )


async def address_of(connection: Connection, letter_id: str) -> str:
    """The address that a letter was asked for with; empty if it was erased."""
    row = await connection.fetch_one(
        """
        SELECT address FROM letters WHERE id = :letter
        UNION ALL SELECT address FROM settled_letters WHERE id = :letter
        """,
        {"letter": letter_id},
    )
    return "" if row is None else row["address"] or ""


async def erase_old_changes(connection: Connection, before: float) -> None:
    """Those that nobody will ever end: the accounts were moved to another place meanwhile."""
    await connection.execute("DELETE FROM changes WHERE look_at <= :before", {"before": before})
