"""The mailbox page: the caught mails, newest first, each as HTML, text and source. Also as JSON, for scripts."""

import re
from collections.abc import AsyncIterator
from http import HTTPStatus

from quart import (
    Blueprint,
    Quart,
    Response,
    abort,
    jsonify,
    render_template,
    request,
    url_for,
)
from werkzeug.exceptions import HTTPException

from resetsvc.dev.caught_mails import CaughtMails
from resetsvc.dev.links import link_up
from resetsvc.dev.loopback import MAIL_POLICY, SANDBOX, guard
from resetsvc.dev.reading import CaughtMail, OpenedMail

VIEWS = {"html": "HTML", "text": "Text", "source": "Source", "headers": "Headers"}
_DOCTYPE = re.compile(r"\s*(<!--.*?-->\s*)*<!doctype[^>]*>", re.IGNORECASE | re.DOTALL)


def create_mailbox(store: CaughtMails, *, service_url: str) -> Quart:
    """The page over `store`, for any ASGI server on loopback. `service_url`: where the service itself answers.

    A page that is open waits for changes for ever: call `store.close()` when the server is asked to stop, or it
    waits for those pages as long as it waits for anything.
    """
    app = Quart(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 16 * 1024
    app.json.sort_keys = False  # type: ignore[attr-defined]  # quart's DefaultJSONProvider has it, its base class not
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True, "autoescape": True}
    app.add_template_filter(link_up)
    app.register_blueprint(_pages(store, service_url.rstrip("/")))
    app.register_blueprint(_api(store))
    app.register_error_handler(HTTPException, _say)
    guard(app)
    return app


def _pages(store: CaughtMails, service_url: str) -> Blueprint:
    pages = Blueprint("pages", __name__)

    async def page(opened: OpenedMail | None = None, view: str = "") -> str:
        return await render_template(
            "mailbox.html",
            mails=store.newest_first(),
            version=store.version,
            service_url=service_url,
            opened=opened,
            view=view,
            views=VIEWS,
            sandbox=SANDBOX,
        )

    @pages.get("/")
    async def index() -> str:
        return await page()

    @pages.get("/mails/<mail_id>")
    async def mail(mail_id: str) -> str | tuple[str, int]:
        opened = await store.get(mail_id)
        if opened is None:
            return await page(view="gone"), HTTPStatus.NOT_FOUND
        view = request.args.get("view", "")
        return await page(opened, view if view in VIEWS else "text" if opened.html is None else "html")

    @pages.get("/mails/<mail_id>/html")
    async def mail_html(mail_id: str) -> Response:
        opened = await store.get(mail_id)
        if opened is None or opened.html is None:
            abort(HTTPStatus.NOT_FOUND)
        response = Response(_links_open_elsewhere(opened.html), content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = MAIL_POLICY
        return response

    @pages.get("/events")
    async def events() -> Response:
        response = Response(_event_stream(store), content_type="text/event-stream")
        response.timeout = None  # it ends when the page goes, or when the store closes
        return response

    @pages.post("/delete-all")
    async def delete_all() -> Response:
        await store.delete_all()
        return Response("", HTTPStatus.SEE_OTHER, {"Location": url_for("pages.index")})

    @pages.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return pages


def _api(store: CaughtMails) -> Blueprint:
    api = Blueprint("api", __name__, url_prefix="/api")

    @api.get("/mails")
    async def mails() -> Response:
        return jsonify([_line(mail) for mail in store.newest_first()])

    @api.get("/mails/<mail_id>")
    async def mail(mail_id: str) -> dict[str, object]:
        opened = await store.get(mail_id)
        if opened is None:
            abort(HTTPStatus.NOT_FOUND)
        return {
            **_line(opened.mail),
            "from": opened.sender,
            "headers": opened.headers,  # pairs: a name can come twice
            "text": opened.text,
            "html": opened.html,
            "source": opened.source,
        }

    return api


def _line(mail: CaughtMail) -> dict[str, object]:
    return {
        "id": mail.id,
        "time": mail.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "to": mail.to,
        "subject": mail.subject,
        "links": mail.links,
    }


async def _event_stream(store: CaughtMails) -> AsyncIterator[bytes]:
    """Server-sent events: the version now and after each change. A page that shows another one loads its list anew."""
    async for version in store.changes():
        yield f"data: {version}\n\n".encode()


def _links_open_elsewhere(html: str) -> str:
    """The frame is no place for the linked page: it may not be framed, and has no scripts there."""
    doctype = _DOCTYPE.match(html)
    start = doctype.end() if doctype else 0  # before the doctype, it would change how the mail is laid out
    return f'{html[:start]}<base target="_blank">{html[start:]}'


async def _say(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or 500)
    if request.path.startswith("/api/"):
        response = jsonify({"type": "about:blank", "title": status.phrase, "status": status})
        response.content_type = "application/problem+json"
    else:
        response = Response(f"{status.phrase}\n", content_type="text/plain; charset=utf-8")
    response.status_code = status
    return response
