"""What the application is told of: all that happened, signed, at least once, and nothing that opens anything."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

import httpx
import pytest
import pytest_asyncio

from resetsvc.audit import Event
from resetsvc.errors import CannotStore
from resetsvc.events import DEADLINE, Events
from resetsvc.events import poster as posting
from resetsvc.housekeeping import erase
from resetsvc.relay.verdict import Attempt, Verdict
from resetsvc.store import events as sql
from resetsvc.store.connection import Connection
from resetsvc.testing import HandClock, Mailbox
from resetsvc.webhooks import ID, Secrets
from tests.flow.conftest import ANN, NEW_PASSWORD, OLD_PASSWORD, Running, Start, until
from tests.support.events_receiver import SECRET, EventsReceiver, events_receiver

Telling = Callable[..., Awaitable[Running]]


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[EventsReceiver]:
    async with events_receiver() as running:
        yield running


@pytest.fixture
def telling(start: Start, receiver: EventsReceiver) -> Telling:
    """Start a service that tells the receiver, with one account."""

    async def begin(**given: object) -> Running:
        running = await start(events_url=receiver.url, events_secret=(SECRET,), **given)  # type: ignore[arg-type]  # passed on
        await running.accounts.add(ANN, OLD_PASSWORD)
        return running

    return begin


async def waiting(running: Running) -> tuple[int, int]:
    return await running.service.store.read(sql.count_events)


async def all_told(running: Running) -> None:
    async def nothing_waits() -> bool:
        return await waiting(running) == (0, 0)

    await until(nothing_waits)


async def test_the_application_is_told_of_a_mail_that_was_sent_and_a_password_that_was_changed(
    telling: Telling, receiver: EventsReceiver
) -> None:
    running = await telling()
    mail = await running.mail_to()
    sent = await receiver.next(1)
    (account,) = await running.rows("SELECT id FROM accounts")
    assert (sent.type, sent.data) == ("reset.sent", {"account": account["id"]})
    assert (await running.set_password(mail.link_path)).status_code == 200
    changed = await receiver.next(2)
    assert changed.type == "password.changed"
    assert changed.data == {"account": account["id"], "client": "unknown"}  # as this test client is
    assert re.fullmatch(r"evt_[0-9a-f]{32}", changed.id)
    assert datetime.fromisoformat(changed.timestamp).tzinfo is not None
    await running.letters_finished(2)
    await all_told(running)
    assert len(receiver.told) == 2  # the notice is no reset
    assert sent.id != changed.id


async def test_the_application_is_told_of_resets_that_their_owner_stopped(
    telling: Telling, receiver: EventsReceiver
) -> None:
    running = await telling()
    mail = await running.mail_to()
    await running.client.post(f"{mail.link_path}/cancel", form={"mute": "1"})
    stopped = await receiver.next(2)
    assert stopped.type == "reset.cancelled"
    assert stopped.data["muted"] is True


class Refusing(Mailbox):
    async def hand_over(self, recipient: str, compose: object, may_send: object) -> Attempt:
        return Attempt(Verdict.FAILED, "mailbox", 550, "no such mailbox")


async def test_the_application_is_told_of_mails_that_a_relay_refuses_for_good(
    telling: Telling, receiver: EventsReceiver
) -> None:
    running = await telling(outbox=Refusing())
    await running.ask()
    failed = await receiver.next(1)
    assert (failed.type, failed.data["reason"]) == ("reset.failed", "550")


async def test_the_application_is_told_of_mails_that_nobody_took_in_time(
    telling: Telling, receiver: EventsReceiver
) -> None:
    class Busy(Mailbox):
        async def hand_over(self, recipient: str, compose: object, may_send: object) -> Attempt:
            return Attempt(Verdict.RETRY, "mailbox", 450, "later")

    hand = HandClock()
    running = await telling(outbox=Busy(), clock=hand.clock)
    await running.ask()

    async def tried() -> bool:
        return bool((await running.letters())[0]["attempts"] == 1)

    await until(tried)
    hand.advance(running.service.settings.delivery_deadline + 1)
    failed = await receiver.next(1)
    assert (failed.type, failed.data["reason"]) == ("reset.failed", "deadline")


async def test_nothing_that_opens_anything_is_told_and_no_address(
    telling: Telling, receiver: EventsReceiver
) -> None:
    running = await telling()
    mail = await running.mail_to()
    await running.set_password(mail.link_path)
    await receiver.next(2)
    told = b"".join(event.raw for event in receiver.told).decode() + "".join(receiver.tried)
    letter_ids = [row["id"] for row in await running.letters()]
    for secret in (mail.token, ANN, NEW_PASSWORD, *letter_ids, *(one[:16] for one in letter_ids)):
        assert secret not in told


async def test_who_has_no_account_is_nobody_s_news(telling: Telling, receiver: EventsReceiver) -> None:
    running = await telling()
    await running.ask("nobody@example.com")
    await running.ask()
    assert (await receiver.next(1)).type == "reset.sent"
    await running.letters_finished(2)
    await all_told(running)
    assert len(receiver.told) == 1


async def test_without_an_address_nothing_is_stored(ann: Running) -> None:
    mail = await ann.mail_to()
    await ann.set_password(mail.link_path)
    await ann.letters_finished(2)
    assert await waiting(ann) == (0, 0)


# ---- at least once ----


@pytest.mark.parametrize("manner", ["refuses", "hangs up", "redirects"])
async def test_an_application_that_does_not_take_an_event_is_told_again_under_the_same_id(
    telling: Telling, receiver: EventsReceiver, monkeypatch: pytest.MonkeyPatch, manner: str
) -> None:
    monkeypatch.setattr(posting, "FIRST_PAUSE", 0.02)
    hand = HandClock()
    running = await telling(clock=hand.clock)
    receiver.manner = manner  # type: ignore[assignment]  # one of them
    await running.mail_to()
    await receiver.has_been_tried(1)

    async def put_off() -> bool:
        (row,) = await running.rows("SELECT attempts FROM events")
        return bool(row["attempts"] == 1)

    await until(put_off)
    receiver.manner = "takes"
    hand.advance(60)
    told = await receiver.next(1)
    assert receiver.tried == [told.id, told.id]
    await all_told(running)


async def test_an_application_that_says_nothing_holds_nothing_up_but_its_own_events(
    telling: Telling, receiver: EventsReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "PATIENCE", 0.05)
    running = await telling(limit_per_account="")
    receiver.manner = "silent"
    for _ in range(20):
        await running.mail_to()
    mail = await running.mail_to()
    assert (await running.set_password(mail.link_path)).status_code == 200
    assert (await running.mailbox.next_mail()).subject == "Your password was changed"
    await running.letters_finished(22)
    assert await waiting(running) == (22, 0)


async def test_what_a_process_had_in_hand_when_it_died_is_told_by_another(
    telling: Telling, start: Start, receiver: EventsReceiver
) -> None:
    hand = HandClock()
    running = await telling(clock=hand.clock)
    receiver.manner = "silent"
    await running.mail_to()
    await receiver.has_been_tried(1)
    receiver.manner = "takes"
    other = await start(events_url=receiver.url, events_secret=(SECRET,), clock=hand.clock)
    hand.advance(posting.CLAIMED_FOR + 1)
    told = await receiver.next(1)
    assert receiver.tried[-1] == told.id
    assert other.service.settings.events_url == receiver.url


async def test_an_event_is_there_if_and_only_if_what_it_tells_of_is(
    telling: Telling, receiver: EventsReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the event cannot be stored, the password stays as it was."""
    running = await telling()
    mail = await running.mail_to()
    await receiver.next(1)

    async def fail(*_: object, **__: object) -> None:
        raise CannotStore

    with monkeypatch.context() as broken:
        broken.setattr(sql, "insert_events", fail)
        assert (await running.set_password(mail.link_path)).status_code == 503
        assert await running.accounts.verify(ANN, OLD_PASSWORD)
    assert (await running.set_password(mail.link_path)).status_code == 200
    assert (await receiver.next(2)).type == "password.changed"


async def test_what_is_put_on_record_twice_is_one_event(telling: Telling) -> None:
    running = await telling(dispatch=False)
    rows = [("evt_1", "{}", 1.0)]

    async def store_it(unit: Connection) -> None:
        await sql.insert_events(unit, rows, deadline_at=9e9)

    await running.service.store.unit(store_it)
    await running.service.store.unit(store_it)
    assert await waiting(running) == (1, 0)


async def test_events_are_given_up_after_three_days_told_in_figures_and_erased(
    telling: Telling, receiver: EventsReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "FIRST_PAUSE", 0.02)
    hand = HandClock()
    running = await telling(clock=hand.clock, ops_token="a token for the figures")
    receiver.manner = "refuses"
    await running.mail_to()
    await receiver.has_been_tried(1)
    hand.advance(DEADLINE - 1)

    async def given_up() -> bool:
        return await waiting(running) == (0, 1)

    await until(given_up)
    answer = await running.client.get("/metrics", headers={"Authorization": "Bearer a token for the figures"})
    figures = (await answer.get_data(as_text=True)).splitlines()
    assert 'resetsvc_events{state="failed"} 1.0' in figures
    assert 'resetsvc_events{state="waiting"} 0.0' in figures
    await erase(running.service.store, hand.clock.now() + 31 * 86400, 30 * 86400)
    assert await waiting(running) == (0, 0)


async def test_an_application_that_is_down_is_not_hammered(
    telling: Telling, receiver: EventsReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch in each pause, and the pauses grow."""
    monkeypatch.setattr(posting, "FIRST_PAUSE", 3600.0)
    monkeypatch.setattr(posting, "LONGEST_PAUSE", 3600.0)
    running = await telling(limit_per_account="")
    receiver.manner = "refuses"
    await running.mail_to()
    await receiver.has_been_tried(1)
    for number in range(2, 30):
        await running.mail_to()
        await running.letters_finished(number)
    assert len(receiver.tried) == 1


class OddTransport(httpx.AsyncBaseTransport):
    """Hands events over, but for one: there it stumbles, with an error that is none of HTTP's."""

    def __init__(self, odd: str) -> None:
        self._odd = odd

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.headers[ID] == self._odd:
            raise RuntimeError("the handler is closed")
        return httpx.Response(204)


async def test_an_event_that_the_client_stumbles_over_holds_up_no_other(start: Start) -> None:
    running = await start()
    store, clock = running.service.store, running.service.clock
    rows = [(f"evt_{number}", "{}", clock.now()) for number in range(3)]
    await store.unit(lambda unit: sql.insert_events(unit, rows, deadline_at=clock.now() + DEADLINE))
    async with httpx.AsyncClient(transport=OddTransport("evt_1")) as client:
        poster = posting.Poster(store, clock, client, "https://app.example/events", Secrets([SECRET]))
        task = asyncio.create_task(poster.run())

        async def others_are_told() -> bool:
            return [(row["id"], row["attempts"]) for row in await running.rows("SELECT * FROM events")] == [
                ("evt_1", 1)
            ]

        try:
            await until(others_are_told)
        finally:
            poster.stop()
            await task


async def test_a_stop_does_not_wait_for_an_application_that_says_nothing(
    telling: Telling, receiver: EventsReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "STOP_WITHIN", 0.05)
    receiver.manner = "silent"
    running = await telling(dispatch=False)
    service = running.service
    events = Events("a key", service.clock)

    async def change(unit: Connection) -> None:
        detail = {"letter": "1", "account": "2", "client": "3"}
        await events.on_record(unit, Event.PASSWORD_CHANGED, detail)

    await service.store.unit(change)
    async with asyncio.timeout(5):
        async with posting.posting(events, service.store, service.clock, service.settings):
            await receiver.has_been_tried(1)
    assert await waiting(running) == (1, 0)
