"""However many finished letters there are, the statements of every day find theirs by an index on PostgreSQL too."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from resetsvc.store.connection import Connection, Row
from resetsvc.store.database import Store
from tests.store.conftest import postgresql
from tests.store.rows import NOW
from tests.store.test_query_plans import EVERY_DAY
from tests.support import postgres

MANY = 20_000


@pytest.fixture(scope="module", params=["of now", "of a time when nothing waited"])
def many_letters(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with many finished letters, a few that wait, and statistics: made once, looked at only.

    After a quiet night no statistics know that letters wait, and after an outage it takes 2 % of all letters until they
    are made anew.
    """
    url = postgresql(Path())
    statistics = ["", "ANALYZE"] if request.param == "of now" else ["ANALYZE", ""]
    postgres.run_sql(
        url,
        f"""
        INSERT INTO letters (id, kind, state, address, message_id, asked_at, due_at, deadline_at, account_id,
            admitted_at, sent_at, finished_at, attempts)
        SELECT md5(n::text), 'reset', 'sent', n || '@example.com', 'm', {NOW} - n, {NOW} - n, {NOW}, n % 5000,
            {NOW} - n, {NOW} - n, {NOW} - n, 1
        FROM generate_series(1, {MANY}) AS n
        """,  # noqa: S608 -- numbers of this module
        statistics[0],
        f"""
        INSERT INTO letters (id, kind, state, address, message_id, asked_at, due_at, deadline_at)
        SELECT md5('w' || n), 'reset', CASE WHEN n % 2 = 0 THEN 'queued' ELSE 'sending' END, n || '@example.net', 'm', 1, 1, {NOW} + 3600
        FROM generate_series(1, 4000) AS n
        """,  # noqa: S608 -- the same
        f"""
        INSERT INTO letters (id, kind, state, address, message_id, asked_at, due_at, deadline_at, account_id,
            admitted_at, sent_at, finished_at, attempts, credential, link)
        SELECT md5('u' || n), 'reset', 'sent', n || '@example.org', 'm', 1, 1, {NOW}, n, {NOW} - n, {NOW} - n, {NOW} - n, 1, 'c',
            CASE WHEN n % 2 = 0 THEN 'used' END
        FROM generate_series(1, 4000) AS n
        """,  # noqa: S608 -- the same: letters of the last hours, which are not settled
        f"INSERT INTO attempts (letter_id, at, relay, verdict, reply) SELECT md5(n::text), 1, 'r', 'retry', '' FROM generate_series(1, {MANY}) AS n",  # noqa: S608 -- the same
        f"INSERT INTO accounts SELECT n, n || '@example.com', 'h', NULL, TRUE, 1, 1 FROM generate_series(1, {MANY}) AS n",  # noqa: S608 -- the same
        f"INSERT INTO mutes SELECT n, 1 FROM generate_series(1, {MANY}) AS n",  # noqa: S608 -- the same
        f"INSERT INTO audit SELECT n, 1, 'link_used', '', '', '', '' FROM generate_series(1, {MANY}) AS n",  # noqa: S608 -- the same
        statistics[1],
    )
    yield url
    postgres.drop_database(url)


class Explaining:
    """A connection that asks how each statement would be done, and does none."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.steps: list[str] = []

    async def fetch_all(self, sql: str, values: Mapping[str, Any] | None = None) -> Sequence[Row]:
        plan = await self._connection.fetch_all(f"EXPLAIN {sql}", values)
        self.steps += [row["QUERY PLAN"] for row in plan]
        return await self._connection.fetch_all(sql, values)

    async def fetch_one(self, sql: str, values: Mapping[str, Any] | None = None) -> Row | None:
        rows = await self.fetch_all(sql, values)
        return rows[0] if rows else None

    async def execute(self, sql: str, values: Mapping[str, Any] | None = None) -> None:
        await self.fetch_all(sql, values)

    async def lock(self, names: Sequence[str]) -> None:
        await self._connection.lock(names)


class Back(Exception):
    """Everything is to be as it was."""


# Looked at once an hour at most, for links or letters of all that time: a scan may be the best way.
MAY_SCAN = {"end old links", "erase"}


@pytest.mark.parametrize("name", sorted(EVERY_DAY.keys() - MAY_SCAN))
async def test_a_statement_of_every_day_reads_no_table_from_end_to_end(name: str, many_letters: str) -> None:
    store = Store(postgres.with_options(many_letters, "pool_size=2"))
    await store.open()
    steps: list[str] = []

    async def explained(unit: Connection) -> None:
        explaining = Explaining(unit)
        await EVERY_DAY[name][1](explaining)
        steps.extend(explaining.steps)
        raise Back

    with pytest.raises(Back):
        await store.unit(explained)
    await store.close()
    assert steps
    if name in (
        "claim fresh ones",
        "claim the newest",
        "claim retries",
    ):  # in order out of the index, none is sorted
        assert any("letters_due" in step for step in steps), "\n".join(steps)
        assert not any("Sort" in step for step in steps), "\n".join(steps)
    scans = [
        s
        for s in steps
        if "Seq Scan on" in s and any(t in s for t in ("letters", "attempts", "accounts", "mutes", "audit "))
    ]
    assert scans == [], "\n".join(steps)
    if name.startswith(
        ("end", "settle")
    ):  # not what is to be done now looked up anew for each letter there is
        assert not any("Join Filter" in step for step in steps), "\n".join(steps)
