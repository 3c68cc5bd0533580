"""The one place that knows all parts: joins them, starts them in order, stops them in reverse."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from jinja2 import TemplateError
from quart import Quart, Response, g, request
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException

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
from resetsvc.dispatch.supervisor import Supervisor
from resetsvc.errors import CannotStore, ResetError, SetupError
from resetsvc.events import Events
from resetsvc.events.poster import posting
from resetsvc.i18n import Languages
from resetsvc.intake import DISK_RESERVE, Intake
from resetsvc.letters import short_id
from resetsvc.limits import ClientLimits
from resetsvc.links import Links
from resetsvc.logs import quieten
from resetsvc.metrics import Metrics
from resetsvc.passwords.breach import open_breach_check
from resetsvc.passwords.hashing import Hasher
from resetsvc.relay.relays import Outbox, Relays
from resetsvc.relay.verdict import Verdict
from resetsvc.settings import Settings, load_settings
from resetsvc.store import schema
from resetsvc.store.database import Store
from resetsvc.templates import Templates
from resetsvc.tokens import Tokens
from resetsvc.trail import Trail
from resetsvc.version import __version__
from resetsvc.web.asgi import LARGEST_BODY, OneTask
from resetsvc.web.ask import ask
from resetsvc.web.cancel import cancel
from resetsvc.web.confirm import confirm
from resetsvc.web.ops import ops
from resetsvc.web.pages import STATIC, Pages
from resetsvc.web.parts import Parts, Readiness, parts
from resetsvc.web.replies import error_answer
from resetsvc.web.routing import PathRouted, length_is_doubtful, refuse_websocket
from resetsvc.web.security import SecurityHeaders, is_sent_by_a_stranger

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
            if outcome.attempt.verdict is Verdict.DROPPED:
                log.info("letter dropped", letter=short_id(outcome.letter.id), reason=outcome.attempt.reply)
                return
            log.info(
                "letter attempt",
                letter=short_id(outcome.letter.id),
                kind=outcome.letter.kind,
                relay=outcome.attempt.relay,
                verdict=outcome.attempt.verdict,
                code=outcome.attempt.code,
                reply=None if outcome.attempt.code and outcome.attempt.code < 400 else outcome.attempt.reply,
            )

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
                store,
                outbox,
                clock,
                retention=settings.retention_days * 86400.0,
                link_lifetime=float(settings.token_ttl),
                finish_changes=changes.finish_interrupted if accounts.elsewhere else None,
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


async def readiness(store: Store, supervisor: Supervisor | None, outbox: Outbox) -> Readiness:
    """Look at all that the service needs. A relay that is down keeps nobody from asking: that is a warning.

    Relays are numbered as in the settings: who may ask for this need not know their names.
    """
    problems = {}
    try:
        async with asyncio.timeout(2):
            revision = await store.read(schema.current_revision)
    except (CannotStore, TimeoutError):
        problems["database"] = "cannot be reached"
    else:
        if schema.is_outdated(revision):
            problems["database"] = "has an older schema than this version needs: resetsvc migrate"
    if store.free_space() <= DISK_RESERVE:
        problems["disk"] = "is almost full"
    if supervisor is not None and not supervisor.alive:
        problems["dispatcher"] = "stands still"
    warnings = {
        f"relay {number}": (
            "refuses our log-in or our sender"
            if relay.why_down is not None and relay.why_down.verdict is Verdict.OUR_FAULT
            else "cannot be reached"
        )
        for number, relay in enumerate(outbox.status(), start=1)
        if not relay.up
    }
    return Readiness(problems, warnings)


class App(PathRouted):
    """Quart, but for two habits: each request has a task of its own and no more; and a reason not to start is told in
    one line by whoever started the app, not as a traceback.
    """

    asgi_http_class = OneTask

    def log_exception(self, exception_info: Any) -> None:
        if not isinstance(exception_info[1], ResetError):
            super().log_exception(exception_info)


async def _nothing_more(_: Service) -> None:
    return


def create_app(
    settings: Settings | None = None,
    *,
    on_start: Callable[[Service], Awaitable[None]] = _nothing_more,
    **other_parts: Any,
) -> Quart:
    """Make the service as an ordinary ASGI app. Each app starts once: make another one for another start.

    settings    -- read from the environment if not given (WrongSettings if that is wrong)
    on_start    -- called with the running service before the first request
    other_parts -- `accounts`, `outbox`, `clock`, `lease` in place of the built-in ones, as `open_service` takes them
    """
    settings = settings or load_settings()
    app = App("resetsvc", static_folder=str(STATIC), static_url_path="/static", template_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=LARGEST_BODY,
        BODY_TIMEOUT=None,  # both limits are in web/asgi.py
        RESPONSE_TIMEOUT=None,
        SEND_FILE_MAX_AGE_DEFAULT=None,
        PROPAGATE_EXCEPTIONS=False,
    )
    quieten()
    for blueprint in (ask, confirm, cancel, ops):
        app.register_blueprint(blueprint)
    _handle_requests(app, frozenset(settings.cors_origins))
    app.extensions["resetsvc.headers"] = SecurityHeaders(settings).of
    app.before_websocket(refuse_websocket)

    @app.while_serving
    async def lifespan() -> AsyncGenerator[None, None]:
        try:
            async with open_service(settings, **other_parts) as service:
                app.extensions["resetsvc"] = service.parts
                app.extensions["resetsvc.service"] = service
                await on_start(service)
                yield
        except SetupError as error:
            # The server that runs this app passes on its words alone.
            app.extensions["resetsvc.why_not"] = error
            raise

    return app


def _handle_requests(app: Quart, front_ends: Collection[str]) -> None:
    """One shape for every error, and one record for every request."""
    for kind in (ResetError, HTTPException):
        app.register_error_handler(kind, _tell)

    @app.errorhandler(Exception)
    async def tell_unexpected(error: Exception) -> Response:
        log.exception("unexpected error", route=_route())
        return error_answer(error)

    @app.before_request
    async def note_the_time() -> None:  # a plain function would be run in a thread, for every request
        g.began = time.perf_counter()

    @app.before_request
    async def refuse_what_cannot_be_trusted() -> Response | None:
        if is_sent_by_a_stranger(request, front_ends):
            return error_answer(Forbidden())
        if not length_is_doubtful():
            return None
        response = error_answer(BadRequest())
        response.headers["Connection"] = "close"  # so nothing that follows is taken for a request
        return response

    @app.after_request
    async def finish(response: Response) -> Response:
        route = _route()
        parts().metrics.count_request(route, response.status_code)
        letter = g.get("letter")
        log.info(
            "request",
            method=request.method,
            route=route,
            status=response.status_code,
            ms=round((time.perf_counter() - g.began) * 1000, 2),
            **({"letter": short_id(letter)} if letter else {}),
        )
        return response


async def _tell(error: ResetError | HTTPException) -> Response:
    if isinstance(error, CannotStore):
        log.error("cannot store", error=repr(error.__cause__ or error))
    return error_answer(error)


def _route() -> str:
    """The pattern of the route, never the path: that may hold a token."""
    rule = request.url_rule
    return rule.rule if rule else "none"
