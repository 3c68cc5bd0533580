"""Where client limits are counted, as one URL. A pure function: nothing is contacted."""

from urllib.parse import parse_qsl, urlsplit, urlunsplit

PORT = 6379

# What may stand behind the `?`, and what it must look like. The driver would take anything, and fail at the first request;
# or leave a certificate unchecked.
_NUMBER, _TEXT = str.isdigit, bool
_OPTIONS = {
    **dict.fromkeys(("db", "max_connections", "health_check_interval"), _NUMBER),
    "protocol": {"2", "3"}.__contains__,
    **dict.fromkeys(("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "client_name"), _TEXT),
}


def parse_storage_url(url: str) -> str:
    """Read `memory://`, `redis://host:6379/0`, `rediss://…` (TLS) or `unix:///path/of/socket`; add the port if there is none.

    Raises ValueError with a sentence that holds nothing of the URL, since there may be a password in it.
    """
    if url == "memory://":
        return url
    try:
        parts = urlsplit(url)
        port = parts.port
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:  # its own sentence quotes the URL
        raise ValueError(
            "cannot be read as redis://user:password@host:6379/0 (write @ / : in a password as %40 %2F %3A)"
        ) from None
    if parts.scheme not in ("redis", "rediss", "unix", "redis+unix") or parts.fragment:
        raise ValueError("is not memory:// or redis://…")
    for name, value in options:
        if name not in _OPTIONS or not _OPTIONS[name](value):
            # Not told which: a password with an unescaped ? in it lands here.
            raise ValueError(
                f"takes behind its ? only {', '.join(_OPTIONS)}, each with a value that makes sense"
            )
    if "unix" in parts.scheme:
        if not parts.path.startswith("/") or parts.path == "/":
            raise ValueError("has to name a socket: unix:///path/of/socket")
        return url
    if not parts.hostname or "," in parts.netloc:
        raise ValueError("has to name one host: redis://host:6379/0")
    if parts.path.strip("/") and not parts.path.removeprefix("/").isdigit():
        raise ValueError("ends in the number of a database, or in nothing: redis://host:6379/0")
    if port == 0:
        raise ValueError("has a port that is no number from 1 to 65535")
    return urlunsplit(parts._replace(netloc=parts.netloc.rstrip(":") + ("" if port else f":{PORT}")))
