"""B. Requests asked as fast as they are answered, until the last mail is at the relay: what people really get.

32 clients ask 10,000 times, on one core for everything that the program does, and the figure is requests divided by the
seconds from the first of them until the relay has taken the last mail. Whoever answers fast and delivers later gains
nothing. Flask with threads, which the goal is held against, gets 25 seconds for its 10,000; the others are asked no more
after 5, and what they did until then counts in the same way: their rate does not depend on how many came before.
Beside it: letters at the relay when asking ended, for each request asked: below 1, asking starves delivery.
"""

import time
from dataclasses import dataclass

from bench.contenders import Accounts, Contender, Place
from bench.harness.bench import Bench, target
from bench.harness.relays import Relay, instant_relay, watch
from bench.harness.result import Chart, Goal, Result
from bench.harness.wrk import CONNECTIONS, start_asking

LETTER = "B"
TITLE = "10,000 requests until the last mail is at the relay"

REQUESTS = 10_000
LONGEST = 5.0  # seconds of asking
LONGER = {"flask-mail-thread": 25.0, "resetsvc": 25.0}
DRAIN = 40.0  # seconds for what is left afterwards
QUIET = 1.5
_WARM_UP = 300
HASHING = (
    "fastapi-users and Flask-Security are no mistake of the measurement: they make an argon2 or bcrypt hash for each request "
    "that has an account, on the thread that answers."
)
_WARM_UP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Race:
    """One run. `seconds`: from the first request to the last mail; `while_asking`: letters there when asking ended."""

    asked: int
    asking: float
    seconds: float
    letters: int
    while_asking: int
    p50: float
    p99: float
    refused: int

    @property
    def rate(self) -> float:
        return self.asked / self.seconds if self.seconds else 0.0

    @property
    def letters_a_request(self) -> float:
        return self.while_asking / self.asked if self.asked else 0.0  # none was answered in time


def race(bench: Bench, contender: Contender, place: Place, relay: Relay, requests: int = REQUESTS) -> Race:
    """Start it, warm it up, and let 32 clients ask."""
    with bench.serving(contender, place):
        aim = target(contender, place)
        core = bench.cores.load
        warm_up = start_asking(
            aim, core=core, seconds=_WARM_UP_SECONDS, first=90_000, limit=bench.many(_WARM_UP)
        ).result()
        # Requests that were cut off are still worked on: not before they are through, or they would count below.
        watch(relay, until=warm_up.answered + CONNECTIONS, patience=15, quiet=1.0)
        before = relay.letters()
        began = time.monotonic()
        asking = start_asking(
            aim,
            core=core,
            seconds=bench.long(LONGER.get(contender.name, LONGEST)),
            first=0,
            limit=bench.many(requests),
        )
        while not asking.over:
            time.sleep(0.002)
        while_asking = relay.letters() - before
        load = asking.result()
        # Nothing tells how many letters are still to come: those that were asked for last may have been cut off.
        flow = watch(relay, until=1_000_000_000, patience=DRAIN, quiet=QUIET)
        letters = relay.letters() - before
    last = max(flow.ended_at, began + load.seconds)
    return Race(
        asked=load.answered - load.refused,
        asking=load.seconds,
        seconds=last - began,
        letters=letters,
        while_asking=while_asking,
        p50=load.p50,
        p99=load.p99,
        refused=load.refused + load.broken,
    )


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    races: dict[tuple[str, Accounts], Race] = {}
    entrants = [*bench.rivals, bench.contender("resetsvc")]
    kinds: tuple[Accounts, ...] = ("half", "all")
    for accounts in kinds:
        for contender in entrants:
            bench.say(f"{contender.title}, {accounts} with accounts")
            folder = bench.new_folder("relay")
            with instant_relay(folder, bench.cores.load) as relay:
                place = bench.new_place(contender, relay, accounts)
                run = races[contender.name, accounts] = race(bench, contender, place, relay)
            _tell(result, contender, accounts, run)
    result.notes.append(HASHING)
    ours = races["resetsvc", "all"]
    best = (
        max(
            (
                races[contender.name, accounts].rate / races["resetsvc", accounts].rate,
                contender.title,
                accounts,
            )
            for contender in bench.rivals
            for accounts in kinds
        )
        if bench.rivals
        else None
    )
    threads = races.get(("flask-mail-thread", "all"))
    why = "" if threads else "Flask was not measured"
    result.goals += [
        Goal(
            "requests/s until the last mail ÷ Flask with threads (all with accounts)",
            "at least",
            2.0,
            ours.rate / threads.rate if threads else None,
            "×",
            why,
        ),
        Goal("letters at the relay for each request, while asking", "at least", 0.8, ours.letters_a_request),
        Goal(
            "our requests/s until the last mail ÷ the best of the others"
            + (f" ({best[1]}, {best[2]})" if best else ""),
            "at least",
            1.0,
            1 / best[0] if best else None,
            "×",
            why,
        ),
    ]
    names = [contender.title for contender in entrants]
    result.charts += [
        Chart(
            "requests/s",
            names,
            {
                f"{accounts} with accounts": [races[contender.name, accounts].rate for contender in entrants]
                for accounts in kinds
            },
            title="until the last mail",
        ),
    ]
    return result


def _tell(result: Result, contender: Contender, accounts: Accounts, run: Race) -> None:
    who = f"{contender.title}, {accounts} with accounts"
    note = f"{run.asked} asked in {run.asking:.1f} s, {run.letters} letters"
    if run.refused:
        note += f", {run.refused} refused or broken"
    expected = run.asked * (1.0 if accounts == "all" else 0.5)
    if run.letters < 0.97 * expected:
        note += f": {expected - run.letters:.0f} never came"
    result.add(who, "requests/s until the last mail", run.rate, "1/s", note)
    result.add(who, "requests/s while asking", run.asked / run.asking if run.asking else 0.0, "1/s")
    result.add(who, "letters a request, while asking", run.letters_a_request, "")
    result.add(who, "answer p50", run.p50 * 1000, "ms")
    result.add(who, "answer p99", run.p99 * 1000, "ms")
