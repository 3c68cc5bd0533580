"""The table `[accounts]` of a configuration whose accounts are behind a URL: its keys, and what each must look like."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from resetsvc.accounts.webhook import TIMEOUT, Seal
from resetsvc.safe_url import safe_url
from resetsvc.webhooks import parse_secret

if TYPE_CHECKING:
    from resetsvc.passwords.formats import Format


class HashWanted(BaseModel):
    """`[accounts.hash]`: the endpoint is sent a hash of this format. Costs of the format stand beside it."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    format: str

    @model_validator(mode="after")
    def _is_known(self) -> "HashWanted":
        # Loaded where it is needed: most endpoints hash by themselves.
        from resetsvc.passwords.formats import format_named

        format_named(self.format, **self.costs)
        return self

    @property
    def costs(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    def __repr__(self) -> str:
        # Some formats have a secret among what stands beside them.
        return f"HashWanted({self.format!r})"


class WebhookMapping(BaseModel):
    """`[accounts]` with a URL that begins with https://."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str = Field(
        description="The application's endpoint: `https://…` (`http://` only for loopback). All questions are posted to it."
    )
    secret: tuple[SecretStr, ...] = Field(
        min_length=1,
        max_length=4,
        description="`whsec_…`, which signs questions and answers; a list while one takes another's place, the new one first.",
    )
    timeout: float = Field(TIMEOUT, gt=0, le=8, description="Seconds for one attempt at a question.")
    hash: HashWanted | None = Field(
        None,
        description="The format of the hash that the endpoint is sent. Without it, it is sent the password.",
    )

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        safe_url(value, "new passwords are sent there")
        if "?" in value or "#" in value:
            raise ValueError("ends after its path: no ? and no #")
        return value

    @field_validator("secret", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        if isinstance(value, str):
            return value.split()
        return value

    @field_validator("secret")
    @classmethod
    def _are_secrets(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in value:
            parse_secret(secret.get_secret_value())
        return value

    def seal_by(self, hash_as: "Callable[[Format, str], Awaitable[str]]") -> Seal | None:
        """What makes the hash that the endpoint is sent, by `Hasher.hash_as`; None if it is sent the password."""
        if self.hash is None:
            return None
        from resetsvc.passwords.formats import format_named

        form = format_named(self.hash.format, **self.hash.costs)

        async def seal(password: str) -> str:
            return await hash_as(form, password)

        return seal

    @property
    def secrets(self) -> tuple[str, ...]:
        """What signs, in the clear: for `WebhookAccounts` alone."""
        return tuple(secret.get_secret_value() for secret in self.secret)
