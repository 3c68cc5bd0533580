"""C. How long the answer takes as the relay gets worse: instant, 100 ms a reply, 1 s, hung, down.

Requests come at a fixed rate whether or not earlier ones are answered, and the time counts from the moment each was due.
Ours delivers all the while in the same process and on the same core, but for two rows: "dispatcher elsewhere" has it on
the core that the load comes from, since there are only two; "nobody delivers" has none, and is what it would be like on
a core that the load does not need. The goal is held against the better of the two. Each condition gets a fresh
database and start, and they are gone through several times in turn; the percentiles are the medians of those of each
round. Answers that do not come within 5 seconds count as 5 seconds.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from urllib.parse import quote

from bench.contenders import Contender, Place
from bench.harness.bench import Bench
from bench.harness.open_loop import PATIENCE, Answer, percentile, post, run_at_rate
from bench.harness.relays import Relay, far_relay, hung_relay, instant_relay, relay_that_is_down
from bench.harness.result import Chart, Goal, Result

LETTER = "C"
TITLE = "Time of the answer as the relay gets worse"

RATE = 400.0  # requests a second, ours
RATE_OF_OTHERS = 100.0  # what Flask stands with an instant relay
ROUNDS = 5
SECONDS = 2.5
SECONDS_OF_OTHERS = 2.0
MOODS = ("instant", "100 ms", "1 s", "hung", "down")
ELSEWHERE = "instant, dispatcher elsewhere"
NOBODY = "none, nobody delivers"
OTHERS = ("flask-mail-in-request", "flask-mail-thread")
_GRACE = 0.5  # seconds to end in: with a relay that hangs, letters in hand would take ten times that


@contextmanager
def relay_in(bench: Bench, mood: str) -> Iterator[Relay]:
    folder, core = bench.new_folder("relay"), bench.cores.load
    match mood:
        case "100 ms":
            context = far_relay(folder, core, 0.1)
        case "1 s":
            context = far_relay(folder, core, 1.0)
        case "hung":
            context = hung_relay(folder, core)
        case "down":
            context = relay_that_is_down()
        case _:
            context = instant_relay(folder, core)
    with context as relay:
        yield relay


def request_of(contender: Contender, number: int) -> bytes:
    address = f"user{number % 100_000:06d}@bench.example"
    if contender.body_format == "json":
        body = f'{{"{contender.ask_field}": "{address}"}}'.encode()
        return post(contender.ask_path, body, "application/json")
    return post(contender.ask_path, f"{contender.ask_field}={quote(address, safe='')}".encode())


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    ours = bench.contender("resetsvc")
    with relay_that_is_down() as nowhere:
        prepared = bench.new_place(ours, nowhere)
    rounds: dict[str, list[list[Answer]]] = defaultdict(list)
    for number in range(ROUNDS):
        for mood in (NOBODY, ELSEWHERE, *MOODS):
            bench.say(f"round {number + 1} of {ROUNDS}, relay {mood}")
            with relay_in(bench, mood) as relay, ExitStack() as stack:
                place = bench.place_like(prepared, relay)
                if mood in (NOBODY, ELSEWHERE):
                    stack.enter_context(bench.serving(bench.contender("resetsvc-accepting"), place))
                    if mood == ELSEWHERE:
                        stack.enter_context(bench.dispatching(place, core=bench.cores.load))
                else:
                    stack.enter_context(bench.serving(ours, place, grace=_GRACE))
                rounds[mood].append(_ask(bench, ours, place, RATE, SECONDS))
            bench.forget(place)
    p50 = {mood: _median_of_rounds(some, 0.50) for mood, some in rounds.items()}
    p99 = {mood: _median_of_rounds(some, 0.99) for mood, some in rounds.items()}
    for mood in (NOBODY, ELSEWHERE, *MOODS):
        note = _note([answer for some in rounds[mood] for answer in some])
        result.add(f"resetsvc, relay {mood}", "p50", p50[mood] * 1000, "ms", note)
        result.add(f"resetsvc, relay {mood}", "p99", p99[mood] * 1000, "ms", note)
    worst = max(MOODS[1:], key=lambda mood: p99[mood])
    result.goals += [
        Goal(
            f"p99 with the worst relay ({worst}) ÷ p99 with the instant one",
            "at most",
            1.2,
            p99[worst] / p99["instant"],
            "×",
        ),
        Goal(
            "p99 with any relay ÷ p99 with the dispatcher elsewhere, or none",
            "at most",
            1.5,
            max(p99[mood] for mood in MOODS) / min(p99[ELSEWHERE], p99[NOBODY]),
            "×",
        ),
    ]  # fmt: skip -- a goal a line

    medians: dict[str, list[float | None]] = {"resetsvc": [p50[mood] * 1000 for mood in MOODS]}
    tails: dict[str, list[float | None]] = {"resetsvc": [p99[mood] * 1000 for mood in MOODS]}
    for contender in bench.rivals:
        if contender.name not in OTHERS:
            continue
        medians[contender.title], tails[contender.title] = [], []
        for mood in MOODS:
            bench.say(f"{contender.title}, relay {mood}")
            with relay_in(bench, mood) as relay:
                place = bench.new_place(contender, relay)
                with bench.serving(contender, place, grace=_GRACE):
                    some = _ask(bench, contender, place, RATE_OF_OTHERS, SECONDS_OF_OTHERS)
            seconds = [answer.seconds for answer in some]
            middle, tail = percentile(seconds, 0.50) * 1000, percentile(seconds, 0.99) * 1000
            result.add(f"{contender.title}, relay {mood}", "p50", middle, "ms", _note(some))
            result.add(f"{contender.title}, relay {mood}", "p99", tail, "ms", _note(some))
            medians[contender.title].append(middle)
            tails[contender.title].append(tail)
    result.charts += [
        Chart("ms", MOODS, medians, logarithmic=True, title="p50 of the answer"),
        Chart("ms", MOODS, tails, logarithmic=True, title="p99 of the answer"),
    ]
    result.notes.append(
        f"{RATE:.0f} requests a second for resetsvc, {RATE_OF_OTHERS:.0f} for the others, which do not stand more; "
        f"{PATIENCE * 1000:.0f} ms means: no answer."
    )
    return result


def _ask(bench: Bench, contender: Contender, place: Place, rate: float, seconds: float) -> list[Answer]:
    def request(number: int) -> bytes:
        return request_of(contender, number)

    run_at_rate(place.port, lambda number: request(number + 50_000), rate=rate / 2, seconds=0.5, patience=1.0)
    return run_at_rate(place.port, request, rate=rate, seconds=bench.long(seconds))


def _median_of_rounds(rounds: list[list[Answer]], share: float) -> float:
    return median(percentile([answer.seconds for answer in answers], share) for answers in rounds)


def _note(answers: list[Answer]) -> str:
    good = sum(200 <= answer.status < 400 for answer in answers)
    return f"{len(answers)} requests" + (
        "" if good == len(answers) else f", {len(answers) - good} without a good answer"
    )
