"""Asking for a reset: the form, and the POST that every front end uses."""

import time

from quart import Blueprint, Response, redirect
from werkzeug.wrappers import Response as RedirectResponse

from resetsvc.addresses import parse_address
from resetsvc.errors import AddressRefused
from resetsvc.web.asked import asked
from resetsvc.web.body import BodyRefused, one_text, optional_text, read_fields
from resetsvc.web.client import client
from resetsvc.web.parts import parts
from resetsvc.web.replies import answer, error_answer, form_asked_for, html

ask = Blueprint("ask", __name__)


@ask.get("/reset-password")
async def show_form() -> Response:
    return html("ask", 200, email="", error=None)


@ask.post("/reset-password")
async def accept() -> Response:
    here = parts()
    fields = await read_fields()
    typed = ""
    try:
        typed = _required(one_text(fields, "email"))
        address = parse_address(typed)
    except (AddressRefused, BodyRefused) as error:
        return _refused(error, typed)
    asked_by = client()
    await here.limits.spend("ask", asked_by)
    locale = here.pages.languages.best(optional_text(fields, "locale"), here.pages.language())
    began = time.perf_counter()
    asked().letter = await here.intake.accept(address, client=asked_by, locale=locale)
    response = answer(
        200,
        text="Email sent",
        body={"status": "accepted"},
        page="check_inbox",
        minutes=max(1, here.settings.token_ttl // 60),
    )
    # For the browser's Network panel: how long making it durable took. No account has been looked at by then.
    response.headers["Server-Timing"] = f"store;dur={(time.perf_counter() - began) * 1000:.1f}"
    return response


@ask.get("/.well-known/change-password")
async def well_known() -> RedirectResponse:
    """Where password managers look (W3C "A Well-Known URL for Changing Passwords")."""
    return redirect(f"{parts().settings.base_path}/reset-password", 302)


def _required(email: str | None) -> str:
    if email is None:
        raise BodyRefused("email_missing", "The field email is missing.")
    return email


def _refused(error: AddressRefused | BodyRefused, typed: str) -> Response:
    """For a person: the form once more, with what was typed and what is wrong with it."""
    if form_asked_for() != "html":
        return error_answer(error)
    catalog = parts().pages.languages.catalog(parts().pages.language())
    sentence = catalog.ugettext("Enter an email address, like name@example.com.")
    shown = typed if len(typed) <= 254 and typed.isprintable() else ""
    return error_answer(error, "ask", email=shown, error=sentence)
