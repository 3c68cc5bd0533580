"""The one place that knows all parts: joins them, starts them in order, stops them in reverse."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from jinja2 import TemplateError

from resetsvc.accounts import Accounts
from resetsvc.accounts.opening import open_accounts
from resetsvc.admission import Budget
from resetsvc.cancel import Cancel
from resetsvc.changes import Changes
from resetsvc.clock import Clock
from resetsvc.compose.composer import Composer
from resetsvc.confirm import Confirm
from resetsvc.database_time import clock_of
from resetsvc.dispatch.dispatcher import Dispatcher
from resetsvc.dispatch.gatekeeper import Gatekeeper
from resetsvc.dispatch.leases import LEASE
from resetsvc.dispatch.outcomes import Outcome
from resetsvc.dispatch.supervisor import Chore, Supervisor
from resetsvc.errors import SetupError
from resetsvc.events import Events
from resetsvc.events.poster import posting
from resetsvc.housekeeping import keep_finishing, keep_tidy
from resetsvc.i18n import Languages
from resetsvc.intake import Intake
from resetsvc.letters import short_id
from resetsvc.limits import ClientLimits
from resetsvc.links import Links
from resetsvc.metrics import Metrics
from resetsvc.passwords.breach import open_breach_check
from resetsvc.passwords.hashing import Hasher
from resetsvc.readiness import readiness
from resetsvc.relay.relays import Outbox, Relays
from resetsvc.relay.verdict import Verdict
from resetsvc.settings import Settings
from resetsvc.store import schema
from resetsvc.store.database import Store
from resetsvc.templates import Templates
from resetsvc.tokens import Tokens
from resetsvc.trail import Trail
from resetsvc.version import __version__
from resetsvc.web.pages import Pages
from resetsvc.web.parts import Parts

log = structlog.stdlib.get_logger("resetsvc.app")


@dataclass(frozen=True, slots=True)
class Service:
    """The running service: what the web, the command line and tests reach."""

    settings: Settings
    clock: Clock
    store: Store
    accounts: Accounts
    changes: Changes
    supervisor: Supervisor | None
    parts: Parts


@asynccontextmanager
async def open_service(
    settings: Settings,
    *,
    accounts: Accounts | None = None,
    outbox: Outbox | None = None,
    clock: Clock | None = None,
    lease: float = LEASE,
) -> AsyncIterator[Service]:
    """Put all parts together and start them; stop them in reverse, also if one of them fails to start.

    accounts, outbox, clock -- other parts in place of the built-in ones
    lease                   -- seconds that a killed process holds letters up, and half of those that it holds up a change
                               of a password in another database; the same in all that share a database
    """
    async with AsyncExitStack() as stack:
        hasher = Hasher.from_settings(settings)
        stack.callback(hasher.close)
        metrics = Metrics(clock or Clock())
        store = Store(settings.database_url, on_done=metrics.count_unit)
        await store.open()
        stack.push_async_callback(store.close)
        if clock is None:
            clock = await stack.enter_async_context(clock_of(store))
        events = None if settings.events_url is None else Events(settings.keys[-1], clock)
        trail = Trail(store, settings.keys, clock, on_record=None if events is None else events.on_record)
        await trail.start()
        stack.push_async_callback(trail.close)

        if accounts is None:
            accounts = await stack.enter_async_context(open_accounts(settings, store, hasher, clock))
        tokens = Tokens(settings.keys, settings.token_ttl, clock)
        templates = Templates(Languages(settings.locales), settings.templates)
        composer = Composer(settings, templates, tokens, clock)
        _require_whole(templates, composer)
        outbox = outbox or Relays(
            settings.relays, connections=settings.smtp_connections, timeout=settings.smtp_timeout, clock=clock
        )

        def on_outcome(outcome: Outcome) -> None:
            metrics.count_outcome(outcome)
            _log_outcome(outcome)

        supervisor: Supervisor | None = None

        def wake() -> None:
            if supervisor is not None:
                supervisor.wake()
            else:
                store.announce()

        changes = Changes(store, accounts, tokens, clock, trail, on_notice=wake, look_after=2 * lease)
        taken_outbox, taken_clock = outbox, clock
        if settings.dispatch:
            limit = settings.account_limit
            budget = None if limit is None else Budget(limit.amount, limit.get_expiry())
            gatekeeper = Gatekeeper(store, accounts, clock, budget)
            tidying = partial(
                keep_tidy,
                store,
                clock,
                link_lifetime=float(settings.token_ttl),
                # A letter that waited for all its time still finds the mail that answered it meanwhile.
                settled_after=max(
                    float(settings.token_ttl + settings.delivery_deadline), budget.seconds if budget else 0.0
                ),
                retention=settings.retention_days * 86400.0,
            )
            chores: list[Chore] = [tidying]
            if accounts.elsewhere:
                chores.append(partial(keep_finishing, changes.finish_interrupted))
            supervisor = Supervisor(
                lambda: Dispatcher(
                    store,
                    gatekeeper,
                    composer,
                    taken_outbox,
                    taken_clock,
                    lanes=settings.smtp_connections,
                    lease=lease,
                    on_outcome=on_outcome,
                    on_ended=None if events is None else events.on_ended,
                ),
                outbox,
                clock,
                chores,
            )
            await supervisor.start()
            stack.push_async_callback(supervisor.stop)
            await store.listen(supervisor.wake)
            if events is not None:
                await stack.enter_async_context(posting(events, store, clock, settings))

        intake = Intake(
            store,
            tokens,
            clock,
            deadline=settings.delivery_deadline,
            queue_limit=settings.queue_limit,
            on_stored=wake,
        )
        stack.push_async_callback(intake.close)
        await stack.enter_async_context(metrics.watch_the_loop())
        breached = await stack.enter_async_context(open_breach_check(settings.breach_url))
        limits = ClientLimits(settings.client_limit, settings.limit_storage_url, trail.note_limit_hit)
        stack.push_async_callback(limits.close)
        links = Links(tokens, store, accounts)
        trail.note_start(schema.REVISION, version=__version__, settings=settings.told())
        yield Service(
            settings=settings,
            clock=clock,
            store=store,
            accounts=accounts,
            changes=changes,
            supervisor=supervisor,
            parts=Parts(
                settings=settings,
                pages=Pages(settings, templates),
                intake=intake,
                limits=limits,
                links=links,
                confirm=Confirm(
                    links,
                    accounts,
                    changes,
                    min_length=settings.password_min_length,
                    product_name=settings.product_name,
                    breached=breached,
                ),
                cancel=Cancel(links, store, clock, trail),
                trail=trail,
                metrics=metrics,
                figures=lambda: metrics.text(store, taken_outbox),
                readiness=lambda: readiness(store, supervisor, taken_outbox),
            ),
        )


def _require_whole(templates: Templates, composer: Composer) -> None:
    """Find a broken template now, and not with the first page or letter that needs it."""
    try:
        templates.compile_pages()
        composer.prepare_all()
    except (TemplateError, ValueError) as error:
        where = getattr(error, "filename", None) or getattr(error, "name", None) or "mails"
        raise SetupError(f"a template cannot be used ({where}): {error}") from error


def _log_outcome(outcome: Outcome) -> None:
    letter, attempt = outcome.letter, outcome.attempt
    if attempt.verdict is Verdict.DROPPED:
        log.info("letter dropped", letter=short_id(letter.id), reason=attempt.reply)
        return
    log.info(
        "letter attempt",
        letter=short_id(letter.id),
        kind=letter.kind,
        relay=attempt.relay,
        verdict=attempt.verdict,
        code=attempt.code,
        reply=None if attempt.code and attempt.code < 400 else attempt.reply,
    )
