"""One link, fifty uses at once, over two processes on one database: one wins, and the stored hash is the winner's."""

import asyncio
import email
import email.policy
import re
from contextlib import AsyncExitStack
from email.message import EmailMessage
from pathlib import Path

import httpx

from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.clock import Clock
from resetsvc.passwords.hashing import Hasher
from resetsvc.store.database import Store
from tests.cli.processes import add_account, environment, serving
from tests.support.relay_on_order import RelayOnOrder

ANN = "ann@user.test"
OLD_PASSWORD = "an old password of hers"
USES = 50


async def verifies(env: dict[str, str], passwords: list[str]) -> list[bool]:
    """Which of these is the password on record; asked of the database, past the processes."""
    hasher = Hasher(memory_kib=8192, time_cost=1, parallelism=1, concurrency=1)
    store = Store(env["RESETSVC_DATABASE_URL"])
    await store.open()
    try:
        accounts = BuiltinAccounts(store, hasher, Clock())
        return [await accounts.verify(ANN, password) for password in passwords]
    finally:
        await store.close()
        hasher.close()


async def notices(env: dict[str, str]) -> int:
    store = Store(env["RESETSVC_DATABASE_URL"])
    await store.open()
    try:
        rows = await store.read(
            lambda connection: connection.fetch_all("SELECT id FROM letters WHERE kind != 'reset'", {})
        )
    finally:
        await store.close()
    return len(rows)


async def test_of_fifty_uses_over_two_processes_one_wins_and_its_password_is_the_one_on_record(
    tmp_path: Path,
) -> None:
    async with RelayOnOrder() as relay, AsyncExitStack() as stack:
        env = environment(tmp_path, relay.url)
        await add_account(env, ANN, OLD_PASSWORD)
        houses = [await stack.enter_async_context(serving(env, tmp_path)) for _ in range(2)]
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=house.url, timeout=20))
            for house in houses
        ]
        assert (await clients[0].post("/reset-password", data={"email": ANN})).status_code == 200
        await relay.until(lambda: relay.accepted >= 1, within=20)
        mail = email.message_from_bytes(relay.mails[0].message, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        text = mail.get_body(("plain",))
        assert text is not None
        link = re.search(r"^https://reset\.example\.com(/reset/\S+)\r?$", text.get_content(), re.MULTILINE)
        assert link is not None
        path = link[1]
        passwords = [f"four unrelated words, number {number}" for number in range(USES)]

        async def use(number: int) -> httpx.Response:
            return await clients[number % 2].post(path, data={"password": passwords[number]})

        answers = await asyncio.gather(*(use(number) for number in range(USES)))
        statuses = [answer.status_code for answer in answers]
        assert sorted(set(statuses)) == [200, 410]
        assert statuses.count(200) == 1
        assert {answer.text for answer in answers if answer.status_code == 410} == {
            answers[statuses.index(410)].text
        }
        held = await verifies(env, [*passwords, OLD_PASSWORD])
        assert [place for place, holds in enumerate(held) if holds] == [statuses.index(200)]
        assert await notices(env) == 1
        for client in clients:  # dead in both, also afterwards
            assert (await client.get(path)).status_code == 410
        for house in houses:
            assert await house.stop() == 0
            assert "Traceback" not in house.said
