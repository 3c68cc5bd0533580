"""What a web page from elsewhere, or a mail from anybody, can do in the mailbox: nothing."""

import pytest
from quart.typing import TestClientProtocol as Client

from resetsvc.dev.caught_mails import CaughtMails
from tests.dev.conftest import Send, a_mail

XSS = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8025", "localhost:8025", "LOCALHOST", "[::1]:8025"])
async def test_loopback_names_are_served(client: Client, host: str) -> None:
    assert (await client.get("/", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8025",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.168.0.5",
        "",
        "::1",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/mails", "/events", "/static/mailbox.js", "/nothing"])
async def test_any_other_host_name_is_refused(client: Client, host: str, path: str) -> None:
    assert (await client.get(path, headers={"Host": host})).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),  # a script: browsers always say where a POST comes from
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 303),
        ({"Origin": "http://localhost"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:8000"}, 403),
        ({"Origin": "https://evil.example"}, 403),
    ],
)
async def test_only_its_own_page_can_delete(
    client: Client, store: CaughtMails, send: Send, headers: dict[str, str], status: int
) -> None:
    await send(a_mail())
    response = await client.post("/delete-all", headers={"Host": "localhost", **headers})
    assert response.status_code == status
    assert len(store.newest_first()) == (1 if status == 403 else 0)


async def test_every_answer_tells_the_browser_to_be_strict(client: Client) -> None:
    for path in ("/", "/nothing", "/api/mails", "/static/mailbox.css"):
        headers = (await client.get(path)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("view", ["html", "text", "source", "headers"])
async def test_markup_in_a_mail_stays_text_in_the_page(
    client: Client, store: CaughtMails, send: Send, view: str
) -> None:
    mail = a_mail(subject=XSS, text=XSS, html=XSS)
    mail["X-Test"] = XSS
    await send(mail)
    page = await (await client.get(f"/mails/{store.newest_first()[0].id}?view={view}")).get_data(as_text=True)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "<img" not in page


async def test_the_mails_html_is_locked_in(client: Client, store: CaughtMails, send: Send) -> None:
    await send(
        a_mail(html=f"<!DOCTYPE html>\n<html><head><base href='https://evil.example'></head>{XSS}</html>")
    )
    mail = store.newest_first()[0]
    page = await (await client.get(f"/mails/{mail.id}")).get_data(as_text=True)
    response = await client.get(f"/mails/{mail.id}/html")
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert "allow-scripts" not in policy + page
    assert "allow-same-origin" not in policy + page
    assert "; sandbox allow-popups " in policy
    assert ' sandbox="allow-popups ' in page
    assert response.headers["Cache-Control"] == "no-store"
    assert (await response.get_data(as_text=True)).startswith('<!DOCTYPE html><base target="_blank">\n<html>')
