"""Connections to another application's database: few, to a server tested before use, and none that waits for long.

What the server itself can be told to give up on, it is told; our own clock is only for a server that says nothing.
"""

import contextlib
import errno
import os
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from resetsvc.accounts.place import Kind, Place, mysql_arguments, sqlite_path
from resetsvc.errors import SetupError
from resetsvc.store.address import parse_address as parse_postgres_address

CONNECT_TIMEOUT = 3.0  # seconds
LOCK_TIMEOUT = 3  # seconds until a row that somebody else holds is given up
STATEMENT_TIMEOUT = 5  # seconds
POOL = {
    "pool_size": 4,
    "max_overflow": 4,
    "pool_timeout": 3.0,
    "pool_recycle": 600,
    "pool_pre_ping": True,  # one turn more, and no error after a restart of the database
}
_POSTGRES_SETTINGS = {
    "application_name": "resetsvc",
    "statement_timeout": f"{STATEMENT_TIMEOUT * 1000}",
    "lock_timeout": f"{LOCK_TIMEOUT * 1000}",
    "idle_in_transaction_session_timeout": "10000",
    "jit": "off",
    "timezone": "UTC",  # what columns without a time zone hold
}
# These are handed over as text, and the server makes of it what its column is: so an id is one, whatever its type.
_AS_TEXT = ("int2", "int4", "int8", "numeric", "uuid", "timestamp", "timestamptz", "bit", "varbit")


def open_engine(place: Place) -> AsyncEngine:
    """Nothing is connected yet: that is done when it is needed, and done again after it was lost."""
    shared: dict[str, Any] = {**POOL, "hide_parameters": True}
    match place.kind:
        case Kind.SQLITE:
            return _sqlite(place, shared)
        case Kind.POSTGRESQL:
            return _postgresql(place, shared)
        case Kind.MYSQL:
            return _mysql(place, shared)


def _sqlite(place: Place, shared: dict[str, Any]) -> AsyncEngine:
    # `rw`: a path with a typing error must not become an empty database.
    path = Path(sqlite_path(place.url)).absolute()
    url = URL.create(
        "sqlite+aiosqlite", database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"}
    )
    # No server that may have been restarted: whether the file is there still need not be asked before each look-up.
    without_ping = shared | {"pool_pre_ping": False}
    engine = create_async_engine(url, **without_ping, connect_args={"timeout": float(LOCK_TIMEOUT)})

    @event.listens_for(engine.sync_engine, "do_connect")
    def look(*_: object) -> None:
        # The driver's thread outlives a failure to open, and its loop if that ends then.
        if not os.access(path, os.R_OK):
            raise FileNotFoundError(errno.ENOENT, "no file that can be read", str(path))

    return engine


def _postgresql(place: Place, shared: dict[str, Any]) -> AsyncEngine:
    import asyncpg

    address = parse_postgres_address(place.url)
    connecting = address.connecting | {"timeout": CONNECT_TIMEOUT, "command_timeout": STATEMENT_TIMEOUT + 1.0}
    if not address.pgbouncer:
        connecting["server_settings"] = _POSTGRES_SETTINGS

    async def connect() -> Any:
        connection = await asyncpg.connect(**connecting)
        try:
            for name in _AS_TEXT:
                await connection.set_type_codec(
                    name, schema="pg_catalog", encoder=str, decoder=str, format="text"
                )
        except BaseException:  # a time-out of ours too: nobody else knows of this connection yet
            connection.terminate()
            raise
        return connection

    more: dict[str, Any] = {"connect_args": {"prepared_statement_cache_size": 0}} if address.pgbouncer else {}
    return create_async_engine("postgresql+asyncpg://", **shared, async_creator=connect, **more)


def _mysql(place: Place, shared: dict[str, Any]) -> AsyncEngine:
    arguments = mysql_arguments(place.url)
    way, authority = arguments.pop("tls"), arguments.pop("ca")
    if way != "none":
        try:
            arguments["ssl"] = ssl.create_default_context(cafile=authority)
        except OSError as error:  # an ssl.SSLError is one
            raise SetupError(
                f"accounts.url names a ca that cannot be read, {authority}: {error.strerror or type(error).__name__}"
            ) from None
    engine = create_async_engine(
        "mysql+aiomysql://",
        **shared,
        connect_args={**arguments, "charset": "utf8mb4", "connect_timeout": CONNECT_TIMEOUT},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def limit(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(
            f"SET SESSION innodb_lock_wait_timeout = {LOCK_TIMEOUT}, lock_wait_timeout = {LOCK_TIMEOUT}"
        )
        # MariaDB has the first of these, in seconds; MySQL the other one, in milliseconds.
        try:
            cursor.execute(f"SET SESSION max_statement_time = {STATEMENT_TIMEOUT}")
        except Exception:
            with contextlib.suppress(Exception):
                cursor.execute(f"SET SESSION max_execution_time = {STATEMENT_TIMEOUT * 1000}")
        cursor.close()

    return engine
