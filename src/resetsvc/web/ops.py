"""For those who run the service: is it alive, is it ready, how is it doing, what does it answer."""

import hmac

from quart import Blueprint, Response, jsonify, request
from werkzeug.exceptions import NotFound

from resetsvc.web.openapi import document
from resetsvc.web.parts import parts

ops = Blueprint("ops", __name__)


@ops.get("/healthz")
async def alive() -> Response:
    return jsonify(status="ok")


@ops.get("/readyz")
async def ready() -> Response:
    found = await parts().readiness()
    body: dict[str, object] = {"status": "unavailable" if found.problems else "ok"}
    if found.problems:
        body["problems"] = found.problems
    if found.warnings:
        body["warnings"] = found.warnings
    response = jsonify(body)
    response.status_code = 503 if found.problems else 200
    return response


@ops.get("/metrics")
async def metrics() -> Response:
    _require_ops_token()
    return Response(await parts().figures(), 200, content_type="text/plain; version=0.0.4; charset=utf-8")


@ops.get("/openapi.json")
async def openapi() -> Response:
    return jsonify(document(parts().settings))


def _require_ops_token() -> None:
    """404 without the right bearer token: who does not know it learns not even that there is such a page."""
    expected = parts().settings.ops_token
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if (
        expected is None
        or scheme.lower() != "bearer"  # RFC 9110 11.1: in any case
        or not hmac.compare_digest(given.encode(), expected.get_secret_value().encode())
    ):
        raise NotFound
