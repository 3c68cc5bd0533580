"""SQL on the table `accounts`: the built-in one, for whoever has no user table yet."""

from collections.abc import Sequence

from resetsvc.store.connection import Connection, Row, as_json


async def insert_account(
    connection: Connection,
    *,
    account_id: str,
    address: str,
    password_hash: str,
    locale: str | None,
    now: float,
) -> bool:
    """Add an account; False if the address has one."""
    row = await connection.fetch_one(
        """
        INSERT INTO accounts (id, address, password_hash, locale, active, created_at, changed_at)
        VALUES (:id, :address, :hash, :locale, TRUE, :now, :now)
        ON CONFLICT (address) DO NOTHING RETURNING id
        """,
        {"id": account_id, "address": address, "hash": password_hash, "locale": locale, "now": now},
    )
    return row is not None


async def find_accounts(connection: Connection, addresses: Sequence[str]) -> Sequence[Row]:
    """The accounts of these addresses. Rows of id, address, password_hash, locale, active."""
    return await connection.fetch_all(
        """
        SELECT id, address, password_hash, locale, active FROM accounts
        WHERE address IN (SELECT value FROM json_each(:addresses))
        """,
        {"addresses": as_json(addresses)},
    )


async def get_account(connection: Connection, account_id: str) -> Row | None:
    return await connection.fetch_one(
        "SELECT id, address, password_hash, locale, active FROM accounts WHERE id = :id", {"id": account_id}
    )


async def swap_password_hash(
    connection: Connection, *, account_id: str, old: str, new: str, now: float
) -> bool:
    """Set the new hash if the old one is still there; False if somebody was faster or the account is disabled."""
    row = await connection.fetch_one(
        """
        UPDATE accounts SET password_hash = :new, changed_at = :now
        WHERE id = :id AND password_hash = :old AND active RETURNING id
        """,
        {"id": account_id, "old": old, "new": new, "now": now},
    )
    return row is not None


async def disable_account(connection: Connection, address: str, now: float) -> bool:
    row = await connection.fetch_one(
        "UPDATE accounts SET active = FALSE, changed_at = :now WHERE address = :address RETURNING id",
        {"address": address, "now": now},
    )
    return row is not None
