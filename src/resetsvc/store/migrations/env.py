"""How Alembic reaches the database: one transaction for all that is missing, taken before the first look."""

import sqlite3

import sqlalchemy as sa
from alembic import context

from resetsvc.store.sqlite import enter_wal

PATIENCE = 60.0  # seconds that one waits for another who migrates


def _run() -> None:
    url: str = context.config.attributes["url"]
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": PATIENCE})

    # SQLite's own transactions instead of the driver's: the driver commits before DDL, so a migration that is killed
    # would stay half done. IMMEDIATE: of two that start at once, one waits and then finds nothing left to do.
    @sa.event.listens_for(engine, "connect")
    def _no_implicit_begin(driver: sqlite3.Connection, _record: object) -> None:
        driver.isolation_level = None
        enter_wal(
            driver, patience=PATIENCE
        )  # here, where it can wait: whoever opens the file next finds it done

    @sa.event.listens_for(engine, "begin")
    def _begin_immediate(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    # Alembic reads the present revision inside this transaction, and its own `begin_transaction` joins it.
    with engine.connect() as connection, connection.begin():
        context.configure(connection=connection, transactional_ddl=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


_run()
