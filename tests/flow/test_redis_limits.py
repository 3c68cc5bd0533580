"""Client limits that processes share in a real Redis; and what becomes of them, and of the answers, when it is gone."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

import resetsvc.limits
from tests.flow.conftest import ANN, OLD_PASSWORD, Running, Seen, Start, seen
from tests.support.redis import RedisServer, redis_server
from tests.support.unhurried_loop import loop_time


@pytest_asyncio.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a Redis on a busy machine answers too late would not be counted."""
    monkeypatch.setattr(resetsvc.limits, "PATIENCE", 30.0)


@pytest.mark.usefixtures("patient")
async def test_two_processes_count_one_sum(start: Start, redis: RedisServer) -> None:
    both = [await start(limit_per_client="10/minute", limit_storage_url=redis.url) for _ in range(2)]
    answers = await asyncio.gather(*(both[n % 2].ask(f"a{n}@example.com") for n in range(30)))
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [429] * 20
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


async def answers_of(running: Running) -> set[Seen]:
    """For somebody with an account and for nobody, a few times."""
    return {
        await seen(await running.ask(address)) for _ in range(3) for address in (ANN, "nobody@example.com")
    }


@pytest.mark.usefixtures("patient")
async def test_while_redis_is_gone_nobody_is_limited_and_the_answers_are_as_ever(
    start: Start, redis: RedisServer
) -> None:
    running = await start(limit_per_client="6/minute", limit_storage_url=redis.url, limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    (usual,) = await answers_of(running)
    assert usual.status == 200
    assert (await running.ask()).status_code == 429
    await redis.stop()
    began = loop_time()
    with capture_logs() as logs:
        assert await answers_of(running) == {usual}
    assert loop_time() - began < 3
    assert "client limits cannot be counted" in {event["event"] for event in logs}
    await redis.start()
    async with asyncio.timeout(10):
        while (
            await running.ask()
        ).status_code != 429:  # it counts again, from nothing: it kept all in memory
            pass


async def test_a_redis_that_stands_still_holds_nobody_up_for_long(start: Start, redis: RedisServer) -> None:
    running = await start(limit_per_client="100/minute", limit_storage_url=redis.url)
    (usual,) = await answers_of(running)
    redis.signal(signal.SIGSTOP)
    try:
        began = loop_time()
        assert await answers_of(running) == {usual}
        assert loop_time() - began < 5, "six requests, of which the first waits"
    finally:
        redis.signal(signal.SIGCONT)
    assert await answers_of(running) == {usual}


async def test_a_start_does_not_need_redis(start: Start, redis: RedisServer) -> None:
    await redis.stop()
    running = await start(limit_per_client="1/minute", limit_storage_url=redis.url)
    assert {answer.status for answer in await answers_of(running)} == {200}


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("scheme", ["unix", "redis+unix"])
async def test_a_redis_on_a_socket_of_this_machine_counts_too(
    scheme: str, start: Start, tmp_path: Path
) -> None:
    async with redis_server(tmp_path, socket_path=tmp_path / "s") as server:
        assert server.port
        running = await start(limit_per_client="1/minute", limit_storage_url=f"{scheme}://{tmp_path}/s")
        assert [(await running.ask()).status_code for _ in range(2)] == [200, 429]
