"""Every setting, its default and what it is for, in the order of the reference; and what follows from them."""

from email.utils import parseaddr
from functools import cached_property
from typing import Literal
from urllib.parse import urlsplit

from limits import RateLimitItem
from limits import parse as parse_limit
from pydantic import Field, PositiveInt
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from resetsvc.accounts.mapping import preset_names
from resetsvc.relay.url import RelayAddress, parse_relay_url
from resetsvc.settings.keys import Key, Keys
from resetsvc.settings.sources import PREFIX, config_file
from resetsvc.settings.telling import tell
from resetsvc.settings.values import (
    AccountsTable,
    BreachUrl,
    DatabaseUrl,
    EventsUrl,
    Folder,
    Limit,
    LoginUrl,
    Name,
    OpsToken,
    OptionalSecret,
    OptionalText,
    Origins,
    PublicUrl,
    RelayUrls,
    ResetUrl,
    Sender,
    StorageUrl,
    WebhookSecrets,
)


class Settings(BaseSettings):
    """What can be set, in the order of the reference. Values are checked here and trusted everywhere else."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        extra="ignore",  # `load_settings` looks at these: pydantic does not see unknown environment variables
        hide_input_in_errors=True,
        frozen=True,
        validate_default=False,
    )

    database_url: DatabaseUrl = Field(
        "sqlite:///var/resetsvc.db",
        description="Where letters and the built-in accounts are kept: `sqlite:///path` (relative), `sqlite:////path` (absolute), or `postgresql://user:password@host/database` (needs the extra `postgres`).",
    )
    accounts_url: OptionalSecret = Field(
        None,
        description="The database in which another application keeps its accounts: `sqlite:///path`, `postgresql://user:password@host/database` or `mysql://user:password@host/database` (needs the extra `postgres` or `mysql`); or, as `https://…`, an endpoint of that application. The same as `url` in `[accounts]`. None: the built-in accounts.",
    )
    accounts_preset: OptionalText = Field(
        None,
        description=f"How that application's tables look: {', '.join(f'`{name}`' for name in preset_names())}. The same as `preset` in `[accounts]`.",
    )
    accounts: AccountsTable = Field(
        None,
        validate_default=True,
        description="The table `[accounts]` of the TOML file, which says where accounts are that live elsewhere (as an environment variable: the same as a JSON object).",
    )
    secret_key: Key = Field(description="Signs links: at least 32 characters. `resetsvc keygen` makes one.")
    secret_key_fallbacks: Keys = Field(
        (), description="Older keys that still verify links, as a JSON list or separated by spaces."
    )
    public_url: PublicUrl = Field(
        description="The address under which people reach the service: `https://…` (`http://` only for loopback). Links are built from it alone."
    )
    reset_url: ResetUrl = Field(
        "{public_url}/reset/{token}",
        description="The page that a mail links to, with `{token}` in it: change it for a front end of your own.",
    )
    login_url: LoginUrl = Field(None, description="Where the last page links to.")
    product_name: Name = Field("Your account", description="Named in pages and mails.")
    token_ttl: int = Field(
        1800, ge=60, le=86400, description="Seconds that a link works, counted from sending."
    )
    delivery_deadline: int = Field(
        14400, ge=60, le=604800, description="Seconds after which an undelivered reset mail is given up."
    )
    smtp_url: RelayUrls = Field(
        description="The relay, or several in the order of failover, separated by spaces: `smtps://user:pass@host:465`, `smtp://user:pass@host:587` (STARTTLS required), `smtp://127.0.0.1:1025?tls=none`."
    )
    smtp_connections: int = Field(
        8, ge=1, le=256, description="Connections to each relay, at most, from one process."
    )
    smtp_timeout: float = Field(30, gt=0, le=600, description="Seconds for one SMTP step.")
    mail_from: Sender = Field(description="The sender: `Example <no-reply@example.com>`.")
    password_min_length: int = Field(
        15, ge=8, le=128, description="Characters that a new password needs at least."
    )
    breach_url: BreachUrl = Field(
        None,
        description="Where to ask whether a new password is known from a breach, such as `https://api.pwnedpasswords.com/range`; it learns five digits of a hash. Needs the extra `breach`. None: nobody is asked.",
    )
    events_url: EventsUrl = Field(
        None,
        description="Where the application is told of mails that were sent or failed, of resets that were stopped and of passwords that were changed: `https://…` (`http://` only for loopback). Needs the extra `webhook`. None: it is not told.",
    )
    events_secret: WebhookSecrets = Field(
        (),
        description="Signs what is told there: `whsec_` and the base64 of 24 to 64 random bytes; several, separated by spaces, while one takes another's place.",
    )
    argon2_memory: int = Field(19456, ge=8192, le=4194304, description="KiB of memory for one Argon2id hash.")
    argon2_time: int = Field(2, ge=1, le=100, description="Passes of Argon2id over that memory.")
    argon2_parallelism: int = Field(1, ge=1, le=64, description="Lanes of Argon2id.")
    argon2_concurrency: int = Field(
        2,
        ge=1,
        le=64,
        description="Hashes that are computed at the same time, at most, in one process. Never more than there are cores for it.",
    )
    limit_per_client: Limit = Field(
        "20/minute", description="Requests from one client address (IPv6: one /64). Empty: no limit."
    )
    limit_per_account: Limit = Field(
        "3/hour",
        description="Reset mails to one account; when they are spent, one more each part of that time (`3/hour`: each 20 minutes). Never visible in an answer. Empty: no limit and no merging of requests that wait together.",
    )
    limit_storage_url: StorageUrl = Field(
        "memory://",
        description="Where client limits are counted: `memory://`, or `redis://…` to share them between processes.",
    )
    trusted_proxies: int = Field(
        0, ge=0, le=16, description="How many proxies in front append to `X-Forwarded-For`."
    )
    cors_origins: Origins = Field(
        (),
        description="Exact origins of front ends elsewhere, as a JSON list or separated by spaces: they may read answers, and post from another site.",
    )
    queue_limit: PositiveInt = Field(
        100_000, description="Undelivered letters beyond which new requests get 503."
    )
    retention_days: PositiveInt = Field(
        30, description="Days after which addresses and links' records are erased."
    )
    ops_token: OpsToken = Field(None, description="Bearer token of `/metrics`; without it that page is 404.")
    dispatch: bool = Field(True, description="Whether `serve` also delivers.")
    templates: Folder = Field(
        None,
        description="A folder whose `pages/…` and `mails/…` replace the built-in templates of the same name.",
    )
    locales: Folder = Field(
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
        config = config_file()
        toml = (TomlConfigSettingsSource(settings_cls, toml_file=config),) if config else ()
        return init_settings, env_settings, dotenv_settings, *toml

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
        return {name: tell(getattr(self, name)) for name in Settings.model_fields} | {
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
