"""The sample applications do all that the contract asks, by its own document; and a person resets a password at each."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types
from standardwebhooks.webhooks import Webhook

from resetsvc.accounts.webhook import WebhookAccounts
from resetsvc.accounts.webhook_openapi import document
from resetsvc.app import create_app
from resetsvc.clock import Clock
from resetsvc.passwords.formats import format_named
from resetsvc.passwords.hashing import Hasher
from resetsvc.testing import Mailbox, make_settings
from tests.accounts_webhook.samples import DEMO, OLD_PASSWORD, SAMPLES, Sample, flask_sample, running_sample
from tests.support.accounts_endpoint import OTHER_SECRET, SECRET

NEW_PASSWORD = "four unrelated words here"
KINDS = {"accounts.find": "FindAnswer", "accounts.get": "GetAnswer", "accounts.swap": "SwapAnswer"}


@pytest_asyncio.fixture(params=SAMPLES)
async def sample(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sample]:
    async with running_sample(request.param, tmp_path) as running:
        yield running


async def send(
    sample: Sample,
    question: Mapping[str, Any],
    *,
    message_id: str = "a-question",
    secret: str = SECRET,
    ago: timedelta = timedelta(0),
    body: str | None = None,
) -> httpx.Response:
    """Ask as resetsvc does, by the reference library; hold an answer against the document."""
    said, at = json.dumps(question), datetime.now(UTC) - ago
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, said),
    }
    async with httpx.AsyncClient() as client:
        answer = await client.post(sample.endpoint, content=body or said, headers=headers)
    if answer.status_code == 200:
        assert answer.headers["webhook-id"] == f"answer_to_{message_id}"
        Webhook(SECRET).verify(answer.content, dict(answer.headers))
        schema = {
            "$ref": f"#/components/schemas/{KINDS[question['type']]}",
            "components": document()["components"],
        }
        assert not list(Draft202012Validator(schema).iter_errors(answer.json()))
    return answer


async def demo(sample: Sample, message_id: str) -> dict[str, Any]:
    asked = {"type": "accounts.find", "addresses": [DEMO]}
    ((found),) = (await send(sample, asked, message_id=message_id)).json()["accounts"]
    assert isinstance(found, dict)
    return found


async def test_a_person_resets_a_password_and_the_applications_log_in_takes_it(
    sample: Sample, tmp_path: Path
) -> None:
    accounts = WebhookAccounts(sample.endpoint, [SECRET], Clock())
    mailbox = Mailbox()
    app = create_app(make_settings(tmp_path), outbox=mailbox, accounts=accounts)
    async with app.test_app() as running:
        client = running.test_client()
        for address in ("nobody@example.com", DEMO):
            assert (await client.post("/reset-password", form={"email": address})).status_code == 200
        mail = await mailbox.next_mail()
        assert mail.recipient == DEMO
        assert await sample.lets_in(OLD_PASSWORD)
        assert (await client.get(mail.link_path)).status_code == 200
        changed = await client.post(mail.link_path, form={"password": NEW_PASSWORD})
        assert changed.status_code == 200
        assert await sample.lets_in(NEW_PASSWORD)
        assert not await sample.lets_in(OLD_PASSWORD)
        assert (await mailbox.next_mail()).subject == "Your password was changed"
        again = await client.post(mail.link_path, form={"password": "four other words over there"})
        assert again.status_code == 410
        assert await sample.lets_in(NEW_PASSWORD)
    await accounts.close()
    assert [mail.recipient for mail in mailbox.mails] == [DEMO] * 2


async def test_accounts_are_found_in_any_case_and_the_unknown_left_out(sample: Sample) -> None:
    asked = ["nobody@example.com", DEMO.upper(), "x' OR '1'='1", "%", "é@example.com"]
    answer = await send(sample, {"type": "accounts.find", "addresses": asked})
    (found,) = answer.json()["accounts"]
    assert (found["asked"], found["address"], found["active"]) == (DEMO.upper(), DEMO, True)
    account = (await send(sample, {"type": "accounts.get", "id": found["id"]}, message_id="b")).json()[
        "account"
    ]
    assert account == {key: value for key, value in found.items() if key != "asked"}
    gone = await send(sample, {"type": "accounts.get", "id": "no such"}, message_id="c")
    assert gone.json() == {"account": None}


async def test_what_is_not_signed_by_us_and_now_is_refused(sample: Sample) -> None:
    asked = {"type": "accounts.find", "addresses": [DEMO]}
    assert (await send(sample, asked, secret=OTHER_SECRET)).status_code == 401
    assert (await send(sample, asked, ago=timedelta(minutes=6))).status_code == 401
    assert (await send(sample, asked, ago=timedelta(minutes=-6))).status_code == 401
    assert (await send(sample, asked, body='{"type":"accounts.find","addresses":["x"]}')).status_code == 401
    async with httpx.AsyncClient() as client:
        for headers in ({}, {"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": "x"}):
            assert (await client.post(sample.endpoint, json=asked, headers=headers)).status_code == 401
    assert (await send(sample, asked)).status_code == 200


async def test_what_is_no_question_is_refused(sample: Sample) -> None:
    kinds: tuple[object, ...] = ("accounts.drop", "constructor", "", None, [])
    for number, kind in enumerate(kinds):
        answer = await send(sample, {"type": kind}, message_id=f"odd-{number}")
        assert answer.status_code == 400


async def test_a_question_that_is_overheard_and_repeated_is_refused(sample: Sample) -> None:
    questions: tuple[dict[str, Any], ...] = (
        {"type": "accounts.find", "addresses": [DEMO]},
        {"type": "accounts.get", "id": "1"},
    )
    for number, asked in enumerate(questions):
        assert (await send(sample, asked, message_id=f"one-{number}")).status_code == 200
        assert (await send(sample, asked, message_id=f"one-{number}")).status_code == 409
        assert (await send(sample, asked, message_id=f"two-{number}")).status_code == 200


async def test_a_swap_that_is_asked_for_again_is_answered_again_and_not_done_again(sample: Sample) -> None:
    before = await demo(sample, "before")
    swap = {
        "type": "accounts.swap",
        "id": before["id"],
        "version": before["version"],
        "password": NEW_PASSWORD,
    }
    # Several at once, as where the first is still at work when its answer is given up.
    answers = await asyncio.gather(*(send(sample, swap, message_id="swap") for _ in range(5)))
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"swapped": True})] * 5
    after = await demo(sample, "after")
    assert int(after["version"]) == int(before["version"]) + 1
    assert await sample.lets_in(NEW_PASSWORD)
    other = {**swap, "password": "a password that comes too late"}
    late = await send(sample, other, message_id="late")
    assert late.json() == {"swapped": False}
    assert await demo(sample, "in-the-end") == after
    assert await sample.lets_in(NEW_PASSWORD)


async def test_two_that_swap_at_once_cannot_both_win(sample: Sample) -> None:
    before = await demo(sample, "before")
    swaps = [
        {
            "type": "accounts.swap",
            "id": before["id"],
            "version": before["version"],
            "password": f"password {number}",
        }
        for number in range(5)
    ]
    answers = await asyncio.gather(
        *(send(sample, swap, message_id=f"swap-{number}") for number, swap in enumerate(swaps))
    )
    won = [number for number, answer in enumerate(answers) if answer.json()["swapped"]]
    assert len(won) == 1
    assert await sample.lets_in(f"password {won[0]}")


async def test_sessions_end_with_the_old_password(tmp_path: Path) -> None:
    async with running_sample("flask", tmp_path) as sample, httpx.AsyncClient(base_url=sample.url) as browser:
        assert (await browser.get("/me")).status_code == 401
        await browser.post("/login", data={"email": DEMO, "password": OLD_PASSWORD})
        assert (await browser.get("/me")).text == f"{DEMO}\n"
        before = await demo(sample, "before")
        swap = {
            "type": "accounts.swap",
            "id": before["id"],
            "version": before["version"],
            "password": NEW_PASSWORD,
        }
        assert (await send(sample, swap)).json() == {"swapped": True}
        assert (await browser.get("/me")).status_code == 401


async def test_a_hash_in_the_applications_own_format_is_taken_as_it_is(tmp_path: Path) -> None:
    hasher = Hasher.from_settings(make_settings(tmp_path))
    async with running_sample("flask", tmp_path) as sample:

        async def seal(password: str) -> str:
            return await hasher.hash_as(format_named("werkzeug_scrypt"), password)

        accounts = WebhookAccounts(sample.endpoint, [SECRET], Clock(), seal=seal)
        account = (await accounts.find([DEMO]))[DEMO]
        assert await accounts.swap(None, account, await accounts.seal(NEW_PASSWORD))
        assert await sample.lets_in(NEW_PASSWORD)
        await accounts.close()
    hasher.close()


async def test_the_demo_account_of_the_flask_sample_is_one_after_a_second_start(tmp_path: Path) -> None:
    module, database = flask_sample(), str(tmp_path / "shop.db")
    for _ in range(2):
        module.create_app(database, SECRET, "a key for sessions")
        module.add_demo_user(database)
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("SELECT email FROM users").fetchall() == [(DEMO,)]


async def test_who_has_no_password_or_two_accounts_gets_no_mail(tmp_path: Path) -> None:
    async with running_sample("flask", tmp_path) as sample:
        module, database = flask_sample(), str(tmp_path / "shop.db")
        module.add_user(database, "social@example.com", None)
        module.add_user(database, "twice@example.com", OLD_PASSWORD)
        module.add_user(database, "TWICE@example.com", OLD_PASSWORD)
        accounts = WebhookAccounts(sample.endpoint, [SECRET], Clock())
        found = await accounts.find([DEMO, "social@example.com", "twice@example.com"])
        assert {address: account.active for address, account in found.items()} == {
            DEMO: True,
            "social@example.com": False,
        }
        await accounts.close()
