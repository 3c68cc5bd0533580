"""Every setting, its default and what it must look like: the only reader of the environment.

All problems are told at once, by the name that the person typed, and without the value: it may be a secret.
"""

import contextlib
import os
import re
import shlex
import stat
import tomllib
from collections.abc import Collection
from email.utils import parseaddr
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from limits import RateLimitItem
from limits import parse as parse_limit
from limits import parse_many as parse_limits
from pydantic import (
    BaseModel,
    Field,
    PositiveInt,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from resetsvc.accounts.mapping import SECRETS, WrongMapping, preset_names, read_accounts
from resetsvc.accounts.mapping import Mapping as AccountsMapping
from resetsvc.addresses import parse_address
from resetsvc.errors import AddressRefused, WrongSettings
from resetsvc.relay.url import RelayAddress, parse_relay_url
from resetsvc.safe_url import safe_url
from resetsvc.storage_url import parse_storage_url
from resetsvc.store.address import parse_address as parse_postgres_address
from resetsvc.webhooks import parse_secret

PREFIX = "RESETSVC_"
# Read by this module or by the test suite, and no settings of the service.
_NOT_SETTINGS = {"RESETSVC_CONFIG"}
_NOT_SETTINGS_PREFIX = "RESETSVC_TEST_"
_SECRET_KEY_LENGTH = 32
_SECRET_KEY_DIFFERENT_CHARACTERS = 8

# What `resetsvc.testing` signs with: everybody can read it, so no service may.
TEST_KEY = "a key for tests, and for nothing else: 0123456789"
# What people leave in from an example, as it reads in lower case without spaces and signs (CVE-2023-27524).
_LEFT_FROM_AN_EXAMPLE = (
    *("changeme", "changethis", "replaceme", "replacethis", "placeholder", "insecure", "notasecret"),
    *("yoursecret", "mysecretkey", "supersecret", "secretkeyhere", "secretgoeshere", "keygoeshere"),
    *("examplekey", "thisisasecret", "correcthorsebattery", "qwertyuiop", "asdfghjkl", "loremipsum"),
)

Texts = Annotated[tuple[str, ...], NoDecode]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode]


class Settings(BaseSettings):
    """What can be set, in the order of the reference. Values are checked here and trusted everywhere else."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        extra="ignore",  # `_unknown_names` looks at these: pydantic does not see unknown environment variables
        hide_input_in_errors=True,
        frozen=True,
        validate_default=False,
    )

    database_url: str = Field(
        "sqlite:///var/resetsvc.db",
        description="Where letters and the built-in accounts are kept: `sqlite:///path` (relative), `sqlite:////path` (absolute), or `postgresql://user:password@host/database` (needs the extra `postgres`).",
    )
    accounts_url: SecretStr | None = Field(
        None,
        description="The database in which another application keeps its accounts: `sqlite:///path`, `postgresql://user:password@host/database` or `mysql://user:password@host/database` (needs the extra `postgres` or `mysql`); or, as `https://…`, an endpoint of that application. The same as `url` in `[accounts]`. None: the built-in accounts.",
    )
    accounts_preset: str | None = Field(
        None,
        description=f"How that application's tables look: {', '.join(f'`{name}`' for name in preset_names())}. The same as `preset` in `[accounts]`.",
    )
    # A `resetsvc.accounts.mapping.Mapping`, or the `WebhookMapping` of an endpoint.
    accounts: Annotated[BaseModel | None, NoDecode] = Field(
        None,
        validate_default=True,
        description="The table `[accounts]` of the TOML file, which says where accounts are that live elsewhere (as an environment variable: the same as a JSON object).",
    )
    secret_key: SecretStr = Field(
        description="Signs links: at least 32 characters. `resetsvc keygen` makes one."
    )
    secret_key_fallbacks: Secrets = Field(
        (), description="Older keys that still verify links, as a JSON list or separated by spaces."
    )
    public_url: str = Field(
        description="The address under which people reach the service: `https://…` (`http://` only for loopback). Links are built from it alone."
    )
    reset_url: str = Field(
        "{public_url}/reset/{token}",
        description="The page that a mail links to, with `{token}` in it: change it for a front end of your own.",
    )
    login_url: str | None = Field(None, description="Where the last page links to.")
    product_name: str = Field(
        "Your account", description="Named in pages and mails.", min_length=1, max_length=80
    )
    token_ttl: int = Field(
        1800, ge=60, le=86400, description="Seconds that a link works, counted from sending."
    )
    delivery_deadline: int = Field(
        14400, ge=60, le=604800, description="Seconds after which an undelivered reset mail is given up."
    )
    smtp_url: Texts = Field(
        description="The relay, or several in the order of failover, separated by spaces: `smtps://user:pass@host:465`, `smtp://user:pass@host:587` (STARTTLS required), `smtp://127.0.0.1:1025?tls=none`."
    )
    smtp_connections: int = Field(
        8, ge=1, le=256, description="Connections to each relay, at most, from one process."
    )
    smtp_timeout: float = Field(30, gt=0, le=600, description="Seconds for one SMTP step.")
    mail_from: str = Field(max_length=320, description="The sender: `Example <no-reply@example.com>`.")
    password_min_length: int = Field(
        15, ge=8, le=128, description="Characters that a new password needs at least."
    )
    breach_url: str | None = Field(
        None,
        description="Where to ask whether a new password is known from a breach, such as `https://api.pwnedpasswords.com/range`; it learns five digits of a hash. Needs the extra `breach`. None: nobody is asked.",
    )
    events_url: str | None = Field(
        None,
        description="Where the application is told of mails that were sent or failed, of resets that were stopped and of passwords that were changed: `https://…` (`http://` only for loopback). Needs the extra `webhook`. None: it is not told.",
    )
    events_secret: Secrets = Field(
        (),
        description="Signs what is told there: `whsec_` and the base64 of 24 to 64 random bytes; several, separated by spaces, while one takes another's place.",
    )
    argon2_memory: int = Field(19456, ge=8192, le=4194304, description="KiB of memory for one Argon2id hash.")
    argon2_time: int = Field(2, ge=1, le=100, description="Passes of Argon2id over that memory.")
    argon2_parallelism: int = Field(1, ge=1, le=64, description="Lanes of Argon2id.")
    argon2_concurrency: int = Field(
        2, ge=1, le=64, description="Hashes that are computed at the same time, at most, in one process."
    )
    limit_per_client: str = Field(
        "20/minute", description="Requests from one client address (IPv6: one /64). Empty: no limit."
    )
    limit_per_account: str = Field(
        "3/hour",
        description="Reset mails to one account; when they are spent, one more each part of that time (`3/hour`: each 20 minutes). Never visible in an answer. Empty: no limit and no merging of requests that wait together.",
    )
    limit_storage_url: str = Field(
        "memory://",
        description="Where client limits are counted: `memory://`, or `redis://…` to share them between processes.",
    )
    trusted_proxies: int = Field(
        0, ge=0, le=16, description="How many proxies in front append to `X-Forwarded-For`."
    )
    cors_origins: Texts = Field(
        (),
        description="Exact origins of front ends elsewhere, as a JSON list or separated by spaces: they may read answers, and post from another site.",
    )
    queue_limit: PositiveInt = Field(
        100_000, description="Undelivered letters beyond which new requests get 503."
    )
    retention_days: PositiveInt = Field(
        30, description="Days after which addresses and links' records are erased."
    )
    ops_token: SecretStr | None = Field(
        None, description="Bearer token of `/metrics`; without it that page is 404."
    )
    dispatch: bool = Field(True, description="Whether `serve` also delivers.")
    templates: Path | None = Field(
        None,
        description="A folder whose `pages/…` and `mails/…` replace the built-in templates of the same name.",
    )
    locales: Path | None = Field(
        None,
        description="A folder of gettext catalogs (`de/LC_MESSAGES/resetsvc.mo`) beside the built-in ones.",
    )
    log_format: Literal["json", "console"] = Field("json", description="`json` or `console`.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="`debug`, `info`, `warning` or `error`."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        config = os.environ.get("RESETSVC_CONFIG")
        toml = (TomlConfigSettingsSource(settings_cls, toml_file=config),) if config else ()
        return init_settings, env_settings, dotenv_settings, *toml

    @field_validator("accounts_url", "accounts_preset")
    @classmethod
    def _none_if_nothing(cls, value: SecretStr | str | None) -> SecretStr | str | None:
        return value or None

    @field_validator("accounts", mode="plain")
    @classmethod
    def _is_mapping(cls, value: object, info: ValidationInfo) -> BaseModel | None:
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

    @field_validator("secret_key_fallbacks", "smtp_url", "cors_origins", "events_secret", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            return _json(value)
        return value.split()

    @field_validator("database_url")
    @classmethod
    def _is_database(cls, value: str) -> str:
        scheme = value.partition(":")[0]
        if scheme in ("postgresql", "postgres"):
            if find_spec("asyncpg") is None:
                raise ValueError(
                    "names PostgreSQL, and its driver is missing: pip install 'resetsvc[postgres]'"
                )
            parse_postgres_address(value)
            return value
        if not value.startswith("sqlite:///") or len(value) == len("sqlite:///"):
            raise ValueError(
                "is not of the form sqlite:///path/to/file.db or postgresql://user@host/database"
            )
        if ":memory:" in value or "mode=memory" in value:
            raise ValueError("a database in memory loses every letter when the process ends: name a file")
        return value

    @field_validator("secret_key")
    @classmethod
    def _is_key(cls, value: SecretStr) -> SecretStr:
        return _checked_key(value)

    @field_validator("secret_key_fallbacks")
    @classmethod
    def _are_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        return tuple(_checked_key(key) for key in value)

    @field_validator("public_url")
    @classmethod
    def _is_public(cls, value: str) -> str:
        parts = safe_url(value)
        if parts.query or parts.fragment:
            raise ValueError("ends after its path: no ? and no #")
        return value.rstrip("/")

    @field_validator("reset_url")
    @classmethod
    def _is_reset_url(cls, value: str) -> str:
        if value.count("{token}") != 1:
            raise ValueError("has to hold {token} once")
        rest = value.replace("{token}", "").replace("{public_url}", "https://public")
        if "{" in rest or "}" in rest:
            raise ValueError("knows {token} and {public_url}, and no other braces")
        safe_url(rest)
        return value

    @field_validator("login_url")
    @classmethod
    def _is_login_url(cls, value: str | None) -> str | None:
        if value:
            safe_url(value)
        return value or None

    @field_validator("events_url")
    @classmethod
    def _is_events_url(cls, value: str | None) -> str | None:
        if value:
            safe_url(value, "what is told there is nobody else's to read")
            if "#" in value:
                raise ValueError("ends before any #")
        return value or None

    @field_validator("events_secret")
    @classmethod
    def _are_webhook_secrets(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in value:
            parse_secret(secret.get_secret_value())
        return value

    @field_validator("breach_url")
    @classmethod
    def _is_breach_url(cls, value: str | None) -> str | None:
        if value:
            safe_url(value, "what is asked tells of a password")
            if "?" in value or "#" in value:
                raise ValueError("ends after its path: no ? and no #")
        return value or None

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
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

    @field_validator("smtp_url")
    @classmethod
    def _are_relays(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("is missing")
        for url in value:
            parse_relay_url(url)
        return value

    @field_validator("mail_from")
    @classmethod
    def _is_sender(cls, value: str) -> str:
        if any(not letter.isprintable() for letter in value):
            raise ValueError("holds control characters")
        _, address = parseaddr(value)
        try:
            parse_address(address)
        except AddressRefused:
            address = ""
        # `parseaddr` finds an address in nearly anything; this one has to be all there is but for a name before it.
        if not address or not (value.strip() == address or value.strip().endswith(f"<{address}>")):
            raise ValueError("is not of the form Example <no-reply@example.com>")
        return value

    @field_validator("product_name")
    @classmethod
    def _is_printable(cls, value: str) -> str:
        if any(not letter.isprintable() for letter in value):
            raise ValueError("holds control characters")
        return value

    @field_validator("limit_per_client", "limit_per_account")
    @classmethod
    def _is_limit(cls, value: str) -> str:
        if value.strip():
            try:
                (limit,) = parse_limits(value)  # one: a second one would go unnoticed
            except ValueError:
                raise ValueError("is not of the form 20/minute or 3/hour (or empty for none)") from None
            if limit.amount < 1:
                raise ValueError("allows nothing at all (empty: no limit)")
        return value.strip()

    @field_validator("limit_storage_url")
    @classmethod
    def _is_storage(cls, value: str) -> str:
        return parse_storage_url(value)

    @field_validator("templates", "locales", mode="before")
    @classmethod
    def _none_if_empty(cls, value: object) -> object:
        """An empty text is no folder: as a path it would be the one that the service was started in."""
        return value or None

    @field_validator("templates", "locales")
    @classmethod
    def _is_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError("is not a folder")
        return value

    @field_validator("ops_token")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if len(value.get_secret_value()) < 16:
            raise ValueError("needs at least 16 characters")
        return value

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The signing keys, oldest first: the last one signs."""
        return (
            *(key.get_secret_value() for key in reversed(self.secret_key_fallbacks)),
            self.secret_key.get_secret_value(),
        )

    @cached_property
    def relays(self) -> tuple[RelayAddress, ...]:
        return tuple(parse_relay_url(url) for url in self.smtp_url)

    @cached_property
    def client_limit(self) -> RateLimitItem | None:
        return parse_limit(self.limit_per_client) if self.limit_per_client else None

    @cached_property
    def account_limit(self) -> RateLimitItem | None:
        return parse_limit(self.limit_per_account) if self.limit_per_account else None

    @cached_property
    def base_path(self) -> str:
        """The path under which the service is reached, without a slash at its end; empty at the root."""
        return urlsplit(self.public_url).path.rstrip("/")

    def told(self) -> dict[str, object]:
        """All settings as the audit trail may hold them: no secrets, and of a URL only where it leads."""
        # Not by going through the object: the keys that `keys` found out stand there beside the settings.
        return {name: _told(getattr(self, name)) for name in Settings.model_fields} | {
            "smtp_url": [relay.name for relay in self.relays],
            "mail_from": parseaddr(self.mail_from)[1].rpartition("@")[2],
        }

    def reset_link(self, token: str) -> str:
        return self.reset_url.replace("{public_url}", self.public_url).replace("{token}", token)

    def cancel_link(self, token: str) -> str:
        return f"{self.public_url}/reset/{token}/cancel"

    @property
    def ask_link(self) -> str:
        return f"{self.public_url}/reset-password"


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment, `.env` and the TOML file, or raise WrongSettings with all that is wrong.

    overrides -- settings by their names in lower case; they win over everything that is read
    """
    problems = _unknown_names()
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them, by name
    except ValidationError as error:
        problems += [
            problem for found in error.errors(include_input=False) for problem in _problems_of(found)
        ]
    except (OSError, tomllib.TOMLDecodeError) as error:
        problems.append(f"RESETSVC_CONFIG cannot be read: {error}")
    except UnicodeDecodeError:
        problems.append(".env or the file named by RESETSVC_CONFIG is not UTF-8 text")
    else:
        problems += _keys_known_to_all(settings)
        if settings.events_url and not settings.events_secret:
            problems.append(
                f"{PREFIX}EVENTS_SECRET is missing: {PREFIX}EVENTS_URL is told nothing that is not signed"
            )
    problems += _keys_that_others_can_read(overrides)
    if problems:
        raise WrongSettings(sorted(set(problems)))
    return settings


def read_from(config: Path) -> None:
    """Let this process read its settings from a TOML file, as RESETSVC_CONFIG would."""
    os.environ["RESETSVC_CONFIG"] = str(config)


def _unknown_names() -> list[str]:
    """Names that look like settings and are none: most likely a typing error that would go unnoticed."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | _NOT_SETTINGS
    found = dict.fromkeys(os.environ, "the environment")
    try:
        dotenv = DotEnvSettingsSource(Settings, env_file=Settings.model_config.get("env_file")).env_vars
    except (OSError, UnicodeDecodeError):
        dotenv = {}  # told by load_settings
    found |= {name.upper(): ".env" for name in dotenv}
    problems = [
        f"{name} (in {where}) is no setting"
        for name, where in found.items()
        if name.upper().startswith(PREFIX)
        and name.upper() not in known
        and not name.upper().startswith(_NOT_SETTINGS_PREFIX)
    ]
    if "resetsvc_config" in {name.lower() for name in dotenv}:
        problems.append("RESETSVC_CONFIG (in .env) has to be set in the environment")
    config = os.environ.get("RESETSVC_CONFIG")
    if config and not Path(config).is_file():
        problems.append("RESETSVC_CONFIG names a file that does not exist")
    elif config:
        try:
            table = tomllib.loads(Path(config).read_text("utf-8"))
        except (OSError, ValueError):
            return problems  # told by load_settings
        problems += [
            f"{name} (in the file named by RESETSVC_CONFIG) is no setting"
            for name in table
            if name.lower() not in Settings.model_fields
        ]
    return problems


def _json(text: str) -> object:
    import json

    try:
        return json.loads(text)
    except ValueError:
        raise ValueError("begins like JSON and is none") from None


def _problems_of(found: Any) -> list[str]:
    wrong = found.get("ctx", {}).get("error")
    if isinstance(wrong, WrongMapping):
        return wrong.problems
    return [f"{PREFIX}{str(found['loc'][0]).upper()} {_sentence(found)}"]


def _sentence(found: Any) -> str:
    if found["type"] == "missing":
        return "is missing"
    if found["type"] == "value_error":
        return str(found["ctx"]["error"])
    return str(found["msg"][0].lower() + found["msg"][1:]).replace("input should", "should")


def _checked_key(value: SecretStr) -> SecretStr:
    key = value.get_secret_value()
    if len(key) < _SECRET_KEY_LENGTH:
        raise ValueError(
            f"needs at least {_SECRET_KEY_LENGTH} characters: `resetsvc keygen` makes a good one"
        )
    period = (key + key).find(key, 1)  # after how many characters it begins anew
    if len(set(key)) < _SECRET_KEY_DIFFERENT_CHARACTERS or period < _SECRET_KEY_DIFFERENT_CHARACTERS:
        raise ValueError("repeats a few characters, so it can be guessed: `resetsvc keygen` makes a good one")
    letters = "".join(filter(str.isalnum, key.lower()))
    if any(words in letters for words in _LEFT_FROM_AN_EXAMPLE):
        raise ValueError("is one from an example, so it can be guessed: `resetsvc keygen` makes a good one")
    return value


def _keys_known_to_all(settings: Settings) -> list[str]:
    """Not part of what a key must look like: the fixtures of `resetsvc.testing` do use this one."""
    return [
        f"{PREFIX}{name.upper()} is the one that tests are run with, and public: `resetsvc keygen` makes a good one"
        for name, keys in {
            "secret_key": (settings.secret_key,),
            "secret_key_fallbacks": settings.secret_key_fallbacks,
        }.items()
        if any(key.get_secret_value() == TEST_KEY for key in keys)
    ]


def _keys_that_others_can_read(given: Collection[str]) -> list[str]:
    """Keys that come from a file which its group or everybody may read; with the way out.

    given -- names of settings that come from neither the environment nor a file
    """
    environment = {name.lower() for name in os.environ}
    files: list[tuple[str, dict[str, Any]]] = []
    dotenv = Settings.model_config.get("env_file")
    # Told by load_settings; UnicodeDecodeError is a ValueError.
    with contextlib.suppress(OSError, ValueError):
        read = DotEnvSettingsSource(Settings, env_file=dotenv).env_vars
        files.append(
            (str(dotenv), {name.lower().removeprefix(PREFIX.lower()): value for name, value in read.items()})
        )
    config = os.environ.get("RESETSVC_CONFIG")
    with contextlib.suppress(OSError, ValueError):
        files.append((config or "", tomllib.loads(Path(config or "").read_text("utf-8"))))
    problems = []
    for name in ("secret_key", "secret_key_fallbacks", "events_secret", "accounts_url", "accounts"):
        if name in given or f"{PREFIX}{name}".lower() in environment:
            continue
        file = next((file for file, found in files if name in found and _is_secret(name, found[name])), None)
        if file is not None and os.stat(file).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            problems.append(
                f"{PREFIX}{name.upper()} stands in {file}, which others than its owner can read or write: "
                f"chmod 600 {shlex.quote(file)}"
            )
    return problems


def _is_secret(name: str, value: object) -> bool:
    """Whether a setting holds a secret at all: the address of a SQLite file is none."""
    if not name.startswith("accounts"):
        return True
    described = value if isinstance(value, dict) else {"url": value}
    url = str(described.get("url", ""))
    hashes = described.get("hash")
    return (
        bool(urlsplit(url).password)
        or "password=" in url
        or "secret" in described
        or (isinstance(hashes, dict) and any(name in hashes for name in SECRETS))
    )


def _told(value: object) -> object:
    match value:
        case SecretStr():
            return "set"
        case AccountsMapping():
            return value.told()
        case BaseModel():
            return {"endpoint": _told(getattr(value, "url", None))}
        case tuple():
            return [_told(each) for each in value]
        case str() if "://" in value:
            scheme, _, rest = value.partition("://")
            # With a user or password in it, where those end is for others to find out.
            return f"{scheme}://{'…' if '@' in rest else re.split(r'[?#]', rest)[0]}"
        case str() | int() | float() | None:
            return value
        case _:
            return str(value)
