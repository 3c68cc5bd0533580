"""Posts events to the application, signed, until it has taken them: at least once, each under one id."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import structlog

from resetsvc.clock import Clock
from resetsvc.errors import CannotStore, SetupError
from resetsvc.events import Events
from resetsvc.relay.verdict import retry_pause
from resetsvc.settings import Settings
from resetsvc.store import events as sql
from resetsvc.store.connection import Connection, Row
from resetsvc.store.database import Store
from resetsvc.webhooks import Secrets

if TYPE_CHECKING:
    import httpx

log = structlog.stdlib.get_logger("resetsvc.events")

PATIENCE = 10.0  # seconds for one post
CONNECT_WITHIN = 4.0  # seconds of these, for TCP and for TLS each
CLAIMED_FOR = 30.0  # seconds; longer than a batch takes: after that they are due again, whoever had them
AT_ONCE = 8  # posts that run beside each other
LOOK_EVERY = 1.0  # seconds between looks, where nobody wakes us
# While nothing gets through, one batch is tried in so many seconds, twice as many each time.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
STOP_WITHIN = 3.0  # seconds that posts in hand get when the service stops; others post them later


class Poster:
    """Takes events out of the database and posts them. Any number of these may share a database."""

    def __init__(
        self, store: Store, clock: Clock, client: "httpx.AsyncClient", url: str, secrets: Secrets
    ) -> None:
        self._store = store
        self._clock = clock
        self._client = client
        self._url = url
        self._secrets = secrets
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._pause = 0.0

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()  # before looking, so that no wake-up is lost
            try:
                posted = await self._post_some()
            except CannotStore:
                posted = 0
                log.error("events cannot be looked up or put on record at the moment")
            except Exception:
                posted = 0
                log.exception("events cannot be posted")
            if self._pause:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause):
                        await self._stopping.wait()
            elif not posted and not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY):
                        await self._wake.wait()

    async def _post_some(self) -> int:
        """Post a batch and put on record what became of it; return how many there were."""
        now = self._clock.now()
        batch = await self._store.unit(
            lambda unit: sql.claim_due_events(unit, now=now, until=now + CLAIMED_FOR, limit=AT_ONCE),
            alone=False,
        )
        if not batch:
            return 0
        problems = await asyncio.gather(*(self._post(row["id"], row["body"]) for row in batch))
        await self._store.unit(lambda unit: self._record(unit, batch, problems), alone=False)
        if all(problem is None for problem in problems):
            self._pause = 0.0
        elif all(problems):
            self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
            log.warning("events are not taken", problem=problems[0], again_in=self._pause)
        return len(batch)

    async def _record(self, unit: Connection, batch: Sequence[Row], problems: Sequence[str | None]) -> None:
        now = self._clock.now()
        taken, later, given_up = [], [], []
        for row, problem in zip(batch, problems, strict=True):
            if problem is None:
                taken.append(row["id"])
            elif (due := now + retry_pause(row["attempts"] + 1, self._clock.chance())) < row["deadline_at"]:
                later.append((row["id"], due))
            else:
                given_up.append(row["id"])
        if taken:
            await sql.delete_events(unit, taken)
        if later:
            await sql.postpone_events(unit, later)
        if given_up:
            log.error("events given up at their deadline", events=len(given_up))
            await sql.give_events_up(unit, given_up)

    async def _post(self, event_id: str, text: str) -> str | None:
        """Post one event. None if it was taken, else what was wrong: in words that hold nothing of URL, event or answer."""
        body = text.encode()
        headers = self._secrets.sign(event_id, body, self._clock.now())
        try:
            async with (
                asyncio.timeout(PATIENCE),
                self._client.stream("POST", self._url, content=body, headers=headers) as answer,
            ):
                return None if answer.is_success else f"answered {answer.status_code}"
        except TimeoutError:
            return "no answer in time"
        except Exception as error:
            # Transports raise errors of their own, and one event must not hold up its batch.
            return type(error).__name__


@asynccontextmanager
async def posting(events: Events, store: Store, clock: Clock, settings: Settings) -> AsyncIterator[None]:
    """Post to `settings.events_url` for as long as this is entered."""
    assert settings.events_url is not None
    if find_spec("httpx") is None:
        raise SetupError("RESETSVC_EVENTS_URL needs an HTTP client: pip install 'resetsvc[webhook]'")
    import httpx  # a tenth of a second and 4 MB: for those who use it

    client = httpx.AsyncClient(
        verify=ssl.create_default_context(),
        trust_env=False,  # no proxy and no .netrc from the environment
        follow_redirects=False,  # another place is not the one that shares the secret
        # `PATIENCE` is for all of it. Connecting has a bound of httpx's own: its sockets are left open where a handshake is
        # cancelled from outside.
        timeout=httpx.Timeout(None, connect=CONNECT_WITHIN),
        limits=httpx.Limits(max_connections=AT_ONCE),
        headers={"User-Agent": "resetsvc", "Content-Type": "application/json"},
    )
    async with client:
        secrets = Secrets([secret.get_secret_value() for secret in settings.events_secret])
        poster = Poster(store, clock, client, settings.events_url, secrets)
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(poster.wake)

        events.on_stored = wake
        task = asyncio.create_task(poster.run(), name="events")
        try:
            yield
        finally:
            poster.stop()
            await asyncio.wait({task}, timeout=STOP_WITHIN)
            task.cancel()
            await asyncio.wait({task})
