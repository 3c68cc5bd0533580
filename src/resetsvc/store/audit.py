"""SQL on the tables `audit`, to which records are only ever added, and `audit_head`, which says where it ends."""

from collections.abc import Sequence

from resetsvc.store.connection import Connection, Row


async def insert_record(
    connection: Connection,
    *,
    seq: int,
    at: float,
    event: str,
    detail: str,
    before: str,
    key: str,
    chain: str,
) -> None:
    await connection.execute(
        """
        INSERT INTO audit (seq, at, event, detail, "before", "key", chain)
        VALUES (:seq, :at, :event, :detail, :before, :key, :chain)
        """,
        {
            "seq": seq,
            "at": at,
            "event": event,
            "detail": detail,
            "before": before,
            "key": key,
            "chain": chain,
        },
    )


async def set_head(connection: Connection, *, seq: int, digest: str, chain: str, key: str, seal: str) -> None:
    await connection.execute(
        """
        INSERT INTO audit_head (id, seq, digest, chain, "key", seal) VALUES (1, :seq, :digest, :chain, :key, :seal)
        ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, digest = excluded.digest, chain = excluded.chain,
            "key" = excluded."key", seal = excluded.seal
        """,
        {"seq": seq, "digest": digest, "chain": chain, "key": key, "seal": seal},
    )


async def get_head(connection: Connection) -> Row | None:
    """Row of seq, digest, chain, key, seal."""
    return await connection.fetch_one('SELECT seq, digest, chain, "key", seal FROM audit_head WHERE id = 1')


async def last_record(connection: Connection) -> Row | None:
    rows = await newest_records(connection, 1)
    return rows[0] if rows else None


async def newest_records(connection: Connection, limit: int) -> Sequence[Row]:
    """The newest first. Rows of seq, at, event, detail, before, key, chain."""
    return await connection.fetch_all(
        'SELECT seq, at, event, detail, "before", "key", chain FROM audit ORDER BY seq DESC LIMIT :limit',
        {"limit": limit},
    )


async def records_after(connection: Connection, seq: int, limit: int) -> Sequence[Row]:
    """The oldest first. Rows as those of `newest_records`."""
    return await connection.fetch_all(
        """
        SELECT seq, at, event, detail, "before", "key", chain FROM audit
        WHERE seq > :seq ORDER BY seq LIMIT :limit
        """,
        {"seq": seq, "limit": limit},
    )


async def last_migration(connection: Connection) -> Row | None:
    """The detail of the newest record about a migration."""
    return await connection.fetch_one(
        "SELECT detail FROM audit WHERE event = 'schema_migrated' ORDER BY seq DESC LIMIT 1"
    )
