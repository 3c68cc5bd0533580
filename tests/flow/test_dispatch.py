"""After the answer: every letter reaches the mailbox or has its end on record, whatever goes wrong on the way."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from resetsvc.errors import CannotStore
from resetsvc.relay.conversation import Envelope
from resetsvc.relay.verdict import Attempt, Verdict
from resetsvc.store import kept_letters as kept
from resetsvc.store import letters as sql
from resetsvc.testing import HandClock, Mailbox
from tests.flow.conftest import (
    ANN,
    OLD_PASSWORD,
    RememberedAccounts,
    Running,
    Start,
    until,
    whole_clock,
)

BOB = "bob@example.com"


class MailboxOnOrder(Mailbox):
    """Answers as it is told, letter by letter; takes what it was told nothing about."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: deque[Verdict | Exception] = deque()
        self.asked = 0
        self.lanes = 1000
        self.chokes_on: str | None = None
        self.room_fails: list[Exception] = []
        self.held: asyncio.Event | None = None
        self.arrived = asyncio.Event()
        self.returned = asyncio.Event()

    def room(self) -> int:
        if self.room_fails:
            raise self.room_fails.pop()
        return min(super().room(), self.lanes)

    async def hand_over(
        self, recipient: str, compose: Callable[[], Envelope], may_send: Callable[[], bool]
    ) -> Attempt:
        self.asked += 1
        self.arrived.set()
        try:
            return await self._answer(recipient, compose, may_send)
        finally:
            self.returned.set()

    async def _answer(
        self, recipient: str, compose: Callable[[], Envelope], may_send: Callable[[], bool]
    ) -> Attempt:
        if self.held is not None:
            await self.held.wait()
        if self.chokes_on == compose().recipient:
            raise ValueError("an error whose message holds https://reset.example.com/reset/0123")
        order = self.orders.popleft() if self.orders else Verdict.SENT
        if isinstance(order, Exception):
            raise order
        if order is Verdict.SENT:
            return await super().hand_over(recipient, compose, may_send)
        return Attempt(order, "mailbox", 451, "as it was told")


async def started(
    start: Start, *, leases_by_hand: bool = True, accounts: RememberedAccounts | None = None, **settings: Any
) -> tuple[Running, MailboxOnOrder, HandClock]:
    hand, mailbox = HandClock(), MailboxOnOrder()
    clock = whole_clock(hand) if leases_by_hand else hand.clock
    running = await start(clock=clock, outbox=mailbox, accounts=accounts, **settings)
    if not isinstance(running.service.accounts, RememberedAccounts):
        await running.accounts.add(ANN, OLD_PASSWORD)
        await running.accounts.add(BOB, OLD_PASSWORD)
    return replace(running, hand=hand), mailbox, hand


async def in_state(running: Running, state: str) -> None:
    """Wait until the first letter is in this state."""

    async def reached() -> bool:
        return bool((await running.letters())[0]["state"] == state)

    await until(reached)


async def tried(running: Running, attempts: int) -> None:
    """Wait until so many attempts at the first letter are on record."""

    async def reached() -> bool:
        letter = (await running.letters())[0]
        return bool(letter["attempts"] == attempts and letter["state"] != "sending")

    await until(reached)


async def test_letters_wait_for_a_closed_mailbox_and_leave_when_it_opens(ann: Running) -> None:
    ann.mailbox.close_for_now()
    await ann.ask()
    await ann.rows("SELECT 1")
    assert [(row["state"], row["attempts"]) for row in await ann.letters()] == [("queued", 0)]
    ann.mailbox.open_again()
    assert (await ann.mailbox.next_mail()).recipient == ANN


async def test_what_is_refused_for_now_is_tried_again_after_growing_pauses(start: Start) -> None:
    running, mailbox, hand = await started(start)
    mailbox.orders.extend([Verdict.RETRY] * 7)
    await running.ask()
    for attempts, pause in enumerate((15, 45, 120, 300, 300, 300, 300), start=1):
        await tried(running, attempts)
        hand.advance(pause - 0.1)
        running.wake()
        await running.past_all_letters()
        assert mailbox.asked == attempts, "too soon"
        hand.advance(0.2)
        running.wake()
    await tried(running, 8)
    letter = (await running.letters())[0]
    assert (letter["state"], letter["attempts"]) == ("sent", 8)
    attempts_kept = await running.rows(
        "SELECT verdict, code FROM attempts WHERE letter_id = :id", id=letter["id"]
    )
    assert [(row["verdict"], row["code"]) for row in attempts_kept] == [("retry", 451)] * 7


async def test_what_is_refused_for_good_is_not_tried_again(start: Start) -> None:
    running, mailbox, hand = await started(start)
    mailbox.orders.append(Verdict.FAILED)
    await running.ask()
    await in_state(running, "failed")
    hand.advance(3600)
    running.wake()
    await running.past_all_letters()
    assert mailbox.asked == 1
    assert (await running.letters())[0]["reason"] == "451"


@pytest.mark.parametrize("verdict", [Verdict.RELAY_DOWN, Verdict.OUR_FAULT])
async def test_what_is_no_fault_of_the_letter_is_no_attempt_at_it(start: Start, verdict: Verdict) -> None:
    running, mailbox, _ = await started(start)
    mailbox.orders.extend([verdict] * 5)
    await running.ask()
    await running.mailbox.next_mail()
    letter = (await running.letters_finished(1))[0]
    assert (letter["state"], letter["attempts"]) == ("sent", 1)


async def test_nothing_leaves_after_its_deadline(start: Start) -> None:
    running, mailbox, hand = await started(start, delivery_deadline=3600)
    mailbox.close_for_now()
    await running.ask()
    hand.advance(3600)
    running.wake()
    await in_state(running, "expired")
    mailbox.open_again()
    await running.past_all_letters()
    assert mailbox.asked == 0
    assert (await running.letters())[0]["reason"] == "deadline"


async def test_a_letter_in_hand_at_its_deadline_is_withheld(start: Start) -> None:
    running, mailbox, hand = await started(start, leases_by_hand=False, delivery_deadline=60)
    mailbox.held = asyncio.Event()
    await running.ask()
    await mailbox.arrived.wait()
    hand.advance(60)
    mailbox.held.set()
    await in_state(running, "expired")
    assert mailbox.mails == []


async def test_a_stalled_worker_whose_lease_ran_out_does_not_send_when_it_wakes(start: Start) -> None:
    running, mailbox, hand = await started(start)
    mailbox.held = asyncio.Event()
    await running.ask()
    await mailbox.arrived.wait()
    hand.advance(10)  # longer than a lease: another process has taken the letter
    await running.change(
        "UPDATE letters SET lease_owner = 'another', lease_until = :until", until=hand.seconds + 10
    )
    mailbox.held.set()
    await mailbox.returned.wait()
    assert mailbox.mails == []
    await running.past_all_letters_but_those_in_hand()
    letter = (await running.letters())[0]
    assert (letter["state"], letter["lease_owner"]) == ("sending", "another")  # and it leaves it alone


async def test_what_a_killed_process_held_is_taken_over_when_its_lease_ends(start: Start) -> None:
    running, mailbox, hand = await started(start)
    mailbox.close_for_now()
    await running.ask()
    now = hand.seconds
    claimed = await running.service.store.unit(
        lambda unit: sql.claim_due_letters(
            unit, fresh=True, owner="killed", now=now, lease_until=now + 10, limit=9
        )
    )
    assert len(claimed) == 1
    mailbox.open_again()
    hand.advance(9)
    running.wake()
    await running.ask(BOB)
    assert (await mailbox.next_mail()).recipient == BOB  # so it has looked
    assert (await running.letters())[0]["lease_owner"] == "killed"
    hand.advance(1.5)
    running.wake()
    assert (await mailbox.next_mail()).recipient == ANN


async def test_a_process_that_stops_puts_back_what_it_cannot_finish(start: Start) -> None:
    first, _, hand = await started(start)
    first.mailbox.close_for_now()
    await first.ask()
    await first.app.shutdown()
    second = await start(clock=whole_clock(hand))
    assert (await second.mailbox.next_mail()).recipient == ANN


async def test_a_poison_letter_is_set_aside_and_harms_no_other(start: Start) -> None:
    running, mailbox, hand = await started(start, limit_per_account="")
    mailbox.chokes_on = ANN
    await running.ask(ANN)
    for attempts, pause in enumerate((15, 45, 0), start=1):
        await running.mail_to(BOB)
        await tried(running, attempts)
        hand.advance(pause + 0.1)
        running.wake()
    letter = (await running.letters())[0]
    assert (letter["state"], letter["reason"]) == ("failed", "unusable")
    kept = await running.rows("SELECT reply FROM attempts WHERE letter_id = :id", id=letter["id"])
    assert len(kept) == 3
    assert all("ValueError" in row["reply"] and "reset/" not in row["reply"] for row in kept)
    await running.mail_to(BOB)


@pytest.mark.parametrize("error", [ConnectionError("nobody foresaw this"), CannotStore()])
async def test_accounts_that_cannot_be_looked_up_hold_letters_and_lose_none(
    start: Start, error: Exception
) -> None:
    accounts = RememberedAccounts(elsewhere=True)
    accounts.put(ANN)
    running, mailbox, hand = await started(start, accounts=accounts)
    accounts.find_fails = error
    with capture_logs() as records:
        assert (await running.ask()).status_code == 200
        await until(lambda: put_back(running))
    assert [record["event"] for record in records if record["log_level"] == "error"] == [
        "accounts cannot be looked up"
    ]
    accounts.find_fails = None
    hand.advance(5.1)
    running.wake()
    assert (await mailbox.next_mail()).recipient == ANN
    assert (await running.letters_finished(1))[0]["attempts"] == 1


async def put_back(running: Running) -> bool:
    """Whether the first letter waits for a later time."""
    letter = (await running.letters())[0]
    return bool(letter["state"] == "queued" and letter["due_at"] > letter["asked_at"])


async def test_a_database_that_fails_while_letters_are_claimed_only_delays_them(start: Start) -> None:
    running, mailbox, _ = await started(start)
    mailbox.close_for_now()
    await running.ask()
    await running.change("ALTER TABLE letters RENAME TO elsewhere")
    mailbox.open_again()
    assert (await running.ask()).status_code == 503  # by now it has looked, and failed
    assert mailbox.asked == 0
    await running.change("ALTER TABLE elsewhere RENAME TO letters")
    running.wake()
    assert (await mailbox.next_mail()).recipient == ANN


async def test_a_database_that_fails_after_a_mail_left_makes_no_second_copy(start: Start) -> None:
    running, mailbox, hand = await started(start)
    mailbox.held = asyncio.Event()
    await running.ask()
    await mailbox.arrived.wait()
    await running.change("ALTER TABLE letters RENAME TO elsewhere")
    mailbox.held.set()
    await mailbox.next_mail()
    await running.rows("SELECT 1")
    await running.change("ALTER TABLE elsewhere RENAME TO letters")
    hand.advance(1)
    running.wake()
    await in_state(running, "sent")
    assert len(mailbox.mails) == 1


async def test_a_dispatcher_that_dies_is_started_again(start: Start) -> None:
    running, mailbox, hand = await started(start)
    mailbox.room_fails.append(RuntimeError("nobody expected this"))
    running.wake()

    async def dead() -> bool:
        return not mailbox.room_fails

    await until(dead)
    hand.advance(60)
    not_ready = await running.client.get("/readyz")
    assert not_ready.status_code == 503
    assert "dispatcher" in (await not_ready.get_json())["problems"]
    assert (await running.ask()).status_code == 200  # taken all the same
    assert (await mailbox.next_mail()).recipient == ANN
    assert (await running.client.get("/readyz")).status_code == 200


async def test_fresh_letters_leave_before_those_that_failed_before(start: Start) -> None:
    running, mailbox, hand = await started(start, limit_per_account="")
    mailbox.orders.extend([Verdict.RETRY] * 20)
    for _ in range(20):
        await running.ask(ANN)

    async def all_failed_once() -> bool:
        return all(row["attempts"] == 1 and row["state"] == "queued" for row in await running.letters())

    await until(all_failed_once)
    mailbox.close_for_now()
    await running.ask(BOB)
    hand.advance(30)
    mailbox.lanes = 2
    mailbox.open_again()
    first = [(await mailbox.next_mail()).recipient for _ in range(2)]
    assert BOB in first


async def test_one_letter_that_hangs_holds_up_no_other(start: Start) -> None:
    running, mailbox, _ = await started(start)
    hanging = mailbox.held = asyncio.Event()
    await running.ask(ANN)
    await mailbox.arrived.wait()
    mailbox.held = None
    await running.ask(BOB)
    assert (await mailbox.next_mail()).recipient == BOB
    hanging.set()
    assert (await mailbox.next_mail()).recipient == ANN


@pytest.mark.about_sqlite
async def test_after_the_retention_time_address_and_client_are_gone_from_every_file(
    start: Start, tmp_path: Path
) -> None:
    hand = HandClock()
    people = [f"person-who-wants-to-be-forgotten-{number}@example.com" for number in range(30)]
    first = await start(clock=hand.clock, retention_days=30)
    for number, person in enumerate(people):
        await first.ask(person, scope_base={"client": (f"203.0.113.{100 + number}", 1)})
    await first.letters_finished(30)
    hand.advance(60)
    await first.ask("later@example.com")
    await first.letters_finished(31)
    await first.app.shutdown()

    def is_anywhere(text: str) -> bool:
        return any(text.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    hand.advance(30 * 86400 - 90)
    second = await start(clock=hand.clock, retention_days=30)
    await second.past_all_letters()  # the first thing that it does is to erase
    assert all(is_anywhere(person) for person in people)
    await second.app.shutdown()

    hand.advance(60)
    third = await start(clock=hand.clock, retention_days=30)

    async def erased() -> bool:
        everything = await third.service.store.read(lambda c: kept.list_letters(c, None, 99))
        return len(everything) == 2

    async def gone() -> bool:
        return not is_anywhere("forgotten") and not is_anywhere("203.0.113.")

    await until(erased)
    await until(gone)
    assert is_anywhere("later@example.com")


async def test_of_many_letters_none_is_lost_and_none_comes_twice_whatever_is_said_of_them(
    start: Start,
) -> None:
    # Leases by the real time: no other process is in this, and pauses pass in a moment here.
    running, mailbox, hand = await started(start, leases_by_hand=False)
    people = [f"person{number}@example.com" for number in range(30)]
    for person in people:
        await running.accounts.add(person, OLD_PASSWORD)
    chance = random.Random(7)  # noqa: S311 -- the same orders in every run
    said: list[Verdict | Exception] = [
        Verdict.RETRY,
        Verdict.RELAY_DOWN,
        Verdict.OUR_FAULT,
        Verdict.WITHHELD,
        ValueError("odd"),
    ]
    mailbox.orders.extend(chance.choice(said) for _ in range(45))
    await asyncio.gather(*(running.ask(person) for person in people))

    async def all_ended() -> bool:
        hand.advance(2)
        running.wake()
        return all(row["finished_at"] is not None for row in await running.letters())

    await until(all_ended)
    assert sorted(mail.recipient for mail in mailbox.mails) == sorted(people)
