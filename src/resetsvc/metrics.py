"""What Prometheus is told. Nothing in the core knows of it: the app hands it what happened."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from resetsvc.clock import Clock
from resetsvc.dispatch.outcomes import Outcome
from resetsvc.letters import State
from resetsvc.relay.relays import Outbox
from resetsvc.relay.verdict import Verdict
from resetsvc.store import letters as sql
from resetsvc.store.database import Store


class Metrics:
    """A registry of its own for each app, so that two apps in one process do not count together."""

    def __init__(self, store: Store, outbox: Outbox, clock: Clock) -> None:
        self._store = store
        self._outbox = outbox
        self._clock = clock
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "resetsvc_requests", "Answers, by route and status.", ["route", "status"], registry=self._registry
        )
        self._attempts = Counter(
            "resetsvc_attempts",
            "Attempts at letters, by relay and verdict.",
            ["relay", "verdict"],
            registry=self._registry,
        )
        self._delivery = Histogram(
            "resetsvc_delivery_seconds",
            "Seconds from the request to the relay's acceptance of the mail.",
            registry=self._registry,
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600),
        )
        self._letters = Gauge(
            "resetsvc_letters", "Letters on record, by state.", ["state"], registry=self._registry
        )
        self._oldest = Gauge(
            "resetsvc_oldest_waiting_seconds",
            "Age of the letter that has waited longest; 0 if none waits.",
            registry=self._registry,
        )
        self._relay_up = Gauge(
            "resetsvc_relay_up",
            "1 while the relay takes letters, else 0.",
            ["relay"],
            registry=self._registry,
        )

    def count_request(self, route: str, status: int) -> None:
        self._requests.labels(route, str(status)).inc()

    def count_attempt(self, outcome: Outcome) -> None:
        self._attempts.labels(outcome.attempt.relay, outcome.attempt.verdict).inc()
        if outcome.attempt.verdict is Verdict.SENT:
            self._delivery.observe(max(0.0, outcome.at - outcome.letter.asked_at))

    async def look(self) -> None:
        """Take the figures that are states, not events."""
        by_state = await self._store.read(sql.count_by_state)
        for state in State:
            self._letters.labels(state).set(by_state.get(state, 0))
        oldest = await self._store.read(sql.oldest_waiting)
        self._oldest.set(0 if oldest is None else max(0.0, self._clock.now() - oldest))
        for name, up, _ in self._outbox.status():
            self._relay_up.labels(name).set(up)

    def text(self) -> bytes:
        return generate_latest(self._registry)
