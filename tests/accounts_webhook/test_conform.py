"""`accounts conform` with an endpoint: what it promises about a swap is tried on one account, which is then as it was."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from resetsvc.accounts.webhook_mapping import WebhookMapping
from resetsvc.cli.conform_endpoint import EndpointTrial, PromiseBroken
from resetsvc.clock import Clock
from resetsvc.passwords.hashing import Hasher
from tests.accounts_webhook.samples import DEMO, Sample
from tests.accounts_webhook.samples import OLD_PASSWORD as DEMO_PASSWORD
from tests.accounts_webhook.test_questions import ANN, OLD_PASSWORD
from tests.accounts_webhook.test_samples import sample as sample
from tests.cli.processes import environment, run, running
from tests.support.accounts_endpoint import SECRET, AccountsEndpoint

STEPS = [
    "account: found by its address and by its id, and mail would go to it",
    "swap: done, and the version is another one",
    "the same again: the same answer, and nothing is done twice",
    "an old version: nothing is changed",
    "old password: back in force",
]


async def tried(url: str, email: str = ANN, password: str = OLD_PASSWORD, **other: Any) -> list[str]:
    said: list[str] = []
    described = WebhookMapping.model_validate({"url": url, "secret": SECRET, "timeout": 2, **other})
    hasher = Hasher(memory_kib=8192, time_cost=1, parallelism=1, concurrency=1)
    trial = EndpointTrial.of(described, hasher, Clock(), said.append)
    try:
        await trial.run(email, password)
    except PromiseBroken as broken:
        said.append(f"broken: {broken}")
    finally:
        await trial.close()
        hasher.close()
    return said


async def test_the_samples_keep_their_promises_and_the_password_is_as_before(sample: Sample) -> None:
    assert await tried(sample.endpoint, DEMO, DEMO_PASSWORD) == STEPS
    assert await sample.lets_in(DEMO_PASSWORD)


async def test_an_endpoint_that_is_sent_hashes_is_tried_with_hashes(endpoint: AccountsEndpoint) -> None:
    ann = endpoint.add(ANN)
    assert await tried(endpoint.url, hash={"format": "werkzeug_pbkdf2", "iterations": 1000}) == STEPS
    assert ann.password.startswith("pbkdf2:sha256:1000$")
    assert endpoint.changes == 2
    assert OLD_PASSWORD.encode() not in b"".join(question.raw for question in endpoint.questions)


async def test_an_endpoint_that_forgets_what_it_answered_is_found_out(endpoint: AccountsEndpoint) -> None:
    ann = endpoint.add(ANN)
    right = endpoint.reply

    def forgets(message_id: str, body: dict[str, Any]) -> bytes:
        endpoint.swaps_answered.clear()
        return right(message_id, body)

    endpoint.reply = forgets  # type: ignore[method-assign]  # the endpoint is the test's own
    said = await tried(endpoint.url)
    assert said[-2] == STEPS[-1]
    assert said[-1].startswith("broken: the same again: another answer than the first time")
    assert ann.password == OLD_PASSWORD


async def test_an_endpoint_that_does_it_twice_is_found_out(endpoint: AccountsEndpoint) -> None:
    ann = endpoint.add(ANN)
    right = endpoint.reply

    def does_it_again(message_id: str, body: dict[str, Any]) -> bytes:
        if message_id in endpoint.swaps_answered:
            ann.version += 1
        return right(message_id, body)

    endpoint.reply = does_it_again  # type: ignore[method-assign]  # the endpoint is the test's own
    assert (await tried(endpoint.url))[-1] == "broken: the same again: it was done a second time"
    assert ann.password == OLD_PASSWORD


async def test_an_endpoint_that_compares_no_version_is_found_out(endpoint: AccountsEndpoint) -> None:
    ann = endpoint.add(ANN)
    right = endpoint.swap

    def always(account_id: str, version: str, new: dict[str, str]) -> bool:
        return right(account_id, f"v{ann.version}", new)

    endpoint.swap = always  # type: ignore[method-assign]  # the endpoint is the test's own
    assert (await tried(endpoint.url))[-1].startswith("broken: an old version: the endpoint swaps")
    assert ann.password == OLD_PASSWORD


async def test_an_endpoint_whose_version_stays_is_found_out(endpoint: AccountsEndpoint) -> None:
    ann = endpoint.add(ANN)
    right = endpoint.swap

    def stays(account_id: str, version: str, new: dict[str, str]) -> bool:
        done = right(account_id, version, new)
        ann.version = 1
        return done

    endpoint.swap = stays  # type: ignore[method-assign]  # the endpoint is the test's own
    said = await tried(endpoint.url)
    assert "links would not die with it" in said[-1]
    assert ann.password == OLD_PASSWORD


async def test_an_account_that_would_get_no_mail_is_told_and_nothing_is_changed(
    endpoint: AccountsEndpoint,
) -> None:
    assert await tried(endpoint.url) == ["broken: account: nobody has this address"]
    ann = endpoint.add(ANN, active=False)
    assert await tried(endpoint.url) == ["broken: account: it is not active, so no mail would go to it"]
    ann.active = True
    endpoint.add(ANN)
    assert await tried(endpoint.url) == ["broken: account: several have this address"]
    assert endpoint.changes == 0


async def test_an_endpoint_that_fails_on_the_way_is_told_and_the_password_put_back(
    endpoint: AccountsEndpoint,
) -> None:
    ann = endpoint.add(ANN)
    endpoint.manners = ["well", "well", "loses its answer"]  # find, get, swap
    assert await tried(endpoint.url) == [STEPS[0], STEPS[-1], "broken: swap: RemoteProtocolError"]
    assert (ann.password, endpoint.changes) == (OLD_PASSWORD, 2)


async def test_what_could_not_be_put_back_is_told_loudly(endpoint: AccountsEndpoint) -> None:
    endpoint.add(ANN)
    endpoint.manners = ["well"] * 6  # find, get; swap, get; the same again, get
    endpoint.manner = "500"
    assert (await tried(endpoint.url))[-1] == "broken: old password: NOT put back: answered 500"


@pytest.fixture
def env(tmp_path: Path, endpoint: AccountsEndpoint) -> dict[str, str]:
    config = tmp_path / "resetsvc.toml"
    config.write_text(
        f"[accounts]\nurl = {json.dumps(endpoint.url)}\nsecret = {json.dumps(SECRET)}\n", "utf-8"
    )
    config.chmod(0o600)
    return environment(tmp_path, config=str(config))


async def test_the_command_says_each_step(
    endpoint: AccountsEndpoint, env: dict[str, str], tmp_path: Path
) -> None:
    ann = endpoint.add(ANN)
    command = ("accounts", "conform", ANN, "--password-stdin")
    ended = await run(*command, env=env, cwd=tmp_path, stdin=OLD_PASSWORD.encode())
    assert (ended.code, ended.out.splitlines(), ended.err) == (0, STEPS, "")
    endpoint.manner = "401"
    ended = await run(*command, env=env, cwd=tmp_path, stdin=OLD_PASSWORD.encode())
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines() == ["resetsvc: account: answered 401"]
    assert ann.password == OLD_PASSWORD


async def test_whoever_stops_the_command_leaves_the_old_password_behind(
    endpoint: AccountsEndpoint, env: dict[str, str], tmp_path: Path
) -> None:
    ann = endpoint.add(ANN)
    right, swapped = endpoint.reply, asyncio.Event()

    def tells(message_id: str, body: dict[str, Any]) -> bytes:
        if "swap" in body["type"]:
            swapped.set()
        return right(message_id, body)

    endpoint.reply = tells  # type: ignore[method-assign]  # the endpoint is the test's own
    async with running("accounts", "conform", ANN, "--password-stdin", env=env, cwd=tmp_path) as command:
        assert command.process.stdin is not None
        command.process.stdin.write(OLD_PASSWORD.encode())
        command.process.stdin.close()
        async with asyncio.timeout(15):
            await swapped.wait()
        command.signal(signal.SIGTERM)
        assert await command.ended() in (0, 130)  # where it ended before it was told to
    assert ann.password == OLD_PASSWORD
    assert endpoint.changes == 2
