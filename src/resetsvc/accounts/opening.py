"""Which accounts the settings mean: the built-in table, or another application's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from resetsvc.accounts import Accounts
from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.clock import Clock
from resetsvc.passwords.hashing import Hasher
from resetsvc.settings import Settings
from resetsvc.store.database import Store


@asynccontextmanager
async def open_accounts(
    settings: Settings, store: Store, hasher: Hasher, clock: Clock
) -> AsyncIterator[Accounts]:
    """Open them, and close at the end what was opened. A database elsewhere that is down holds no start up."""
    if settings.accounts is None:
        yield BuiltinAccounts(store, hasher, clock)
        return
    # Only what is used is loaded.
    from resetsvc.accounts.table import TableAccounts

    accounts = TableAccounts(settings.accounts, hasher, clock)
    try:
        yield accounts
    finally:
        await accounts.close()
