"""URLs that secrets are sent to or stand in: https, or http on this machine, and nothing in them that is no URL."""

from urllib.parse import SplitResult, urlsplit


def safe_url(value: str, why: str = "links carry a secret") -> SplitResult:
    """Refuse whatever could send a secret over the network in the clear, or would be no link in a mail (ValueError)."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:  # its own sentence quotes what was typed
        raise ValueError("is not of the form https://host/…") from None
    host = parts.hostname or ""
    if any(letter.isspace() or not letter.isprintable() or letter in "<>\"'" for letter in value):
        raise ValueError("holds spaces, quotes or control characters")
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("is not of the form https://host/…")
    if "@" in parts.netloc:
        raise ValueError("holds a user name or a password")
    if (
        parts.scheme == "http"
        and host not in ("localhost", "127.0.0.1", "::1")
        and not host.endswith(".localhost")
    ):
        raise ValueError(f"has to be https://: {why} (http:// only for loopback)")
    return parts
