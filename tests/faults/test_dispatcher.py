"""The dispatcher dies, hangs, or meets a letter that nobody can send: it is running again within five seconds."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from resetsvc.accounts import Account
from resetsvc.app import create_app
from resetsvc.clock import Clock
from resetsvc.dispatch.supervisor import ALIVE_WITHIN, LOOK_EVERY, RESTART_PAUSE
from resetsvc.relay.verdict import RETRY_PAUSES
from resetsvc.testing import make_settings
from tests.faults.test_clock import WallClock
from tests.flow.conftest import ANN, RememberedAccounts, Running, until
from tests.flow.test_dispatch import BOB, MailboxOnOrder

AGAIN_WITHIN = 5.0  # seconds
LEASE = 6.0  # seconds; shorter than the service's own, longer than all stalls in here


@asynccontextmanager
async def serving(
    folder: Path,
    accounts: RememberedAccounts,
    mailbox: MailboxOnOrder,
    clock: Clock | None = None,
    **changes: Any,
) -> AsyncIterator[Running]:
    settings = make_settings(folder, **changes)
    app = create_app(settings, accounts=accounts, outbox=mailbox, clock=clock, lease=LEASE)
    async with app.test_app():
        yield Running(app, app.test_client(), mailbox)


def two_accounts() -> RememberedAccounts:
    accounts = RememberedAccounts()
    accounts.put(ANN)
    accounts.put(BOB)
    return accounts


async def readiness(running: Running) -> tuple[int, Any]:
    answer = await running.client.get("/readyz")
    return answer.status_code, (await answer.get_json()).get("problems")


@pytest.mark.wall_clock
async def test_a_dispatcher_that_dies_is_told_by_readyz_and_runs_again_in_time(tmp_path: Path) -> None:
    mailbox = MailboxOnOrder()
    async with serving(tmp_path, two_accounts(), mailbox) as running:
        await running.mail_to(ANN)
        with capture_logs() as logs:
            mailbox.room_fails.append(RuntimeError("nobody expected this"))
            began = time.monotonic()

            async def told() -> bool:
                running.wake()
                return (await readiness(running)) == (503, {"dispatcher": "stands still"})

            await until(told)
            assert (await running.ask(BOB)).status_code == 200  # taken all the same
            await mailbox.next_mail()
            assert time.monotonic() - began < AGAIN_WITHIN
            assert await readiness(running) == (200, None)
        (death,) = [entry for entry in logs if entry["log_level"] == "error"]
        assert death["event"] == "the dispatcher died and is started again"
        assert isinstance(death["exc_info"], RuntimeError)


class HangingAccounts(RememberedAccounts):
    """Looks nobody up, for ever, the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()
        self.called_off = False

    async def find(self, addresses: Sequence[str]) -> Mapping[str, Account]:
        if not self.reached.is_set():
            self.reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.called_off = True
        return await super().find(addresses)


@pytest.mark.wall_clock
async def test_a_dispatcher_that_hangs_is_told_by_readyz_and_another_one_runs_in_time(tmp_path: Path) -> None:
    assert ALIVE_WITHIN + LOOK_EVERY + RESTART_PAUSE <= AGAIN_WITHIN
    accounts, mailbox, wall = HangingAccounts(), MailboxOnOrder(), WallClock()
    accounts.put(ANN)
    accounts.put(BOB)
    async with serving(tmp_path, accounts, mailbox, wall.clock) as running:
        await running.ask(ANN)
        await accounts.reached.wait()
        began = time.monotonic()
        wall.passed += ALIVE_WITHIN
        assert (await running.ask(BOB)).status_code == 200

        async def told() -> bool:
            return (await readiness(running)) == (503, {"dispatcher": "stands still"})

        await until(told)
        assert (await mailbox.next_mail()).recipient == BOB
        assert time.monotonic() - began < AGAIN_WITHIN  # a second, where the machine is idle
        assert accounts.called_off
        assert await readiness(running) == (200, None)
        # What the first one held comes when its lease ends: nothing is lost by it.
        wall.passed += LEASE
        assert (await mailbox.next_mail()).recipient == ANN


async def test_a_loop_that_stood_for_two_seconds_goes_on_and_sends_nothing_twice(tmp_path: Path) -> None:
    mailbox = MailboxOnOrder()
    async with serving(tmp_path, two_accounts(), mailbox) as running:
        held = mailbox.held = asyncio.Event()
        await running.ask(ANN)
        await mailbox.arrived.wait()
        with capture_logs() as logs:
            time.sleep(2)  # noqa: ASYNC251 -- the fault itself: everything stands still
            held.set()
            mailbox.held = None
            assert (await running.ask(BOB)).status_code == 200
            await running.letters_finished(2)
        assert sorted(mail.recipient for mail in mailbox.mails) == [ANN, BOB]
        assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == []


async def test_a_process_that_stood_still_as_a_whole_does_not_blame_its_dispatcher(tmp_path: Path) -> None:
    """As after SIGSTOP, or a machine that was moved: to begin anew would call letters off in the middle."""
    mailbox, wall = MailboxOnOrder(), WallClock()
    async with serving(tmp_path, two_accounts(), mailbox, wall.clock) as running:
        with capture_logs() as logs:
            for _ in range(3):
                await asyncio.sleep(0.3)
                wall.passed += 4.5
                time.sleep(0.6)  # noqa: ASYNC251 -- both the dispatcher and whoever watches it are late now
            await running.mail_to(ANN)
        assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == []


@pytest.mark.parametrize("where", ["compose", "relay"])
async def test_a_letter_that_nobody_can_send_is_set_aside_and_its_error_is_on_record(
    where: str, tmp_path: Path
) -> None:
    accounts, mailbox, wall = two_accounts(), MailboxOnOrder(), WallClock()
    if where == "relay":
        mailbox.chokes_on = ANN
    else:
        broken = accounts.by_id[f"id of {ANN}"]
        accounts.by_id[broken.id] = replace(broken, locale=7)  # type: ignore[arg-type]  # what a user table of somebody's may hold
    async with serving(tmp_path, accounts, mailbox, wall.clock, limit_per_account="") as running:
        with capture_logs() as logs:
            await running.ask(ANN)
            for attempt in (1, 2, 3):

                async def tried(number: int = attempt) -> bool:
                    wall.passed += 0.05
                    running.wake()
                    letter = (await running.letters())[0]
                    return bool(letter["attempts"] == number and letter["state"] != "sending")

                await until(tried)
                await running.mail_to(BOB)  # nobody else is harmed
                wall.passed += 1.2 * RETRY_PAUSES[attempt]
        letter = (await running.letters())[0]
        assert (letter["state"], letter["reason"]) == ("failed", "unusable")
        kept = [row["reply"] for row in await running.rows("SELECT reply FROM attempts ORDER BY seq")]
        assert len(kept) == 3
        error = "ValueError" if where == "relay" else "TypeError"
        assert all(reply.startswith(f"internal error: {error} in ") for reply in kept), kept
        told = [entry for entry in logs if entry["event"] == "unexpected error with a letter"]
        assert len(told) == 3
        assert letter["id"] not in repr((kept, [(entry["letter"], entry["event"]) for entry in told]))
