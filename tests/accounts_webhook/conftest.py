"""An endpoint on order, and the accounts behind it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest_asyncio

from resetsvc.accounts.webhook import WebhookAccounts
from resetsvc.clock import Clock
from tests.support.accounts_endpoint import SECRET, AccountsEndpoint, accounts_endpoint

Connect = Callable[..., WebhookAccounts]


@pytest_asyncio.fixture
async def endpoint() -> AsyncIterator[AccountsEndpoint]:
    async with accounts_endpoint() as running:
        yield running


@pytest_asyncio.fixture
async def connect(endpoint: AccountsEndpoint) -> AsyncIterator[Connect]:
    """Make accounts behind the endpoint; closed at the end of the test."""
    async with AsyncExitStack() as stack:

        def made(**other: Any) -> WebhookAccounts:
            accounts = WebhookAccounts(
                **{"url": endpoint.url, "secrets": [SECRET], "clock": Clock(chance=lambda: 0.0), **other}
            )
            stack.push_async_callback(accounts.close)
            return accounts

        yield made


@pytest_asyncio.fixture
async def accounts(connect: Connect) -> WebhookAccounts:
    return connect()
