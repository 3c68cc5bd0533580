"""Whose passwords these are. The contract that any user table can meet, and the account as the service sees it.

Nothing here assumes SQL, or that a password hash can be seen: an implementation may sit in front of another
application's table or of an HTTP endpoint.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from resetsvc.store.connection import Connection

LONGEST_LOCALE = 35  # characters: RFC 5646 4.4.1


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is on record.

    id         -- what it is called there; never shown
    address    -- where its mail goes: the only address that a letter is ever sent to
    active     -- False: no mail is sent, and open links do not work
    credential -- an opaque text that changes whenever the password or the address does; an open link dies with it
    locale     -- the language of its mails, if on record
    name       -- what its owner is called, if on record: no part of a good password
    """

    id: str
    address: str
    active: bool
    credential: str = field(repr=False)
    locale: str | None = None
    name: str | None = field(default=None, repr=False)


def locale_or_none(found: str) -> str | None:
    """What is on record as a language; None for a text that can be none. People choose it, and a letter has to keep it."""
    return found if 0 < len(found) <= LONGEST_LOCALE and found.isprintable() else None


class Accounts(Protocol):
    """What a reset needs from a user table.

    elsewhere -- False: in the letters' own database, and a change of theirs is part of the unit of work that uses the
                 link up. True: anywhere else; see `resetsvc.changes`, and `swap` below
    """

    @property
    def elsewhere(self) -> bool: ...

    async def find(self, addresses: Sequence[str]) -> Mapping[str, Account]:
        """Return the accounts of these canonical addresses, by address; without those that have none.

        Batched: the dispatcher asks once for all the letters that it claimed.
        """
        ...

    async def get(self, account_id: str) -> Account | None:
        """Return the account as it is now, or None if it is gone."""
        ...

    async def seal(self, password: str) -> str:
        """Make of a new password what `swap` stores: most often a slow hash. Outside any transaction."""
        ...

    def credential_after(self, account: Account, sealed: str) -> str | None:
        """The credential of this account once it was swapped to this and nobody has changed it since; None: not known.

        Asked where the accounts are `elsewhere`: by it our change is told from one that the application has made.
        """
        ...

    async def swap(self, unit: Connection | None, account: Account, sealed: str) -> bool:
        """Store the new password if the account's credential is still `account.credential`; False if it changed.

        unit -- the open unit of work that marks the link as used; None where the accounts are `elsewhere`

        Elsewhere it is done whole or not at all, within ten seconds and whatever becomes of the caller; the credential is
        another one afterwards. Where it cannot be told whether it was done: CannotStore.
        """
        ...
