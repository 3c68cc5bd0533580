"""N. How much PostgreSQL's log grows by a request and by a changed password: what its disk and its standbys have to carry.

Octets, not seconds: a busy machine does not change them. Whole flows, by one process that accepts and one that delivers:
asked, claimed, admitted, sent, recorded. Under load many share a batch; one after the other none does. After a checkpoint a
page is written whole into the log the first time that it changes, so the same is measured in a database with nothing in it,
and beside 1,000,000 finished letters, where each request meets other pages of the indexes: in the first requests after a
checkpoint, and in those that come next. Each letter is written twice more when hours have passed: its link ends, and it is
moved to the settled ones. That is measured apart, and counts for each letter that was sent.
"""

import time
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack

from tests.support import postgres

from bench.contenders import Place, resetsvc_environment
from bench.harness.bench import Bench, target
from bench.harness.postgres_house import House, contender, dispatching, place_on, postgres_house
from bench.harness.processes import ProgramFailed
from bench.harness.relays import Relay, instant_relay
from bench.harness.result import Chart, Result
from bench.harness.wrk import ask
from resetsvc.clock import Clock
from resetsvc.housekeeping import SLICE
from resetsvc.store import links
from resetsvc.store.database import Store
from resetsvc.store.settled_letters import settle_letters
from resetsvc.tokens import Tokens

LETTER = "N"
TITLE = "What PostgreSQL's log grows by a request"

REQUESTS = 10_000
SINGLE = 200  # one after the other, and so many passwords
FINISHED = 1_000_000
WHAT = "octets of log a request"


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    finished = bench.many(FINISHED)
    with postgres_house() as house:
        house.make("main")
        empty = _under_load(bench, house, "main", "nothing", result)
        _one_after_the_other(bench, house, "main", result)
        bench.say(f"writing {finished:,} finished letters")
        house.make("grown")
        house.add_finished_letters("grown", finished)
        grown = _under_load(bench, house, "grown", f"{finished:,} finished letters", result)
        bench.say("some hours later: links end, letters settle")
        _some_hours_later(house, "grown", result)
        house.run("grown", "ALTER DATABASE grown SET wal_compression = 'pglz'")
        packed = _under_load(
            bench, house, "grown", f"{finished:,} finished letters, wal_compression=pglz", result
        )
    result.charts.append(
        Chart(
            "octets",
            ["the first after a checkpoint", "those that come next"],
            {
                "beside nothing": empty,
                f"beside {finished:,} letters": grown,
                "the same, pages compressed": packed,
            },
            title=WHAT,
        )
    )
    return result


def _under_load(bench: Bench, house: House, database: str, beside: str, result: Result) -> list[float]:
    requests = bench.many(REQUESTS)
    ours = contender(bench, house, database)
    house.run(
        database,
        "UPDATE letters SET admitted_at = 0, sent_at = 0 WHERE sent_at > extract(epoch FROM now()) - 7200",
    )
    grown_by = []
    with instant_relay(bench.new_folder("relay"), None) as relay, ExitStack() as stack:
        place = place_on(bench, relay)
        stack.enter_context(bench.serving(ours, place, core=None))
        stack.enter_context(dispatching(bench, house, database, place))
        house.run(database, "VACUUM letters", "CHECKPOINT")
        sent = 0
        for number, which in enumerate((f"the first {requests} after a checkpoint", f"the next {requests}")):
            bench.say(f"beside {beside}: {which}")
            before = house.wal()
            load = ask(target(ours, place), core=None, seconds=120, first=number * requests, limit=requests)
            asked = load.answered - load.refused
            sent = _settled(house, database, relay, sent + asked)
            grown_by.append((house.wal() - before) / asked)
            result.add(f"under load beside {beside}: {which}", WHAT, grown_by[-1], "")
    return grown_by


def _one_after_the_other(bench: Bench, house: House, database: str, result: Result) -> None:
    """Requests, and then passwords that are changed by links that were mailed."""
    single = bench.many(SINGLE)
    ours = contender(bench, house, database)
    with instant_relay(bench.new_folder("relay"), None) as relay, ExitStack() as stack:
        place = place_on(bench, relay)
        stack.enter_context(bench.serving(ours, place, core=None))
        stack.enter_context(dispatching(bench, house, database, place))
        bench.say(f"{single} requests, one after the other")
        before = house.wal()
        for number in range(single):
            _post(f"{place.url}{ours.ask_path}", {ours.ask_field: f"user{90_000 + number:06d}@bench.example"})
            _settled(house, database, relay, number + 1)
        result.add(f"{single} requests, one after the other", WHAT, (house.wal() - before) / single, "")
        links = _links(house, database, place, single)
        bench.say(f"{len(links)} changed passwords")
        before = house.wal()
        for number, link in enumerate(links):
            _post(link, {"password": "a heron that sings in the morning"})
            _settled(house, database, relay, single + number + 1)
        result.add(
            f"{len(links)} changed passwords, one after the other",
            "octets of log a change",
            (house.wal() - before) / len(links),
            "",
            "with the notice that is mailed, and what the audit trail keeps",
        )


def _some_hours_later(house: House, database: str, result: Result) -> None:
    """What housekeeping does to letters that were sent: in slices, as it does, long after a checkpoint."""

    async def end(store: Store, after: float) -> Sequence[float]:
        return await store.write(
            lambda unit: links.end_old_links(
                unit, after=after, until=time.time(), now=time.time(), limit=SLICE
            )
        )

    async def settle(store: Store, after: float) -> Sequence[float]:
        return await store.unit(
            lambda unit: settle_letters(unit, after=after, until=time.time(), limit=SLICE), alone=False
        )

    async def do(chore: Callable[[Store, float], Awaitable[Sequence[float]]]) -> int:
        store = Store(house.url(database))
        await store.open()
        done, after = 0, time.time() - 3600
        while finished := await chore(store, after):
            done, after = done + len(finished), max(finished)
        await store.close()
        return done

    chores = {"end of a link": end, "settling of a letter": settle}
    for what, chore in chores.items():
        house.run(database, "VACUUM letters", "CHECKPOINT")
        before = house.wal()
        done = postgres.elsewhere(do(chore))
        result.add(
            f"the {what}, {SLICE} at once, after a checkpoint",
            "octets of log",
            (house.wal() - before) / done,
            "",
        )


def _links(house: House, database: str, place: Place, number: int) -> list[str]:
    """Those of the newest letters."""
    tokens = Tokens([resetsvc_environment(place)["RESETSVC_SECRET_KEY"]], 1800, Clock())
    newest = f"SELECT id FROM letters WHERE state = 'sent' ORDER BY seq DESC LIMIT {number}"  # noqa: S608 -- a number
    return [f"{place.url}/reset/{tokens.sign(row['id'])}" for row in house.run(database, newest)]


def _settled(house: House, database: str, relay: Relay, sent: int) -> int:
    """Wait until so many mails were taken, and all is on record."""
    if not relay.wait_for_letters(sent, 120):
        raise ProgramFailed(f"{relay.letters()} of {sent} letters were delivered")
    end = time.monotonic() + 30
    while house.count(database, "state IN ('queued', 'sending')"):
        if time.monotonic() > end:
            raise ProgramFailed("letters are not put on record")
        time.sleep(0.002)  # a row in a database tells nobody
    return sent


def _post(url: str, fields: Mapping[str, str]) -> None:
    request = urllib.request.Request(url, urllib.parse.urlencode(fields).encode())  # noqa: S310 -- the service that is measured
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 -- the same
        answer.read()
