"""A. Accepted requests a second, nobody delivering meanwhile, beside the floor.

The floor is a bare Quart view on hypercorn as it comes, with the same loop and settings. resetsvc replaces parts of hypercorn;
what the same view does on those is told beside it, and is what no service made of these parts can pass.
Both run all the time on one core, and are asked in turn: floor, ours, floor, ours, …, floor. Each of our rounds is
divided by the mean of the two floors around it, and the median of those shares is the figure: a machine that is slower
for a minute is so for both. The share by processor time tells how much of the rest is work, and how much is waiting for
the disk or for others who use this core. What the other programs do is in figure B, where they deliver, since they have no other way.
"""

from contextlib import ExitStack
from statistics import mean, median

from bench.contenders import Place
from bench.harness.bench import Bench, target
from bench.harness.processes import Program
from bench.harness.relays import relay_that_is_down
from bench.harness.result import Chart, Goal, Result
from bench.harness.wrk import Load, ask

LETTER = "A"
TITLE = "Accepted requests a second, dispatcher elsewhere"

ROUNDS = 5
SECONDS = 3.0
FLOOR, OURS, RAW, ON_OURS = "floor-quart", "resetsvc-accepting", "floor-asgi", "floor-quart-ours"


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    rounds: dict[str, list[Load]] = {FLOOR: [], OURS: [], RAW: [], ON_OURS: []}
    work: dict[str, list[float]] = {name: [] for name in rounds}  # seconds of processor time a request
    with ExitStack() as stack:
        relay = stack.enter_context(relay_that_is_down())
        places: dict[str, Place] = {}
        programs: dict[str, Program] = {}
        for name in rounds:
            contender = bench.contender(name)
            places[name] = bench.new_place(contender, relay)
            programs[name] = stack.enter_context(bench.serving(contender, places[name]))

        def ask_one(name: str, seconds: float, first: int) -> Load:
            aim = target(bench.contender(name), places[name])
            before = programs[name].cpu()
            load = ask(aim, core=bench.cores.load, seconds=seconds, first=first)
            work[name].append((programs[name].cpu() - before) / max(1, load.answered))
            return load

        for name in rounds:
            ask_one(name, 1, 0)
        for number in range(ROUNDS):
            bench.say(f"round {number + 1} of {ROUNDS}")
            for name in (FLOOR, OURS):
                rounds[name].append(ask_one(name, bench.long(SECONDS), number * 20_000))
        rounds[FLOOR].append(ask_one(FLOOR, bench.long(SECONDS), 0))
        for _ in range(2):
            for name in (RAW, ON_OURS):
                rounds[name].append(ask_one(name, bench.long(SECONDS), 0))

    shares = shares_of_the_floor([load.rate for load in rounds[FLOOR]], [load.rate for load in rounds[OURS]])
    for name, loads in rounds.items():
        title = bench.contender(name).title
        result.add(title, "requests/s", median(load.rate for load in loads), "1/s")
        result.add(title, "processor time a request", median(work[name]) * 1e6, "µs")
        result.add(title, "p50 at 32 connections", median(load.p50 for load in loads) * 1000, "ms")
        result.add(title, "p99 at 32 connections", median(load.p99 for load in loads) * 1000, "ms")
    result.add("resetsvc", "share of the floor, each round", median(shares), "×", _listed(shares))
    by_work = median(work[FLOOR]) / median(work[OURS])
    result.add("resetsvc", "share of the floor, by processor time a request", by_work, "×")
    result.goals.append(
        Goal("accepted requests/s ÷ the floor's (0.95 is the stretch)", "at least", 0.90, median(shares), "×")
    )
    if refused := sum(load.refused + load.broken for loads in rounds.values() for load in loads):
        result.notes.append(f"{refused} requests were refused or broken; they are not counted as accepted.")
    result.charts.append(
        Chart(
            "requests/s",
            [bench.contender(name).title for name in rounds],
            {"accepted": [median(load.rate for load in loads) for loads in rounds.values()]},
            line=("0.90 × the floor", 0.9 * median(load.rate for load in rounds[FLOOR])),
        )
    )
    return result


def shares_of_the_floor(floors: list[float], ours: list[float]) -> list[float]:
    """Each of ours against the mean of the floor before and the floor after it: one more floor than ours."""
    assert len(floors) == len(ours) + 1
    return [rate / mean(floors[number : number + 2]) for number, rate in enumerate(ours)]


def _listed(shares: list[float]) -> str:
    return "rounds: " + ", ".join(f"{share:.3f}" for share in shares)
