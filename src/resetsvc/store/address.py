"""Where a PostgreSQL database is, as `postgresql://…` says it, and how long we wait for it."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

POOL_SIZE = 8  # connections of one process, unless the URL says `pool_size=`
CONNECT_TIMEOUT = 4.0  # seconds
# Seconds for one statement, by our own clock: a server that is out of reach never says anything.
ANSWER_TIMEOUT = 10.0

# The server's own limits, each shorter than ANSWER_TIMEOUT. `idle_in_transaction…`: a process that was stopped in the
# middle of a unit keeps its locks for no longer than a lease.
SERVER_SETTINGS = {
    "application_name": "resetsvc",
    "statement_timeout": "8000",
    "lock_timeout": "4000",
    "idle_in_transaction_session_timeout": "10000",
    "jit": "off",  # compiling costs more than any statement of ours takes
    # Each statement of ours has its index. Which share of the letters waits changes from nothing to all within a minute:
    # with statistics from before, the planner would read millions of finished letters from end to end.
    "enable_seqscan": "off",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is, as the setting says it.

    dsn       -- what asyncpg reads: with user, password and TLS
    name      -- hosts and database, for messages: no user, no password
    pgbouncer -- a pooler in transaction mode stands between: nothing may be left in a session
    """

    dsn: str = field(repr=False)
    name: str
    pool_size: int
    pgbouncer: bool

    @property
    def tls_files(self) -> dict[str, str]:
        """The files that the URL names, by what they are for."""
        given = dict(parse_qsl(urlsplit(self.dsn).query))
        return {name: given[name] for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl") if name in given}

    @property
    def connecting(self) -> dict[str, Any]:
        """The arguments of `asyncpg.connect` and `asyncpg.create_pool`."""
        given = {name for name, _ in parse_qsl(urlsplit(self.dsn).query)}
        ours = {} if self.pgbouncer else {k: v for k, v in SERVER_SETTINGS.items() if k not in given}
        return {
            "dsn": self.dsn,
            "timeout": CONNECT_TIMEOUT,
            "command_timeout": ANSWER_TIMEOUT,
            "server_settings": ours,
            # After a failover the first that answers may be a standby.
            **({} if "target_session_attrs" in given else {"target_session_attrs": "read-write"}),
            **({"statement_cache_size": 0} if self.pgbouncer else {}),
        }


def parse_address(url: str) -> Address:
    """Read `postgresql://…`; ValueError with a sentence that holds nothing of it, since there may be a password in it."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise ValueError("is not of the form postgresql://user:password@host:5432/database") from None
    if parts.scheme not in ("postgresql", "postgres") or parts.fragment:
        raise ValueError("is not of the form postgresql://user:password@host:5432/database")
    hosts = parts.netloc.rpartition("@")[2] or options.get("host", "")
    database = parts.path.removeprefix("/")
    if not hosts or not database:
        raise ValueError("has to name a host and a database: postgresql://user:password@host:5432/database")
    for host in hosts.split(","):
        port = host.rpartition(":")[2] if not host.startswith("/") and not host.endswith("]") else ""
        if ":" in host and port and not port.isdigit():
            raise ValueError("has a port that is no number (write @ / : in a password as %40 %2F %3A)")
    try:
        pool_size = int(options.pop("pool_size", POOL_SIZE))
    except ValueError:
        pool_size = 0
    if not 2 <= pool_size <= 500:
        raise ValueError("has a pool_size that is no number from 2 to 500")
    pgbouncer = options.pop("pgbouncer", "false").lower()
    if pgbouncer not in ("true", "false"):
        raise ValueError("has a pgbouncer that is neither true nor false")
    dsn = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(options), ""))
    return Address(dsn, f"{hosts}/{database}", pool_size, pgbouncer == "true")
