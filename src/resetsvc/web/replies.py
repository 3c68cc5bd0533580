"""Every answer: JSON for programs, a page for browsers, a line of text otherwise; and one table from error to answer."""

import json
from dataclasses import dataclass
from typing import Literal

from quart import Response
from werkzeug.exceptions import HTTPException

from resetsvc import errors
from resetsvc.i18n import reason_sentences
from resetsvc.web.asked import asked
from resetsvc.web.body import FORM, JSON, BodyRefused
from resetsvc.web.parts import parts

Form = Literal["json", "html", "text"]


def N_(sentence: str) -> str:  # noqa: N802 -- gettext's own name for "to be translated where it is shown"
    return sentence


@dataclass(frozen=True, slots=True)
class Problem:
    """How an error is told. `code` is a stable word for programs."""

    status: int
    code: str
    title: str
    detail: str


PROBLEMS: dict[type[Exception], Problem] = {
    errors.AddressRefused: Problem(
        400,
        "address_refused",
        N_("Not an email address"),
        N_("Enter an email address, like name@example.com."),
    ),
    BodyRefused: Problem(
        400,
        "body_refused",
        N_("Request not understood"),
        N_("The request is not of the form that is expected here."),
    ),
    errors.TooManyRequests: Problem(
        429,
        "too_many_requests",
        N_("Too many requests"),
        N_("Too many requests came from your network. Wait a little and try again."),
    ),
    errors.CannotStore: Problem(
        503,
        "unavailable",
        N_("Not possible at the moment"),
        N_("Nothing was sent and nothing was changed. Try again in a moment."),
    ),
    errors.LinkDoesNotWork: Problem(
        410,
        "link_does_not_work",
        N_("This link does not work"),
        N_("It may have been used, replaced or be too old. Ask for a new one."),
    ),
    errors.PasswordRefused: Problem(
        422,
        "password_refused",
        N_("This password cannot be used"),
        N_("Choose another password. The link still works."),
    ),
    errors.Busy: Problem(
        503,
        "busy",
        N_("Not possible at the moment"),
        N_("Too many passwords are being changed. The link still works: try again in a moment."),
    ),
}

# What the server refuses before any of our code decides. Everything else of the kind becomes a plain 4xx or a 500.
HTTP_PROBLEMS: dict[int, Problem] = {
    400: Problem(
        400,
        "bad_request",
        N_("Request not understood"),
        N_("The request is not of the form that is expected here."),
    ),
    403: Problem(
        403,
        "forbidden",
        N_("Not allowed"),
        N_("This was sent by a page of another site, which may not do so."),
    ),
    404: Problem(404, "not_found", N_("Page not found"), N_("There is no such page.")),
    405: Problem(
        405,
        "method_not_allowed",
        N_("Not possible here"),
        N_("This page does not take requests of this kind."),
    ),
    408: Problem(408, "timeout", N_("Too slow"), N_("The request took too long to arrive.")),
    413: Problem(
        413, "too_large", N_("Request too large"), N_("The request is larger than is accepted here.")
    ),
    415: Problem(415, "unsupported_media_type", N_("Request not understood"), N_("Send a form or JSON.")),
    500: Problem(
        500,
        "internal_error",
        N_("Something went wrong"),
        N_("It is our fault and has been noted. Try again in a moment."),
    ),
}


def form_asked_for() -> Form:
    """What the client wants to read: as it says in Accept; JSON if that is what it sent; text if it does not care."""
    request = asked()
    sent_as = request.said(b"content-type")
    if sent_as not in (FORM, "") and request.mimetype == JSON:
        return "json"
    if request.said(b"accept") in ("", "*/*"):
        return "text"  # what curl and fetch send, without the work of parsing it
    accepted = request.accept_mimetypes
    # Wildcards do not count.
    named = {media_type.lower(): quality for media_type, quality in accepted if "*" not in media_type}
    as_json = max(named.get(JSON, 0), named.get("application/problem+json", 0))
    as_html = max(named.get("text/html", 0), named.get("application/xhtml+xml", 0))
    as_text = named.get("text/plain", 0)
    if as_json and as_json >= max(as_html, as_text):
        return "json"
    return "html" if as_html and as_html >= as_text else "text"


def answer(status: int, *, text: str, body: dict[str, object], page: str, **context: object) -> Response:
    """The same answer in the form that was asked for."""
    form = form_asked_for()
    if form == "json":
        return _response(json.dumps(body), status, "application/json")
    if form == "html":
        return html(page, status, **context)
    return _response(text, status, "text/plain; charset=utf-8")


def html(page: str, status: int, **context: object) -> Response:
    return _response(parts().pages.render(page, **context), status, "text/html; charset=utf-8")


def problem_of(error: Exception) -> Problem:
    """The row of the table for an error: its own, or that of the nearest of its kind."""
    if isinstance(error, HTTPException):
        status = error.code or 500
        if status in HTTP_PROBLEMS:
            return HTTP_PROBLEMS[status]
        return HTTP_PROBLEMS[400 if 400 <= status < 500 else 500]
    for kind in type(error).__mro__:
        if kind in PROBLEMS:
            return PROBLEMS[kind]
    return HTTP_PROBLEMS[500]


def error_answer(error: Exception, /, page: str = "problem", **context: object) -> Response:
    """Tell an error in the form that was asked for. No traceback, no version, no SQL, no address.

    page -- a page of its own for browsers; it gets `title`, `detail` and `context`
    """
    found = problem_of(error)
    catalog = parts().pages.languages.catalog(parts().pages.language())
    title, detail = catalog.ugettext(found.title), catalog.ugettext(found.detail)
    code = found.code
    if isinstance(error, BodyRefused):
        code, detail = error.code, str(error)
    form = form_asked_for()
    if form == "html":
        response = html(page, found.status, **{"title": title, "detail": detail, **context})
    elif form == "json":
        body: dict[str, object] = {
            "type": "about:blank",
            "title": title,
            "status": found.status,
            "detail": detail,
            "code": code,
        }
        if isinstance(error, errors.PasswordRefused):
            sentences = reason_sentences(error.reasons, catalog)
            body["reasons"] = [
                {"code": reason.code, "detail": sentence}
                | ({"limit": reason.limit} if reason.limit is not None else {})
                for reason, sentence in zip(error.reasons, sentences, strict=True)
            ]
        response = _response(json.dumps(body), found.status, "application/problem+json")
    else:
        lines = [detail]
        if isinstance(error, errors.PasswordRefused):
            lines = reason_sentences(error.reasons, catalog)
        response = _response("\n".join(lines) + "\n", found.status, "text/plain; charset=utf-8")
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    if isinstance(error, HTTPException) and found.status == 405:
        allowed = getattr(error, "valid_methods", None)
        response.headers["Allow"] = ", ".join(sorted(allowed or ()))
    return response


def _response(body: str, status: int, content_type: str) -> Response:
    return Response(body, status, content_type=content_type)
