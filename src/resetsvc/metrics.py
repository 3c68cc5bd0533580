"""What Prometheus is told. Nothing in the core knows of it: the app hands it what happened."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from resetsvc.clock import Clock
from resetsvc.dispatch.outcomes import Outcome
from resetsvc.letters import State
from resetsvc.relay.relays import Outbox
from resetsvc.relay.verdict import Verdict
from resetsvc.store import events
from resetsvc.store import kept_letters as kept
from resetsvc.store.database import Store

LAG_EVERY = 0.5  # seconds between looks at how late the event loop is


class Metrics:
    """A registry of its own for each app, so that two apps in one process do not count together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "resetsvc_requests", "Answers, by route and status.", ["route", "status"], registry=registry
        )
        self._request_counters: dict[
            tuple[str, int], Counter
        ] = {}  # looking a child up costs more than counting
        self._attempt_counters: dict[tuple[str, Verdict], Counter] = {}
        self._unit_histograms: dict[str, Histogram] = {}
        self._attempts = Counter(
            "resetsvc_attempts",
            "Attempts at letters, by relay and verdict.",
            ["relay", "verdict"],
            registry=registry,
        )
        self._dropped = Counter(
            "resetsvc_letters_dropped",
            "Letters that were not meant to leave, by reason.",
            ["reason"],
            registry=registry,
        )
        self._delivery = Histogram(
            "resetsvc_delivery_seconds",
            "Seconds from the request to the relay's acceptance of the mail.",
            registry=registry,
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600),
        )
        self._database = Histogram(
            "resetsvc_database_seconds",
            "Seconds of a unit of work, with the wait for its turn.",
            ["kind"],
            registry=registry,
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5),
        )
        self._lag = Gauge(
            "resetsvc_event_loop_lag_seconds",
            "How late the event loop was at the last look.",
            registry=registry,
        )
        self._letters = Gauge(
            "resetsvc_letters", "Letters that are not settled, by state.", ["state"], registry=registry
        )
        self._oldest = Gauge(
            "resetsvc_oldest_waiting_seconds",
            "Age of the letter that has waited longest; 0 if none waits.",
            registry=registry,
        )
        self._events = Gauge(
            "resetsvc_events",
            "Events that the application was not told of yet (waiting), or in vain (failed).",
            ["state"],
            registry=registry,
        )
        self._relay_up = Gauge(
            "resetsvc_relay_up", "1 while the relay takes letters, else 0.", ["relay"], registry=registry
        )
        self._lanes = Gauge("resetsvc_lanes_open", "Connections to the relay.", ["relay"], registry=registry)

    def count_request(self, route: str, status: int) -> None:
        counter = self._request_counters.get((route, status))
        if counter is None:
            counter = self._request_counters[route, status] = self._requests.labels(route, str(status))
        counter.inc()

    def count_outcome(self, outcome: Outcome) -> None:
        if outcome.attempt.verdict is Verdict.DROPPED:
            self._dropped.labels(outcome.attempt.reply).inc()
            return
        relay, verdict = outcome.attempt.relay, outcome.attempt.verdict
        counter = self._attempt_counters.get((relay, verdict))
        if counter is None:
            counter = self._attempt_counters[relay, verdict] = self._attempts.labels(relay, verdict)
        counter.inc()
        if verdict is Verdict.SENT:
            self._delivery.observe(max(0.0, outcome.at - outcome.letter.asked_at))

    def count_unit(self, kind: str, seconds: float) -> None:
        observed = self._unit_histograms.get(kind)
        if observed is None:
            observed = self._unit_histograms[kind] = self._database.labels(kind)
        observed.observe(seconds)

    async def text(self, store: Store, outbox: Outbox) -> bytes:
        """All figures in the Prometheus text format; those that are states and not events are looked at now."""
        by_state = await store.read(kept.count_by_state)
        for state in State:
            self._letters.labels(state).set(by_state.get(state, 0))
        oldest = await store.read(kept.oldest_waiting)
        self._oldest.set(0 if oldest is None else max(0.0, self._clock.now() - oldest))
        waiting, failed = await store.read(events.count_events)
        self._events.labels("waiting").set(waiting)
        self._events.labels("failed").set(failed)
        for relay in outbox.status():
            self._relay_up.labels(relay.name).set(relay.up)
            self._lanes.labels(relay.name).set(relay.open_lanes)
        return generate_latest(self._registry)

    @contextlib.asynccontextmanager
    async def watch_the_loop(self) -> AsyncIterator[None]:
        """Measure the event loop's lag while this is entered."""
        watching = asyncio.create_task(self._watch(), name="event loop lag")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY
            await asyncio.sleep(LAG_EVERY)
            self._lag.set(max(0.0, loop.time() - due))
