"""Two hundred passwords changed at once: so many hashes at a time as are allowed, a bounded queue, and everybody else served."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from argon2 import PasswordHasher
from quart import Response

from resetsvc.testing import CaughtMail
from tests.flow.conftest import NEW_PASSWORD, OLD_PASSWORD, Running, Start, text_of

LINKS = 200
AT_ONCE = 2
MAY_WAIT = 48 * AT_ONCE  # a second's work for each thread


class Watch:
    """Sees every Argon2 hash of every thread that starts while it looks, and holds it at its beginning until it is let go.

    By the interpreter's own profiling hook: nothing of the service or of argon2 is replaced.
    """

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.running = self.most = self.done = 0
        self._lock = threading.Lock()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if frame.f_code is not PasswordHasher.hash.__code__:
            return
        if event == "call":
            with self._lock:
                self.running += 1
                self.most = max(self.most, self.running)
            self.gate.wait(30)
        elif event == "return":
            with self._lock:
                self.running -= 1
                self.done += 1


@pytest.fixture
def watch() -> Iterator[Watch]:
    before, here = threading.getprofile(), sys.getprofile()
    made = Watch()
    made.gate.set()
    threading.setprofile(made)
    yield made
    made.gate.set()
    threading.setprofile(before)
    assert sys.getprofile() is here


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are asked for, whatever this machine has."""
    monkeypatch.setattr("resetsvc.passwords.hashing.usable_cores", lambda: AT_ONCE)


async def two_hundred_links(running: Running) -> list[CaughtMail]:
    """One account after the other would cost a hash each: all have the first one's."""
    addresses = [f"person{number:03}@example.com" for number in range(LINKS)]
    assert await running.accounts.add(addresses[0], OLD_PASSWORD)
    for address in addresses[1:]:
        await running.change(
            "INSERT INTO accounts (id, address, password_hash, locale, active, created_at, changed_at)"
            " SELECT 'id of ' || :address, :address, password_hash, locale, active, created_at, changed_at"
            " FROM accounts WHERE address = :first",
            address=address,
            first=addresses[0],
        )
    answers = await asyncio.gather(*(running.ask(address) for address in addresses))
    assert {answer.status_code for answer in answers} == {200}
    return [await running.mailbox.next_mail() for _ in addresses]


async def first_answers(changes: "list[asyncio.Task[Response]]", number: int) -> list[Response]:
    done: set[asyncio.Task[Response]] = set()
    waiting = set(changes)
    async with asyncio.timeout(30):
        while len(done) < number:
            now, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            done |= now
    return [task.result() for task in done]


async def test_two_hundred_changes_at_once_are_hashed_few_at_a_time(start: Start, watch: Watch) -> None:
    running = await start(argon2_concurrency=AT_ONCE, queue_limit=1000)
    mails = await two_hundred_links(running)
    seen_before = watch.done
    assert seen_before == 1  # so the hook does see hashes
    watch.gate.clear()
    changes = [asyncio.create_task(running.set_password(mail.link_path)) for mail in mails]

    # Beyond the bound each is told so at once, while not one hash is finished.
    refused = await first_answers(changes, LINKS - AT_ONCE - MAY_WAIT)
    for answer in refused:
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "2"
        assert "The link still works" in await text_of(answer)
    assert watch.done == seen_before
    assert watch.running == AT_ONCE

    # Meanwhile everybody else is served: the look at a link, a wrong link, a request, its mail, the pulse.
    async with asyncio.timeout(10):
        assert (await running.client.get("/healthz")).status_code == 200
        assert (await running.client.get(mails[0].link_path)).status_code == 200
        assert (await running.set_password("/reset/x")).status_code == 410
        assert (await running.set_password(mails[0].link_path, "short")).status_code == 422
        assert (await running.ask("person000@example.com")).status_code == 200
        assert (await running.mailbox.next_mail()).recipient == "person000@example.com"
        busy = await running.client.post(mails[0].link_path, json={"password": NEW_PASSWORD})
        assert (busy.status_code, (await busy.get_json())["code"]) == (503, "busy")
    assert sum(task.done() for task in changes) == len(refused)

    watch.gate.set()
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*changes)
    assert sorted(answer.status_code for answer in answers) == [200] * (AT_ONCE + MAY_WAIT) + [503] * len(
        refused
    )
    assert watch.most == AT_ONCE
    assert watch.done == seen_before + AT_ONCE + MAY_WAIT  # every hash was one that the hook saw

    # Whoever was sent away comes again with the same link.
    again = [mail for mail, answer in zip(mails, answers, strict=True) if answer.status_code == 503]
    for part in (again[:90], again[90:]):
        answers = await asyncio.gather(*(running.set_password(mail.link_path) for mail in part))
        assert {answer.status_code for answer in answers} == {200}
    assert watch.most == AT_ONCE
    for mail in mails[::20]:
        assert (await running.set_password(mail.link_path)).status_code == 410  # each was used once
        assert await running.accounts.verify(mail.recipient, NEW_PASSWORD)


async def test_two_hundred_wrong_links_at_once_cost_no_hash(start: Start, watch: Watch) -> None:
    running = await start(argon2_concurrency=AT_ONCE)
    assert await running.accounts.add("person@example.com", OLD_PASSWORD)
    mail = await running.mail_to("person@example.com")
    assert watch.done == 1
    watch.gate.clear()
    last = mail.token[-1]
    wrong = [mail.token[:-2] + a + b for a in "ABCDEFGHIJKLMNO" for b in "ABCDEFGHIJKLMN" if b != last][
        :LINKS
    ]
    async with asyncio.timeout(30):
        answers = await asyncio.gather(*(running.set_password(f"/reset/{token}") for token in wrong))
    assert {answer.status_code for answer in answers} == {410}
    assert (watch.running, watch.done) == (0, 1)
    watch.gate.set()
    assert (await running.set_password(mail.link_path)).status_code == 200
