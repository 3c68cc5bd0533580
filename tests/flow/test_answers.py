"""What every answer is like: the form that was asked for, one shape for all errors, the same headers everywhere."""

import asyncio
import json
import re
from typing import Any

import pytest
from quart import Response
from quart.testing import connections

from tests.flow.conftest import (
    ANN,
    FORMS,
    RememberedAccounts,
    Running,
    Start,
    body_of,
    text_of,
)

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")

EVERYWHERE = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "strict-transport-security": "max-age=31536000",
}


# ---- the form ----


ACCEPTED: list[tuple[str | None, str]] = [
    (None, "text/plain; charset=utf-8"),
    ("", "text/plain; charset=utf-8"),
    ("*/*", "text/plain; charset=utf-8"),  # curl, fetch
    ("text/*", "text/plain; charset=utf-8"),
    ("image/png", "text/plain; charset=utf-8"),
    ("text/plain", "text/plain; charset=utf-8"),
    ("text/plain, text/html;q=0.5", "text/plain; charset=utf-8"),
    ("text/html;q=0, */*", "text/plain; charset=utf-8"),
    (BROWSER, "text/html; charset=utf-8"),
    ("text/html", "text/html; charset=utf-8"),
    ("TEXT/HTML", "text/html; charset=utf-8"),
    ("application/xhtml+xml", "text/html; charset=utf-8"),
    ("application/json;q=0.5, text/html", "text/html; charset=utf-8"),
    ("application/json;q=0, text/html;q=0.1", "text/html; charset=utf-8"),
    ("application/json", "application/json"),
    ("Application/JSON", "application/json"),
    ("application/problem+json", "application/json"),
    ("application/json, text/plain, */*", "application/json"),  # axios
    ("text/html;q=0.9, application/json", "application/json"),
]


async def test_the_form_is_the_one_that_was_asked_for(running: Running) -> None:
    for accept, content_type in ACCEPTED:
        headers = {} if accept is None else {"Accept": accept}
        answer = await running.ask(headers=headers)
        assert answer.headers["Content-Type"] == content_type, accept
        refused = await running.ask("nobody", headers=headers)
        problem_type = "application/problem+json" if content_type == "application/json" else content_type
        assert refused.headers["Content-Type"] == problem_type, accept


async def test_who_sends_json_is_answered_json(running: Running) -> None:
    for accept in ("*/*", BROWSER, "text/plain"):
        answer = await running.client.post("/reset-password", json={"email": ANN}, headers={"Accept": accept})
        assert answer.headers["Content-Type"] == "application/json"


async def test_pages_are_pages_for_whoever_opens_them(running: Running) -> None:
    answer = await running.client.get("/reset-password", headers={"Accept": "*/*"})
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


# ---- errors ----


@pytest.fixture
async def breakable(start: Start) -> tuple[Running, RememberedAccounts, str]:
    """A service whose accounts can fail, and a link that works until then."""
    accounts = RememberedAccounts()
    accounts.put(ANN)
    running = await start(accounts=accounts)
    return running, accounts, (await running.mail_to()).link_path


@pytest.mark.parametrize(
    ("method", "path", "how", "status", "code"),
    [
        ("POST", "/reset-password", {"form": {"email": "nobody"}}, 400, "address_refused"),
        ("POST", "/reset-password", {"form": {}}, 400, "email_missing"),
        ("POST", "/reset-password", {"data": b"email=a@b.example&email=a@b.example", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 400, "email_repeated"),
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("GET", "/metrics", {}, 404, "not_found"),
        ("GET", "/static/nothing.css", {}, 404, "not_found"),
        ("PUT", "/reset-password", {}, 405, "method_not_allowed"),
        ("POST", "/healthz", {}, 405, "method_not_allowed"),
        ("GET", "/reset/x", {}, 410, "link_does_not_work"),
        ("POST", "/reset/x/cancel", {}, 410, "link_does_not_work"),
        ("POST", "/reset-password", {"data": b"x" * 16_385, "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 413, "too_large"),
        ("POST", "/reset-password", {"data": b"x", "headers": {"Content-Type": "text/csv"}}, 415, "unsupported_media_type"),
        ("POST", "{link}", {"form": {"password": "short"}}, 422, "password_refused"),
        ("GET", "{broken link}", {}, 500, "internal_error"),
        ("POST", "{broken link}", {"form": {"password": "four unrelated words here"}}, 500, "internal_error"),
    ],
)  # fmt: skip
async def test_every_error_has_one_shape(
    breakable: tuple[Running, RememberedAccounts, str],
    method: str,
    path: str,
    how: dict[str, Any],
    status: int,
    code: str,
) -> None:
    running, accounts, link = breakable
    if "broken" in path:
        accounts.get_fails = RuntimeError("SELECT * FROM users -- at db7.internal, password hunter2")
    path = path.format_map({"link": link, "broken link": link})
    for form, accept in FORMS.items():
        headers = {**how.get("headers", {}), **accept}
        answer = await running.open(path, method, **{**how, "headers": headers})
        assert answer.status_code == status
        text = await text_of(answer)
        if form == "json":
            assert answer.headers["Content-Type"] == "application/problem+json"
            problem = json.loads(text)
            assert set(problem) - {"reasons"} == {"type", "title", "status", "detail", "code"}
            assert (problem["type"], problem["status"], problem["code"]) == ("about:blank", status, code)
        elif form == "html":
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert re.search(r"<h1>[^<]+</h1>", text)
        else:
            assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert re.fullmatch(r"([^<>\n]+\n)+", text)
        for inside in ("Traceback", "RuntimeError", "SELECT", "db7", "hunter2", "resetsvc/", "Quart", "0.22"):
            assert inside not in text
        assert ("Allow" in answer.headers) is (status == 405)
        assert_it_is_guarded(answer)


async def test_a_405_says_what_is_allowed(running: Running) -> None:
    allowed = (await running.open("/reset-password", "DELETE")).headers["Allow"]
    assert set(allowed.split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


# ---- headers ----


def assert_it_is_guarded(answer: Response) -> None:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert len(headers) == len(list(answer.headers.items()))  # each once
    assert {name: headers.get(name) for name in EVERYWHERE} == EVERYWHERE
    for revealing in ("server", "x-powered-by", "set-cookie", "etag", "via"):
        if revealing != "etag" or answer.status_code != 200:
            assert revealing not in headers


async def test_every_answer_of_every_route_and_method_is_guarded(ann: Running) -> None:
    mail = await ann.mail_to()
    paths = {
        rule.rule.replace("<token>", token).replace("<path:filename>", name).replace("<filename>", name)
        for rule in ann.app.url_map.iter_rules()
        for token in (mail.token, "x")
        for name in ("resetsvc.css", "nothing.css")
    }
    assert len(paths) >= 12
    paths |= {"/", "/nowhere", "/reset", "/static/", "/static/../app.py", "/favicon.ico", "/robots.txt", "*"}
    seen_statuses = set()
    for path in sorted(paths):
        for method in METHODS:
            for accept in ("*/*", "text/html"):
                answer = await ann.open(path, method, headers={"Accept": accept})
                assert_it_is_guarded(answer)
                cached = answer.status_code in (200, 304) and path.startswith("/static/")
                assert (answer.headers["Cache-Control"] == "no-store") is not cached
                seen_statuses.add(answer.status_code)
    assert seen_statuses >= {200, 302, 400, 404, 405, 410}


async def test_http_on_loopback_promises_no_https(start: Start) -> None:
    running = await start(public_url="http://localhost:8000")
    for path in ("/reset-password", "/nowhere", "/static/resetsvc.css", "/healthz"):
        answer = await running.client.get(path, headers={"X-Forwarded-Proto": "https"})
        assert "Strict-Transport-Security" not in answer.headers


async def test_static_files_are_cached_for_good_and_named_by_their_content(running: Running) -> None:
    page = await text_of(await running.client.get("/reset-password"))
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(addresses) == 3
    for address in addresses:
        assert re.search(r"\?v=[0-9a-f]{12}$", address)
        answer = await running.client.get(address)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Content-Type"].partition(";")[0] in (
            "text/css",
            "text/javascript",
            "image/svg+xml",
        )
        assert len(await body_of(answer)) > 100


NOT_STATIC = [
    "/static/../app.py",
    "/static/%2e%2e/app.py",
    "/static/..%2fapp.py",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/..\\app.py",
    "/static/resetsvc.css%00.png",
    "/static/" + "a" * 5000,
    "/templates/pages/ask.html",
    "/.env",
    "/var/resetsvc.db",
]


async def test_nothing_but_static_files_is_served(running: Running) -> None:
    for path in NOT_STATIC:
        answer = await running.client.get(path)
        assert 400 <= answer.status_code < 500, path


async def test_pages_hold_no_inline_script_or_style_and_nothing_foreign(ann: Running) -> None:
    mail = await ann.mail_to()
    html = FORMS["html"]
    pages = [
        await text_of(await ann.client.get("/reset-password")),
        await text_of(await ann.ask("nobody", headers=html)),
        await text_of(await ann.ask(headers=html)),
        await text_of(await ann.client.get(mail.link_path, headers=html)),
        await text_of(await ann.set_password(mail.link_path, "short", headers=html)),
        await text_of(await ann.client.get(mail.cancel_path, headers=html)),
        await text_of(await ann.set_password(mail.link_path, headers=html)),
        await text_of(await ann.client.get(mail.link_path, headers=html)),
        await text_of(await ann.client.get("/nowhere", headers=html)),
    ]
    assert len({re.search("<h1>(.*?)</h1>", page).group(1) for page in pages}) >= 7  # type: ignore[union-attr]  # each page has one
    for page in pages:
        assert page.startswith("<!doctype html>\n<html lang=")
        assert page.count("<h1>") == 1
        assert "<style" not in page
        assert not re.search(r"<script(?![^>]*\bsrc=)", page)
        assert not re.search(r"""\s(?:on\w+|style)\s*=\s*["']""", page)
        assert all(url.startswith(("/", "#")) for url in re.findall(r'(?:src|href|action)="([^"]*)"', page))


async def test_websockets_are_refused_without_an_error(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    for path in ("/reset-password", "/nowhere"):
        with pytest.raises(connections.WebsocketResponseError) as refused:
            async with asyncio.timeout(5), running.client.websocket(path) as websocket:
                await websocket.receive()
        assert refused.value.response.status_code == 404
    assert caplog.records == []


async def test_under_a_path_every_address_begins_with_it(start: Start) -> None:
    running = await start(public_url="https://example.com/account", login_url="https://example.com/login")
    page = await text_of(await running.client.get("/reset-password"))
    assert 'action="/account/reset-password"' in page
    assert re.findall(r'(?:href|src)="(/[^"]*)"', page)
    assert all(url.startswith("/account/") for url in re.findall(r'(?:href|src|action)="(/[^"]*)"', page))
