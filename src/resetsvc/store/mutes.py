"""SQL on the table `mutes`: accounts whose owner asked for a day without reset mails."""

from collections.abc import Sequence

from resetsvc.store.connection import Connection, as_json


async def mute_account(connection: Connection, account_id: str, until: float) -> None:
    await connection.execute(
        """
        INSERT INTO mutes (account_id, until) VALUES (:account, :until)
        ON CONFLICT (account_id) DO UPDATE SET until = excluded.until WHERE mutes.until < excluded.until
        """,
        {"account": account_id, "until": until},
    )


async def muted_accounts(connection: Connection, account_ids: Sequence[str], now: float) -> set[str]:
    rows = await connection.fetch_all(
        "SELECT account_id FROM mutes WHERE until > :now AND account_id IN (SELECT value FROM json_each(:accounts))",
        {"accounts": as_json(account_ids), "now": now},
    )
    return {str(row["account_id"]) for row in rows}


async def erase_ended_mutes(connection: Connection, now: float) -> None:
    await connection.execute("DELETE FROM mutes WHERE until <= :now", {"now": now})
