"""E. Letters a second out of a queue of 20,000: one process, one core, a relay that answers at once.

The queue is filled through the service's own intake, then the dispatcher is started on it; the rate counts from the
first letter at the relay to the last. In the same run, in turn with it and on the same core: a bare loop of
`aiosmtplib.sendmail` on as many open connections, with a mail of the same size made beforehand and nothing on record.
Flask-Mail sends the same way beside them: a connection for each mail, as taught, and one for all, its best.
"""

import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from bench.contenders import CONTENDERS_PYTHON, Place
from bench.harness.bench import Bench, own_python
from bench.harness.full_queue import fill_queue
from bench.harness.machine import find_program
from bench.harness.processes import ProgramFailed
from bench.harness.relays import LOOK_AGAIN, Flow, Relay, instant_relay, relay_that_is_down, watch
from bench.harness.result import Chart, Goal, Result
from resetsvc.clock import Clock
from resetsvc.compose.composer import Composer
from resetsvc.i18n import Languages
from resetsvc.letters import ClaimedLetter, Kind
from resetsvc.templates import Templates
from resetsvc.testing import make_settings
from resetsvc.tokens import Tokens

LETTER = "E"
TITLE = "Letters a second out of a full queue"

QUEUED = 20_000
BARE = 6_000
FLASK_MAILS = 1_000
ROUNDS = 3
LANES = 8  # RESETSVC_SMTP_CONNECTIONS by default
_LONGEST = 60.0
_ROOT = Path(__file__).resolve().parents[2]


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    queued, octets = bench.many(QUEUED), mail_size()
    prepared = full_queue(bench, queued)
    ours: list[float] = []
    bare: list[float] = []
    bare_uvloop: list[float] = []
    for number in range(ROUNDS):
        bench.say(f"round {number + 1} of {ROUNDS}")
        bare.append(_bare(bench, octets).rate)
        ours.append(empty_the_queue(bench, prepared, queued).rate)
        bare_uvloop.append(_bare(bench, octets, "--uvloop").rate)
    shares = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    result.add("resetsvc", "letters/s", median(ours), "1/s", _listed(ours))
    result.add("bare aiosmtplib.sendmail", "letters/s", median(bare), "1/s", _listed(bare))
    result.add(
        "bare aiosmtplib.sendmail on uvloop", "letters/s", median(bare_uvloop), "1/s", _listed(bare_uvloop)
    )
    result.add("resetsvc", "share of the bare loop, each round", median(shares), "×", _listed(shares, 2))
    result.add("resetsvc", "octets a mail", octets, "")
    result.goals.append(
        Goal(
            "letters/s ÷ a loop of bare aiosmtplib.sendmail on open connections",
            "at least",
            1.5,
            median(shares),
            "×",
        )
    )
    groups = ["resetsvc", "bare loop", "bare loop, uvloop"]
    values: list[float | None] = [median(ours), median(bare), median(bare_uvloop)]
    bench.say("Flask-Mail")
    try:
        each = _flask_mail(bench).rate
        kept = _flask_mail(bench, "--one-connection").rate
    except ProgramFailed as error:
        result.goals.append(Goal("letters/s ÷ Flask-Mail's best", "at least", 6.0, None, "×", str(error)))
    else:
        result.add("Flask-Mail, a connection each", "letters/s", each, "1/s")
        result.add("Flask-Mail, one connection", "letters/s", kept, "1/s")
        result.add("resetsvc", "letters/s ÷ Flask-Mail as taught", median(ours) / each, "×")
        result.goals.append(
            Goal(
                "letters/s ÷ Flask-Mail's best (one connection for all)",
                "at least",
                6.0,
                median(ours) / max(each, kept),
                "×",
            )
        )
        groups += ["Flask-Mail", "Flask-Mail, one connection"]
        values += [each, kept]
    result.charts.append(
        Chart(
            "letters/s",
            groups,
            {"out of a full queue": values},
            line=("1.5 × the bare loop", 1.5 * median(bare)),
        )
    )
    bench.forget(prepared)
    return result


def full_queue(bench: Bench, letters: int, prepared: Place | None = None) -> Place:
    """A place with so many letters that wait, all of them for accounts. `prepared`: a place to fill, in place of a new one."""
    contender = bench.contender("resetsvc")
    if prepared is None:
        with relay_that_is_down() as nowhere:
            prepared = bench.new_place(contender, nowhere)
    fill_queue(contender.environment(prepared), letters)
    return prepared


def empty_the_queue(
    bench: Bench, prepared: Place, letters: int, more: Mapping[str, str] | None = None
) -> Flow:
    """Deliver a copy of a full queue to an instant relay. more -- settings of the dispatcher"""
    with instant_relay(bench.new_folder("relay"), bench.cores.load) as relay:
        place = bench.place_like(prepared, relay)
        with bench.dispatching(place, more) as program:
            flow = watch(relay, until=letters, patience=_LONGEST, quiet=3.0)
            program.require_alive()
    bench.forget(place)
    return flow


def mail_size() -> int:
    """Octets of one of our reset mails."""
    with tempfile.TemporaryDirectory() as folder:
        settings = make_settings(Path(folder))
    clock = Clock()
    composer = Composer(
        settings, Templates(Languages(None), None), Tokens(settings.keys, settings.token_ttl, clock), clock
    )
    letter = ClaimedLetter(
        "0" * 32, Kind.RESET, "user000000@bench.example", None, "127.0.0.1", "0" * 32, 0.0, 0.0, 0, "1", "1"
    )
    return len(composer.compose(letter, "user000000@bench.example", None).body)


def _bare(bench: Bench, octets: int, *more: str) -> Flow:
    count = bench.many(BARE)
    options = ("--count", str(count), "--lanes", str(LANES), "--octets", str(octets), *more)
    return _loop(bench, [own_python(), "-m", "bench.harness.bare_loop", *options], count)


def _flask_mail(bench: Bench, *more: str) -> Flow:
    count = bench.many(FLASK_MAILS)
    script = str(_ROOT / "bench" / "harness" / "flask_mail_loop.py")
    return _loop(bench, [str(CONTENDERS_PYTHON), script, "--count", str(count), *more], count)


def _loop(bench: Bench, command: Sequence[str], count: int) -> Flow:
    with instant_relay(bench.new_folder("relay"), bench.cores.load) as relay:
        process = subprocess.Popen(
            [find_program("taskset"), "-c", str(bench.cores.service), *command, "--port", str(relay.port)],
            cwd=_ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        flow = _watch_while_it_runs(process, relay, count)
        _, said = process.communicate(timeout=_LONGEST)
    if process.returncode:
        raise ProgramFailed(said.strip().splitlines()[-1] if said.strip() else "it failed without a word")
    return flow


def _watch_while_it_runs(process: subprocess.Popen[str], relay: Relay, count: int) -> Flow:
    while relay.letters() == 0 and process.poll() is None:
        time.sleep(LOOK_AGAIN)
    return watch(relay, until=count, patience=_LONGEST if process.poll() is None else 0.1, quiet=3.0)


def _listed(values: Sequence[float], digits: int = 0) -> str:
    return "rounds: " + ", ".join(f"{value:,.{digits}f}" for value in values)
