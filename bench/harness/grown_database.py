"""A database that has served for years: 1,000,000 accounts and 1,000,000 finished letters, written by SQL in bulk."""

import sqlite3
import time
from pathlib import Path

ACCOUNTS = 1_000_000
LETTERS = 1_000_000
_PER_DAY = 40_000  # so that none of them is old enough to be erased while we measure
_DAY = 86_400.0


def grow(path: Path, *, accounts: int = ACCOUNTS, letters: int = LETTERS) -> None:
    """Add to a prepared database what is missing to so many accounts, and so many letters that are done with.

    Finished as the service would leave them: sent, their links used or expired, settled.
    """
    now = time.time()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = MEMORY")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -400000")
    # Made anew at the end, which is several times as fast as keeping them while rows come in.
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        " AND tbl_name IN ('accounts', 'settled_letters')"
    ).fetchall()
    connection.execute("BEGIN")
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    (there,) = connection.execute("SELECT count(*) FROM accounts").fetchone()
    connection.execute(
        """
        WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :wanted)
        INSERT INTO accounts (id, address, password_hash, active, created_at, changed_at)
        SELECT lower(hex(randomblob(16))), printf('other%07d@bench.example', n), '$argon2id$made$up', TRUE, 0, 0
        FROM number
        """,
        {"wanted": max(1, accounts - there)},
    )
    connection.execute(
        """
        WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :wanted)
        INSERT INTO settled_letters (id, kind, state, address, client, message_id, asked_at, deadline_at,
                                     attempts, account_id, admitted_at, sent_at, finished_at, relay, reply,
                                     link, link_at)
        SELECT printf('%012x', CAST(at * 1000 AS INTEGER)) || lower(hex(randomblob(16))), 'reset', 'sent', printf('other%07d@bench.example', n), '192.0.2.1',
               lower(hex(randomblob(16))), at, at + 14400, 1, lower(hex(randomblob(16))), at, at, at + 1, '127.0.0.1:25', '250 2.0.0 Ok',
               iif(n % 2, 'used', 'expired'), at + 1800
        FROM (SELECT n, :now - :day - (:wanted - n) * :day / :per_day AS at FROM number)
        """,
        {"wanted": letters, "now": now, "day": _DAY, "per_day": _PER_DAY},
    )
    for _, statement in indexes:
        connection.execute(statement)
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
