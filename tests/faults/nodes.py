"""Several that accept and several that deliver, on one PostgreSQL and one Redis: killed at random, and the database with them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.faults.campaigns import Tell, kill_and_kill_again
from tests.faults.databases import PostgresServer, Way
from tests.faults.load import Load
from tests.faults.machine import Machine
from tests.support.redis import RedisServer, redis_server

ENDS: Sequence[Way] = ("fast", "immediate", "kill")  # of the database's server, in turn


@asynccontextmanager
async def postgresql_and_redis(folder: Path) -> AsyncIterator[tuple[PostgresServer, RedisServer]]:
    """Servers of the machine's own."""
    with PostgresServer() as database:
        async with redis_server(folder) as redis:
            yield database, redis


def settings_of_nodes(redis: RedisServer) -> Mapping[str, str]:
    """Those that serve accept, those that dispatch deliver. Every request comes from a client of its own, so none is limited."""
    return {
        "RESETSVC_DISPATCH": "false",
        "RESETSVC_LIMIT_STORAGE_URL": redis.url,
        "RESETSVC_LIMIT_PER_CLIENT": "20/minute",
    }


async def kills_and_restarts(machine: Machine, load: Load, kills: int, restarts: int, tell: Tell) -> None:
    """kill -9 at random moments; meanwhile the database is ended and started again, so many times."""
    parts = max(restarts, 1)
    async with machine.looking_at_leases():
        for part in range(parts):
            async with asyncio.TaskGroup() as group:
                share = kills * (part + 1) // parts - kills * part // parts
                group.create_task(kill_and_kill_again(machine, load, share, tell))
                if part < restarts:
                    group.create_task(_end_the_database(machine, load, ENDS[part % len(ENDS)]))


async def _end_the_database(machine: Machine, load: Load, way: Way) -> None:
    """In the moment in which somebody was answered; it is started again within two seconds."""
    await load.answers(20)
    async with machine.database_away(way):
        await asyncio.sleep(machine.chance.random() * 2)
    await load.answers(20)
