"""Arrows go down only: who may import whom, who may touch what, and what nobody does."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules.source import Module, all_that_loads, is_under, modules, modules_by_name

# Each library has one door. A second file that wants in has to be written down here, and why.
DOORS = {
    "aiosmtpd": {"resetsvc.dev"},
    "aiosmtplib": {"resetsvc.relay.lane"},
    "aiosqlite": {"resetsvc.store.sqlite"},
    "alembic": {"resetsvc.store.schema", "resetsvc.store.migrations"},
    "asyncpg": {
        "resetsvc.store.postgres",
        "resetsvc.store.postgres_store",
        "resetsvc.store.news",
        "resetsvc.accounts.engines",  # connections to another application's database
    },
    "argon2": {"resetsvc.passwords.hashing", "resetsvc.passwords.formats"},
    "babel": {"resetsvc.i18n"},
    "bcrypt": {"resetsvc.passwords.formats.bcrypt_hash"},
    "click": {"resetsvc.cli", "resetsvc.dev.run"},
    "databases": {"resetsvc.store.sqlite", "resetsvc.store.postgres"},
    # Two that ask others: each with bounds and certificates of its own, and neither is loaded where it is not set.
    "httpx": {"resetsvc.passwords.breach", "resetsvc.accounts.webhook_endpoint", "resetsvc.events.poster"},
    # The last for its types.
    "hypercorn": {
        "resetsvc.server",
        "resetsvc.connections",
        "resetsvc.http2",
        "resetsvc.dev.run",
        "resetsvc.web.asgi",
    },
    "idna": {"resetsvc.addresses"},
    "itsdangerous": {"resetsvc.tokens"},
    "jinja2": {"resetsvc.templates", "resetsvc.service"},  # a broken template is told at the start
    "limits": {"resetsvc.limits", "resetsvc.settings"},  # the settings parse `20/minute`
    "matplotlib": {"resetsvc.selftest.picture"},
    "prometheus_client": {"resetsvc.metrics"},
    # What an endpoint answers is as much from outside as a setting, and its document is made of the same models.
    "pydantic": {
        "resetsvc.settings",
        "resetsvc.accounts.mapping",
        "resetsvc.accounts.opening",  # the type of what it is given
        "resetsvc.accounts.parts",
        "resetsvc.accounts.webhook",
        "resetsvc.accounts.webhook_contract",
        "resetsvc.accounts.webhook_mapping",
        "resetsvc.accounts.webhook_openapi",
        "resetsvc.cli.conform",
        "resetsvc.cli.conform_endpoint",
    },
    "pydantic_settings": {"resetsvc.settings"},
    "pytest": {"resetsvc.testing"},
    "pytest_asyncio": {"resetsvc.testing"},
    "quart": {
        "resetsvc.web",
        "resetsvc.app",
        "resetsvc.server",  # the type of what it serves
        "resetsvc.dev",
        "resetsvc.testing",
    },
    "sqlalchemy": {"resetsvc.store.schema", "resetsvc.store.migrations", "resetsvc.accounts"},
    "sqlite3": {"resetsvc.store"},
    "uvloop": {"resetsvc.server"},
    "werkzeug": {"resetsvc.web", "resetsvc.app", "resetsvc.dev.mailbox"},
}

DOES_IO = {
    "aiosmtplib",
    "aiosqlite",
    "asyncio",
    "asyncpg",
    "databases",
    "http",
    "logging",
    "os",
    "pathlib",
    "quart",
    "random",
    "secrets",
    "socket",
    "sqlite3",
    "ssl",
    "structlog",
    "subprocess",
    "threading",
    "time",
    "urllib.request",
}


@pytest.mark.parametrize("library", sorted(DOORS))
def test_each_library_is_used_behind_its_door_only(library: str) -> None:
    users = {module.name for module in modules() if library in module.libraries}
    assert users, f"nobody uses {library}: take it off the list and out of pyproject.toml"
    assert not {name for name in users if not is_under(name, *DOORS[library])}


def test_nothing_below_web_imports_quart_or_the_web() -> None:
    above = (
        "resetsvc.web",
        "resetsvc.app",
        "resetsvc.service",
        "resetsvc.cli",
        "resetsvc.dev",
        "resetsvc.testing",
        "resetsvc.server",
    )
    for module in modules():
        if is_under(module.name, *above) or module.name in ("resetsvc", "resetsvc.__main__"):
            continue
        reached = {name for name in all_that_loads(module.name) if is_under(name, *above)}
        assert not reached, f"{module.name} reaches up to {reached}"


def test_the_store_knows_no_rules() -> None:
    for module in modules("resetsvc.store"):
        known = {name for name in module.ours if not is_under(name, "resetsvc.store")}
        assert known <= {"resetsvc.errors", "resetsvc.letters"}, f"{module.name} imports {sorted(known)}"


@pytest.mark.parametrize(
    "name",
    [
        "addresses",
        "admission",
        "audit",
        "client_address",
        "errors",
        "letters",
        "passwords.policy",
        "relay.url",
        "relay.verdict",
        "storage_url",
    ],
)
def test_rules_are_pure(name: str) -> None:
    """No I/O, no clock, no chance: also not in what they import."""
    # The accounts contract hands an open unit of work through: it names the type of one, which does nothing by itself.
    only_a_type = {"resetsvc.store.connection"}
    for reached in all_that_loads(f"resetsvc.{name}"):
        module = modules_by_name()[reached]
        does = module.imports & DOES_IO
        assert not does, f"{reached}: {sorted(does)}"
        assert not is_under(reached, "resetsvc.store") or reached in only_a_type


def test_only_the_composition_roots_join_parts() -> None:
    roots = (
        "resetsvc.service",
        "resetsvc.app",
        "resetsvc.cli",
        "resetsvc.dev.run",
        "resetsvc.testing",
        "resetsvc.accounts.opening",  # which accounts: a choice that would make service.py longer
    )
    parts = {
        "Store",
        "Intake",
        "Links",
        "Confirm",
        "Cancel",
        "Composer",
        "Gatekeeper",
        "Dispatcher",
        "Supervisor",
    }
    parts |= {
        "Relays",
        "Metrics",
        "ClientLimits",
        "Pages",
        "Parts",
        "Tokens",
        "Templates",
        "BuiltinAccounts",
        "Trail",
    }
    made_somewhere: set[str] = set()
    for module in modules():
        made = module.calls & parts
        if is_under(module.name, *roots):
            made_somewhere |= made
        else:
            assert not made, f"{module.name} makes {sorted(made)}"
        if not is_under(module.name, *roots, "resetsvc.__main__") and module.name != "resetsvc":
            above = {"resetsvc.app", "resetsvc.service", "resetsvc.cli"}
            assert not module.ours & above, f"{module.name} reaches up"
    assert made_somewhere == parts, f"no such parts any more: {sorted(parts - made_somewhere)}"


def test_imports_go_round_in_no_circle() -> None:
    """Also not by imports inside of functions: those only hide a circle."""
    # `resetsvc/__init__.py` shows what is public; nobody inside imports from there.
    graph = {name: module.ours for name, module in modules_by_name().items()}
    assert not [
        name for name, ours in graph.items() if "resetsvc" in ours and not is_under(name, "resetsvc.cli")
    ]
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"a circle: {' -> '.join((*way[way.index(name) :], name))}"
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


_SQL = re.compile(
    r"\s*(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s.+\sSET|DELETE\s+FROM|CREATE\s|ALTER\s|DROP\s|PRAGMA\s|BEGIN|COMMIT|ROLLBACK)",
    re.DOTALL,
)


def test_sql_stands_in_few_places_only() -> None:
    found = {module.name for module in modules() if any(_SQL.match(text) for text in module.texts)}
    assert "resetsvc.store.letters" in found, "this test finds no SQL at all"
    # What is said to another application's database has files of its own.
    theirs = ("resetsvc.accounts.sql", "resetsvc.accounts.catalog", "resetsvc.accounts.held_rights")
    places = ("resetsvc.store", *theirs)
    assert not {name for name in found if not is_under(name, *places)}


# What to use instead stands behind each.
NEVER = {
    "asyncio.wait_for": "asyncio.timeout: on Python 3.11 wait_for swallows cancellation",
    "time.sleep": "it stops every request: asyncio.sleep, or better an event",
    "print": "click.echo in commands, a log elsewhere",
    "breakpoint": "left over",
    "eval": "never",
    "exec": "never",
    "asyncio.get_event_loop": "asyncio.get_running_loop",
    "datetime.now": "the clock that is passed in",
    "datetime.utcnow": "the clock that is passed in",
    "os.getenv": "the settings",
}


def test_nobody_does_what_is_never_done() -> None:
    for module in modules():
        done = {call: NEVER[call] for call in module.calls & NEVER.keys()}
        if module.name == "resetsvc.dev.caught_mails":
            del done["datetime.now"]  # the default of the clock that it is given
        if module.name == "resetsvc.store.sqlite":
            del done["time.sleep"]  # at opening, in the driver's own thread
        assert not done, f"{module.name}: {done}"
        assert "wait_for" not in _names_imported(module), f"{module.name} imports wait_for"


def _names_imported(module: Module) -> set[str]:
    return set(re.findall(r"^from asyncio import (.*)$", module.text, re.MULTILINE))


READS_THE_ENVIRONMENT = {
    "resetsvc.settings.sources": "the only reader",
    "resetsvc.dev.run": "asks which settings were given, to leave those alone that have a default of their own there",
}
READS_THE_TIME = {
    "resetsvc.clock": "where everybody else has it from",
    "resetsvc.connections": "the `Date` header is of the system's time, as hypercorn makes it",
    "resetsvc.limits": "the limits package counts by the system's time itself",
    "resetsvc.dev.caught_mails": "begins the numbers of its events anew at each start",
}


def test_only_the_settings_read_the_environment() -> None:
    readers = {module.name for module in modules() if {"os.environ", "environ"} & module.names}
    assert readers == set(READS_THE_ENVIRONMENT)


def test_only_the_clock_tells_time_and_tosses_coins() -> None:
    """Measuring how long something took (perf_counter) is free: nothing is decided by it."""
    for module in modules():
        asked = {name for name in module.names if name.startswith("time.")}
        asked -= {"time.perf_counter", "time.perf_counter_ns", "time.sleep"}
        assert bool(asked) == (module.name in READS_THE_TIME), f"{module.name} asks {sorted(asked)}"
        assert "from time import" not in module.text, f"{module.name} hides whose name that is"
    tossing = {module.name for module in modules() if "random" in module.libraries}
    # The self-test's order of requests: by a seed, so that it can be had again. No part of the service.
    assert tossing == {"resetsvc.clock", "resetsvc.selftest.measurement"}


def test_what_serve_loads_has_nothing_of_development_or_tests_in_it() -> None:
    reached = all_that_loads("resetsvc.app", "resetsvc.server", "resetsvc.store.migrations.env")
    aside = ("resetsvc.dev", "resetsvc.testing", "resetsvc.selftest")
    assert not {name for name in reached if is_under(name, *aside)}
    for module in modules("resetsvc.cli"):
        dev = {name for name in module.ours if is_under(name, "resetsvc.dev", "resetsvc.testing")}
        assert not dev or module.name == "resetsvc.cli.run", module.name


def test_a_started_service_has_loaded_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """Looked at in a process of its own: after a start on a database that is up to date."""
    program = """
import asyncio, json, sys
from pathlib import Path
from resetsvc.cli import main
from resetsvc.app import create_app
from resetsvc.settings import load_settings

async def start():
    app = create_app(load_settings())
    async with app.test_app():
        assert (await app.test_client().get("/healthz")).status_code == 200

asyncio.run(start())
sys.stdout.write("\\n" + json.dumps(sorted(sys.modules)))
"""
    settings = {
        "PATH": "/usr/bin:/bin",
        "RESETSVC_DATABASE_URL": f"sqlite:///{tmp_path / 'resetsvc.db'}",
        "RESETSVC_SECRET_KEY": "kKz9_2mW81-aDk3PqLx7vBn4TzRy6UiO0",
        "RESETSVC_PUBLIC_URL": "https://reset.example.com",
        "RESETSVC_SMTP_URL": "smtp://127.0.0.1:1?tls=none",
        "RESETSVC_MAIL_FROM": "no-reply@example.com",
    }

    def loaded() -> set[str]:
        ended = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env=settings,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return set(json.loads(ended.stdout.splitlines()[-1]))  # the log is before it

    first = loaded()  # makes the database, so it needs Alembic
    assert "alembic" in first
    second = loaded()
    assert "resetsvc.app" in second
    unwanted = {
        "matplotlib",
        "alembic",
        "bcrypt",
        "aiosmtpd",
        "pytest",
        "resetsvc.testing",
        "redis",
        "coredis",
        "resetsvc.dev",
    }
    assert not unwanted & second
    assert not {name for name in second if is_under(name, "resetsvc.dev", "resetsvc.selftest")}
