"""A database's URL in the form that resetsvc takes, in the words of the frameworks."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


def for_sqlalchemy(url: str, *, sqlite: str = "sqlite") -> str:
    """`sqlite` is the name that SQLAlchemy knows the driver by; PostgreSQL's is psycopg, which does both, async and not."""
    scheme, _, rest = url.partition("://")
    return f"{'postgresql+psycopg' if scheme == 'postgresql' else sqlite}://{rest}"


def for_django(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": unquote(url.removeprefix("sqlite:///"))}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path[1:],
        "USER": parts.username or "",
        "PASSWORD": unquote(parts.password or ""),
        # A folder is where the server's socket is.
        "HOST": dict(parse_qsl(parts.query)).get("host") or parts.hostname or "",
        "PORT": str(parts.port or ""),
    }
