"""What is PostgreSQL's own: the pool, locks between processes, lost connections and commits, news, the common clock."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from resetsvc.database_time import clock_of
from resetsvc.errors import (
    CannotStore,
    DatabaseUnsuitable,
    DatabaseUnusable,
    SchemaMissing,
    SchemaOutdated,
    SchemaTooNew,
)
from resetsvc.housekeeping import erase
from resetsvc.store import kept_letters as kept
from resetsvc.store import letters as sql
from resetsvc.store import links, mutes
from resetsvc.store.address import POOL_SIZE, parse_address
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store
from resetsvc.store.postgres import connect
from resetsvc.store.settled_letters import settle_letters
from tests.store.conftest import postgresql
from tests.store.rows import NOW, admitted, claim, new_letter, put, row, sent
from tests.support import postgres


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    """PostgreSQL alone."""
    url = postgresql(tmp_path)
    yield url
    postgres.drop_database(url)


@contextlib.asynccontextmanager
async def another_session(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection that knows nothing of ours, as another process or an administrator's shell has one."""
    driver = await connect(parse_address(url), server_settings={})
    try:
        yield driver
    finally:
        driver.terminate()


async def stored(store: Store) -> int:
    return sum((await store.read(kept.count_by_state)).values())


async def until(true: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 -- what another session does sets no event here
            await asyncio.sleep(0.005)


# ---- the pool ----


async def sessions(url: str) -> int:
    async with another_session(url) as driver:
        number = await driver.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND application_name = 'resetsvc'"
        )
        return int(number)


async def test_a_thousand_requests_that_are_aborted_in_mid_transaction_leave_the_pool_whole(
    store: Store, database_url: str
) -> None:
    """`databases` loses a connection for good where a task is cancelled within its transaction: units run elsewhere."""
    begun = 0

    async def work(unit: Connection) -> None:
        nonlocal begun
        begun += 1
        mine = begun
        await mutes.mute_account(unit, f"{mine}", NOW)
        await asyncio.sleep(0.001)
        await mutes.mute_account(unit, f"and {mine}", NOW)

    for _ in range(20):
        before = begun
        tasks = [asyncio.create_task(store.unit(work, alone=n % 5 == 0)) for n in range(50)]
        while begun == before:  # noqa: ASYNC110 -- until some are in the middle
            await asyncio.sleep(0.0005)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert any(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert await sessions(database_url) == POOL_SIZE
    together, go_on = asyncio.Barrier(POOL_SIZE), asyncio.Event()

    async def hold(unit: Connection) -> None:
        async with asyncio.timeout(5):
            await together.wait()  # all at the same time: as many connections as ever
        go_on.set()

    await asyncio.gather(*(store.unit(hold, alone=False) for _ in range(POOL_SIZE)))
    assert go_on.is_set()
    await until(lambda: _muted_are(store, 2 * begun))
    assert begun == 1000, "what was begun by a caller who hung up is done all the same"


async def _muted_are(store: Store, number: int) -> bool:
    found = await store.read(lambda c: c.fetch_one("SELECT count(*) AS n FROM mutes"))
    assert found is not None
    return bool(found["n"] == number)


async def test_an_error_of_the_work_itself_costs_no_connection(store: Store, database_url: str) -> None:
    """Also one that looks like the driver's: an account service out of reach, say."""

    async def work(unit: Connection) -> None:
        await mutes.mute_account(unit, "1", NOW)
        raise OSError("another server is down")

    before = await _pids(database_url)
    for _ in range(2 * POOL_SIZE):
        with pytest.raises(OSError, match="another server"):
            await store.unit(work)
    assert await _pids(database_url) == before
    assert await _muted_are(store, 0)


async def _pids(url: str) -> set[int]:
    async with another_session(url) as driver:
        rows = await driver.fetch(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'resetsvc'"
        )
        return {int(found["pid"]) for found in rows}


async def test_a_statement_that_failed_is_not_taken_for_done_though_its_error_was_swallowed(
    store: Store,
) -> None:
    """COMMIT after an error rolls back and calls itself a success."""

    async def work(unit: Connection) -> None:
        await mutes.mute_account(unit, "1", NOW)
        with contextlib.suppress(Exception):
            await unit.execute("SELECT 1 / 0")

    with pytest.raises(CannotStore):
        await store.unit(work)
    assert await _muted_are(store, 0)


async def test_units_that_want_to_be_alone_leave_connections_for_all_others(
    store: Store, other_store: Store
) -> None:
    holding, go_on = asyncio.Event(), asyncio.Event()

    async def hold(unit: Connection) -> None:
        holding.set()
        await go_on.wait()

    first = asyncio.create_task(other_store.unit(hold))
    await holding.wait()
    waiting = [asyncio.create_task(store.unit(lambda c: mutes.mute_account(c, "1", NOW))) for _ in range(50)]
    async with asyncio.timeout(10):  # else it would wait until `go_on`, which is set afterwards
        for _ in range(20):
            await put(store, new_letter())
            assert await stored(store) > 0
    assert not any(task.done() for task in waiting)
    go_on.set()
    await asyncio.gather(first, *waiting)


async def test_a_unit_that_waits_too_long_for_its_turn_is_refused(store: Store) -> None:
    go_on, all_hold = asyncio.Event(), asyncio.Barrier(POOL_SIZE + 1)

    async def hold(unit: Connection) -> None:
        await all_hold.wait()
        await go_on.wait()

    holding = [asyncio.create_task(store.unit(hold, alone=False)) for _ in range(POOL_SIZE)]
    await all_hold.wait()
    async with asyncio.timeout(8):
        with pytest.raises(CannotStore):
            await put(store, new_letter())
    go_on.set()
    await asyncio.gather(*holding)
    assert await stored(store) == 0


# ---- beside others ----


async def test_a_claim_does_not_wait_for_another_process_that_is_claiming(
    store: Store, other_store: Store
) -> None:
    letters = [new_letter(asked_at=NOW - 10 + n) for n in range(6)]
    await put(store, *letters)
    claimed, go_on = asyncio.Event(), asyncio.Event()

    async def slow(unit: Connection) -> list[str]:
        found = await sql.claim_due_letters(
            unit, fresh=True, owner="a", now=NOW, lease_until=NOW + 10, limit=3
        )
        claimed.set()
        await go_on.wait()
        return [letter.id for letter in found]

    first = asyncio.create_task(store.unit(slow, alone=False))
    await claimed.wait()
    async with asyncio.timeout(10):  # else it would wait until `go_on`, which is set afterwards
        second = await other_store.unit(
            lambda unit: sql.claim_due_letters(
                unit, fresh=True, owner="b", now=NOW, lease_until=NOW + 10, limit=5
            ),
            alone=False,
        )
    go_on.set()
    assert await first == [letter.id for letter in letters[:3]]
    assert [letter.id for letter in second] == [letter.id for letter in letters[3:]]


async def test_eight_that_claim_at_once_take_each_letter_once(database_url: str) -> None:
    stores = [Store(postgres.with_options(database_url, "pool_size=2")) for _ in range(8)]
    for one in stores:
        await one.open()
    try:
        letters = [new_letter() for _ in range(800)]
        await put(stores[0], *letters)

        async def take(one: Store, owner: str) -> list[str]:
            taken: list[str] = []
            while True:
                found = await one.unit(
                    lambda unit: sql.claim_due_letters(
                        unit, fresh=True, owner=owner, now=NOW, lease_until=NOW + 10, limit=10
                    ),
                    alone=False,
                )
                if not found:
                    return taken
                taken += [letter.id for letter in found]

        taken = await asyncio.gather(*(take(one, f"{n}") for n, one in enumerate(stores)))
        assert sorted(letter for of_one in taken for letter in of_one) == sorted(x.id for x in letters)
    finally:
        for one in stores:
            await one.close()


async def test_what_is_locked_by_name_is_locked_until_the_unit_ends_and_nothing_else(
    store: Store, other_store: Store
) -> None:
    locked, go_on = asyncio.Event(), asyncio.Event()
    order: list[str] = []

    async def first(unit: Connection) -> None:
        await unit.lock(["ann", "ben"])
        locked.set()
        await go_on.wait()
        order.append("first")

    async def after(unit: Connection) -> None:
        await unit.lock(["carl", "ben"])
        order.append("after")

    async def beside(unit: Connection) -> None:
        await unit.lock(["dora"])
        await unit.lock([])
        order.append("beside")

    holding = asyncio.create_task(store.unit(first, alone=False))
    await locked.wait()
    waiting = asyncio.create_task(other_store.unit(after, alone=False))
    async with asyncio.timeout(10):  # else it would wait until `go_on`, which is set afterwards
        await other_store.unit(beside, alone=False)
    go_on.set()
    await asyncio.gather(holding, waiting)
    assert order == ["beside", "first", "after"]


async def test_two_units_that_wait_for_each_other_are_both_done_in_the_end(
    store: Store, other_store: Store
) -> None:
    """PostgreSQL ends one of them after a second; it is done again from its beginning."""
    await mutes_of(store, "1", "2")
    both = asyncio.Barrier(2)
    tries: list[str] = []

    def work(first: str, second: str) -> Callable[[Connection], Awaitable[None]]:
        async def update(unit: Connection) -> None:
            tries.append(first)
            await unit.execute("UPDATE mutes SET until = until + 1 WHERE account_id = :id", {"id": first})
            if len(tries) <= 2:
                await both.wait()
            await unit.execute("UPDATE mutes SET until = until + 1 WHERE account_id = :id", {"id": second})

        return update

    async with asyncio.timeout(10):
        await asyncio.gather(
            store.unit(work("1", "2"), alone=False), other_store.unit(work("2", "1"), alone=False)
        )
    assert (
        len(tries) >= 3
    )  # whoever was ended may be the quicker one again, and then meets the other a second time
    rows = await store.read(lambda c: c.fetch_all("SELECT until FROM mutes"))
    assert [found["until"] for found in rows] == [NOW + 2, NOW + 2]


async def mutes_of(store: Store, *accounts: str) -> None:
    for account in accounts:
        await store.write(lambda c, a=account: mutes.mute_account(c, a, NOW))  # type: ignore[misc]  # binds the loop's value


async def test_a_process_that_stands_still_in_a_unit_holds_nothing_for_longer_than_a_lease(
    database_url: str, store: Store
) -> None:
    (setting,) = await store.read(
        lambda c: c.fetch_all(
            "SELECT setting FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"
        )
    )
    assert 0 < int(setting["setting"]) <= 10_000


# ---- lost connections ----


async def end_sessions(url: str) -> None:
    async with another_session(url) as driver:
        await driver.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'resetsvc'"
        )


async def test_after_all_connections_were_ended_the_next_request_finds_new_ones(
    store: Store, database_url: str
) -> None:
    await put(store, new_letter())
    for _ in range(3):
        await end_sessions(database_url)
        await until(lambda: _no_sessions(database_url))
        await put(store, new_letter())
    assert await stored(store) == 4


async def _no_sessions(url: str) -> bool:
    return await sessions(url) == 0


async def test_a_connection_that_is_lost_within_a_unit_refuses_it_whole(
    store: Store, database_url: str
) -> None:
    written, go_on = asyncio.Event(), asyncio.Event()

    async def work(unit: Connection) -> None:
        await sql.insert_letters(unit, [new_letter()])
        written.set()
        await go_on.wait()

    task = asyncio.create_task(store.unit(work))
    await written.wait()
    await end_sessions(database_url)
    go_on.set()
    with pytest.raises(CannotStore):
        await task
    assert await stored(store) == 0


async def test_a_constraint_is_told_without_the_values_that_broke_it(store: Store) -> None:
    letter = new_letter("ann@example.com")
    await put(store, letter)
    with pytest.raises(CannotStore) as refused:
        await put(store, letter)
    for told in (str(refused.value.__cause__), repr(refused.value.__cause__)):
        assert "letters_id" in told
        assert "ann@example.com" not in told


async def test_a_server_that_became_read_only_is_left_for_one_that_is_not(
    store: Store, database_url: str
) -> None:
    """As after a failover: writing is refused, and the next try looks for the primary anew."""
    before = await _pids(database_url)

    async def as_a_standby(connection: Connection) -> None:
        await connection.execute("SET default_transaction_read_only = on")
        await sql.insert_letters(connection, [new_letter()])

    with pytest.raises(CannotStore):
        await store.write(as_a_standby)
    await put(store, new_letter())
    assert await stored(store) == 1
    await until(lambda: _is_whole(database_url))
    assert len(before - await _pids(database_url)) == 1


async def _is_whole(url: str) -> bool:
    return len(await _pids(url)) == POOL_SIZE


# ---- news ----


async def test_news_of_letters_reach_another_process(store: Store, other_store: Store) -> None:
    heard = asyncio.Event()
    await other_store.listen(heard.set)
    async with asyncio.timeout(5):
        await heard.wait()  # it listens now, and looks at once
        for _ in range(3):
            heard.clear()
            store.announce()
            await heard.wait()


async def test_whoever_listened_listens_again_after_a_lost_connection(
    store: Store, other_store: Store, database_url: str
) -> None:
    heard = asyncio.Event()
    await other_store.listen(heard.set)
    async with asyncio.timeout(10):
        await heard.wait()
        heard.clear()
        await end_sessions(database_url)
        await heard.wait()
        heard.clear()
        store.announce()
        await heard.wait()


# ---- the common clock ----


async def test_the_time_is_the_databases(store: Store, database_url: str) -> None:
    async with clock_of(store) as clock:
        async with another_session(database_url) as driver:
            there = float(await driver.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8"))
        assert abs(clock.now() - there) < 0.5


# ---- what is told at the start ----


async def test_the_schema_has_to_be_there_already_and_is_not_made(store: Store) -> None:
    url = postgres.new_database(migrated=False)
    with pytest.raises(SchemaMissing, match="no schema yet: run `resetsvc migrate`"):
        await Store(url).open()
    assert postgres.run_sql(url, "SELECT count(*) AS n FROM pg_tables WHERE schemaname = 'public'") == [
        {"n": 0}
    ]
    postgres.drop_database(url)


@pytest.mark.parametrize(("revision", "error"), [("0001", SchemaOutdated), ("9999", SchemaTooNew)])
async def test_another_schema_is_told_and_left_alone(
    revision: str, error: type[Exception], database_url: str
) -> None:
    postgres.run_sql(database_url, f"UPDATE alembic_version SET version_num = '{revision}'")  # noqa: S608 -- of the table above
    with pytest.raises(error):
        await Store(database_url).open()
    assert postgres.run_sql(database_url, "SELECT version_num FROM alembic_version") == [
        {"version_num": revision}
    ]


async def test_a_server_that_answers_before_it_has_written_is_refused(database_url: str) -> None:
    with pytest.raises(DatabaseUnsuitable, match="synchronous_commit"):
        await Store(postgres.with_options(database_url, "synchronous_commit=off")).open()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda url: postgres.with_database(url, "nowhere"), "nowhere"),
        (lambda url: postgres.as_role(url, "nobody_here"), "nobody_here"),
        (lambda url: postgres.with_options(url, "no_such_setting=1"), "no_such_setting"),
    ],
    ids=["no such database", "no such role", "no such setting"],
)
async def test_what_somebody_has_to_mend_is_told_as_such(
    change: Callable[[str], str], told: str, database_url: str
) -> None:
    with pytest.raises(DatabaseUnsuitable, match=told) as refused:
        await Store(change(database_url)).open()
    assert "hunter2" not in str(refused.value)


async def test_a_server_that_is_down_may_be_up_later(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("nobody")
    with pytest.raises(DatabaseUnusable) as refused:
        await Store(f"postgresql://u:hunter2@/resetsvc?host={folder}").open()
    assert not isinstance(refused.value, DatabaseUnsuitable)
    assert "hunter2" not in str(refused.value)


async def test_permissions_that_lack_are_named(database_url: str) -> None:
    role = f"reader_{urlsplit(database_url).path[-12:]}"
    postgres.run_sql(
        database_url, postgres.create_role(role), f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    )
    with pytest.raises(DatabaseUnsuitable, match="INSERT on letters, UPDATE on letters"):
        await Store(postgres.as_role(database_url, role)).open()
    postgres.run_sql(database_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


HOW_TO = Path(__file__).parents[2] / "docs" / "how_to" / "use_postgresql.md"


@pytest.fixture
def worker(database_url: str) -> Iterator[tuple[str, list[str]]]:
    """A role that may do what the how-to says, and what that is."""
    role = f"worker_{urlsplit(database_url).path[-12:]}"
    grants = re.findall(r"^GRANT .+(?= TO resetsvc;$)", HOW_TO.read_text(), re.MULTILINE)
    postgres.run_sql(database_url, postgres.create_role(role), *(f"{grant} TO {role}" for grant in grants))
    yield role, grants
    postgres.run_sql(database_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_a_role_that_may_do_what_the_how_to_says_is_enough(
    worker: tuple[str, list[str]], database_url: str
) -> None:
    store = Store(postgres.as_role(database_url, worker[0]))
    await store.open()
    over, letter_id = await sent(store, account="2"), await admitted(store)
    assert (await row(store, letter_id))["state"] == "sending"
    await store.unit(lambda unit: links.revoke_links(unit, "2", NOW))
    assert await store.unit(lambda unit: settle_letters(unit, after=0.0, until=NOW, limit=9)) == [NOW]
    assert (await row(store, over))["credential"] is None
    assert await erase(store, NOW + 2, 1) == 1
    await store.close()


async def test_each_right_that_the_how_to_gives_is_missed_at_the_start(
    worker: tuple[str, list[str]], database_url: str
) -> None:
    """And not at the first letter, or the first that is erased, weeks later."""
    role, grants = worker
    rights = [
        (right, table)
        for grant in grants
        for wanted, tables in [grant.removeprefix("GRANT ").split(" ON ")]
        for right in wanted.split(", ")
        for table in tables.split(", ")
        if not table.startswith("ALL SEQUENCES")
    ]
    assert len(rights) > 30
    async with another_session(database_url) as owner:
        for right, table in rights:
            await owner.execute(f"REVOKE {right} ON {table} FROM {role}")
            with pytest.raises(DatabaseUnsuitable, match=table):
                await Store(postgres.as_role(database_url, role)).open()
            await owner.execute(f"GRANT {right} ON {table} TO {role}")


async def test_a_letter_that_somebody_has_locked_holds_up_no_other_that_settles(
    store: Store, database_url: str
) -> None:
    """Of two dispatchers that settle at once neither waits for the other, nor moves what the other has."""
    locked, free = await sent(store, account="1"), await sent(store, account="2")
    for account in ("1", "2"):
        await store.write(lambda c, account=account: links.revoke_links(c, account, NOW))  # type: ignore[misc]  # a default binds the loop's value
    async with another_session(database_url) as other, other.transaction():
        await other.execute("SELECT 1 FROM letters WHERE id = $1 FOR UPDATE", locked)
        assert await store.unit(lambda c: settle_letters(c, after=0.0, until=NOW, limit=9)) == [NOW]
        left = await other.fetch("SELECT id FROM letters")
    assert [one["id"] for one in left] == [locked] != [free]


# ---- through a pooler ----


async def test_behind_pgbouncer_nothing_is_left_in_a_session(database_url: str) -> None:
    address = parse_address(postgres.with_options(database_url, "pgbouncer=true&pool_size=3"))
    assert (address.pool_size, address.pgbouncer) == (3, True)
    assert (address.connecting["statement_cache_size"], address.connecting["server_settings"]) == (0, {})
    store = Store(postgres.with_options(database_url, "pgbouncer=true&pool_size=3"))
    await store.open()
    heard: list[None] = []
    await store.listen(lambda: heard.append(None))

    async def limits(unit: Connection) -> list[Any]:
        rows = await unit.fetch_all("SELECT name, setting FROM pg_settings WHERE name LIKE '%_timeout'")
        return [found["setting"] for found in rows if found["name"] == "statement_timeout"]

    assert await store.unit(limits) == ["8000"]
    assert await store.unit(limits, alone=False) == ["8000"]
    assert await store.read(limits) == ["0"]
    await put(store, new_letter())
    assert len(await claim(store)) == 1
    kept = await store.read(lambda c: c.fetch_all("SELECT name FROM pg_prepared_statements"))
    assert [found["name"] for found in kept] == []
    await store.close()
    assert heard == []
