"""G. Figures A, B and E once more with 1,000,000 accounts and 1,000,000 finished letters in the database.

The large database is written by SQL in bulk, once; it and the empty one (100,000 accounts, no letters) are measured in
turn. Besides, SQLite is asked for its plan of each statement of every day, on the large database: none may read a whole
table.
"""

import asyncio
from contextlib import ExitStack, suppress
from statistics import median

from bench.figures import b_delivered, e_full_queue
from bench.harness.bench import Bench, target
from bench.harness.grown_database import ACCOUNTS, LETTERS, grow
from bench.harness.relays import instant_relay, relay_that_is_down
from bench.harness.result import Chart, Goal, Result
from bench.harness.wrk import ask
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store

LETTER = "G"
TITLE = "The same with a million accounts and letters in the database"

ROUNDS = 3
SECONDS = 2.0
QUEUED = 10_000
REQUESTS = 5_000
KINDS = ("empty", "grown")
TABLES = ("letters", "attempts", "accounts", "mutes", "changes", "events")


class _RolledBack(Exception):
    """Nothing of the look at the plans stays."""


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    ours, accepting = bench.contender("resetsvc"), bench.contender("resetsvc-accepting")
    with relay_that_is_down() as nowhere:
        empty = bench.new_place(ours, nowhere)
        bench.say(f"writing {ACCOUNTS:,} accounts and {LETTERS:,} letters")
        large = bench.place_like(empty, nowhere)
    grow(large.database, accounts=bench.many(ACCOUNTS), letters=bench.many(LETTERS))
    prepared = {"empty": empty, "grown": large}
    size = large.database.stat().st_size / 2**20

    scans = asyncio.run(find_scans(f"sqlite:///{large.database}"))
    result.add("resetsvc", "statements of every day that scan a table", len(scans), "", "; ".join(scans))

    rates: dict[str, dict[str, list[float]]] = {figure: {kind: [] for kind in KINDS} for figure in "ABE"}
    bench.say("A: accepted requests/s")
    with relay_that_is_down() as nowhere, ExitStack() as stack:
        places = {kind: bench.place_like(prepared[kind], nowhere) for kind in KINDS}
        for place in places.values():
            stack.enter_context(bench.serving(accepting, place))
        for kind in KINDS:
            ask(target(accepting, places[kind]), core=bench.cores.load, seconds=1)
        for number in range(ROUNDS):
            for kind in KINDS:
                load = ask(
                    target(accepting, places[kind]),
                    core=bench.cores.load,
                    seconds=bench.long(SECONDS),
                    first=number * 20_000,
                )
                rates["A"][kind].append(load.rate)
    for place in places.values():
        bench.forget(place)

    for number in range(2):
        for kind in KINDS if number % 2 == 0 else reversed(KINDS):
            bench.say(f"B: delivered requests/s, {kind}, round {number + 1} of 2")
            with instant_relay(bench.new_folder("relay"), bench.cores.load) as relay:
                place = bench.place_like(prepared[kind], relay)
                rates["B"][kind].append(b_delivered.race(bench, ours, place, relay, REQUESTS).rate)
            bench.forget(place)

    queued = bench.many(QUEUED)
    for kind in KINDS:
        e_full_queue.full_queue(bench, queued, prepared[kind])
    for number in range(ROUNDS):
        for kind in KINDS if number % 2 == 0 else reversed(KINDS):
            bench.say(f"E: letters/s out of a full queue, {kind}, round {number + 1} of {ROUNDS}")
            rates["E"][kind].append(e_full_queue.empty_the_queue(bench, prepared[kind], queued).rate)
    for place in prepared.values():
        bench.forget(place)

    names = {"A": "accepted requests/s", "B": "requests/s until the last mail", "E": "letters/s"}
    shares: list[float | None] = []
    for figure, name in names.items():
        for kind in KINDS:
            note = f"database of {size:,.0f} MiB" if kind == "grown" else ""
            result.add(f"resetsvc, {kind}", f"{figure}: {name}", median(rates[figure][kind]), "1/s", note)
        share = median(rates[figure]["grown"]) / median(rates[figure]["empty"])
        shares.append(share)
        result.goals.append(
            Goal(f"{figure} with a million ÷ with an empty database", "at least", 0.9, share, "×")
        )
    result.goals.append(Goal("statements of every day that scan a table", "at most", 0, len(scans)))
    result.charts.append(
        Chart(
            "share of the empty database's",
            list(names.values()),
            {"resetsvc": shares},
            line=("0.9, the least", 0.9),
        )
    )
    return result


async def find_scans(url: str) -> list[str]:
    """The statements whose plan on this database reads a whole table, with that step of the plan."""
    # The same list that a test holds complete: there is no second one to keep up to date.
    from tests.store.test_query_plans import EVERY_DAY, Explaining

    store = Store(url)
    await store.open()
    found = []
    try:
        for name, (_, statement) in EVERY_DAY.items():
            steps: list[str] = []

            async def explain(unit: Connection) -> None:
                explaining = Explaining(unit)
                await statement(explaining)  # noqa: B023 -- called before the next turn
                steps.extend(explaining.steps)  # noqa: B023 -- the same
                raise _RolledBack

            with suppress(_RolledBack):
                await store.unit(explain)
            found += [f"{name}: {step}" for step in steps if is_scan(step)]
    finally:
        await store.close()
    return found


def is_scan(step: str) -> bool:
    """Whether a step of a query plan reads a whole table of ours, rather than find rows by an index."""
    words = step.split()
    return len(words) > 1 and words[0] == "SCAN" and words[1] in TABLES and "USING" not in words
