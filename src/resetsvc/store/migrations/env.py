"""How Alembic reaches the database: one transaction for all that is missing, taken before the first look."""

import asyncio
import sqlite3

import sqlalchemy as sa
from alembic import context

from resetsvc.store.sqlite import enter_wal

PATIENCE = 60.0  # seconds that one waits for another who migrates
# For a table that is in use: whoever comes after this waits behind it, and requests are refused after 4 seconds. It takes
# one second until an autovacuum gives way.
DDL_PATIENCE = "2s"


def _run() -> None:
    url: str = context.config.attributes["url"]
    if url.startswith("sqlite:"):
        _run_on_sqlite(url)
    else:
        asyncio.run(_run_on_postgresql(url))


def _run_on_sqlite(url: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": PATIENCE})

    # SQLite's own transactions instead of the driver's: the driver commits before DDL, so a migration that is killed
    # would stay half done. IMMEDIATE: of two that start at once, one waits and then finds nothing left to do.
    @sa.event.listens_for(engine, "connect")
    def _no_implicit_begin(driver: sqlite3.Connection, _record: object) -> None:
        driver.isolation_level = None
        # Here, where it can wait: whoever opens the file next finds it done.
        enter_wal(driver, patience=PATIENCE)

    @sa.event.listens_for(engine, "begin")
    def _begin_immediate(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with engine.connect() as connection, connection.begin():
        _migrate(connection)
    engine.dispose()


async def _run_on_postgresql(url: str) -> None:
    """Over the driver that the service has anyway, and connected by the same code: see docs/discussion/choices.md."""
    from sqlalchemy.ext.asyncio import create_async_engine

    from resetsvc.store.address import parse_address
    from resetsvc.store.postgres import LOCKS, MIGRATING, connect

    address = parse_address(url)
    # A migration may take its time; what it waits for is bounded below. A pooler takes no settings at the start, and
    # hands the session on afterwards: nothing may be left prepared in it.
    unhurried = {"statement_timeout": "0", "lock_timeout": "0", "application_name": "resetsvc migrate"}
    engine = create_async_engine(
        "postgresql+asyncpg://",
        poolclass=sa.NullPool,
        async_creator=lambda: connect(
            address, command_timeout=None, server_settings={} if address.pgbouncer else unhurried
        ),
        connect_args={"prepared_statement_cache_size": 0, "prepared_statement_name_func": lambda: ""},
    )
    async with engine.connect() as connection, connection.begin():
        await connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        await connection.execute(sa.text(f"SET LOCAL lock_timeout = '{PATIENCE:.0f}s'"))
        await connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({LOCKS}, {MIGRATING})"))
        await connection.execute(sa.text(f"SET LOCAL lock_timeout = '{DDL_PATIENCE}'"))
        await connection.run_sync(_migrate)
    await engine.dispose()


def _migrate(connection: sa.Connection) -> None:
    # Alembic reads the present revision inside this transaction, and its own `begin_transaction` joins it.
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


_run()
