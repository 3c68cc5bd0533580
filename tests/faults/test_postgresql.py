"""PostgreSQL that dies, stands still, becomes read-only or fails over, and answers that are lost.

What was answered is mailed, and nothing is answered that was not stored.
"""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from resetsvc import create_app
from resetsvc.dispatch.leases import LEASE
from resetsvc.store import schema
from resetsvc.store.address import ANSWER_TIMEOUT, CONNECT_TIMEOUT
from resetsvc.testing import Mailbox, make_settings
from tests.flow.conftest import ANN, NEW_PASSWORD, OLD_PASSWORD, Running, until
from tests.support import postgres
from tests.support.postgres_proxy import proxy_before
from tests.support.redis import redis_server

KILLS = 3


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    """A server of one's own: these tests kill it."""
    server = postgres.Server(Path(tempfile.mkdtemp(prefix="resetsvc-pg-")))
    yield server
    server.remove()


@pytest.fixture
def url(server: postgres.Server) -> str:
    name = f"faults_{next(_numbers)}"
    postgres.run_sql(server.url(), f"CREATE DATABASE {name}")
    schema.upgrade(server.url(name))
    return server.url(name)


_numbers = iter(range(10**6))


@asynccontextmanager
async def service(folder: Path, mailbox: Mailbox, **settings: Any) -> AsyncIterator[Running]:
    settings = {"limit_per_account": "", **settings}
    app = create_app(make_settings(folder, **settings), outbox=mailbox)
    async with app.test_app():
        yield Running(app, app.test_client(), mailbox)


async def test_killed_and_restarted_under_load_it_loses_nothing_that_was_answered(
    server: postgres.Server, url: str, tmp_path: Path
) -> None:
    """Two processes' worth accept, two deliver. kill -9 of all of PostgreSQL, three times."""
    mailbox = Mailbox()
    answers: dict[str, int] = {}
    stop = asyncio.Event()
    longest_outage = 0.0
    async with AsyncExitStack() as stack:
        accepting = [
            await stack.enter_async_context(service(tmp_path, mailbox, database_url=url, dispatch=False))
            for _ in range(2)
        ]
        for _ in range(2):
            await stack.enter_async_context(service(tmp_path, mailbox, database_url=url))
        for n in range(20):
            await accepting[0].accounts.add(f"a{n}@example.com", OLD_PASSWORD)

        async def ask(running: Running, number: int) -> None:
            asked = 0
            while not stop.is_set():
                asked += 1
                address = f"r{number}-{asked}@example.com"
                answers[address] = (await running.ask(address)).status_code
                known = f"a{asked % 20}@example.com"
                if (await running.ask(known)).status_code == 200:
                    counted[known] += 1

        counted: Counter[str] = Counter()
        asking = [asyncio.create_task(ask(accepting[n % 2], n)) for n in range(8)]

        async def enough_more(than: int) -> bool:
            return sum(status == 200 for status in answers.values()) >= than

        for _ in range(KILLS):
            before = sum(status == 200 for status in answers.values())
            await until(lambda before=before: enough_more(before + 30), 30)  # type: ignore[misc]  # binds the loop's value
            refused = sum(status == 503 for status in answers.values())
            began = time.perf_counter()
            await asyncio.to_thread(server.kill)
            await until(lambda refused=refused: _refused(answers, refused), 30)  # type: ignore[misc]  # the same
            await asyncio.to_thread(server.start)
            longest_outage = max(longest_outage, time.perf_counter() - began)
        before = sum(status == 200 for status in answers.values())
        await until(lambda: enough_more(before + 30), 30)
        stop.set()
        await asyncio.gather(*asking)
        rows = {row["address"]: row for row in await accepting[0].letters() if row["address"][0] == "r"}
        accepted = {address for address, status in answers.items() if status == 200}
        assert set(answers.values()) == {200, 503}
        assert accepted <= rows.keys(), "answered, and not stored"

        async def all_done() -> bool:
            return all(row["finished_at"] is not None for row in await accepting[0].letters())

        await until(all_done, 60)
        stored: Counter[str] = Counter(row["address"] for row in await accepting[0].letters())
    mailed = Counter(mail.recipient for mail in mailbox.mails)
    assert set(mailed) == set(counted)
    for address, number in counted.items():
        assert stored[address] >= number, "answered, and not stored"
        assert mailed[address] >= stored[address], "stored, and not mailed"
    # What a relay took over is put on record as soon as the database is back. Only where it stays away for longer than a
    # lease may somebody else send the letter once more.
    copies = sum(mailed.values()) - sum(stored[address] for address in counted)
    assert copies == 0 or longest_outage > LEASE / 2


async def _refused(answers: dict[str, int], before: int) -> bool:
    return sum(status == 503 for status in answers.values()) > before


async def test_an_insert_whose_answer_is_lost_is_not_acknowledged_and_mailed_once(
    url: str, tmp_path: Path
) -> None:
    mailbox = Mailbox()
    async with (
        proxy_before(url, tmp_path) as (proxy, through),
        service(tmp_path, mailbox, database_url=through) as running,
    ):
        await running.accounts.add(ANN, OLD_PASSWORD)
        proxy.lose = b"INSERT 0 1"
        answer = await running.ask()
        assert proxy.lost.is_set()
        assert answer.status_code == 503
        assert len(await running.letters_finished(1)) == 1, (
            "it was stored all the same, and nobody was told so"
        )
        assert (await running.ask()).status_code == 200
        await running.letters_finished(2)
        assert [mail.recipient for mail in mailbox.mails] == [ANN, ANN]


async def test_a_password_whose_commit_is_not_answered_is_changed_wholly_and_not_acknowledged(
    url: str, tmp_path: Path
) -> None:
    mailbox = Mailbox()
    async with (
        proxy_before(url, tmp_path) as (proxy, through),
        service(tmp_path, mailbox, database_url=through) as running,
    ):
        await running.accounts.add(ANN, OLD_PASSWORD)
        mail = await running.mail_to()
        await running.past_all_letters()
        # Dispatcher and trail commit as well, whenever they like.
        proxy.lose, proxy.after = b"COMMIT\0", b"link = 'used'"
        assert (await running.set_password(mail.link_path)).status_code == 503
        assert proxy.lost.is_set()
        assert await running.accounts.verify(ANN, NEW_PASSWORD)
        assert (await running.set_password(mail.link_path)).status_code == 410
        assert (await mailbox.next_mail()).subject == "Your password was changed"


async def test_an_outcome_whose_answer_is_lost_makes_no_second_mail(url: str, tmp_path: Path) -> None:
    class LosingTheRecord(Mailbox):
        async def hand_over(self, *given: Any) -> Any:
            attempt = await super().hand_over(*given)
            proxy.lose = b"UPDATE 1"
            return attempt

    mailbox = LosingTheRecord()
    async with (
        proxy_before(url, tmp_path) as (proxy, through),
        service(tmp_path, mailbox, database_url=through) as running,
    ):
        await running.accounts.add(ANN, OLD_PASSWORD)
        await running.ask()
        await mailbox.next_mail()
        async with asyncio.timeout(30):
            await proxy.lost.wait()
        (letter,) = await running.letters_finished(1)
        assert (letter["state"], letter["attempts"]) == ("sent", 1)
        await running.past_all_letters()
        assert len(mailbox.mails) == 1


@pytest.mark.wall_clock
async def test_while_nothing_passes_requests_are_refused_in_time_and_afterwards_nothing_is_missing_or_doubled(
    url: str, tmp_path: Path
) -> None:
    """A network that swallows everything, with its connections open: no end is told, no error comes."""
    mailbox = Mailbox()
    async with (
        proxy_before(url, tmp_path) as (proxy, through),
        service(tmp_path, mailbox, database_url=through) as running,
    ):
        people = [f"a{n}@example.com" for n in range(12)]
        for person in people:
            await running.accounts.add(person, OLD_PASSWORD)
        assert (await running.ask(people[0])).status_code == 200
        await running.letters_finished(1)
        began = time.perf_counter()
        with proxy.standing_still():
            answers = await asyncio.gather(*(running.ask(person) for person in people))
            took = time.perf_counter() - began
            assert {answer.status_code for answer in answers} == {503}
            assert {answer.headers["Retry-After"] for answer in answers} == {"5"}
        assert took < 3 * (ANSWER_TIMEOUT + CONNECT_TIMEOUT)  # nothing that waits on would ever end
        await until(lambda: _accepted(running, people[0]), 30)
        await running.past_all_letters_but_those_in_hand()

        async def all_ended() -> bool:
            # What came through late may have been claimed by a question whose answer was swallowed: it waits for a lease.
            return all(row["state"] not in ("queued", "sending") for row in await running.letters())

        await until(all_ended, LEASE + 30)
        stored = Counter(row["address"] for row in await running.letters() if row["state"] == "sent")
        assert Counter(mail.recipient for mail in mailbox.mails) == stored
        assert stored[people[0]] >= 2


async def _accepted(running: Running, address: str) -> bool:
    return (await running.ask(address)).status_code == 200


async def test_a_primary_that_becomes_read_only_and_a_redis_that_is_gone_are_no_false_yes(
    server: postgres.Server, url: str, tmp_path: Path
) -> None:
    def read_only(value: str) -> None:
        statements = f"ALTER SYSTEM SET default_transaction_read_only = {value}", "SELECT pg_reload_conf()"
        postgres.run_sql(f"{server.url()}&target_session_attrs=any", *statements)

    mailbox = Mailbox()
    async with (
        redis_server(tmp_path) as redis,
        service(
            tmp_path, mailbox, database_url=url, limit_storage_url=redis.url, limit_per_client="1000/minute"
        ) as running,
    ):
        await running.accounts.add(ANN, OLD_PASSWORD)
        assert (await running.ask()).status_code == 200
        await running.letters_finished(1)
        try:
            await asyncio.to_thread(read_only, "on")
            await until(lambda: _refuses(running), 10)
            known, unknown = await running.ask(), await running.ask("nobody@example.com")
            await redis.stop()
            without_redis = await running.ask()
            told = [
                (answer.status_code, await answer.get_data()) for answer in (known, unknown, without_redis)
            ]
            assert told[0][0] == 503
            assert told[0] == told[1] == told[2]
            assert (await running.client.get("/healthz")).status_code == 200
            stored = len(await running.letters())
        finally:
            await asyncio.to_thread(read_only, "off")
        await until(lambda: _accepted(running, ANN), 10)
        assert len(await running.letters_finished(stored + 1)) == stored + 1
        await running.past_all_letters()
    assert len(mailbox.mails) == stored + 1


async def _refuses(running: Running) -> bool:
    return (await running.ask()).status_code == 503


@pytest.fixture
def pair() -> Iterator[tuple[postgres.Server, postgres.Server]]:
    """A primary, and a standby that has everything before it is told to anybody."""
    primary = postgres.Server(Path(tempfile.mkdtemp(prefix="resetsvc-pg-")))
    standby = postgres.Server(Path(tempfile.mkdtemp(prefix="resetsvc-pg-")), standby_of=primary)
    postgres.run_sql(
        primary.url(), "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"
    )
    schema.upgrade(primary.url())
    yield primary, standby
    primary.remove()
    standby.remove()


async def test_after_a_failover_the_standby_has_all_that_was_answered_and_no_process_is_restarted(
    pair: tuple[postgres.Server, postgres.Server], tmp_path: Path
) -> None:
    primary, standby = pair
    both = f"postgresql://postgres@/postgres?host={primary.folder},{standby.folder}"
    mailbox = Mailbox()
    answered: Counter[str] = Counter()
    stop = asyncio.Event()
    async with (
        service(tmp_path, mailbox, database_url=both, dispatch=False) as accepting,
        service(tmp_path, mailbox, database_url=both) as delivering,
    ):
        people = [f"a{n}@example.com" for n in range(8)]
        for person in people:
            await accepting.accounts.add(person, OLD_PASSWORD)

        async def ask(person: str) -> None:
            while not stop.is_set():
                answered[person] += (await accepting.ask(person)).status_code == 200

        async def answers(wanted: int) -> bool:
            return answered.total() >= wanted

        asking = [asyncio.create_task(ask(person)) for person in people]
        await until(lambda: answers(80), 30)
        await asyncio.to_thread(primary.kill)
        await asyncio.to_thread(standby.promote)
        before = answered.total()
        await until(lambda: answers(before + 80), 30)
        stop.set()
        await asyncio.gather(*asking)

        async def all_done() -> bool:
            return all(row["finished_at"] is not None for row in await delivering.letters())

        await until(all_done, 30)
        stored = Counter(row["address"] for row in await delivering.letters())
    mailed = Counter(mail.recipient for mail in mailbox.mails)
    assert all(stored[person] >= answered[person] for person in people), "answered, and not on the standby"
    assert all(mailed[person] >= stored[person] for person in people), "stored, and not mailed"
