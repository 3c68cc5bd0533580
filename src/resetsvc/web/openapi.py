"""The service as OpenAPI 3.1 tells it. Tests hold it against the routes and against real answers."""

from http import HTTPStatus
from typing import Any

from resetsvc.passwords.policy import MAX_LENGTH
from resetsvc.settings import Settings
from resetsvc.version import __version__

Json = dict[str, Any]

_TOKEN: Json = {
    "name": "token",
    "in": "path",
    "required": True,
    "description": "What the mail's link holds. Nothing is to be read from it, and 404 answers one that holds a slash.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]+$"},
}
_REFUSED = (400, 403, 408, 413, 415, 429, 500, 503)  # what any POST can meet


def document(settings: Settings) -> Json:
    """Return the OpenAPI document of a service with these settings."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{settings.product_name}: password reset",
            "version": __version__,
            "summary": "Ask for a reset mail, set a new password with its link, or say that it was not you.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": settings.public_url}],
        "paths": {
            "/reset-password": {"get": _ask_page(), "post": _ask()},
            "/reset/{token}": {
                "parameters": [_TOKEN],
                "get": _link_page(settings),
                "post": _change(settings),
            },
            "/reset/{token}/cancel": {"parameters": [_TOKEN], "get": _cancel_page(), "post": _cancel()},
            "/.well-known/change-password": {"get": _well_known()},
            "/healthz": {"get": _health()},
            "/readyz": {"get": _ready()},
            "/metrics": {"get": _metrics()},
            "/openapi.json": {"get": _openapi()},
        },
        "components": {
            "schemas": {"Problem": _problem_schema(), "Reason": _reason_schema()},
            "securitySchemes": {
                "ops": {"type": "http", "scheme": "bearer", "description": "RESETSVC_OPS_TOKEN"}
            },
        },
    }


# ---- operations -------------------------------------------------------------------------------------------------


def _ask_page() -> Json:
    return _operation("showAskPage", "The page with the form", {200: _page("The form.")}, problems=(500,))


def _ask() -> Json:
    return _operation(
        "askForReset",
        "Ask for a reset mail",
        {
            200: _either(
                "Stored. The same bytes for every well-formed address.", "Email sent", {"status": "accepted"}
            )
        },
        problems=_REFUSED,
        description="Answers as soon as the request is durable. Nothing about the answer depends on an account.",
        fields={
            "email": {
                "type": "string",
                "description": "The address of the account.",
                "examples": ["ann@example.com"],
            },
            "locale": {
                "type": "string",
                "description": "The language for the mail, if the account has none on record.",
            },
        },
        required=["email"],
    )


def _link_page(settings: Settings) -> Json:
    body = {
        "status": "open",
        "username": "ann@example.com",
        "password": {"min_length": settings.password_min_length, "max_length": MAX_LENGTH},
    }
    return _operation(
        "showLink",
        "The page for the new password",
        {200: _either("The link works. Looking uses nothing up.", "This link works. …", body)},
        problems=(404, 410, 500, 503),
    )


def _change(settings: Settings) -> Json:
    return _operation(
        "changePassword",
        "Set the new password",
        {200: _either("Changed; the link is used up.", "Your password was changed.", {"status": "changed"})},
        problems=(*_REFUSED, 404, 410, 422),
        fields={
            "password": {
                "type": "string",
                "format": "password",
                "description": f"{settings.password_min_length} to {MAX_LENGTH} Unicode characters after NFC.",
            }
        },
        required=["password"],
    )


def _cancel_page() -> Json:
    body = {"status": "open"}
    return _operation(
        "showCancelPage",
        'The page of "this was not me"',
        {200: _either("The link works. Looking stops nothing.", "Send a POST …", body)},
        problems=(404, 410, 500, 503),
    )


def _cancel() -> Json:
    body = {"status": "cancelled", "muted": False}
    return _operation(
        "cancelResets",
        "End all open links of the account",
        {200: _either("No link of this account works any more.", "The link does not work any more.", body)},
        problems=(*_REFUSED, 404, 410),
        fields={"mute": {"enum": ["1", 1, True], "description": "Send no reset mails for 24 hours."}},
    )


def _well_known() -> Json:
    found: Json = {
        "description": "Where to ask for a reset.",
        "headers": {"Location": {"schema": {"type": "string"}, "required": True}},
    }
    return _operation("changePasswordUrl", "For password managers", {302: found}, problems=(500,))


def _health() -> Json:
    return _operation(
        "isAlive", "Whether the process is alive", {200: _json("Alive.", {"status": "ok"})}, problems=(500,)
    )


def _ready() -> Json:
    not_ready = {"status": "unavailable", "problems": {"database": "cannot be reached"}}
    return _operation(
        "isReady",
        "Whether it can do its work",
        {200: _json("Ready.", {"status": "ok"}), 503: _json("Not ready, and why.", not_ready)},
        problems=(500,),
    )


def _metrics() -> Json:
    text: Json = {"description": "Metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    operation = _operation(
        "metrics", "Metrics in the Prometheus text format", {200: text}, problems=(404, 500, 503)
    )
    return {**operation, "security": [{"ops": []}]}


def _openapi() -> Json:
    return _operation("openapi", "This document", {200: _json("This document.", None)}, problems=(500,))


# ---- pieces -----------------------------------------------------------------------------------------------------


def _operation(
    name: str,
    summary: str,
    responses: dict[int, Json],
    *,
    problems: tuple[int, ...],
    description: str | None = None,
    fields: Json | None = None,
    required: list[str] | None = None,
) -> Json:
    told = {status: _problem(status) for status in problems if status not in responses}
    operation: Json = {
        "operationId": name,
        "summary": summary,
        "responses": {str(status): response for status, response in sorted((responses | told).items())},
    }
    if description:
        operation["description"] = description
    if fields is not None:
        schema: Json = {"type": "object", "properties": fields}
        if required:
            schema["required"] = required
        kinds = ("application/x-www-form-urlencoded", "multipart/form-data", "application/json")
        operation["requestBody"] = {
            "required": bool(required),
            "content": {kind: {"schema": schema} for kind in kinds},
        }
    return operation


def _page(description: str) -> Json:
    return {"description": description, "content": {"text/html": {"schema": {"type": "string"}}}}


def _json(description: str, example: Json | None) -> Json:
    content: Json = {"schema": {"type": "object"}}
    if example is not None:
        content = {"schema": _schema_of(example), "example": example}
    return {"description": description, "content": {"application/json": content}}


def _either(description: str, text: str, body: Json) -> Json:
    """An answer in the form that was asked for."""
    response = _json(description, body)
    response["content"]["text/html"] = {"schema": {"type": "string"}}
    response["content"]["text/plain"] = {"schema": {"type": "string"}, "example": text}
    return response


def _problem(status: int) -> Json:
    response: Json = {
        "description": _MEANING.get(status, HTTPStatus(status).phrase),
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
            "text/html": {"schema": {"type": "string"}},
            "text/plain": {"schema": {"type": "string"}},
        },
    }
    if status in (429, 503):
        response["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        }
    return response


_MEANING = {
    400: "Not an address, or a field missing, sent twice, or not a text.",
    403: "A browser sent it from a page of another site that is no front end in RESETSVC_CORS_ORIGINS.",
    404: "No such page, or not for this caller.",
    408: "The body took too long to arrive.",
    410: "The link does not work: unknown, altered, expired, used or revoked, all the same.",
    413: "More than 16 KiB.",
    415: "Neither a form nor JSON.",
    422: "The password is refused, with reasons. The link still works.",
    429: "Too many requests from one client.",
    500: "Our fault.",
    503: "Not possible at the moment. Nothing was stored or changed.",
}


def _schema_of(example: Json) -> Json:
    """The schema that an answer of ours has: exactly its fields, and its status word for word."""
    properties: Json = {}
    for name, value in example.items():
        if isinstance(value, dict):
            properties[name] = {"type": "object"} if name == "problems" else _schema_of(value)
        elif isinstance(value, bool):
            properties[name] = {"type": "boolean"}
        elif isinstance(value, int):
            properties[name] = {"type": "integer"}
        else:
            properties[name] = {"const": value} if name == "status" else {"type": "string"}
    return {
        "type": "object",
        "properties": properties,
        "required": list(example),
        "additionalProperties": False,
    }


def _problem_schema() -> Json:
    return {
        "type": "object",
        "description": "RFC 9457, with `code`: a stable word.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string"},
            "reasons": {"type": "array", "items": {"$ref": "#/components/schemas/Reason"}},
        },
    }


def _reason_schema() -> Json:
    codes = [
        "missing",
        "too_short",
        "too_long",
        "too_many_bytes",
        "too_simple",
        "common",
        "breached",
        "contains_name",
        "not_text",
    ]
    return {
        "type": "object",
        "required": ["code", "detail"],
        "properties": {
            "code": {"type": "string", "enum": codes},
            "detail": {"type": "string"},
            "limit": {"type": "integer", "description": "The number that was not kept to."},
        },
    }
