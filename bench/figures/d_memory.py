"""D. Memory for each letter that waits, while the relay hangs.

The process's resident memory after 1,000 requests (so that buffers and caches are there), then again with 20,000 more
waiting; the difference divided by 20,000. Flask's threads are counted the same way, but with 2,000 mails: each of them
holds a thread, and 20,000 threads would bring the machine down, not the program.
"""

import time

from bench.contenders import Contender
from bench.harness.bench import Bench, target
from bench.harness.relays import hung_relay
from bench.harness.result import Chart, Goal, Result
from bench.harness.wrk import start_asking

LETTER = "D"
TITLE = "Memory for each waiting letter, relay hung"

WAITING = 20_000
WAITING_THREADS = 2_000
WARM_UP = 1_000
_SETTLE = 2.0  # seconds until buffers are given back


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    ours = _octets_a_letter(bench, bench.contender("resetsvc"), bench.many(WAITING), WARM_UP, result)
    result.goals.append(Goal("process memory for each waiting letter", "at most", 2.0, ours / 1024, "KiB"))
    groups, values = ["resetsvc"], [ours / 1024]
    for contender in bench.rivals:
        if contender.name == "flask-mail-thread":
            octets = _octets_a_letter(bench, contender, bench.many(WAITING_THREADS), 100, result)
            groups.append(contender.title)
            values.append(octets / 1024)
    result.charts.append(
        Chart("KiB a letter", groups, {"resident": values}, logarithmic=True, line=("2 KiB, the most", 2.0))
    )
    return result


def _octets_a_letter(bench: Bench, contender: Contender, waiting: int, warm_up: int, result: Result) -> float:
    bench.say(f"{contender.title}: {waiting} letters that wait")
    with hung_relay(bench.new_folder("relay"), bench.cores.load) as relay:
        place = bench.new_place(contender, relay)
        with bench.serving(contender, place, grace=0.5) as program:
            aim = target(contender, place)
            core = bench.cores.load
            start_asking(aim, core=core, seconds=20, first=50_000, limit=warm_up).result()
            time.sleep(_SETTLE)
            before, threads_before = program.memory(), program.threads()
            load = start_asking(aim, core=core, seconds=60, first=0, limit=waiting).result()
            time.sleep(_SETTLE)
            after, threads = program.memory(), program.threads()
    # More may have got in than were answered; at the most one for each connection.
    octets = (after - before) / load.answered
    note = (
        f"{before / 2**20:.1f} MiB before, {after / 2**20:.1f} MiB with {load.answered} more waiting; "
        f"threads: {threads_before}, {threads}"
    )
    if load.refused or load.broken:
        note += f"; {load.refused} refused, {load.broken} broken"
    result.add(contender.title, "memory for each waiting letter", octets / 1024, "KiB", note)
    return octets
