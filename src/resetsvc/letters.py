"""A letter: a mail that is owed, from the request to its last outcome. Values and words only.

queued ──► sending ──► sent
   ▲          ├──────► dropped   no account, disabled, muted, over its budget, merged with another, password changed
   └──────────┤──────► failed    refused for good
    later     └──────► expired   its deadline passed
"""

from dataclasses import dataclass
from enum import StrEnum


def short_id(letter_id: str) -> str:
    """What logs call a letter: enough to find it by, and too little to sign a link with, even for a thief of the key.

    Twelve digits of time, and four of the 32 that are random.
    """
    return letter_id[:16]


class Kind(StrEnum):
    RESET = "reset"
    NOTICE = "notice"  # "your password was changed"


class State(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DROPPED = "dropped"
    FAILED = "failed"
    EXPIRED = "expired"


class DropReason(StrEnum):
    """Why a letter that nobody refused was not sent."""

    NO_ACCOUNT = "no_account"
    DISABLED = "disabled"
    MUTED = "muted"
    OVER_BUDGET = "over_budget"
    MERGED = "merged"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 -- a reason, not a password
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Letter:
    """What is known of a letter from its first moment on. Times in seconds since 1970 UTC."""

    id: str
    kind: Kind
    address: str
    locale: str | None
    client: str
    message_id: str
    asked_at: float
    deadline_at: float


@dataclass(frozen=True, slots=True)
class NewLetter(Letter):
    """A letter as it is stored at first."""

    account_id: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimedLetter(Letter):
    """A letter that this process holds a lease on."""

    attempts: int
    account_id: str | None
    credential: str | None


@dataclass(frozen=True, slots=True)
class Link:
    """What the database knows of the link in a reset letter."""

    letter_id: str
    account_id: str
    credential: str
    address: str
    client: str
