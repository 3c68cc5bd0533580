"""O. Figures B and E once more with the accounts in a Django table of 1,000,000 users, in a database of its own.

Beside them, in turn and on the same core, the accounts table that comes with the service (100,000). Django's table is as
its migrations make it, with the index on `lower(email)` that the how-to asks for; both databases are SQLite files. The
queue of E is the same in both; who its letters are for is looked up while it is emptied.
"""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench.contenders import Contender, Place, addresses
from bench.figures import b_delivered, e_full_queue
from bench.harness.bench import Bench
from bench.harness.relays import instant_relay, relay_that_is_down
from bench.harness.result import Chart, Goal, Result

LETTER = "O"
TITLE = "Beside a Django table of a million users"

USERS = 1_000_000
ROUNDS = 3
QUEUED = 10_000
REQUESTS = 5_000
KINDS = ("built-in", "django")
HASH = "pbkdf2_sha256$1000000$saltsaltsaltsaltsaltsa$P5FeSl5mF/0Xu0hO2sS0Ov2xGZ0z5pYoqQ0u0mJc3mE="

# What `manage.py migrate` of Django 5.2 makes, on SQLite.
_AUTH_USER = """
    CREATE TABLE "auth_user" (
        "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "password" varchar(128) NOT NULL, "last_login" datetime NULL,
        "is_superuser" bool NOT NULL, "username" varchar(150) NOT NULL UNIQUE, "last_name" varchar(150) NOT NULL,
        "email" varchar(254) NOT NULL, "is_staff" bool NOT NULL, "is_active" bool NOT NULL,
        "date_joined" datetime NOT NULL, "first_name" varchar(150) NOT NULL
    )
"""


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    ours = bench.contender("resetsvc")
    with relay_that_is_down() as nowhere:
        prepared = bench.new_place(ours, nowhere)
    users = bench.many(USERS)
    table = bench.new_folder("django") / "django.db"
    bench.say(f"writing {users:,} users of Django")
    make_django(table, list(addresses(prepared.accounts)), users)
    contenders = {"built-in": ours, "django": beside(ours, table)}

    rates: dict[str, dict[str, list[float]]] = {figure: {kind: [] for kind in KINDS} for figure in "BE"}
    for number in range(ROUNDS):
        for kind in KINDS if number % 2 == 0 else reversed(KINDS):
            bench.say(f"B: delivered requests/s, {kind}, round {number + 1} of {ROUNDS}")
            with instant_relay(bench.new_folder("relay"), bench.cores.load) as relay:
                place = bench.place_like(prepared, relay)
                race = b_delivered.race(bench, contenders[kind], place, relay, REQUESTS)
                rates["B"][kind].append(race.rate)
                if not race.letters:
                    raise AssertionError(f"no letter was delivered: nobody was found in the {kind} accounts")
            bench.forget(place)
    queued = bench.many(QUEUED)
    e_full_queue.full_queue(bench, queued, prepared)
    for number in range(ROUNDS):
        for kind in KINDS if number % 2 == 0 else reversed(KINDS):
            bench.say(f"E: letters/s out of a full queue, {kind}, round {number + 1} of {ROUNDS}")
            more = {} if kind == "built-in" else accounts_of(table)
            rates["E"][kind].append(e_full_queue.empty_the_queue(bench, prepared, queued, more).rate)
    bench.forget(prepared)

    names = {"B": "requests/s until the last mail", "E": "letters/s"}
    shares: list[float | None] = []
    for figure, name in names.items():
        for kind in KINDS:
            note = f"{users:,} users" if kind == "django" else ""
            result.add(
                f"resetsvc, {kind} accounts", f"{figure}: {name}", median(rates[figure][kind]), "1/s", note
            )
        share = median(rates[figure]["django"]) / median(rates[figure]["built-in"])
        shares.append(share)
        result.goals.append(
            Goal(
                f"{figure} beside a million users of Django ÷ with built-in accounts",
                "at least",
                0.9,
                share,
                "×",
            )
        )
    result.charts.append(
        Chart(
            "share of the built-in accounts'",
            list(names.values()),
            {"beside Django": shares},
            line=("0.9, the least", 0.9),
        )
    )
    return result


def make_django(path: Path, known: list[str], users: int) -> None:
    """Django's table with so many users: the known addresses first, and others that nobody asks for."""
    others = (f"other{number:07d}@bench.example" for number in range(max(0, users - len(known))))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(_AUTH_USER)
        for emails in (known, others):
            connection.executemany(
                "INSERT INTO auth_user (password, is_superuser, username, last_name, email, is_staff, is_active,"
                " date_joined, first_name) VALUES (?, FALSE, ?, '', ?, FALSE, TRUE, '2026-01-01', '')",
                ((HASH, email, email) for email in emails),
            )
        connection.execute("CREATE INDEX auth_user_lower_email ON auth_user (lower(email))")
        connection.execute("ANALYZE")


def accounts_of(table: Path) -> dict[str, str]:
    return {"RESETSVC_ACCOUNTS_URL": f"sqlite:///{table}", "RESETSVC_ACCOUNTS_PRESET": "django"}


def beside(ours: Contender, table: Path) -> Contender:
    def environment(place: Place) -> dict[str, str]:
        return {**ours.environment(place), **accounts_of(table)}

    return replace(ours, environment=environment)
