"""The page and its JSON: what a person and a script see."""

import asyncio

import pytest
from quart.typing import TestClientProtocol as Client

from resetsvc.dev.caught_mails import CaughtMails
from tests.dev.conftest import LINK, Send, Served, a_mail


async def test_an_empty_mailbox_says_what_to_do(client: Client) -> None:
    page = await (await client.get("/")).get_data(as_text=True)
    assert "Mails caught by resetsvc dev on this machine; nothing leaves it." in page
    assert 'href="http://127.0.0.1:8000/reset-password"' in page
    assert "curl -d email=demo@example.com http://127.0.0.1:8000/reset-password" in page
    assert "Delete all" not in page


async def test_the_list_is_newest_first(client: Client, send: Send) -> None:
    await send(a_mail("The first"))
    await send(a_mail("The second"))
    page = await (await client.get("/")).get_data(as_text=True)
    assert page.index("The second") < page.index("The first")
    assert "2 mails" in page
    assert "UTC</time>" in page


@pytest.mark.parametrize(
    ("view", "shown"),
    [
        ("", "<iframe src="),
        ("html", "<iframe src="),
        ("text", f'<a href="{LINK}" target="_blank" rel="noopener noreferrer">{LINK}</a>'),
        ("source", "Content-Type: multipart/alternative;"),
        ("headers", "<bdi>auto-generated</bdi>"),
        ("no-such-view", "<iframe src="),
    ],
)
async def test_a_mail_has_four_views(
    client: Client, store: CaughtMails, send: Send, view: str, shown: str
) -> None:
    await send(a_mail())
    mail = store.newest_first()[0]
    response = await client.get(f"/mails/{mail.id}", query_string={"view": view})
    page = await response.get_data(as_text=True)
    assert response.status_code == 200
    assert shown in page
    assert "Acme &lt;no-reply@example.com&gt;" in page


async def test_a_mail_without_html_opens_as_text(client: Client, store: CaughtMails, send: Send) -> None:
    await send(a_mail(html=None))
    path = f"/mails/{store.newest_first()[0].id}"
    assert "The mail as text" in await (await client.get(path)).get_data(as_text=True)
    assert "no HTML part" in await (await client.get(f"{path}?view=html")).get_data(as_text=True)
    assert (await client.get(f"{path}/html")).status_code == 404


@pytest.mark.parametrize(
    "path", ["/mails/1", "/mails/1/html", "/mails/..%2f..%2fx", "/api/mails/1", "/nothing"]
)
async def test_what_is_not_there_is_404(client: Client, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_a_script_gets_the_list_with_the_links(client: Client, store: CaughtMails, send: Send) -> None:
    assert await (await client.get("/api/mails")).get_json() == []
    await send(a_mail())
    (mail,) = await (await client.get("/api/mails")).get_json()
    assert mail == {
        "id": store.newest_first()[0].id,
        "time": store.newest_first()[0].at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "to": "demo@example.com",
        "subject": "Reset your password",
        "links": [LINK, f"{LINK}/cancel"],
    }


async def test_a_script_gets_a_whole_mail(client: Client, store: CaughtMails, send: Send) -> None:
    await send(a_mail())
    mail = await (await client.get(f"/api/mails/{store.newest_first()[0].id}")).get_json()
    assert mail["from"] == "Acme <no-reply@example.com>"
    assert ["Auto-Submitted", "auto-generated"] in mail["headers"]
    assert mail["text"].startswith("Hello,\n")
    assert "<p><a href=" in mail["html"]
    assert mail["source"].startswith("From: Acme <no-reply@example.com>\r\n")


async def test_an_api_error_is_problem_json(client: Client) -> None:
    response = await client.get("/api/mails/1")
    assert response.content_type == "application/problem+json"
    assert await response.get_json() == {"type": "about:blank", "title": "Not Found", "status": 404}


async def test_delete_all_empties_the_mailbox(client: Client, store: CaughtMails, send: Send) -> None:
    await send(a_mail())
    assert (await client.get("/delete-all")).status_code == 405
    response = await client.post("/delete-all")
    assert (response.status_code, response.headers["Location"]) == (303, "/")
    assert store.newest_first() == []


async def test_healthz_says_ok(client: Client) -> None:
    assert await (await client.get("/healthz")).get_json() == {"status": "ok"}


async def test_an_open_page_learns_of_a_new_mail_and_ends_at_close(
    client: Client, store: CaughtMails, send: Send
) -> None:
    async with asyncio.timeout(20), client.request("/events") as events:
        await events.send_complete()
        assert await events.receive() == f"data: {store.version}\n\n".encode()
        await send(a_mail())
        assert await events.receive() == f"data: {store.version}\n\n".encode()
        store.close()
        response = await events.as_response()  # returns when the answer is over
    assert response.headers["Content-Type"] == "text/event-stream"


async def test_an_open_page_does_not_hold_up_the_stop(served: Served, store: CaughtMails) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(f"data: {store.version}\n\n".encode())
    await served.stop()
    assert (await reader.read()).endswith(b"0\r\n\r\n")  # the answer's proper end
    writer.close()
