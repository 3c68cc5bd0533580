"""openapi.json says what is so: every route, every answer, every example, held against the running service."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types
from openapi_spec_validator import OpenAPIV31SpecValidator
from quart import Quart, Response
from quart.typing import TestClientProtocol as Client

from resetsvc.accounts import Account
from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.app import create_app
from resetsvc.service import Service
from resetsvc.settings import Settings
from resetsvc.testing import Mailbox, make_settings
from resetsvc.tokens import Tokens
from resetsvc.version import __version__
from resetsvc.web import asgi
from resetsvc.web.openapi import document
from resetsvc.web.replies import HTTP_PROBLEMS, PROBLEMS

GOOD = "four unrelated words here"
TOKEN = {"Authorization": "Bearer a token for the figures"}
OTHER_FORMS = {"json": "application/json", "text": "*/*", "html": "text/html"}

Json = Mapping[str, Any]


@pytest.fixture
def resetsvc_settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path, ops_token="a token for the figures")


@pytest.fixture
def described(resetsvc_settings: Settings) -> Json:
    return document(resetsvc_settings)


def test_it_is_valid_openapi_3_1(described: Json) -> None:
    assert described["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(json.loads(json.dumps(described))).validate()
    assert described["info"]["version"] == __version__


async def test_it_is_what_the_service_hands_out(resetsvc_client: Client, described: Json) -> None:
    answer = await resetsvc_client.get("/openapi.json")
    assert answer.content_type == "application/json"
    assert await answer.get_json() == described


def test_it_has_every_route_and_none_that_there_is_not(resetsvc_settings: Settings, described: Json) -> None:
    app = create_app(resetsvc_settings)
    there = {
        (rule.rule.replace("<token>", "{token}"), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    told = {
        (path, method)
        for path, operations in described["paths"].items()
        for method in operations
        if method in ("get", "post", "put", "patch", "delete")
    }
    assert told == there


def operations(described: Json) -> list[tuple[str, Json]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, found in described["paths"].items()
        for method, operation in found.items()
        if method != "parameters"
    ]


def test_every_operation_has_a_name_of_its_own(described: Json) -> None:
    names = [operation["operationId"] for _, operation in operations(described)]
    assert len(names) == len(set(names))


def test_every_example_fits_its_schema(described: Json) -> None:
    seen = 0
    for name, operation in operations(described):
        for status, response in operation["responses"].items():
            for kind, content in response.get("content", {}).items():
                if "example" in content:
                    seen += 1
                    check(described, content["schema"], content["example"], f"{name} {status} {kind}")
    assert seen > 5


def test_every_status_of_the_tables_is_told_somewhere(described: Json) -> None:
    told = {int(status) for _, operation in operations(described) for status in operation["responses"]}
    could = {problem.status for problem in (*PROBLEMS.values(), *HTTP_PROBLEMS.values())}
    # 403: nothing is forbidden here. 405: the answer of methods that are not described.
    assert could - {403, 405} <= told


def check(described: Json, schema: Json, value: object, where: str) -> None:
    whole = {**schema, "components": described["components"]}
    problems = [error.message for error in Draft202012Validator(whole).iter_errors(value)]
    assert not problems, f"{where}: {problems}"


class Drive:
    """Sends requests, holds each answer against the document, and remembers which answers have been seen."""

    def __init__(self, client: Client, described: Json) -> None:
        self._client = client
        self._described = described
        self.seen: set[tuple[str, int]] = set()

    async def send(
        self, name: str, token: str = "", *, headers: dict[str, str] | None = None, **body: Any
    ) -> Response:
        method, path = name.split()
        url = path.replace("{token}", token)
        arguments = {"headers": headers, **body}
        sent = (
            self._client.get(url, headers=headers) if method == "GET" else self._client.post(url, **arguments)
        )
        answer = await sent
        assert isinstance(answer, Response)
        as_json = (answer.mimetype or "").endswith("json")
        self.hold(name, answer, await answer.get_json() if as_json else None)
        return answer

    def hold(self, name: str, answer: Response, body: object) -> None:
        """Hold one answer against what the document says of it."""
        method, path = name.split()
        responses = self._described["paths"][path][method.lower()]["responses"]
        status = str(answer.status_code)
        assert status in responses, f"{name} answers {status}, and the document does not say so"
        told = responses[status]
        self.seen.add((name, answer.status_code))
        for header, spec in told.get("headers", {}).items():
            assert header in answer.headers, f"{name} {status} has no {header}"
            if spec["schema"]["type"] == "integer":
                assert int(answer.headers[header]) >= spec["schema"]["minimum"]
        if answer.status_code != 302:
            assert answer.mimetype in told["content"], f"{name} {status} is {answer.mimetype}"
        if body is not None:
            check(self._described, told["content"][answer.mimetype]["schema"], body, f"{name} {status}")

    async def in_all_forms(self, name: str, token: str = "", **body: Any) -> None:
        for accept in OTHER_FORMS.values():
            await self.send(name, token, headers={"Accept": accept}, **body)


@pytest.fixture
def drive(resetsvc_client: Client, described: Json) -> Drive:
    return Drive(resetsvc_client, described)


POSTS = ("POST /reset-password", "POST /reset/{token}", "POST /reset/{token}/cancel")


async def test_real_answers_are_as_the_document_says_and_nothing_is_told_that_never_happens(
    drive: Drive,
    described: Json,
    resetsvc_service: Service,
    resetsvc_accounts: BuiltinAccounts,
    resetsvc_mailbox: Mailbox,
    resetsvc_app: Quart,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def token() -> str:
        await drive.in_all_forms("POST /reset-password", form={"email": "ann@example.com"})
        return (await resetsvc_mailbox.next_mail()).token

    await resetsvc_accounts.add("ann@example.com", "an old password of hers")
    await drive.send("POST /reset/{token}/cancel", await token(), json={})
    first = await token()
    await drive.in_all_forms("GET /reset-password")
    await drive.send("POST /reset-password", json={"email": "ann@example.com"})
    for looking in ("GET /reset/{token}", "GET /reset/{token}/cancel"):
        await drive.in_all_forms(looking, first)
        await drive.in_all_forms(looking, "unknown")
        await drive.in_all_forms(looking, "with%2Fa slash")
    for post in POSTS[1:]:
        await drive.in_all_forms(post, "with%2Fa slash", form={"password": GOOD})
    for post in POSTS:
        for accept in OTHER_FORMS.values():
            form = {"Accept": accept, "Content-Type": "application/x-www-form-urlencoded"}
            await drive.send(post, first, headers=form, data=b"email=\xff&password=\xff")
            await drive.send(post, first, headers={**form, "Content-Type": "text/csv"}, data=b"x")
            await drive.send(post, first, headers=form, data=b"x=" + b"a" * 20_000)
            await drive.send(post, first, headers={**form, "Sec-Fetch-Site": "cross-site"}, data=b"x=1")
    await drive.in_all_forms("POST /reset-password", form={"email": "not an address"})
    await drive.in_all_forms("POST /reset/{token}", first, form={"password": "short"})
    await drive.in_all_forms("POST /reset/{token}", first, form={})
    await drive.send("POST /reset/{token}", first, json={"password": "ann@example.com"})
    await drive.send("POST /reset/{token}", first, json={"password": "a" * 2000})
    await drive.send("POST /reset/{token}", first, json={"password": GOOD})
    await drive.in_all_forms("POST /reset/{token}", first, form={"password": GOOD})
    await drive.in_all_forms("POST /reset/{token}/cancel", first, form={})
    for path in ("/healthz", "/readyz", "/openapi.json", "/.well-known/change-password"):
        await drive.send(f"GET {path}")
    await drive.send("GET /metrics", headers=TOKEN)
    await drive.send("GET /metrics")
    await drive.send("GET /metrics", headers={"Authorization": "Bearer wrong"})

    monkeypatch.setattr(asgi, "SLOWEST_BODY", 0.05)  # seconds; what never ends is cut after ten in real life
    for post in POSTS:
        await slow(drive, resetsvc_app, post)

    await resetsvc_service.store.close()
    for post, body in zip(POSTS, ({"email": "b@example.com"}, {"password": GOOD}, {}), strict=True):
        await drive.in_all_forms(post, unopened(resetsvc_service), form=body)
    for looking in ("GET /reset/{token}", "GET /reset/{token}/cancel"):
        await drive.in_all_forms(looking, unopened(resetsvc_service))
    await drive.send("GET /readyz")
    await drive.send("GET /metrics", headers=TOKEN)

    told = {
        (name, int(status)) for name, operation in operations(described) for status in operation["responses"]
    }
    never_seen = told - drive.seen
    # 500 and the limits have tests of their own, below.
    assert {answer for answer in never_seen if answer[1] not in (429, 500)} == set()


def unopened(service: Service) -> str:
    """A token whose signature is right: it takes a look at the database to refuse it."""
    return Tokens(service.settings.keys, 600, service.clock).sign("0" * 44)


async def slow(drive: Drive, app: Quart, name: str) -> None:
    """A body that is announced and never comes."""
    path = name.split()[1].replace("{token}", "unknown")
    connection = app.test_client().request(
        path,
        method="POST",
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Content-Length": "9",
            "Accept": "application/json",
        },
    )
    async with connection as opened:
        await opened.send(b"ema")
    answer = await connection.as_response()
    drive.hold(name, answer, await answer.get_json())
    assert answer.status_code == 408


async def test_too_many_requests_are_told_as_the_document_says(tmp_path: Path, described: Json) -> None:
    settings = make_settings(tmp_path, limit_per_client="1/hour", ops_token="a token for the figures")
    async with create_app(settings, outbox=Mailbox()).test_app() as running:
        drive = Drive(running.test_client(), described)
        for post in POSTS:
            for form in ({"email": "a@example.com", "password": GOOD},) * 2:
                await drive.in_all_forms(post, "unknown", form=form)
            assert (post, 429) in drive.seen


class Broken:
    """Accounts that fail in a way that nobody foresaw."""

    elsewhere = False

    async def find(self, addresses: object) -> Mapping[str, Account]:
        return {}

    async def get(self, account_id: str) -> Account | None:
        raise RuntimeError("SELECT secret FROM ann@example.com")

    async def seal(self, password: str) -> str:
        raise RuntimeError(password)

    def credential_after(self, account: Account, sealed: str) -> str | None:
        raise RuntimeError(sealed)

    async def swap(self, unit: object, account: Account, sealed: str) -> bool:
        raise RuntimeError(sealed)


async def test_our_own_mistakes_are_told_as_the_document_says_and_without_their_words(
    tmp_path: Path,
    described: Json,
    resetsvc_accounts: BuiltinAccounts,
    resetsvc_client: Client,
    resetsvc_mailbox: Mailbox,
) -> None:
    await resetsvc_accounts.add("ann@example.com", "an old password of hers")
    await resetsvc_client.post("/reset-password", form={"email": "ann@example.com"})
    token = (await resetsvc_mailbox.next_mail()).token
    settings = make_settings(tmp_path, ops_token="a token for the figures")
    async with create_app(settings, outbox=Mailbox(), accounts=Broken()).test_app() as running:
        drive = Drive(running.test_client(), described)
        for name in (
            "GET /reset/{token}",
            "GET /reset/{token}/cancel",
            "POST /reset/{token}",
            "POST /reset/{token}/cancel",
        ):
            for accept in OTHER_FORMS.values():
                body = {} if name.startswith("GET") else {"form": {"password": GOOD}}
                answer = await drive.send(name, token, headers={"Accept": accept}, **body)
                said = await answer.get_data(as_text=True)
                assert answer.status_code == 500
                for word in ("SELECT", "ann@", "RuntimeError", "Traceback", GOOD, ".py"):
                    assert word not in said
