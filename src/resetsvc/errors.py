"""What can go wrong with a reset, in the words of a reset. No HTTP and no SMTP in here.

ResetError
├── AddressRefused        what was typed is not an address
├── TooManyRequests       this client asked too often
├── CannotStore           the request could not be made durable, so it is not accepted
│   ├── QueueFull         too many letters wait
│   └── DiskFull          what is left is for the letters that are stored already
├── LinkDoesNotWork       unknown, altered, expired, used, revoked: one and the same
├── PasswordRefused       with reasons; the link still works
├── Busy                  too many passwords are being hashed at this moment
└── SetupError            the person who runs the service has to do something
    ├── WrongSettings     all of them at once, by name
    ├── SchemaOutdated    run `resetsvc migrate`
    │   └── SchemaMissing  the same: nothing is there yet
    ├── SchemaTooNew      a newer resetsvc has migrated this database
    └── DatabaseUnusable  cannot be opened, read or written; perhaps it can be later
        └── DatabaseUnsuitable  not before somebody has changed something
"""

from collections.abc import Sequence
from dataclasses import dataclass


class ResetError(Exception):
    """Something about a reset went wrong."""

    def __str__(self) -> str:
        return super().__str__() or (self.__doc__ or "").strip()


class AddressRefused(ResetError):
    """That is not an e-mail address."""


@dataclass
class TooManyRequests(ResetError):
    """Too many requests from one client."""

    retry_after: int

    def __str__(self) -> str:
        return f"Too many requests. Try again in {self.retry_after} seconds."


class CannotStore(ResetError):
    """The request cannot be stored at the moment. Nothing was sent; try again shortly."""

    retry_after = 5


class QueueFull(CannotStore):
    """Too many mails are waiting to be sent. Nothing was sent; try again later."""

    retry_after = 60


class DiskFull(CannotStore):
    """The disk is almost full. Nothing was sent; try again later."""

    retry_after = 60


class LinkDoesNotWork(ResetError):
    """This link does not work any more, or never did."""

    def __init__(self, letter: str | None = None, why: str | None = None) -> None:
        """For the audit trail alone, and only if the token was once signed by us: no answer tells any of this.

        letter -- the beginning of the letter's id
        """
        super().__init__()
        self.letter = letter
        self.why = why


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a password was refused: a stable code for programs, and the numbers its sentence needs."""

    code: str
    limit: int | None = None


class PasswordRefused(ResetError):
    """This password is not good enough."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        super().__init__(", ".join(reason.code for reason in reasons))
        self.reasons = tuple(reasons)


class Busy(ResetError):
    """Too many passwords are being changed at the moment. The link still works; try again shortly."""

    retry_after = 2


class SetupError(ResetError):
    """The service cannot run as it is set up."""


class WrongSettings(SetupError):
    """Settings are missing or wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class SchemaOutdated(SetupError):
    """The database's schema is older than this version needs: run `resetsvc migrate`."""


class SchemaMissing(SchemaOutdated):
    """The database has no schema yet: run `resetsvc migrate`."""


class SchemaTooNew(SetupError):
    """The database was migrated by a newer version of resetsvc: start that version instead."""


class DatabaseUnusable(SetupError):
    """The database cannot be used."""


class DatabaseUnsuitable(DatabaseUnusable):
    """The database cannot be used as it is set up."""
