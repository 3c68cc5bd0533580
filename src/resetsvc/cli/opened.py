"""What commands share that look into the store: settings, logging, an open store."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from resetsvc.logs import set_up_logging
from resetsvc.settings import Settings, load_settings
from resetsvc.store.database import Store

T = TypeVar("T")


def with_store(work: Callable[[Settings, Store], Awaitable[T]]) -> T:
    """Open the store that the settings name, do the work, close it."""
    settings = load_settings()
    set_up_logging(settings)

    async def opened() -> T:
        store = Store(settings.database_url)
        await store.open()
        try:
            return await work(settings, store)
        finally:
            await store.close()

    return asyncio.run(opened())
