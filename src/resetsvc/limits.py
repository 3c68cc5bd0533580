"""How often one client may ask. Counted by network address alone, so that no answer depends on an account."""

import math
import time
from collections.abc import Callable
from importlib.util import find_spec
from inspect import unwrap

import structlog
from limits import RateLimitItem
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from limits.storage import storage_from_string

from resetsvc.client_address import limit_key
from resetsvc.errors import TooManyRequests, WrongSettings

PATIENCE = 0.5  # seconds that the shared storage gets for an answer
LEAVE_ALONE = 2.0  # seconds that it is not asked after it gave none: no other request waits for the same

log = structlog.stdlib.get_logger("resetsvc.limits")


class ClientLimits:
    """Counts requests by client and purpose: asking and trying links have a budget each.

    limit  -- None: no limit
    on_hit -- told of each request that is refused: the purpose, and the client
    """

    def __init__(
        self,
        limit: RateLimitItem | None,
        storage_url: str,
        on_hit: Callable[[str, str], None] = lambda _purpose, _client: None,
    ) -> None:
        self._limit = limit
        self._on_hit = on_hit
        self._not_before = float("-inf")
        self._storage = open_storage(storage_url)
        self._window = SlidingWindowCounterRateLimiter(self._storage)

    async def spend(self, purpose: str, client: str) -> None:
        """Count one request, or raise TooManyRequests with the seconds until one is allowed again.

        Where the shared storage is out of reach the request goes on: the limits by account and the bound on the
        queue still hold, and a reset service that locks everybody out because a cache is down helps nobody.
        """
        if self._limit is None or time.monotonic() < self._not_before:
            return
        key = limit_key(client)
        try:
            if await self._window.hit(self._limit, purpose, key):
                return
            free_again = (await self._window.get_window_stats(self._limit, purpose, key)).reset_time
        except StorageError as error:
            self._not_before = time.monotonic() + LEAVE_ALONE
            log.error("client limits cannot be counted", error=type(error).__name__)
            return
        self._on_hit(purpose, client)
        raise TooManyRequests(max(1, math.ceil(free_again - time.time())))

    async def close(self) -> None:
        """Close the connections to a shared storage."""
        if isinstance(self._storage, RedisStorage):
            await self._storage.bridge.storage.aclose()  # type: ignore[attr-defined]  # the kind that `open_storage` asks for has it


class CalmMemoryStorage(MemoryStorage):
    """The package's counters in memory, looked through for old ones once a second instead of after every request.

    As it comes, each request starts a task that visits every client of the last minute: with 20,000 of them, two
    milliseconds a request. tests/rules/test_canaries.py tells when the package no longer needs this.
    """

    _looked_through_at = float("-inf")

    async def _MemoryStorage__schedule_expiry(self) -> None:  # noqa: N802 -- the name that Python gives the package's private method
        if time.monotonic() >= self._looked_through_at + 1:
            self._looked_through_at = time.monotonic()
            await super()._MemoryStorage__schedule_expiry()  # type: ignore[misc]  # private there: see above


for _name in ("incr", "get"):
    # The package wraps them in a look for errors of a driver, anew in each class below: memory has no driver.
    setattr(CalmMemoryStorage, _name, unwrap(getattr(MemoryStorage, _name)))


def open_storage(url: str) -> Storage:
    if url == "memory://":
        return CalmMemoryStorage()
    if find_spec("redis") is None and find_spec("coredis") is None:
        raise WrongSettings(
            [
                "RESETSVC_LIMIT_STORAGE_URL names a Redis, and its driver is missing: pip install 'resetsvc[redis]'"
            ]
        )
    if url.startswith("unix://"):
        url = f"redis+{url}"
    storage = storage_from_string(
        f"async+{url}",
        implementation="redispy",
        wrap_exceptions=True,
        # Without these a Redis that stands still would hold every request up for ever.
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
    )
    assert isinstance(storage, Storage)
    return storage
