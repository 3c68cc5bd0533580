"""Which schema the code needs, which one a database has, and the way from one to the other (Alembic)."""

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from resetsvc.errors import DatabaseUnsuitable, DatabaseUnusable, SchemaMissing, SchemaOutdated, SchemaTooNew
from resetsvc.store.connection import Connection
from resetsvc.store.sqlite import database_file

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

# The newest file in migrations/versions. A constant, so that a start on a current schema need not load Alembic.
# Revisions are numbers of four digits: what is newer is greater.
REVISION = "0006"
MIGRATIONS = Path(__file__).parent / "migrations"

# Alembic keeps what it works on in module globals: two apps that start in one process would tear at them.
_one_at_a_time = threading.Lock()


async def upgrade_if_needed(url: str) -> None:
    """Bring a SQLite file up to date, creating it if need be. SchemaTooNew if a later version has been here."""
    if await asyncio.to_thread(_revision_of_file, url) != REVISION:
        await asyncio.to_thread(upgrade, url)


def upgrade(url: str) -> None:
    """Run what is missing, in one transaction: safe to run twice, at once from two processes, and to be killed."""
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError
    from sqlalchemy.exc import DBAPIError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    try:
        with _one_at_a_time:
            command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaTooNew from error
    except DBAPIError as error:
        told = f"the database cannot be migrated: {_without_details(error)}"
        sqlstate = getattr(error.orig, "sqlstate", None)
        if sqlstate == "55P03":  # lock_not_available
            told += ". Somebody else is using a table (a backup?): nothing was changed, try again later"
        kind = DatabaseUnsuitable if sqlstate == "42501" else DatabaseUnusable  # insufficient_privilege
        raise kind(told) from error


def _without_details(error: "DBAPIError") -> str:
    """What the database said. PostgreSQL's driver repeats the values of a row in the lines after the first."""
    cause = getattr(error.orig, "__cause__", None) or error.orig or error
    return str(cause.args[0] if cause.args else cause)


async def current_revision(connection: Connection) -> str | None:
    row = await connection.fetch_one("SELECT version_num FROM alembic_version")
    return None if row is None else str(row["version_num"])


def is_outdated(revision: str | None) -> bool:
    """Whether this code cannot work on such a schema.

    On a newer one it can: migrations only add, so that the processes of yesterday go on while today's are started.
    """
    return revision is None or revision < REVISION


def require_current(revision: str | None) -> None:
    """Raise SchemaMissing, SchemaOutdated or SchemaTooNew unless a database's revision is the one of this code."""
    if revision is None:
        raise SchemaMissing
    if is_outdated(revision):
        raise SchemaOutdated
    if revision != REVISION:
        raise SchemaTooNew


def _revision_of_file(url: str) -> str | None:
    path = Path(database_file(url))
    if not path.exists():
        return None
    connection = sqlite3.connect(path, timeout=30)
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    finally:
        connection.close()
    return None if row is None else str(row[0])
