"""What values must look like: a type for each, with a check that says in half a sentence what is wrong.

No check says the value itself: it may be a secret.
"""

import json
import re
from email.utils import parseaddr
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from limits import parse_many as parse_limits
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainValidator,
    SecretStr,
    ValidationInfo,
)
from pydantic_settings import NoDecode

from resetsvc.accounts.mapping import read_accounts
from resetsvc.addresses import parse_address
from resetsvc.errors import AddressRefused
from resetsvc.relay.url import parse_relay_url
from resetsvc.safe_url import safe_url
from resetsvc.storage_url import parse_storage_url
from resetsvc.store.address import parse_address as parse_postgres_address
from resetsvc.webhooks import parse_secret

T = TypeVar("T")

# ---- texts, one or several ----


def _none_if_empty(value: T) -> T | None:
    return value or None


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return _json(value) if value.lstrip().startswith("[") else value.split()


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError("begins like JSON and is none") from None


def _printable(value: str) -> str:
    if any(not letter.isprintable() for letter in value):
        raise ValueError("holds control characters")
    return value


OptionalText = Annotated[str | None, AfterValidator(_none_if_empty)]
OptionalSecret = Annotated[SecretStr | None, AfterValidator(_none_if_empty)]
Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]
Name = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_printable)]

# ---- our own database, and the accounts of others ----


def _database(value: str) -> str:
    scheme = value.partition(":")[0]
    if scheme in ("postgresql", "postgres"):
        if find_spec("asyncpg") is None:
            raise ValueError("names PostgreSQL, and its driver is missing: pip install 'resetsvc[postgres]'")
        parse_postgres_address(value)
        return value
    if not value.startswith("sqlite:///") or len(value) == len("sqlite:///"):
        raise ValueError("is not of the form sqlite:///path/to/file.db or postgresql://user@host/database")
    if ":memory:" in value or "mode=memory" in value:
        raise ValueError("a database in memory loses every letter when the process ends: name a file")
    return value


def _accounts(value: object, info: ValidationInfo) -> BaseModel | None:
    """One of three may be there, or all: the preset is written over by `[accounts]`, and that by the environment."""
    if isinstance(value, BaseModel):
        return value
    described = _json(value) if isinstance(value, str) and value.strip() else value or {}
    url, preset = info.data.get("accounts_url"), info.data.get("accounts_preset")
    if not described and not url and not preset:
        return None
    if not isinstance(described, dict):
        raise ValueError("is no table")
    return read_accounts(described, url=url and url.get_secret_value(), preset_name=preset)


DatabaseUrl = Annotated[str, AfterValidator(_database)]
# A `resetsvc.accounts.mapping.Mapping`, or the `WebhookMapping` of an endpoint.
AccountsTable = Annotated[BaseModel | None, NoDecode, PlainValidator(_accounts)]

# ---- URLs: ours, and those of the application and of others ----


def _public_url(value: str) -> str:
    parts = safe_url(value)
    if parts.query or parts.fragment:
        raise ValueError("ends after its path: no ? and no #")
    return value.rstrip("/")


def _reset_url(value: str) -> str:
    if value.count("{token}") != 1:
        raise ValueError("has to hold {token} once")
    rest = value.replace("{token}", "").replace("{public_url}", "https://public")
    if "{" in rest or "}" in rest:
        raise ValueError("knows {token} and {public_url}, and no other braces")
    safe_url(rest)
    return value


def _login_url(value: str | None) -> str | None:
    if value:
        safe_url(value)
    return value or None


def _events_url(value: str | None) -> str | None:
    if value:
        safe_url(value, "what is told there is nobody else's to read")
        if "#" in value:
            raise ValueError("ends before any #")
    return value or None


def _breach_url(value: str | None) -> str | None:
    if value:
        safe_url(value, "what is asked tells of a password")
        if "?" in value or "#" in value:
            raise ValueError("ends after its path: no ? and no #")
    return value or None


def _webhook_secrets(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for secret in value:
        parse_secret(secret.get_secret_value())
    return value


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        try:
            parts = urlsplit(origin)
        except ValueError:
            raise ValueError("holds what is no origin (scheme://host[:port])") from None
        if (
            origin != f"{parts.scheme}://{parts.netloc}"
            or parts.scheme not in ("http", "https")
            or not re.fullmatch(r"[\w.:\[\]-]+", parts.netloc, re.ASCII)
        ):
            raise ValueError(
                "an origin is scheme://host[:port] and nothing more, without * and without a / at the end"
            )
    return tuple(origin.lower() for origin in value)


PublicUrl = Annotated[str, AfterValidator(_public_url)]
ResetUrl = Annotated[str, AfterValidator(_reset_url)]
LoginUrl = Annotated[str | None, AfterValidator(_login_url)]
EventsUrl = Annotated[str | None, AfterValidator(_events_url)]
BreachUrl = Annotated[str | None, AfterValidator(_breach_url)]
WebhookSecrets = Annotated[Secrets, AfterValidator(_webhook_secrets)]
Origins = Annotated[Texts, AfterValidator(_origins)]

# ---- mail ----


def _relays(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("is missing")
    for url in value:
        parse_relay_url(url)
    return value


def _sender(value: str) -> str:
    _, address = parseaddr(_printable(value))
    try:
        parse_address(address)
    except AddressRefused:
        address = ""
    # `parseaddr` finds an address in nearly anything; this one has to be all there is but for a name before it.
    if not address or not (value.strip() == address or value.strip().endswith(f"<{address}>")):
        raise ValueError("is not of the form Example <no-reply@example.com>")
    return value


RelayUrls = Annotated[Texts, AfterValidator(_relays)]
Sender = Annotated[str, Field(max_length=320), AfterValidator(_sender)]

# ---- limits, folders, the token of operations ----


def _limit(value: str) -> str:
    if value.strip():
        try:
            (limit,) = parse_limits(value)  # one: a second one would go unnoticed
        except ValueError:
            raise ValueError("is not of the form 20/minute or 3/hour (or empty for none)") from None
        if limit.amount < 1:
            raise ValueError("allows nothing at all (empty: no limit)")
    return value.strip()


def _folder(value: Path | None) -> Path | None:
    if value is not None and not value.is_dir():
        raise ValueError("is not a folder")
    return value


def _ops_token(value: SecretStr | None) -> SecretStr | None:
    if value is not None and 0 < len(value.get_secret_value()) < 16:
        raise ValueError("needs at least 16 characters")
    return value or None


Limit = Annotated[str, AfterValidator(_limit)]
StorageUrl = Annotated[str, AfterValidator(parse_storage_url)]
# An empty text is no folder: as a path it would be the one that the service was started in.
Folder = Annotated[Path | None, BeforeValidator(_none_if_empty), AfterValidator(_folder)]
OpsToken = Annotated[SecretStr | None, AfterValidator(_ops_token)]
