"""The service as an ASGI app: its routes, what happens around each request, and its start and end with the app's."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from typing import Any

import structlog
from quart import Quart, Response
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException

from resetsvc.errors import CannotStore, LinkDoesNotWork, ResetError, SetupError
from resetsvc.letters import short_id
from resetsvc.logs import quieten
from resetsvc.service import Service, open_service
from resetsvc.settings import Settings, load_settings
from resetsvc.web.asgi import LARGEST_BODY, OneTask
from resetsvc.web.ask import ask
from resetsvc.web.asked import asked
from resetsvc.web.cancel import cancel
from resetsvc.web.client import client
from resetsvc.web.confirm import confirm
from resetsvc.web.ops import ops
from resetsvc.web.pages import STATIC
from resetsvc.web.parts import parts
from resetsvc.web.replies import error_answer
from resetsvc.web.routing import PathRouted, length_is_doubtful, refuse_websocket
from resetsvc.web.security import SecurityHeaders, is_sent_by_a_stranger

log = structlog.stdlib.get_logger("resetsvc.app")


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

    @app.errorhandler(LinkDoesNotWork)
    async def tell_of_a_dead_link(error: LinkDoesNotWork) -> Response:
        parts().trail.note_refused_link(error, client())
        return error_answer(error, "link_dead")

    @app.errorhandler(Exception)
    async def tell_unexpected(error: Exception) -> Response:
        log.exception("unexpected error", route=_route())
        return error_answer(error)

    @app.before_request
    async def refuse_what_cannot_be_trusted() -> Response | None:  # a plain function would be run in a thread
        if is_sent_by_a_stranger(asked(), front_ends):
            return error_answer(Forbidden())
        if not length_is_doubtful():
            return None
        response = error_answer(BadRequest())
        response.headers["Connection"] = "close"  # so nothing that follows is taken for a request
        return response

    @app.after_request
    async def finish(response: Response) -> Response:
        request, route = asked(), _route()
        parts().metrics.count_request(route, response.status_code)
        log.info(
            "request",
            method=request.method,
            route=route,
            status=response.status_code,
            ms=round((time.perf_counter() - request.began) * 1000, 2),
            **({"letter": short_id(request.letter)} if request.letter else {}),
        )
        return response


async def _tell(error: ResetError | HTTPException) -> Response:
    if isinstance(error, CannotStore):
        log.error("cannot store", error=repr(error.__cause__ or error))
    return error_answer(error)


def _route() -> str:
    """The pattern of the route, never the path: that may hold a token."""
    rule = asked().url_rule
    return rule.rule if rule else "none"
