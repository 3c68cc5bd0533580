"""Which view answers: path and method decide, and nothing that the client says about our own name."""

from collections.abc import Callable
from functools import cache
from inspect import CO_COROUTINE
from typing import Any
from urllib.parse import urlsplit

from quart import Quart, Response
from quart.sessions import NullSession, SessionInterface
from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.exceptions import NotFound
from werkzeug.routing import MapAdapter

from resetsvc.web.asked import MatchedRequest, asked
from resetsvc.web.pages import STATIC

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class NoSessions(SessionInterface):
    """Nobody is logged in here: there is no cookie to read, and one session for all that nothing can be kept in."""

    _none = NullSession()

    async def open_session(self, app: Quart, request: BaseRequestWebsocket) -> NullSession:
        return self._none


class PathRouted(Quart):
    """A Quart app to which the `Host` header does not exist.

    Quart binds its routes to that header before any of our code runs: one that is no host name would come out as an
    exception, past every error page (`Host: [::1`), and others end up in redirects. Paths are taken as they are:
    merging slashes answers `/reset//cancel` with such a redirect.
    """

    request_class = MatchedRequest
    session_interface = NoSessions()  # type: ignore[assignment]  # what is annotated there is the default

    def ensure_async(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """As it is, if it is: Quart looks at each view and hook through `inspect` again for every request."""
        if getattr(getattr(func, "__code__", None), "co_flags", 0) & CO_COROUTINE:
            return func
        return super().ensure_async(func)

    async def asgi_app(self, scope: Any, receive: Any, send: Any) -> None:
        """Give Quart a path in every case: at `GET ?x` or `GET http://[` it fails before any error page (500)."""
        path = scope.get("path")
        if path is not None and not path.startswith("/"):
            scope = {**scope, "path": _path_of(path)}
        await super().asgi_app(scope, receive, send)

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        self.url_map.merge_slashes = False
        if request is None:
            return super().create_url_adapter(request)
        return self.url_map.bind(
            "resetsvc",
            script_name=request.root_path,
            url_scheme=request.scheme,
            default_method=request.method,
            path_info=request.path,
        )

    async def send_static_file(self, filename: str) -> Response:
        """From memory, and only what was there at the start.

        Quart opens a file for each request; a browser that leaves in that moment leaves it open.
        """
        found = _static_files().get(filename)
        if found is None:
            raise NotFound
        body, content_type = found
        return Response(body, 200, content_type=content_type)


def _path_of(target: str) -> str:
    """The path in a request's target that is none itself: `http://host/path` has one (RFC 9112 3.2.2), `*` has not."""
    if not target.lower().startswith(("http://", "https://")):
        return "/"  # where there is nothing
    try:
        return urlsplit(target).path or "/"
    except ValueError:  # http://[
        return "/"


def length_is_doubtful() -> bool:
    """Whether a proxy in front may have read another end of this body than we did (RFC 9112 6.1).

    Then what we take for the next request on the connection was a part of somebody's body to it: smuggling.
    """
    here = asked()
    if not here.has(b"transfer-encoding"):
        return False
    return here.has(b"content-length") or here.http_version == "1.0"


@cache
def _static_files() -> dict[str, tuple[bytes, str]]:
    """Every static file by its name below `static/`: what it holds, and of which type it is."""
    return {
        str(path.relative_to(STATIC)): (path.read_bytes(), CONTENT_TYPES[path.suffix])
        for path in STATIC.rglob("*")
        if path.is_file()
    }


async def refuse_websocket() -> Response:
    """There are none here, and errors are told to requests only."""
    return Response("There is no such page.\n", 404, content_type="text/plain; charset=utf-8")
