"""What stands for a value that is not known before the change: `{id}`, the time, and chance in the forms that frameworks use."""

import base64
import secrets
import string
from datetime import UTC, datetime

from resetsvc.accounts.place import Kind

_LETTERS = string.ascii_letters + string.digits


def filled(value: str | int | bool, *, id: object, address: str, now: float, kind: Kind) -> object:
    """Return what is stored, or compared with, where `value` stands in the description."""
    moment = datetime.fromtimestamp(now, UTC)
    match value:
        case "{id}":
            return id
        case "{address}":
            return address
        case "{now}":
            return moment.strftime("%Y-%m-%d %H:%M:%S")
        case "{now_iso}":
            # SQLite has no type for a time: applications in JavaScript write their own text there.
            text = moment.isoformat(sep="T", timespec="milliseconds").replace("+00:00", "Z")
            return text if kind is Kind.SQLITE else moment.strftime("%Y-%m-%d %H:%M:%S")
        case "{uuid}":
            digits = _uuid()
            return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        case "{hex}":
            return _uuid()
        case "{base32}":
            return base64.b32encode(secrets.token_bytes(20)).decode()
        case "{letters}":
            return "".join(secrets.choice(_LETTERS) for _ in range(60))
        case _:
            return value


def _uuid() -> str:
    """The 32 digits of a random one (RFC 9562 5.4): its version is 4, and two bits of the 17th digit are set."""
    digits = secrets.token_hex(16)
    return f"{digits[:12]}4{digits[13:16]}{secrets.choice('89ab')}{digits[17:]}"
