"""What is said to an application's endpoint, and what it may answer: the one place that knows the form of both.

Answers are read by these models, and docs/reference/webhook_openapi.json is made of them. They are strict: a number is
no text, and `"false"` is not false. What an answer holds besides is ignored, so that an application may say more.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from resetsvc.accounts import LONGEST_LOCALE, locale_or_none

MOST_ADDRESSES = 500  # in one question
LONGEST_PASSWORD = 1024  # characters, as they were typed
# In bytes: a kilobyte for each account. More is not even read to its end.
LARGEST_ANSWER = 512 * 1024

Id = Annotated[str, Field(min_length=1, max_length=255, description="What the account is called there.")]
Version = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        description="Another one whenever the password or the address changes: a counter, a time of change or a digest."
        " Must neither be nor reveal the password's hash.",
    ),
]


def _or_none(locale: object) -> object:
    """Take a text that can be no language for none: it must not make an answer about other people unusable."""
    return locale_or_none(locale) if isinstance(locale, str) else locale


Locale = Annotated[str | None, BeforeValidator(_or_none)]


class _Message(BaseModel):
    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_serialization_defaults_required=True,  # a question has all its fields
    )


# ---- questions ----


class Find(_Message):
    """Who has these addresses?"""

    type: Literal["accounts.find"] = "accounts.find"
    addresses: list[str] = Field(
        min_length=1,
        max_length=MOST_ADDRESSES,
        description="As people typed them, but for their case and spaces around them.",
    )


class Get(_Message):
    """How is this account now?"""

    type: Literal["accounts.get"] = "accounts.get"
    id: Id


class SwapToPassword(_Message):
    """Hash this password and make it the account's, if the version is still this one."""

    type: Literal["accounts.swap"] = "accounts.swap"
    id: Id
    version: Version
    password: str = Field(
        repr=False, description="The new password as it was typed. Never log it.", max_length=LONGEST_PASSWORD
    )


class SwapToHash(_Message):
    """Make this hash the account's, if the version is still this one. Sent instead where a format was configured."""

    type: Literal["accounts.swap"] = "accounts.swap"
    id: Id
    version: Version
    password_hash: str = Field(
        repr=False, description="Of the new password, in the format that was configured."
    )


# ---- answers ----


class OnRecord(_Message):
    """An account as the application has it."""

    id: Id
    address: str = Field(
        min_length=3,
        max_length=320,
        description="The address on record: the only one that a mail is sent to, letter for letter.",
    )
    active: bool = Field(
        description="False: no mail is sent, and open links do not work. Also for those without a password."
    )
    version: Version
    locale: Locale = Field(
        None, max_length=LONGEST_LOCALE, description="The language of its mails, such as `de`."
    )


class Found(OnRecord):
    """An account, and which of the addresses in the question it has."""

    asked: str = Field(description="The address of the question, letter for letter.")


class FindAnswer(_Message):
    """The accounts. Addresses that nobody has are left out; two accounts for one address: it gets no mail."""

    accounts: list[Found]


class GetAnswer(_Message):
    """The account, or null if there is none of that id."""

    account: OnRecord | None


class SwapAnswer(_Message):
    """True: the new password is in force. False: the version is another one, and nothing was changed."""

    swapped: bool
