"""L. Several processes over one SQLite file: how A and B grow, and where the single writer is the limit.

One process that does all on one core; then one, two that accept and one that delivers, free to run on every core. Load
and relay need a part of the same cores here, so the growth is less than it would be beside them. How much SQLite's
single writer can do is measured without a web server: processes that write batches of letters through the service's
own store, each batch durable before the next, as many letters to a batch as wait together at that load.
"""

import subprocess
from contextlib import ExitStack
from pathlib import Path

from bench.contenders import Place
from bench.figures.b_delivered import QUIET
from bench.harness.bench import Bench, own_python, target
from bench.harness.machine import free_port
from bench.harness.relays import instant_relay, relay_that_is_down, watch
from bench.harness.result import Chart, Result
from bench.harness.wrk import CONNECTIONS, Load, start_asking

LETTER = "L"
TITLE = "Several processes over one SQLite file"

SECONDS = 3.0
BATCHES = (1, 8, 32, 128)
_ROOT = Path(__file__).resolve().parents[2]


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    accepted: dict[int, float] = {}
    for processes in (1, 2):
        bench.say(f"A: {processes} accepting")
        with relay_that_is_down() as relay:
            place = bench.new_place(bench.contender("resetsvc-accepting"), relay)
            loads = _ask_all(bench, place, processes)
        accepted[processes] = sum(load.rate for load in loads)
        result.add(
            f"{processes} accepting, none delivering", "accepted requests/s", accepted[processes], "1/s"
        )
    delivered: dict[str, float] = {}
    for processes in (1, 2):
        name = f"{processes} accepting, 1 delivering"
        bench.say(f"B: {name}")
        with instant_relay(bench.new_folder("relay"), None) as relay:
            place = bench.new_place(bench.contender("resetsvc-accepting"), relay)
            with bench.dispatching(place, core=None):
                loads = _ask_all(bench, place, processes)
                while_asking = relay.letters()
                asking = max(load.seconds for load in loads)
                asked = sum(load.answered - load.refused for load in loads)
                flow = watch(relay, until=1_000_000_000, patience=40, quiet=QUIET)
                letters = relay.letters()
        seconds = asking + max(0.0, flow.seconds)
        delivered[name] = asked / seconds
        note = f"{asked} asked in {asking:.1f} s, {letters} letters"
        result.add(name, "requests/s until the last mail", delivered[name], "1/s", note)
        result.add(name, "requests/s while asking", asked / asking, "1/s")
        result.add(name, "letters a request, while asking", while_asking / asked, "")
    writes: dict[int, list[float]] = {1: [], 2: []}
    for processes in writes:
        for batch in BATCHES:
            bench.say(f"{processes} writing, {batch} letters a batch")
            rate = _write(bench, processes, batch)
            writes[processes].append(rate)
            result.add(
                f"{processes} writing, {batch} letters a batch",
                "letters/s stored",
                rate,
                "1/s",
                f"{rate / batch:,.0f} commits/s",
            )
    result.notes.append(
        "One letter is written three times in its life: stored, claimed and admitted, recorded. The dispatcher writes in "
        "batches too; what is left of the writer for intake is the rate above less about as much again for deliveries."
    )
    result.charts += [
        Chart(
            "requests/s",
            ["1 accepting", "2 accepting"],
            {
                "accepted, none delivering": list(accepted.values()),
                "until the last mail, 1 delivering": list(delivered.values()),
            },
            title="A and B with several processes",
        ),
        Chart(
            "letters/s",
            [str(batch) for batch in BATCHES],
            {f"{processes} writing": rates for processes, rates in writes.items()},
            logarithmic=True,
            title="letters stored by SQLite's single writer, by letters a batch",
        ),
    ]  # fmt: skip -- a chart a line
    return result


def _ask_all(bench: Bench, place: Place, processes: int) -> list[Load]:
    """Start so many accepting processes on one database, and ask all of them at once."""
    accepting = bench.contender("resetsvc-accepting")
    with ExitStack() as stack:
        places = [place]
        places += [
            Place(free_port(), place.folder, place.smtp_host, place.smtp_port, place.accounts)
            for _ in range(processes - 1)
        ]
        for each in places:
            stack.enter_context(bench.serving(accepting, each, core=None))
        asking = [
            start_asking(
                target(accepting, each),
                core=None,
                seconds=bench.long(SECONDS),
                first=number * 50_000,
                connections=CONNECTIONS // processes,
            )
            for number, each in enumerate(places)
        ]
        return [one.result() for one in asking]


def _write(bench: Bench, processes: int, batch: int) -> float:
    with relay_that_is_down() as relay:
        place = bench.new_place(bench.contender("resetsvc"), relay)
    environment = bench.contender("resetsvc").environment(place)
    command = [own_python(), "-m", "bench.harness.single_writer", str(batch), str(bench.long(1.2))]
    started = [
        subprocess.Popen(command, env=environment, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    rates = [float(process.communicate(timeout=60)[0]) for process in started]
    bench.forget(place)
    return sum(rates)
