"""Where a relay is and how it is spoken to, as one URL. A pure function: nothing is contacted."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

TLS = Literal["implicit", "starttls", "none"]


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """One SMTP relay. `name` is what logs, metrics and `letters show` call it: no credentials in it."""

    host: str
    port: int
    tls: TLS
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"


def parse_relay_url(url: str) -> RelayAddress:
    """Read `smtps://user:pass@host:465`, `smtp://user:pass@host:587` or `smtp://host:25?tls=none`.

    Plain SMTP without TLS has to be asked for by name: an opportunistic upgrade is one that an attacker on the
    path can refuse (ASVS 12.3.1). Raises ValueError with a sentence that holds no part of the URL but its scheme.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # its own sentence quotes the URL, password and all
        raise ValueError("the relay's URL cannot be read") from None
    if parts.scheme not in ("smtp", "smtps"):
        raise ValueError("a relay's URL starts with smtp:// or smtps://")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("the relay's port is not a number from 1 to 65535") from None
    if port == 0:
        raise ValueError("the relay's port is not a number from 1 to 65535")
    if not parts.hostname or any(letter.isspace() or not letter.isprintable() for letter in parts.hostname):
        raise ValueError("the relay's URL has no host")
    if parts.path not in ("", "/") or parts.fragment:
        raise ValueError("a relay's URL ends after its host and port")
    query = parse_qs(parts.query, keep_blank_values=True)
    asked = query.pop("tls", ["implicit" if parts.scheme == "smtps" else "starttls"])
    if query:
        # Not told what it is: a password with an unescaped ? in it lands here.
        raise ValueError("a relay's URL takes ?tls=… and nothing else; write special characters as %XX")
    if (parts.scheme, asked[-1]) not in (
        ("smtps", "implicit"),
        ("smtp", "starttls"),
        ("smtp", "none"),
    ) or len(asked) > 1:
        raise ValueError("tls is starttls or none for smtp://, and always on for smtps://")
    if (parts.username is None) != (parts.password is None) or parts.username == "":
        raise ValueError("the relay's URL has a user without a password, or a password without a user")
    tls: TLS = "implicit" if parts.scheme == "smtps" else "none" if asked[-1] == "none" else "starttls"
    return RelayAddress(
        host=parts.hostname,
        port=port or {"implicit": 465, "starttls": 587, "none": 25}[tls],
        tls=tls,
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )
