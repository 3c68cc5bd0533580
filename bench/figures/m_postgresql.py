"""M. Several processes over one PostgreSQL: how A and E grow, and whether those that claim stand in each other's way.

PostgreSQL 18 on this machine, with everything synced, beside the service, the load and the relay on the same cores: the
figures are good for comparing with each other, not for what a server of its own would do. Accepted requests and letters
out of a full queue with one, two and four processes; claims alone, without mails, by one process and by eight; and claims and
accepting beside 10,000,000 finished letters (BENCH_FINISHED=1000000: beside fewer), which take 8 GB of disk
with the log of writing them. Those are settled, as all but the letters of the last hours are; and as a machine has its moods,
the same is measured in a third database with nothing in it.
"""

import json
import os
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.harness.bench import Bench, own_python, target
from bench.harness.full_queue import fill_queue
from bench.harness.postgres_house import (
    House,
    bare_settings,
    contender,
    dispatching,
    environment,
    place_on,
    postgres_house,
)
from bench.harness.processes import ProgramFailed
from bench.harness.relays import Relay, instant_relay, relay_that_is_down, watch
from bench.harness.result import Chart, Goal, Result
from bench.harness.wrk import CONNECTIONS, start_asking

LETTER = "M"
TITLE = "Several processes over one PostgreSQL"

PROCESSES = (1, 2, 4)
CLAIMING = (1, 8)
SECONDS = 3.0
QUEUED = 20_000
FINISHED = int(os.environ.get("BENCH_FINISHED", "10000000"))
ROUNDS = 3
# A bound of a tenth wants more: three rounds of claims have differed by that from the next three.
ROUNDS_BESIDE = 5
BATCH = 32  # letters that one commit stores, where accepting is measured without a web server
_FORGET = "TRUNCATE letters, attempts"  # settled letters are kept
_ROOT = Path(__file__).resolve().parents[2]


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    with postgres_house() as house:
        house.make("main")
        accepted = _accepting(bench, house, result)
        delivered = _delivering(bench, house, result)
        claimed = _claims(bench, house, result)
        _beside_finished_letters(bench, house, result)
    result.charts += [
        Chart(
            "1/s",
            [str(number) for number in PROCESSES],
            {"requests accepted": accepted, "letters out of a full queue": delivered},
            title="A and E with several processes",
        ),
        Chart(
            "letters/s",
            [f"{number} claiming" for number in CLAIMING],
            {"claimed and put on record": claimed},
            title="claims without mails",
        ),
    ]
    return result


def _accepting(bench: Bench, house: House, result: Result) -> list[float | None]:
    rates: list[float | None] = []
    with relay_that_is_down() as relay:
        for processes in PROCESSES:
            bench.say(f"A: {processes} accepting")
            rate = _ask_all(bench, house, "main", relay, processes)
            result.add(f"{processes} accepting", "accepted requests/s", rate, "1/s")
            rates.append(rate)
    house.run("main", _FORGET)
    return rates


def _ask_all(bench: Bench, house: House, database: str, relay: Relay, processes: int) -> float:
    ours = contender(bench, house, database)
    with ExitStack() as stack:
        places = [place_on(bench, relay) for _ in range(processes)]
        for place in places:
            stack.enter_context(bench.serving(ours, place, core=None))
        asking = [
            start_asking(
                target(ours, place),
                core=None,
                seconds=bench.long(SECONDS),
                first=number * 100_000 // processes,
                connections=CONNECTIONS // processes,
            )
            for number, place in enumerate(places)
        ]
        return sum(one.result().rate for one in asking)


def _delivering(bench: Bench, house: House, result: Result) -> list[float | None]:
    rates: list[float | None] = []
    for processes in PROCESSES:
        bench.say(f"E: {processes} delivering")
        rate = _empty_a_queue(bench, house, "main", processes)
        result.add(f"{processes} delivering", "letters/s", rate, "1/s")
        rates.append(rate)
        house.run("main", _FORGET)
    return rates


def _empty_a_queue(bench: Bench, house: House, database: str, processes: int) -> float:
    queued = bench.many(QUEUED)
    with instant_relay(bench.new_folder("relay"), None) as relay, ExitStack() as stack:
        place = place_on(bench, relay)
        fill_queue(environment(house, database, place), queued)
        for _ in range(processes):
            stack.enter_context(dispatching(bench, house, database, place))
        flow = watch(relay, until=queued, patience=120, quiet=5)
        if relay.letters() < queued:
            raise ProgramFailed(f"{relay.letters()} of {queued} letters were delivered")
    return flow.rate


def _claims(bench: Bench, house: House, result: Result) -> list[float | None]:
    queued = bench.many(QUEUED)
    rates: dict[int, list[float]] = {number: [] for number in CLAIMING}
    twice = 0
    for turn in range(ROUNDS):
        for processes in CLAIMING if turn % 2 == 0 else reversed(CLAIMING):
            bench.say(f"{processes} claiming, round {turn + 1} of {ROUNDS}")
            _queue(bench, house, "main", queued)
            rates[processes].append(claim_all(house, "main", processes, queued))
            twice += house.count("main", "attempts <> 1")
            house.run("main", _FORGET)
    for processes in CLAIMING:
        result.add(f"{processes} claiming", "letters/s claimed and recorded", median(rates[processes]), "1/s")
    one, many = (median(rates[number]) for number in CLAIMING)
    result.goals += [
        Goal("claims by eight processes ÷ by one", "at least", 1.0, many / one, "×"),
        Goal("letters claimed more than once", "at most", 0, twice),
    ]
    return [one, many]


def claim_all(house: House, database: str, processes: int, queued: int) -> float:
    """Letters a second that so many processes claim and put on record, from the first claim to the last record."""
    settings = {**os.environ, **bare_settings(house, database)}
    started = [
        subprocess.Popen(
            [own_python(), "-m", "bench.harness.claiming"],
            env=settings,
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise ProgramFailed("one that claims did not start")
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [json.loads(process.communicate(timeout=300)[0]) for process in started]
    claimed: int = sum(one["letters"] for one in told)
    if claimed != queued:
        raise ProgramFailed(f"{claimed} letters were claimed, and {queued} were due")
    seconds: float = max(one["ended"] for one in told) - min(one["began"] for one in told)
    return claimed / seconds


def _beside_finished_letters(bench: Bench, house: House, result: Result) -> None:
    finished = bench.many(FINISHED)
    bench.say(f"writing {finished:,} finished letters")
    house.make("control")
    house.make("grown")
    house.add_finished_letters("grown", finished)
    beside = {
        "main": "no finished letters",
        "grown": f"{finished:,} finished letters",
        "control": "none in another database",
    }
    measured: dict[str, Callable[[str], float]] = {
        "accepted requests/s": lambda database: _accept(bench, house, database),
        "letters/s out of a full queue": lambda database: _empty_a_queue(bench, house, database, 1),
        "letters/s stored, nothing else": lambda database: _store(bench, house, database),
        "letters/s claimed and recorded, nothing else": lambda database: _claim(bench, house, database),
    }
    rates: dict[str, dict[str, list[float]]] = {
        what: {database: [] for database in beside} for what in measured
    }
    for turn in range(ROUNDS_BESIDE):
        for what, measure_one in measured.items():
            # One after the other for each figure, not for each database: a machine that is slow for a while is so to all.
            for place in range(len(beside)):
                database = list(beside)[(turn + place) % len(beside)]
                bench.say(f"beside {beside[database]}: {what}, round {turn + 1} of {ROUNDS_BESIDE}")
                rates[what][database].append(measure_one(database))
                house.run(database, _FORGET)
    for what, found in rates.items():
        for database, which in beside.items():
            result.add(f"beside {which}", what, median(found[database]), "1/s")
        result.goals.append(
            Goal(
                f"{what}, beside {finished:,} finished letters ÷ beside none",
                "at least",
                0.9,
                median(found["grown"]) / median(found["main"]),
                "×",
            )
        )
    result.notes.append(
        "The bare statements are without web server and mails: what a person or a relay sees is in the rows before. As much "
        "as the two databases without finished letters differ, the machine does."
    )


def _accept(bench: Bench, house: House, database: str) -> float:
    with relay_that_is_down() as relay:
        return _ask_all(bench, house, database, relay, 1)


def _claim(bench: Bench, house: House, database: str) -> float:
    queued = bench.many(QUEUED)
    _queue(bench, house, database, queued)
    return claim_all(house, database, 1, queued)


def _store(bench: Bench, house: House, database: str) -> float:
    command = [own_python(), "-m", "bench.harness.single_writer", str(BATCH), str(bench.long(SECONDS))]
    done = subprocess.run(
        command,
        env={**os.environ, **bare_settings(house, database)},
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)


def _queue(bench: Bench, house: House, database: str, queued: int) -> None:
    with relay_that_is_down() as relay:
        fill_queue(environment(house, database, place_on(bench, relay)), queued)
