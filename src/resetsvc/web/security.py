"""Headers that every answer carries, and what other origins may do: read answers, and post."""

from collections.abc import Collection

from quart import Request

from resetsvc.settings import Settings
from resetsvc.web.asgi import EncodedHeaders
from resetsvc.web.asked import MatchedRequest

# No inline script or style and nothing foreign: what a page may do is what we serve (ASVS 3.4).
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
YEAR = 31536000
STATIC_PREFIX = "/static/"


class SecurityHeaders:
    """What is added to each answer, whatever its route and status. Made once: no request pays for putting it together."""

    def __init__(self, settings: Settings) -> None:
        self._origins = frozenset(settings.cors_origins)
        always = {
            "content-security-policy": CONTENT_SECURITY_POLICY,
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",  # for browsers that do not know frame-ancestors
            "referrer-policy": "no-referrer",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "cross-origin" if self._origins else "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
        }
        if settings.public_url.startswith("https://"):
            # Not for subdomains: those are other people's.
            always["strict-transport-security"] = f"max-age={YEAR}"
        if self._origins:
            always["vary"] = "Origin"
        self._page = _encoded({**always, "cache-control": "no-store"})
        # Named by their content: a changed file has another address.
        self._file = _encoded({**always, "cache-control": f"public, max-age={YEAR}, immutable"})

    def of(self, request: Request, status: int) -> EncodedHeaders:
        """What to add to the answer to this request."""
        is_file = request.path.startswith(STATIC_PREFIX) and status in (200, 304)
        headers = self._file if is_file else self._page
        if self._origins:
            headers = headers + self._for_other_origins(request)
        return headers

    def _for_other_origins(self, request: Request) -> EncodedHeaders:
        """Let a front end on another origin read the answer, if exactly this origin is in the settings.

        Never with credentials: there are none. A form posted across sites has no one's cookies to ride on either.
        """
        origin = request.headers.get("origin", "")
        if origin not in self._origins:
            return []
        headers = {"access-control-allow-origin": origin, "access-control-expose-headers": "Retry-After"}
        if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
            headers["access-control-allow-methods"] = "GET, POST"
            headers["access-control-allow-headers"] = "Content-Type"
            headers["access-control-max-age"] = "7200"
        return _encoded(headers)


def is_sent_by_a_stranger(request: MatchedRequest, front_ends: Collection[str]) -> bool:
    """Whether a page on another site has a browser post this, and is no front end of ours (ASVS 3.5.1).

    Such a page could have each of its visitors ask for resets, each with a client limit of their own. Browsers say where a
    request comes from and let no page say otherwise; what says nothing is no page in a browser. Pages on other hosts of
    the same site are the application's own, most likely, and may post.
    """
    return (
        request.method == "POST"
        and request.said(b"sec-fetch-site") == "cross-site"
        and request.said(b"origin") not in front_ends
    )


def _encoded(headers: dict[str, str]) -> EncodedHeaders:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
