"""H. Changed passwords a second on one core, and how long people wait for `POST /reset-password` meanwhile.

Beside it, in turn and on the same core: argon2-cffi alone, with the same parameters in as many threads (one: resetsvc
computes no more hashes at a time than it has cores). Each change is a whole one over HTTP: signature, policy, hash, the
unit of work, and the notice that is delivered to an instant relay. The links are signed by the service's own code for
letters that are in its database as if they had been sent. Requests come at a fixed rate, first while nobody changes a
password, then while that goes on as fast as it can.
"""

import asyncio
import hashlib
import itertools
import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from bench.contenders import Place
from bench.figures.c_relay_moods import request_of
from bench.harness.bench import Bench, own_python
from bench.harness.delay_line import exact_loop
from bench.harness.machine import find_program
from bench.harness.open_loop import Answer, connect, percentile, post, run_at_rate
from bench.harness.relays import instant_relay
from bench.harness.result import Chart, Goal, Result
from resetsvc.clock import Clock, new_id
from resetsvc.settings import Settings
from resetsvc.tokens import Tokens

LETTER = "H"
TITLE = "Changed passwords a second on one core"

ROUNDS = 3
SECONDS = 2.5
LINKS = 4_000
CLIENTS = 8
ASKS = 100.0  # requests a second meanwhile


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    ours = bench.contender("resetsvc")
    defaults = {
        name: Settings.model_fields[name].default
        for name in ("argon2_memory", "argon2_time", "argon2_parallelism", "argon2_concurrency", "token_ttl")
    }  # fmt: skip -- five names
    defaults["argon2_concurrency"] = 1  # what it comes to on one core, whatever the setting is
    seconds = bench.long(SECONDS)
    alone: list[Answer] = []
    meanwhile: list[Answer] = []
    changed: list[float] = []
    changed_meanwhile: list[float] = []
    bare: list[float] = []
    with instant_relay(bench.new_folder("relay"), bench.cores.load) as relay:
        place = bench.new_place(ours, relay)
        key = ours.environment(place)["RESETSVC_SECRET_KEY"]
        with bench.serving(ours, place):
            tokens = iter(make_links(place, key, defaults["token_ttl"], LINKS))
            for number in range(ROUNDS):
                bench.say(f"round {number + 1} of {ROUNDS}")
                bare.append(_bare(bench, defaults, seconds))
                changed.append(_change(place, tokens, seconds))
                alone += _ask(place, number, seconds)
                with ThreadPoolExecutor(1) as asking:
                    # In another thread: one loop for both would have each wait for the other.
                    asked = asking.submit(_ask, place, number + 50, seconds)
                    changed_meanwhile.append(_change(place, tokens, seconds))
                    meanwhile += asked.result()
    shares = [mine / theirs for mine, theirs in zip(changed, bare, strict=True)]
    calm = percentile([answer.seconds for answer in alone], 0.99)
    busy = percentile([answer.seconds for answer in meanwhile], 0.99)
    threads = f"{defaults['argon2_concurrency']} thread, {defaults['argon2_memory']} KiB, t={defaults['argon2_time']}, p={defaults['argon2_parallelism']}"
    result.add("resetsvc", "changed passwords/s", median(changed), "1/s", f"{CLIENTS} clients")
    result.add(
        "resetsvc",
        f"changed passwords/s while {ASKS:.0f} requests/s are answered and mailed",
        median(changed_meanwhile),
        "1/s",
    )
    result.add("bare argon2-cffi", "hashes/s", median(bare), "1/s", threads)
    result.add("resetsvc", "POST /reset-password p99, nobody changes a password", calm * 1000, "ms")
    result.add("resetsvc", "POST /reset-password p99 meanwhile", busy * 1000, "ms")
    result.goals += [
        Goal("changed passwords/s ÷ bare argon2-cffi's", "at least", 0.9, median(shares), "×"),
        Goal("p99 of POST /reset-password meanwhile ÷ otherwise", "at most", 2.0, busy / calm, "×"),
    ]
    result.charts.append(
        Chart(
            "1/s",
            ["resetsvc", "bare argon2-cffi"],
            {"passwords": [median(changed), median(bare)]},
            line=("0.9 × bare", 0.9 * median(bare)),
        )
    )
    return result


def make_links(place: Place, key: str, lifetime: int, count: int) -> list[str]:
    """Links of letters that are on record as sent, for as many accounts."""
    clock = Clock()
    tokens = Tokens([key], lifetime, clock)
    now = clock.now()
    connection = sqlite3.connect(place.database, timeout=30)
    accounts = connection.execute(
        "SELECT id, address, password_hash FROM accounts WHERE active ORDER BY address LIMIT ?", (count,)
    ).fetchall()
    letters = []
    for account_id, address, password_hash in accounts:
        # As `accounts.builtin` makes it; were it another, every change below would be answered with 410.
        credential = hashlib.sha256(f"{address}\0{password_hash}".encode()).hexdigest()[:32]
        letters.append((Clock().new_letter_id(), address, new_id(), now, account_id, credential))
    with connection:
        connection.executemany(
            """
            INSERT INTO letters (id, kind, state, address, client, message_id, asked_at, due_at, deadline_at, attempts,
                                 account_id, credential, admitted_at, sent_at, finished_at, relay, reply)
            VALUES (?1, 'reset', 'sent', ?2, '127.0.0.1', ?3, ?4, ?4, ?4 + 14400, 1, ?5, ?6, ?4, ?4, ?4, 'relay', '250')
            """,
            letters,
        )
    connection.close()
    return [tokens.sign(letter[0]) for letter in letters]


def _change(place: Place, tokens: Iterator[str], seconds: float) -> float:
    """Change passwords one after the other, from several clients at once; return how many a second."""
    numbers = itertools.count()

    async def client(end: float) -> int:
        connection = await connect(place.port)
        changed = 0
        while time.monotonic() < end:
            password = f"seven grey herons {next(numbers)} over the weir"
            body = json.dumps({"password": password}).encode()
            status = await connection.ask(post(f"/reset/{next(tokens)}", body, "application/json"))
            if status != 200:
                raise RuntimeError(f"a password was not changed: {status}")
            changed += 1
        connection.close()
        return changed

    async def all_clients() -> float:
        began = time.monotonic()
        changed = sum(await asyncio.gather(*(client(began + seconds) for _ in range(CLIENTS))))
        return changed / (time.monotonic() - began)

    with asyncio.Runner(loop_factory=exact_loop) as runner:
        return runner.run(all_clients())


def _ask(place: Place, number: int, seconds: float) -> list[Answer]:
    from bench.contenders import CONTENDERS

    ours = next(contender for contender in CONTENDERS if contender.name == "resetsvc")
    first = 10_000 + number * 1_000  # other accounts than those whose passwords change
    return run_at_rate(place.port, lambda asked: request_of(ours, first + asked), rate=ASKS, seconds=seconds)


def _bare(bench: Bench, defaults: dict[str, int], seconds: float) -> float:
    command = [
        find_program("taskset"),
        "-c",
        str(bench.cores.service),
        own_python(),
        "-m",
        "bench.harness.bare_argon2",
    ]
    for option, setting in {
        "memory": "memory",
        "time": "time",
        "parallelism": "parallelism",
        "threads": "concurrency",
    }.items():
        command += [f"--{option}", str(defaults[f"argon2_{setting}"])]
    command += ["--seconds", str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
