"""Headers that every answer carries, and which other origins may read answers."""

from quart import Response, request

from resetsvc.settings import Settings

# No inline script or style and nothing foreign: what a page may do is what we serve (ASVS 3.4).
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
YEAR = 31536000
STATIC_PREFIX = "/static/"


class SecurityHeaders:
    """Puts the headers on an answer, whatever its route and status."""

    def __init__(self, settings: Settings) -> None:
        self._origins = frozenset(settings.cors_origins)
        self._headers = {
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "cross-origin" if self._origins else "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
        }
        if settings.public_url.startswith("https://"):
            self._headers["Strict-Transport-Security"] = (
                f"max-age={YEAR}"  # not for subdomains: those are other people's
            )

    async def put_on(self, response: Response) -> Response:
        response.headers.extend(self._headers)
        if request.path.startswith(STATIC_PREFIX) and response.status_code in (200, 304):
            # Named by their content: a changed file has another address.
            response.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
        else:
            response.headers["Cache-Control"] = "no-store"
        self._allow_origin(response)
        return response

    def _allow_origin(self, response: Response) -> None:
        """Let a front end on another origin read the answer, if exactly this origin is in the settings.

        Never with credentials: there are none. A form posted across sites has no one's cookies to ride on either.
        """
        if not self._origins:
            return
        response.headers.add("Vary", "Origin")
        origin = request.headers.get("origin", "")
        if origin not in self._origins:
            return
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
            response.headers["Access-Control-Allow-Methods"] = "GET, POST"
            response.headers["Access-Control-Allow-Headers"] = "Content-Type"
            response.headers["Access-Control-Max-Age"] = "7200"
