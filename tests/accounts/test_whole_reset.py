"""A person resets the password of an account in an application's table: asked, mailed, changed; and what is down changes nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from quart.typing import TestClientProtocol as Client

from resetsvc.app import create_app
from resetsvc.clock import Clock
from resetsvc.dispatch.dispatcher import LOOK_UP_AGAIN
from resetsvc.service import Service
from resetsvc.settings import Settings
from resetsvc.testing import Mailbox, make_settings
from tests.accounts.conftest import HASH, MAPPING, OLD
from tests.accounts.databases import Database, insert
from tests.faults.test_clock import WallClock

ANN = "ann@example.com"
NEW = "four unrelated words here"
Add = Callable[..., None]


@pytest.fixture
def resetsvc_settings(tmp_path: Path, database: Database) -> Settings:
    effects = [{"delete": "web_sessions", "where": {"member": "{id}"}}, {"set": {"stamp": "{hex}"}}]
    return make_settings(tmp_path, accounts={**MAPPING, "url": database.url, "effects": effects})


@pytest.fixture
def wall() -> WallClock:
    return WallClock()


@pytest.fixture
def resetsvc_clock(wall: WallClock) -> Clock:
    return wall.clock


async def test_from_the_question_to_the_notice(
    resetsvc_client: Client,
    resetsvc_service: Service,
    resetsvc_mailbox: Mailbox,
    database: Database,
    add: Add,
) -> None:
    add(1, "Ann@Example.com", stamp="old")
    insert(database, "web_sessions", {"id": 1, "member": 1})
    assert resetsvc_service.accounts.elsewhere
    for _ in range(2):
        answer = await resetsvc_client.post("/reset-password", form={"email": ANN})
        assert answer.status_code == 200
        mail = await resetsvc_mailbox.next_mail()
        assert mail.recipient == "Ann@example.com"
    link = mail.link_path
    answer = await resetsvc_client.post(link, form={"password": NEW})
    assert answer.status_code == 200
    (row,) = database.do('SELECT * FROM "members"')
    assert HASH.verify(row["password"], NEW)
    assert row["stamp"] != "old"
    assert not database.do("SELECT * FROM web_sessions")
    notice = await resetsvc_mailbox.next_mail()
    assert notice.recipient == "Ann@example.com"
    assert "changed" in notice.subject
    for path in (link, resetsvc_mailbox.mails[0].link_path):
        assert (
            await resetsvc_client.post(path, form={"password": "yet another four words"})
        ).status_code == 410
    (row,) = database.do('SELECT * FROM "members"')
    assert HASH.verify(row["password"], NEW)


async def test_a_password_that_the_application_changed_kills_the_link(
    resetsvc_client: Client, resetsvc_mailbox: Mailbox, database: Database, add: Add
) -> None:
    add(1, ANN)
    await resetsvc_client.post("/reset-password", form={"email": ANN})
    mail = await resetsvc_mailbox.next_mail()
    theirs = HASH.hash("changed by the application")
    database.do(f"UPDATE members SET password = '{theirs}'")
    answer = await resetsvc_client.post(mail.link_path, form={"password": NEW})
    assert answer.status_code == 410
    assert database.do('SELECT "password" AS p FROM "members"')[0]["p"] == theirs


async def test_while_the_accounts_are_out_of_reach_answers_are_the_same_and_links_wait(
    resetsvc_client: Client,
    resetsvc_service: Service,
    resetsvc_mailbox: Mailbox,
    wall: WallClock,
    database: Database,
    add: Add,
) -> None:
    add(1, ANN)
    await resetsvc_client.post("/reset-password", form={"email": ANN})
    mail = await resetsvc_mailbox.next_mail()
    database.do('ALTER TABLE "members" RENAME TO "away"')
    for address in (ANN, "nobody@example.com"):
        answer = await resetsvc_client.post("/reset-password", form={"email": address})
        assert (answer.status_code, await answer.get_data(as_text=True)) == (200, "Email sent")
    answer = await resetsvc_client.post(mail.link_path, form={"password": NEW})
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    database.do('ALTER TABLE "away" RENAME TO "members"')
    assert database.do('SELECT "password" AS p FROM "members"')[0]["p"] == OLD
    # The letter that waited goes out, and the link that answered 503 works.
    wall.passed += LOOK_UP_AGAIN + 1
    assert resetsvc_service.supervisor is not None
    resetsvc_service.supervisor.wake()
    assert (await resetsvc_mailbox.next_mail(timeout=20)).recipient == ANN
    assert (await resetsvc_client.post(mail.link_path, form={"password": NEW})).status_code == 200


async def test_who_has_no_password_there_gets_no_mail_and_the_same_answer(
    resetsvc_client: Client, resetsvc_service: Service, resetsvc_mailbox: Mailbox, add: Add
) -> None:
    add(1, ANN, "!unusable")
    add(2, "twice@example.com")
    add(3, "Twice@example.com")
    add(4, "bob@example.com")
    for address in (ANN, "twice@example.com", "nobody@example.com", "bob@example.com"):
        answer = await resetsvc_client.post("/reset-password", form={"email": address})
        assert await answer.get_data(as_text=True) == "Email sent"
    assert (await resetsvc_mailbox.next_mail()).recipient == "bob@example.com"
    assert len(resetsvc_mailbox.mails) == 1


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_a_password_that_the_format_cannot_hold_is_refused_with_its_reason(
    kind: str, tmp_path: Path, database: Database, add: Add
) -> None:

    settings = make_settings(
        tmp_path,
        accounts={**MAPPING, "url": database.url, "hash": {"format": "bcrypt", "rounds": 4}},
        public_url="https://reset.example.com",
    )
    add(1, ANN)
    mailbox = Mailbox()
    app = create_app(settings, outbox=mailbox)
    async with app.test_app():
        client = app.test_client()
        await client.post("/reset-password", form={"email": ANN})
        link = (await mailbox.next_mail()).link_path
        answer = await client.post(link, json={"password": "ab cd " * 20})
        assert answer.status_code == 422
        assert [reason["code"] for reason in (await answer.get_json())["reasons"]] == ["too_many_bytes"]
        assert (await client.post(link, json={"password": NEW})).status_code == 200
