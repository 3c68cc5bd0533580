"""Asking for a reset: what is answered, to whom the mail goes, and that nobody learns who has an account."""

import contextlib
import re
import sqlite3
from typing import Any

import pytest
from werkzeug.datastructures import FileStorage

from tests.flow.conftest import ANN, CONTENT_TYPES, FORMS, OLD_PASSWORD, Running, Start, seen, text_of


async def test_the_pattern_of_the_contract_is_answered_to_the_letter(ann: Running) -> None:
    answer = await ann.client.post(
        "/reset-password",
        data=b"email=ann@example.com",
        headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "*/*"},
    )
    assert answer.status_code == 200
    assert await text_of(answer) == "Email sent"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    mail = await ann.mailbox.next_mail()
    assert mail.recipient == ANN
    assert mail.link == f"https://reset.example.com/reset/{mail.token}"


@pytest.mark.parametrize(
    "body",
    [
        {"form": {"email": ANN}},
        {"form": {"email": ANN}, "files": {"other": FileStorage(filename="")}},  # sent as multipart
        {"json": {"email": ANN}},
    ],
    ids=["form", "multipart", "json"],
)
async def test_a_mail_comes_whichever_way_the_request_is_encoded(ann: Running, body: dict[str, Any]) -> None:
    assert (await ann.client.post("/reset-password", **body)).status_code == 200
    assert (await ann.mailbox.next_mail()).recipient == ANN


async def test_a_json_client_is_told_accepted(running: Running) -> None:
    for how in ({"json": {"email": ANN}}, {"form": {"email": ANN}, "headers": FORMS["json"]}):
        answer = await running.client.post("/reset-password", **how)
        assert (answer.status_code, await answer.get_json()) == (200, {"status": "accepted"})


async def test_a_browser_is_shown_a_page(running: Running) -> None:
    page = await text_of(await running.ask(headers=FORMS["html"]))
    assert "<h1>Check your inbox</h1>" in page
    assert ANN not in page


@pytest.mark.parametrize("wanted", list(FORMS))
@pytest.mark.parametrize("sent_as", ["form", "json"])
@pytest.mark.parametrize("mailbox_is_open", [True, False], ids=["SMTP works", "SMTP is down"])
async def test_the_answer_is_the_same_bytes_whatever_state_an_account_is_in(
    start: Start, wanted: str, sent_as: str, mailbox_is_open: bool
) -> None:
    running = await start(limit_per_account="1/hour")
    states = {name: f"{name}@example.com" for name in ("known", "unknown", "disabled", "muted", "throttled")}
    for name in ("known", "disabled", "muted", "throttled"):
        assert await running.accounts.add(states[name], OLD_PASSWORD)
    mail = await running.mail_to(states["muted"])
    assert (await running.client.post(mail.cancel_path, form={"mute": "1"})).status_code == 200
    await running.mail_to(states["throttled"])
    await running.letters_finished(2)
    assert await running.accounts.disable(states["disabled"])
    if not mailbox_is_open:
        running.mailbox.close_for_now()

    answers = {
        name: await seen(
            await running.client.post(
                "/reset-password", **{sent_as: {"email": address}}, headers=FORMS[wanted]
            )
        )
        for name, address in states.items()
    }

    assert len(set(answers.values())) == 1, answers
    assert answers["known"].status == 200
    expected_type = CONTENT_TYPES["json" if sent_as == "json" else wanted]
    assert answers["known"].header("content-type") == expected_type
    running.mailbox.open_again()
    ends = {row["address"]: row["reason"] or row["state"] for row in (await running.letters_finished(7))[2:]}
    assert ends == {  # so they were in those states, and only the mails differed
        states["known"]: "sent",
        states["unknown"]: "no_account",
        states["disabled"]: "disabled",
        states["muted"]: "muted",
        states["throttled"]: "over_budget",
    }


@pytest.mark.about_sqlite
async def test_the_request_is_in_the_file_before_it_is_answered(running: Running) -> None:
    running.mailbox.close_for_now()
    await running.ask()
    path = running.service.settings.database_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as other:
        assert other.execute("SELECT address, state FROM letters").fetchall() == [(ANN, "queued")]


@pytest.mark.parametrize(
    "typed", ["  ann@example.com  ", "ANN@EXAMPLE.COM", "Ann@Example.com"], ids=["spaces", "capitals", "some"]
)
async def test_the_mail_goes_to_the_address_on_record_and_not_to_the_one_typed(
    ann: Running, typed: str
) -> None:
    assert (await ann.ask(typed)).status_code == 200
    mail = await ann.mailbox.next_mail()
    assert (mail.recipient, str(mail.message["To"])) == (ANN, ANN)


@pytest.mark.parametrize(
    "look_alike",
    [
        "\u212aate@example.com",  # the Kelvin sign, which lower() makes a k
        "k\u0430te@example.com",  # a Cyrillic a
        "\uff4bate@example.com",  # a full-width k
        "kate@ex\u0430mple.com",
        "kate@example.com.evil.example",
    ],
)
async def test_a_look_alike_address_finds_nobody(running: Running, look_alike: str) -> None:
    await running.accounts.add("kate@example.com", OLD_PASSWORD)
    assert (await running.ask(look_alike)).status_code == 200
    letters = await running.letters_finished(1)
    assert (letters[0]["state"], letters[0]["reason"]) == ("dropped", "no_account")
    assert running.mailbox.mails == []


async def test_only_the_body_says_which_address(ann: Running) -> None:
    """Query, cookie and header values of the same name are somebody else's to set."""
    other = {"Email": "other@example.com", "Cookie": "email=other@example.com"}
    answer = await ann.client.post(
        "/reset-password?email=other@example.com", form={"email": ANN}, headers=other
    )
    assert answer.status_code == 200
    missing = await ann.client.post(
        "/reset-password?email=other@example.com", form={"locale": "en"}, headers=other
    )
    assert missing.status_code == 400
    assert [row["address"] for row in await ann.letters()] == [ANN]


async def test_fields_that_nobody_knows_are_ignored(ann: Running) -> None:
    for body in (
        {"form": {"email": ANN, "to": "other@example.com", "email2": "other@example.com", "emails[]": "x"}},
        {
            "json": {
                "email": ANN,
                "cc": ["other@example.com"],
                "admin": True,
                "deep": {"email": "x@y.example"},
            }
        },
    ):
        assert (await ann.client.post("/reset-password", **body)).status_code == 200
    assert {row["address"] for row in await ann.letters()} == {ANN}


async def test_a_locale_of_any_kind_harms_nothing(start: Start) -> None:
    running = await start(limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    for locale in (7, None, True, ["de"], {"de": 1}, "", "xx", "\ud800", "../../etc", "\0", "d" * 9000):
        answer = await running.client.post("/reset-password", json={"email": ANN, "locale": locale})
        assert answer.status_code == 200, locale
        assert (await running.mailbox.next_mail()).subject == "Reset your password"


async def test_a_client_that_hangs_up_at_any_moment_tears_nothing(start: Start) -> None:
    running = await start(limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    for turns in range(25):
        connection = running.client.request(
            "/reset-password",
            method="POST",
            headers={"Content-Type": "application/x-www-form-urlencoded", "Content-Length": "21"},
        )
        async with connection:
            await connection.send(b"email=ann@example.com")
            await connection.send_complete()
            for _ in range(turns):
                await running.rows("SELECT 1")
            await connection.disconnect()
    letters = await running.letters()
    assert len(letters) > 0  # the later ones were stored before they hung up
    await running.past_all_letters()
    assert len(running.mailbox.mails) == sum(row["address"] == ANN for row in await running.letters())
    assert (await running.ask()).status_code == 200


async def test_a_body_that_never_ends_is_nobodys_request(running: Running) -> None:
    connection = running.client.request(
        "/reset-password", method="POST", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    async with connection:
        await connection.send(b"email=ann@example.com")  # and more to come, which never does
        await running.rows("SELECT 1")
        await connection.disconnect()
    assert await running.letters() == []


@pytest.mark.parametrize(
    ("public_url", "path"),
    [
        ("https://reset.example.com", "/reset-password"),
        ("https://example.com/account", "/account/reset-password"),
    ],
)
async def test_password_managers_are_sent_to_the_form(start: Start, public_url: str, path: str) -> None:
    running = await start(public_url=public_url)
    answer = await running.client.get("/.well-known/change-password", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.headers["Location"]) == (302, path)


async def test_the_form_works_without_a_script(running: Running) -> None:
    page = await text_of(await running.client.get("/reset-password"))
    assert '<form class="form" method="post" action="/reset-password"' in page
    assert 'name="email" type="email"' in page
    assert re.findall(r"<script[^>]*>", page) == re.findall(
        r"<script[^>]* defer>", page
    )  # it holds nothing up
