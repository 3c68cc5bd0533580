"""Which database of another application holds the accounts, as its URL says it. Pure: nothing is contacted."""

from dataclasses import dataclass, field
from enum import StrEnum
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from resetsvc.store.address import parse_address as parse_postgres_address


class Kind(StrEnum):
    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    MYSQL = "mysql"  # MariaDB too


FORM = "is not of the form sqlite:///path, postgresql://user:password@host/database or mysql://user:password@host/database"
_SCHEMES = {
    "sqlite": Kind.SQLITE,
    "postgresql": Kind.POSTGRESQL,
    "postgres": Kind.POSTGRESQL,
    "mysql": Kind.MYSQL,
    "mariadb": Kind.MYSQL,
}
# What SQLAlchemy reaches each by, and the extra of ours that installs it.
_DRIVERS = {
    Kind.SQLITE: ("aiosqlite", "sqlite"),
    Kind.POSTGRESQL: ("asyncpg", "postgres"),
    Kind.MYSQL: ("aiomysql", "mysql"),
}
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is.

    url  -- as it was given, with whatever password is in it
    name -- hosts and database, for messages: no user, no password
    """

    kind: Kind
    url: str = field(repr=False)
    name: str


def parse_place(url: str) -> Place:
    """Read a URL; ValueError with a sentence that holds nothing of it, since there may be a password in it."""
    kind = _SCHEMES.get(url.partition(":")[0])
    if kind is None:
        raise ValueError(FORM)
    driver, extra = _DRIVERS[kind]
    if find_spec(driver) is None or find_spec("greenlet") is None:
        raise ValueError(
            f"names a database whose driver is missing ({driver}): pip install 'resetsvc[{extra}]'"
        )
    match kind:
        case Kind.SQLITE:
            return Place(kind, url, sqlite_path(url))
        case Kind.POSTGRESQL:
            return Place(kind, url, parse_postgres_address(url).name)
        case Kind.MYSQL:
            arguments = mysql_arguments(url)
            host = arguments.get("unix_socket") or arguments["host"]
            return Place(kind, url, f"{host}/{arguments['db']}")


def sqlite_path(url: str) -> str:
    path = url.removeprefix("sqlite:///")
    if path == url or not path or "?" in path or path == ":memory:":
        raise ValueError("is not of the form sqlite:///path/to/file.db")
    return path


def mysql_arguments(url: str) -> dict[str, Any]:
    """What aiomysql connects with, but for TLS, whose way stands under `tls`: none or verify."""
    try:
        parts = urlsplit(url)
        port = parts.port or 3306
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise ValueError("is not of the form mysql://user:password@host:3306/database") from None
    database = unquote(parts.path.removeprefix("/"))
    socket = options.pop("unix_socket", None)
    if not database or "/" in database or parts.fragment or not (parts.hostname or socket):
        raise ValueError("has to name a host and a database: mysql://user:password@host:3306/database")
    near = socket is not None or parts.hostname in LOOPBACK
    tls = options.pop("tls", "none" if near else "verify")
    authority = options.pop("ca", None)
    if tls not in ("none", "verify"):
        raise ValueError("has a tls that is neither none nor verify")
    if options:
        raise ValueError("knows unix_socket, tls and ca after its ?, and nothing else")
    return {
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "db": database,
        "tls": tls,
        "ca": authority,
        **({"unix_socket": socket} if socket else {"host": parts.hostname, "port": port}),
    }
