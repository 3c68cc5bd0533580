"""A whole reset with the accounts behind an endpoint, and what a person sees when that fails at each step."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from quart import Response
from quart.typing import TestClientProtocol as Client
from structlog.testing import capture_logs

from resetsvc.accounts.webhook import FAILED, WebhookAccounts
from resetsvc.app import create_app
from resetsvc.clock import Clock
from resetsvc.dispatch.leases import LEASE
from resetsvc.service import Service
from resetsvc.testing import CaughtMail, Mailbox, make_settings
from tests.accounts_webhook.conftest import Connect
from tests.accounts_webhook.test_questions import ANN, BOB, NEW_PASSWORD, OLD_PASSWORD
from tests.support.accounts_endpoint import SECRET, AccountsEndpoint, Manner

UNIFORM = b"Email sent"


@dataclass
class Later:
    """The real time, moved on by hand: signatures are made with it, so the endpoint's clock must not be far."""

    seconds: float = 0.0
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        real = Clock()
        self.clock = Clock(now=lambda: real.now() + self.seconds, chance=lambda: 0.0)


@dataclass
class Running:
    """A service with its accounts behind the endpoint."""

    client: Client
    mailbox: Mailbox
    service: Service
    later: Later

    async def ask(self, address: str) -> bytes:
        answer = await self.client.post("/reset-password", form={"email": address})
        assert answer.status_code == 200
        body: bytes = await answer.get_data(as_text=False)
        return body

    async def mail_to(self, address: str) -> CaughtMail:
        await self.ask(address)
        return await self.mailbox.next_mail()

    async def set_password(self, mail: CaughtMail) -> Response:
        answer = await self.client.post(mail.link_path, json={"password": NEW_PASSWORD})
        assert isinstance(answer, Response)
        return answer

    async def unfinished_changes(self) -> int:
        rows = await self.service.store.read(
            lambda connection: connection.fetch_all("SELECT * FROM changes", {})
        )
        return len(rows)


@pytest_asyncio.fixture
async def running(tmp_path: Path, connect: Connect) -> AsyncIterator[Running]:
    later, mailbox = Later(), Mailbox()
    accounts = connect(clock=later.clock, timeout=0.5)
    app = create_app(
        make_settings(tmp_path, limit_per_account=""),
        outbox=mailbox,
        accounts=accounts,
        clock=later.clock,
        lease=1.0,
    )
    async with app.test_app() as started:
        yield Running(started.test_client(), mailbox, app.extensions["resetsvc.service"], later)


async def test_ask_mail_link_new_password(endpoint: AccountsEndpoint, running: Running) -> None:
    ann = endpoint.add("Ann@Example.com", locale="en")
    assert await running.ask("nobody@example.com") == await running.ask(ANN) == UNIFORM
    mail = await running.mailbox.next_mail()
    assert mail.recipient == "Ann@Example.com"
    assert (await running.client.get(mail.link_path)).status_code == 200
    assert ann.password == OLD_PASSWORD
    assert (await running.set_password(mail)).status_code == 200
    assert (ann.password, ann.version) == (NEW_PASSWORD, 2)
    notice = await running.mailbox.next_mail()
    assert (notice.subject, notice.recipient) == ("Your password was changed", "Ann@Example.com")
    assert (await running.set_password(mail)).status_code == 410
    assert endpoint.changes == 1
    assert await running.unfinished_changes() == 0


async def test_letters_that_wait_together_are_one_question(
    endpoint: AccountsEndpoint, running: Running
) -> None:
    everybody = {f"person{number}@example.com" for number in range(30)}
    for address in everybody:
        endpoint.add(address)
    running.mailbox.close_for_now()
    for address in sorted(everybody):
        await running.ask(address)
    assert endpoint.questions == []
    running.mailbox.open_again()
    assert {(await running.mailbox.next_mail()).recipient for _ in everybody} == everybody
    # Half of the places go to the newest and half to the oldest, so all of them are claimed at once.
    assert [set(question.body["addresses"]) for question in endpoint.questions] == [everybody]


async def test_a_language_that_is_none_holds_up_nobody_s_mail(
    endpoint: AccountsEndpoint, running: Running
) -> None:
    """Its owner chose it, and asks again and again: whoever is looked up with him must not wait for that."""
    endpoint.add(BOB, locale="x" * 36)
    endpoint.add("cid@example.com", locale="d\0e")
    endpoint.add(ANN)
    running.mailbox.close_for_now()
    for address in (BOB, "cid@example.com", ANN):
        await running.ask(address)
    running.mailbox.open_again()
    mailed = {(await running.mailbox.next_mail()).recipient for _ in range(3)}
    assert mailed == {ANN, BOB, "cid@example.com"}


async def test_a_password_that_is_too_long_as_it_was_typed_is_refused_with_the_limit(
    endpoint: AccountsEndpoint, running: Running
) -> None:
    """The policy counts after NFC; the endpoint is sent what was typed."""
    ann = endpoint.add(ANN)
    mail = await running.mail_to(ANN)
    typed = "".join(f"e\u0301{letter} " for letter in "bcdfghjklmnpqrstvwxz") * 15
    assert len(typed) > 1024
    answer = await running.client.post(mail.link_path, json={"password": typed})
    assert answer.status_code == 422
    assert (await answer.get_json())["reasons"][0]["code"] == "too_long"
    assert ann.password == OLD_PASSWORD
    assert (await running.set_password(mail)).status_code == 200


async def test_who_is_disabled_gets_no_mail_and_an_open_link_ends(
    endpoint: AccountsEndpoint, running: Running
) -> None:
    ann, _ = endpoint.add(ANN), endpoint.add(BOB, active=False)
    assert await running.ask(BOB) == UNIFORM
    mail = await running.mail_to(ANN)
    assert mail.recipient == ANN
    ann.active = False
    assert (await running.client.get(mail.link_path)).status_code == 410
    assert (await running.set_password(mail)).status_code == 410


async def test_a_password_that_was_changed_elsewhere_ends_all_links(
    endpoint: AccountsEndpoint, running: Running
) -> None:
    ann = endpoint.add(ANN)
    mail = await running.mail_to(ANN)
    ann.version += 1
    assert (await running.set_password(mail)).status_code == 410
    assert ann.password == OLD_PASSWORD


@pytest.mark.parametrize("manner", ["503", "401", "signed by another", "hangs up"])
async def test_while_the_endpoint_fails_letters_wait_and_nobody_can_tell(
    endpoint: AccountsEndpoint, running: Running, manner: Manner
) -> None:
    endpoint.add(ANN)
    endpoint.manner = manner
    with capture_logs() as records:
        assert await running.ask(ANN) == await running.ask("nobody@example.com") == UNIFORM
        async with asyncio.timeout(10):
            while "accounts cannot be looked up" not in {record["event"] for record in records}:  # noqa: ASYNC110 -- a record in a log sets no event
                await asyncio.sleep(0.01)
    assert running.mailbox.mails == []
    assert not {record["event"] for record in records} & {"database fails", "cannot store"}
    endpoint.manner = "well"
    running.later.seconds += 6
    assert running.service.supervisor is not None
    running.service.supervisor.wake()
    assert (await running.mailbox.next_mail(timeout=15)).recipient == ANN
    assert len(running.mailbox.mails) == 1


@pytest.mark.parametrize("step", ["look", "use"])
@pytest.mark.parametrize("manner", ["503", "silent", "our own question", "redirect"])
async def test_a_link_that_cannot_be_looked_up_is_told_to_be_tried_again(
    endpoint: AccountsEndpoint, running: Running, manner: Manner, step: str
) -> None:
    ann = endpoint.add(ANN)
    mail = await running.mail_to(ANN)
    endpoint.manner = manner
    answer = await running.client.get(mail.link_path) if step == "look" else await running.set_password(mail)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert ann.password == OLD_PASSWORD
    endpoint.manner = "well"
    assert (await running.set_password(mail)).status_code == 200
    assert ann.password == NEW_PASSWORD


async def test_an_answer_that_was_lost_once_is_no_failure_to_the_person(
    endpoint: AccountsEndpoint, running: Running
) -> None:
    ann = endpoint.add(ANN)
    mail = await running.mail_to(ANN)
    endpoint.manners = ["well", "well", "loses its answer", "well"]  # two looks at the account come first
    assert (await running.set_password(mail)).status_code == 200
    assert (ann.password, ann.version, endpoint.changes) == (NEW_PASSWORD, 2, 1)
    assert (await running.mailbox.next_mail()).subject == "Your password was changed"


async def test_an_answer_that_is_lost_for_good_is_found_out_later(
    endpoint: AccountsEndpoint, running: Running
) -> None:
    """The password has changed, and nobody here knows: the person is told to try again, then the notice comes."""
    ann = endpoint.add(ANN)
    mail = await running.mail_to(ANN)
    endpoint.manners = ["well", "well", "loses its answer", "loses its answer", "loses its answer"]
    assert (await running.set_password(mail)).status_code == 503
    assert (ann.password, ann.version, endpoint.changes) == (NEW_PASSWORD, 2, 1)
    assert await running.unfinished_changes() == 1
    assert len(running.mailbox.mails) == 1
    running.later.seconds += 2 * LEASE + 1
    assert await running.service.changes.finish_interrupted() == 1
    assert (await running.mailbox.next_mail()).subject == "Your password was changed"
    assert (await running.set_password(mail)).status_code == 410
    assert (ann.version, endpoint.changes) == (2, 1)


async def test_a_swap_that_never_arrived_leaves_the_link_as_it_was(
    endpoint: AccountsEndpoint, running: Running
) -> None:
    ann = endpoint.add(ANN)
    mail = await running.mail_to(ANN)
    endpoint.manners = ["well", "well", "503", "503", "503"]
    assert (await running.set_password(mail)).status_code == 503
    running.later.seconds += 2 * LEASE + 1
    assert await running.service.changes.finish_interrupted() == 0
    assert ann.password == OLD_PASSWORD
    assert (await running.set_password(mail)).status_code == 200
    assert (ann.password, endpoint.changes) == (NEW_PASSWORD, 1)


@pytest.mark.parametrize("manner", ["500", "unsigned", "cut short"])
async def test_no_log_and_no_answer_tells_what_the_endpoint_said_or_was_told(
    endpoint: AccountsEndpoint, running: Running, manner: Manner, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.add(ANN, version=987654321)
    mail = await running.mail_to(ANN)
    endpoint.manners = ["well", "well"]
    endpoint.manner = manner
    with caplog.at_level("DEBUG"), capture_logs() as records:
        answer = await running.set_password(mail)
    assert answer.status_code == 503
    assert FAILED in {record["event"] for record in records}
    text = json.dumps(records, default=repr) + caplog.text + (await answer.get_data(as_text=True))
    for secret in (NEW_PASSWORD, ANN, "987654321", SECRET, mail.token):
        assert secret not in text


async def test_an_address_on_record_that_is_none_gets_no_mail(
    endpoint: AccountsEndpoint, running: Running
) -> None:
    """Nobody puts a second recipient or a header into a mail, not even the application."""
    endpoint.add(BOB)
    wrong = f"{ANN}\r\nBcc: {BOB}"
    answer = endpoint.reply

    def other_address(message_id: str, body: dict[str, Any]) -> bytes:
        reply = json.loads(answer(message_id, body))
        for account in reply.get("accounts", []):
            if body["addresses"] == [BOB]:
                account["address"] = wrong
        return json.dumps(reply).encode()

    endpoint.reply = other_address  # type: ignore[method-assign]  # the endpoint is the test's own
    await running.ask(BOB)
    endpoint.add(ANN)
    mail = await running.mail_to(ANN)
    assert [one.recipient for one in running.mailbox.mails] == [ANN]
    assert "Bcc" not in mail.message


def test_it_is_elsewhere() -> None:
    assert WebhookAccounts.elsewhere
