"""The document of the contract is valid, says what is really sent and taken, and stands in the reference as it is."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, ValidationError

from resetsvc.accounts.webhook import WebhookAccounts
from resetsvc.accounts.webhook_contract import MOST_ADDRESSES, FindAnswer, GetAnswer, SwapAnswer
from resetsvc.accounts.webhook_openapi import document
from resetsvc.webhooks import ID, SIGNATURE, TIMESTAMP
from tests.accounts_webhook.conftest import Connect
from tests.accounts_webhook.test_questions import ANN, NEW_PASSWORD, account_of
from tests.rules.source import ROOT
from tests.support.accounts_endpoint import AccountsEndpoint

Json = Mapping[str, Any]
ANSWERS: dict[str, type[BaseModel]] = {
    "accounts.find": FindAnswer,
    "accounts.get": GetAnswer,
    "accounts.swap": SwapAnswer,
}


def operation(kind: str) -> Json:
    found: Json = document()["webhooks"][kind]["post"]
    return found


def question_schema(kind: str) -> Json:
    return _whole(operation(kind)["requestBody"]["content"]["application/json"]["schema"])


def answer_schema(kind: str) -> Json:
    return _whole(operation(kind)["responses"]["200"]["content"]["application/json"]["schema"])


def _whole(schema: Json) -> Json:
    return {**schema, "components": document()["components"]}


def fits(schema: Json, value: object) -> bool:
    return not list(Draft202012Validator(schema).iter_errors(value))


def test_it_is_valid_openapi_3_1_and_stands_in_the_reference() -> None:
    written = json.loads((ROOT / "docs" / "reference" / "webhook_openapi.json").read_text("utf-8"))
    assert written == document(), "run `make docs`"
    OpenAPIV31SpecValidator(written).validate()
    assert set(written["webhooks"]) == set(ANSWERS)


@pytest.mark.parametrize("kind", sorted(ANSWERS))
def test_every_example_fits_its_schema(kind: str) -> None:
    questions = operation(kind)["requestBody"]["content"]["application/json"]["examples"]
    answers = operation(kind)["responses"]["200"]["content"]["application/json"]["examples"]
    assert questions
    assert len(answers) == 2
    for example in questions.values():
        assert fits(question_schema(kind), example["value"])
        assert example["value"]["type"] == kind
    for example in answers.values():
        assert fits(answer_schema(kind), example["value"])
        ANSWERS[kind].model_validate_json(json.dumps(example["value"]))


async def test_what_is_really_asked_is_what_the_document_says(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts, connect: Connect
) -> None:
    async def seal(password: str) -> str:
        return f"hash of {len(password)}"

    endpoint.add(ANN)
    await accounts.find([f"{number}@example.com" for number in range(MOST_ADDRESSES)])
    for by_hash in (accounts, connect(seal=seal)):
        assert await by_hash.swap(None, await account_of(by_hash), await by_hash.seal(NEW_PASSWORD))
    assert set(endpoint.types()) == {"find", "get", "swap"}
    for question in endpoint.questions:
        kind = question.body["type"]
        assert fits(question_schema(kind), question.body)
        assert not fits(question_schema(kind), {**question.body, "type": "accounts.drop"})
        for needed in question.body:
            rest = {name: value for name, value in question.body.items() if name != needed}
            assert not fits(question_schema(kind), rest)
        for header in (ID, TIMESTAMP, SIGNATURE):
            assert f"\r\n{header}: ".encode() in question.head.lower()
        told = {parameter["$ref"].rpartition("/")[2] for parameter in operation(kind)["parameters"]}
        assert told == {ID, TIMESTAMP, SIGNATURE}


RIGHT = {"id": "1", "address": ANN, "active": True, "version": "v1", "locale": None}


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("accounts.find", {"accounts": [{**RIGHT, "asked": ANN}]}),
        ("accounts.find", {"accounts": [RIGHT]}),
        ("accounts.find", {"accounts": [{**RIGHT, "asked": ANN, "active": "yes"}]}),
        ("accounts.find", {"accounts": [{**RIGHT, "asked": ANN, "id": 1}]}),
        ("accounts.find", {"accounts": {}}),
        ("accounts.find", {}),
        ("accounts.get", {"account": RIGHT}),
        ("accounts.get", {"account": {**RIGHT, "more": 1}}),
        ("accounts.get", {"account": None}),
        ("accounts.get", {"account": {**RIGHT, "version": ""}}),
        ("accounts.get", {}),
        ("accounts.swap", {"swapped": True}),
        ("accounts.swap", {"swapped": 1}),
        ("accounts.swap", {}),
    ],
)
def test_the_document_allows_an_answer_where_we_take_it_and_nowhere_else(kind: str, answer: Json) -> None:
    try:
        ANSWERS[kind].model_validate_json(json.dumps(answer))
        taken = True
    except ValidationError:
        taken = False
    assert fits(answer_schema(kind), answer) == taken
