"""The service through a real PgBouncer in transaction mode: each transaction may meet another session than the last one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from resetsvc.errors import DatabaseUnsuitable
from resetsvc.store.database import Store
from resetsvc.store.schema import REVISION
from resetsvc.testing import Mailbox
from tests.flow.conftest import ANN, NEW_PASSWORD, OLD_PASSWORD, Start, until
from tests.support import postgres
from tests.support.pgbouncer import pgbouncer_before


@pytest.fixture
def direct() -> Iterator[str]:
    """On the tests' own server: one of somebody else's may be out of reach for a pooler."""
    server = postgres.own_server()
    postgres.run_sql(server.url(), "CREATE DATABASE pooled")
    yield server.url("pooled")
    postgres.run_sql(server.url(), "DROP DATABASE pooled WITH (FORCE)")


@pytest_asyncio.fixture
async def database(direct: str) -> AsyncIterator[str]:
    async with pgbouncer_before(direct) as through:
        await Store(through).migrate()
        yield through


async def test_the_schema_is_made_through_it(database: str, direct: str) -> None:
    assert postgres.run_sql(direct, "SELECT version_num FROM alembic_version") == [{"version_num": REVISION}]


async def test_a_reset_goes_through_it_from_end_to_end(start: Start) -> None:
    running = await start()
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    assert (await running.set_password(mail.link_path)).status_code == 200
    assert await running.accounts.verify(ANN, NEW_PASSWORD)


async def test_under_load_from_two_processes_no_request_fails_and_no_mail_is_missing_or_doubled(
    start: Start, direct: str
) -> None:
    mailbox = Mailbox()
    accepting = await start(outbox=mailbox, dispatch=False, limit_per_account="")
    delivering = await start(outbox=mailbox, limit_per_account="")
    people = [f"a{n}@example.com" for n in range(16)]
    for person in people:
        await accepting.accounts.add(person, OLD_PASSWORD)

    async def ask(person: str) -> list[int]:
        return [
            (await running.ask(person)).status_code for running in (accepting, delivering) for _ in range(10)
        ]

    answers = await asyncio.gather(*(ask(person) for person in people))
    assert Counter(status for statuses in answers for status in statuses) == {200: 320}
    await delivering.letters_finished(320)
    assert Counter(mail.recipient for mail in mailbox.mails) == dict.fromkeys(people, 20)

    async def no_transaction_is_left_open() -> bool:
        sql = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
        return not await asyncio.to_thread(postgres.run_sql, direct, sql)

    await until(no_transaction_is_left_open)


async def test_whoever_forgets_to_say_that_it_is_there_is_told(database: str) -> None:
    with pytest.raises(DatabaseUnsuitable, match=r"write pgbouncer=true into the URL$"):
        await Store(database.replace("&pgbouncer=true", "")).open()
