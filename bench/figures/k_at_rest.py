"""K. From the start of `resetsvc serve` to its first answer; the size of the package; memory at rest.

The time counts from the start of the process to the first answer to /healthz, asked for every 5 ms, on a database that
is there. The size is that of the files that an installation of resetsvc itself has, without what it depends on. Memory
is what is resident a while after ten requests.
"""

import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import resetsvc
from bench.harness.bench import Bench, target
from bench.harness.relays import instant_relay
from bench.harness.result import Chart, Goal, Result
from bench.harness.wrk import start_asking

LETTER = "K"
TITLE = "Start, size and memory at rest"

STARTS = 5
_AT_REST = 2.0


def package_size() -> int:
    """Octets of what an installation of resetsvc has: no bytecode."""
    package = Path(resetsvc.__file__).parent
    return sum(
        path.stat().st_size
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    starts, memory, rivals = [], 0, {}
    with instant_relay(bench.new_folder("relay"), bench.cores.load) as relay:
        ours = bench.contender("resetsvc")
        place = bench.new_place(ours, relay)
        for number in range(STARTS):
            bench.say(f"start {number + 1} of {STARTS}")
            began = time.monotonic()
            with bench.serving(ours, place) as program:
                starts.append(time.monotonic() - began)
                if number == STARTS - 1:
                    start_asking(target(ours, place), core=bench.cores.load, seconds=5, limit=10).result()
                    time.sleep(_AT_REST)
                    memory = program.memory()
        for contender in bench.rivals:
            with ExitStack() as stack:
                other = bench.new_place(contender, relay)
                program = stack.enter_context(bench.serving(contender, other))
                start_asking(target(contender, other), core=bench.cores.load, seconds=5, limit=10).result()
                time.sleep(_AT_REST / 4)
                rivals[contender.title] = program.memory()
    listed = "starts: " + ", ".join(f"{seconds:.2f}" for seconds in starts)
    result.add("resetsvc", "start to first answer", median(starts), "s", listed)
    result.add(
        "resetsvc", "size of the installed package", package_size() / 2**20, "MiB", "without dependencies"
    )
    result.add("resetsvc", "memory at rest", memory / 1e6, "MB", "resident, one process")
    for title, octets in rivals.items():
        result.add(title, "memory at rest", octets / 1e6, "MB", "resident, server and workers")
    result.goals += [
        Goal("start of `resetsvc serve` to first answer", "at most", 2.0, median(starts), "s"),
        Goal("memory at rest", "at most", 90, memory / 1e6, "MB"),
    ]
    result.charts.append(
        Chart(
            "MB",
            ["resetsvc", *rivals],
            {"resident at rest": [memory / 1e6, *(octets / 1e6 for octets in rivals.values())]},
            line=("90 MB, the most", 90),
        )
    )
    return result
