"""F. Letters a second to a relay that is far away: 20 ms and 100 ms for each reply, with and without PIPELINING.

A letter is four commands: MAIL, RCPT, DATA, the body. Where the relay offers PIPELINING the first three go out together,
so a lane can send a letter in two delays, else in four; so many lanes at once are the most that can be had. What is
missing to that is what the service adds between one letter and the next.
"""

import time

from bench.figures.e_full_queue import LANES, full_queue
from bench.harness.bench import Bench
from bench.harness.relays import far_relay
from bench.harness.result import Chart, Goal, Result

LETTER = "F"
TITLE = "Letters a second to a relay far away"

DELAYS = (0.020, 0.100)
SECONDS = 4.0


def most(lanes: int, delay: float, *, pipelining: bool) -> float:
    """Letters a second that so many lanes can send at the most."""
    return lanes / ((2 if pipelining else 4) * delay)


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    prepared = full_queue(bench, 3_000)
    shares: list[float | None] = []
    groups = []
    for delay in DELAYS:
        for pipelining in (True, False):
            ideal = most(LANES, delay, pipelining=pipelining)
            bursts = max(3, round(bench.long(SECONDS) * ideal / LANES))
            name = f"{delay * 1000:.0f} ms, {'with' if pipelining else 'without'} PIPELINING"
            bench.say(name)
            folder = bench.new_folder("relay")
            with far_relay(folder, bench.cores.load, delay, pipelining=pipelining) as relay:
                place = bench.place_like(prepared, relay)
                with bench.dispatching(place) as program:
                    # Lanes start together and send in bursts: measured from the end of one burst to that of another.
                    came = relay.wait_for_letters(LANES, patience=15)
                    began = time.monotonic()
                    came = came and relay.wait_for_letters(LANES * (1 + bursts), patience=6 * SECONDS)
                    seconds = time.monotonic() - began
                    program.require_alive()
            bench.forget(place)
            rate = LANES * bursts / seconds if came else 0.0
            result.add(f"resetsvc, {name}", "letters/s", rate, "1/s", f"at the most {ideal:.0f}")
            result.goals.append(
                Goal(
                    f"{name}: letters/s ÷ (lanes ÷ ({2 if pipelining else 4} × delay))",
                    "at least",
                    0.9,
                    rate / ideal,
                    "×",
                )
            )
            groups.append(name.replace(", ", "\n"))
            shares.append(rate / ideal)
    bench.forget(prepared)
    result.charts.append(
        Chart("share of what the lanes can do", groups, {"resetsvc": shares}, line=("0.9, the least", 0.9))
    )
    return result
