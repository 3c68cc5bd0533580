"""The contract with an application's endpoint as OpenAPI 3.1 tells it, made of the models that read the answers."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from resetsvc.accounts.webhook_contract import (
    Find,
    FindAnswer,
    Get,
    GetAnswer,
    SwapAnswer,
    SwapToHash,
    SwapToPassword,
)
from resetsvc.version import __version__
from resetsvc.webhooks import ID, SIGNATURE, TIMESTAMP

Json = dict[str, Any]

ANN: Json = {
    "id": "42",
    "address": "ann@example.com",
    "active": True,
    "version": "2026-09-21T14:13:20Z",
    "locale": "en",
}


def document() -> Json:
    """Return the document. `docs/generate.py` writes it to docs/reference/webhook_openapi.json."""
    questions: list[type[BaseModel]] = [Find, Get, SwapToPassword, SwapToHash]
    answers: list[type[BaseModel]] = [FindAnswer, GetAnswer, SwapAnswer]
    _, schemas = models_json_schema(
        # What we write is described as it is written, and what we read as it is read.
        [*((one, "serialization") for one in questions), *((one, "validation") for one in answers)],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Accounts by webhook",
            "version": __version__,
            "summary": "What resetsvc asks an application's endpoint, and what that answers.",
            "description": "All questions are posted to one URL; `type` says which it is. Both sides sign as in Standard"
            " Webhooks 1.0.0, with the same secret.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "webhooks": {
            "accounts.find": {"post": _find()},
            "accounts.get": {"post": _get()},
            "accounts.swap": {"post": _swap()},
        },
        "components": {
            "schemas": schemas["$defs"],
            "parameters": _question_headers(),
            "headers": _answer_headers(),
        },
    }


def _find() -> Json:
    return _operation(
        "find",
        "Which accounts have these addresses?",
        "Asked for all letters that wait, in one question. An address that nobody has is left out of the answer; how"
        " addresses are compared is the application's to say.",
        {"nobody and Ann": Find(addresses=["ann@example.com", "nobody@example.com"])},
        "FindAnswer",
        {
            "one of the two": {"accounts": [{**ANN, "asked": "ann@example.com"}]},
            "nobody": {"accounts": []},
        },
    )


def _get() -> Json:
    return _operation(
        "get",
        "How is this account now?",
        "Asked when a link is opened and before a password is changed.",
        {"Ann": Get(id="42")},
        "GetAnswer",
        {"there": {"account": ANN}, "gone": {"account": None}},
    )


def _swap() -> Json:
    return _operation(
        "swap",
        "Make this the account's password, if its version is still this one.",
        "Compared and changed in one transaction, together with the record that this `webhook-id` was answered: an answer"
        " that was lost is asked for again under the same id, and the same answer is given without a second change. What"
        " cannot be committed within ten seconds is given up.",
        {
            "a password": SwapToPassword(
                id="42",
                version="2026-09-21T14:13:20Z",
                password="four unrelated words here",  # noqa: S106 -- an example
            ),
            "a hash": SwapToHash(
                id="42",
                version="2026-09-21T14:13:20Z",
                password_hash="$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA",  # noqa: S106 -- likewise
            ),
        },
        "SwapAnswer",
        {"changed": {"swapped": True}, "changed elsewhere meanwhile": {"swapped": False}},
    )


def _operation(
    name: str,
    summary: str,
    description: str,
    questions: dict[str, BaseModel],
    answer: str,
    answers: dict[str, Json],
) -> Json:
    kinds = [{"$ref": f"#/components/schemas/{kind}"} for kind in sorted({*map(_kind, questions.values())})]
    return {
        "operationId": name,
        "summary": summary,
        "description": description,
        "parameters": [{"$ref": f"#/components/parameters/{header}"} for header in _question_headers()],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": kinds[0] if len(kinds) == 1 else {"oneOf": kinds},
                    "examples": {
                        said: {"value": question.model_dump(mode="json")}
                        for said, question in questions.items()
                    },
                }
            },
        },
        "responses": {
            "200": {
                "description": "The answer, signed. Any other status is a failure.",
                "headers": {
                    header: {"$ref": f"#/components/headers/{header}"} for header in _answer_headers()
                },
                "content": {
                    "application/json": {
                        "schema": {"$ref": f"#/components/schemas/{answer}"},
                        "examples": {said: {"value": value} for said, value in answers.items()},
                    }
                },
            },
            **{
                str(status): {"description": f"{HTTPStatus(status).phrase}. {meaning}"}
                for status, meaning in _FAILURES.items()
            },
        },
    }


_FAILURES = {
    400: "This is no question of this contract. Not asked again.",
    401: "The signature or the time is wrong. Not asked again.",
    409: "A `webhook-id` that was seen before, but for a swap: that gets the same answer as before. Or a swap that is being"
    " made at this moment, for an attempt that was given up. Asked again a little later.",
    503: "Not at the moment; 429, 500, 502 and 504 are understood like it. Asked again, three times in all.",
}


def _kind(question: BaseModel) -> str:
    return type(question).__name__


def _question_headers() -> Json:
    said = {
        ID: "Names the question. Attempts at a swap that was not answered keep it; other questions get a new one.",
        TIMESTAMP: "Seconds since 1970 at this attempt. Refuse what is more than five minutes away from your own clock.",
        SIGNATURE: "`v1,` and the base64 of the HMAC-SHA-256 of `webhook-id.webhook-timestamp.body`, once for each secret,"
        " separated by spaces. One that fits is enough.",
    }
    return {
        name: {
            "name": name,
            "in": "header",
            "required": True,
            "description": text,
            "schema": {"type": "string"},
        }
        for name, text in said.items()
    }


def _answer_headers() -> Json:
    said = {
        ID: "`answer_to_` and the question's `webhook-id`.",
        TIMESTAMP: "Seconds since 1970, not more than five minutes away from the clock of resetsvc.",
        SIGNATURE: "As that of a question, over this answer.",
    }
    return {
        name: {"required": True, "description": text, "schema": {"type": "string"}}
        for name, text in said.items()
    }
