"""Who may use the mailbox: this machine's own browser and scripts, and no web page from elsewhere."""

import re

from quart import Quart, Request, Response, request

# A page of `evil.example`, whose name is turned to 127.0.0.1 (DNS rebinding), still sends its own name as the host.
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Also when the address is opened outside of its frame: no script, no form, no source but itself. Its links open
# elsewhere, as ordinary pages.
SANDBOX = "allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
    f"frame-ancestors 'self'; sandbox {SANDBOX}"
)


def guard(app: Quart) -> None:
    """Refuse what does not come from this machine's user, and tell the browser to be strict with the rest."""

    @app.before_request
    async def refuse_strangers() -> tuple[str, int, dict[str, str]] | None:
        plain = {"Content-Type": "text/plain; charset=utf-8"}
        if not _LOOPBACK.fullmatch(request.headers.get("Host", "")):
            return "This mailbox answers to 127.0.0.1, localhost and [::1] only.\n", 403, plain
        if request.method not in ("GET", "HEAD", "OPTIONS") and not _same_origin(request):
            return "This request came from another site.\n", 403, plain
        return None

    @app.after_request
    async def be_strict(response: Response) -> Response:
        headers = response.headers
        headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        headers.setdefault("Cache-Control", "no-store")  # the mails hold links that work
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-DNS-Prefetch-Control"] = "off"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        # Not `no-referrer`: with it, browsers say `Origin: null` in our own forms.
        headers["Referrer-Policy"] = "same-origin"
        return response


def _same_origin(request: Request) -> bool:
    """Browsers always say where a POST comes from; a script that says nothing is no browser."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    return origin is None or origin == f"http://{request.headers['Host']}"
