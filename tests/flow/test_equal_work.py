"""A letter to nobody costs what one to somebody costs: else whoever measures other requests meanwhile learns who has an account."""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from resetsvc.relay.conversation import Envelope
from resetsvc.store.sqlite import SqliteConnection
from resetsvc.testing import Mailbox
from tests.flow.conftest import ANN, OLD_PASSWORD, Running, Start

BOB, NOBODY = "bob@example.com", "abc@example.com"


class Counting(Mailbox):
    """How many letters were composed, to be sent or not."""

    def __init__(self) -> None:
        super().__init__()
        self.composed: list[str] = []

    async def rehearse(self, compose: Callable[[], Envelope]) -> None:
        self.composed.append(compose().recipient)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first words of what the database is told; not the looks for more work, which are as many as there is time."""
    told: list[str] = []
    original = SqliteConnection.fetch_all

    async def listening(self: SqliteConnection, sql: str, values: object = None) -> object:
        first = " ".join(sql.split()[:3])
        if "state = 'sending', lease_owner" not in sql:
            told.append(first)
        return await original(self, sql, values)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(SqliteConnection, "fetch_all", listening)
    return told


async def start_with_accounts(start: Start, **settings: Any) -> tuple[Running, Counting]:
    mailbox = Counting()
    running = await start(outbox=mailbox, **settings)
    await running.accounts.add(ANN, OLD_PASSWORD)
    await running.accounts.add(BOB, OLD_PASSWORD)
    await running.accounts.disable(BOB)
    return running, mailbox


async def told_for(running: Running, statements: list[str], address: str, finished: int) -> list[str]:
    statements.clear()
    await running.ask(address)
    await running.letters_finished(finished)
    return [one for one in statements if not one.startswith("SELECT * FROM")]


@pytest.mark.about_sqlite
async def test_the_database_is_told_as_much_about_a_letter_to_nobody(
    start: Start, statements: list[str]
) -> None:
    running, _ = await start_with_accounts(start, limit_per_account="1/hour")
    await told_for(running, statements, NOBODY, 1)  # what only the first letter does

    sent = await told_for(running, statements, ANN, 2)
    assert [words.split()[0] for words in sent] == [
        "INSERT",
        "SELECT",
        "SELECT",
        "SELECT",
        "UPDATE",
        "UPDATE",
    ]
    throttled = await told_for(running, statements, ANN, 3)
    nobody = await told_for(running, statements, NOBODY, 4)
    disabled = await told_for(running, statements, BOB, 5)
    assert [row["reason"] for row in await running.letters()] == [
        "no_account",
        None,
        "over_budget",
        "no_account",
        "disabled",
    ]
    assert nobody == disabled == throttled == sent


@pytest.mark.about_sqlite
async def test_nobody_is_looked_for_under_a_name_that_has_the_form_of_an_accounts(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long, of the same digits, and random from the first one on: else the look-up takes another way through an index."""
    looked_for: list[str] = []

    async def listening(_: SqliteConnection, names: Sequence[str]) -> None:
        looked_for.extend(names)

    monkeypatch.setattr(SqliteConnection, "lock", listening)
    running, _ = await start_with_accounts(start)
    for number, address in enumerate((ANN, NOBODY, NOBODY), start=1):
        await running.ask(address)
        await running.letters_finished(number)
    ann, *nobody = looked_for
    assert (await running.accounts.find([ANN]))[ANN].id == ann
    assert len(nobody) == 2
    letters = [row["id"] for row in (await running.letters())[1:]]
    for name in nobody:
        assert re.fullmatch("[0-9a-f]{32}", name)
        assert re.fullmatch("[0-9a-f]{32}", ann)
        assert await running.accounts.get(name) is None
        # The letter's own id begins with the time, which all of that minute share.
        assert name[:8] not in {letter[:8] for letter in letters}
    assert len({name[:8] for name in looked_for}) == 3


async def test_what_is_dropped_is_composed_like_what_is_sent_and_goes_nowhere(start: Start) -> None:
    running, mailbox = await start_with_accounts(start)
    for number, address in enumerate((NOBODY, BOB), start=1):
        await running.ask(address)
        await running.letters_finished(number)
    assert mailbox.composed == [NOBODY, BOB]
    assert mailbox.mails == []
    assert {row["state"] for row in await running.letters()} == {"dropped"}


async def test_the_link_that_was_composed_for_nobody_opens_nothing(start: Start) -> None:
    class Keeping(Counting):
        body = b""

        async def rehearse(self, compose: Callable[[], Envelope]) -> None:
            self.body = compose().body

    mailbox = Keeping()
    running = await start(outbox=mailbox)
    await running.ask(NOBODY)
    await running.letters_finished(1)
    token = mailbox.body.partition(b"/reset/")[2].split()[0].decode()
    token = token.replace("=\r\n", "")
    assert (await running.open(f"/reset/{token}", "GET")).status_code == 410


async def test_a_rehearsal_that_fails_changes_nothing_for_the_letter(start: Start) -> None:
    class Failing(Counting):
        async def rehearse(self, compose: Callable[[], Envelope]) -> None:
            raise RuntimeError("no socket pair")

    running = await start(outbox=Failing())
    await running.ask(NOBODY)
    (letter,) = await running.letters_finished(1)
    assert (letter["state"], letter["reason"]) == ("dropped", "no_account")


async def test_under_a_flood_of_letters_to_nobody_those_to_somebody_find_room(start: Start) -> None:
    """Rehearsals hold no place that a letter could have, however long they take."""

    class Slow(Counting):
        def __init__(self) -> None:
            super().__init__()
            self.go_on = asyncio.Event()

        def room(self) -> int:
            return 2

        async def rehearse(self, compose: Callable[[], Envelope]) -> None:
            await super().rehearse(compose)
            await self.go_on.wait()

    mailbox = Slow()
    running = await start(outbox=mailbox, smtp_connections=2, limit_per_client="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    for number in range(40):
        await running.ask(f"nobody{number}@example.com")
    await running.ask(ANN)
    assert (await mailbox.next_mail()).recipient == ANN
    # Four for each lane wait; the others were dropped without.
    assert len(mailbox.composed) == 8
    await running.letters_finished(33)
    mailbox.go_on.set()
    await running.letters_finished(41)
