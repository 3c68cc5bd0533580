"""Which accounts the settings mean: the built-in table, another application's, or those behind its endpoint."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from pydantic import BaseModel

from resetsvc.accounts import Accounts
from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.accounts.mapping import Mapping
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
    accounts = _elsewhere(settings.accounts, hasher, clock)
    try:
        yield accounts
    finally:
        await accounts.close()


class Elsewhere(Accounts, Protocol):
    async def close(self) -> None: ...


def _elsewhere(described: BaseModel, hasher: Hasher, clock: Clock) -> Elsewhere:
    """Only what is used is loaded."""
    if isinstance(described, Mapping):
        from resetsvc.accounts.table import TableAccounts

        return TableAccounts(described, hasher, clock)
    from resetsvc.accounts.webhook import WebhookAccounts
    from resetsvc.accounts.webhook_mapping import WebhookMapping

    assert isinstance(described, WebhookMapping)
    return WebhookAccounts(
        described.url,
        described.secrets,
        clock,
        timeout=described.timeout,
        seal=described.seal_by(hasher.hash_as),
    )
