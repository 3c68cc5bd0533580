"""Who is measured: what people use today, the floor, and resetsvc. How each is prepared, started, and asked for a reset."""

import atexit
import functools
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_FOLDER = Path(__file__).resolve().parent
_ROOT = _FOLDER.parents[1]

CONTENDERS_PYTHON = _ROOT / ".venv-bench" / "bin" / "python"
"""The interpreter of what people use today (`make .venv-bench/.done`): one of them wants an older SQLAlchemy than ours."""

OWN_PYTHON = _ROOT / ".venv-bench" / "resetsvc" / "bin" / "python"
"""The interpreter of resetsvc and the floor (made with the other one): it has what running them takes, and no tool besides."""

ADDRESSES = 100_000

# Threads of gunicorn's one process. More of them answer no faster on one core; the pool of SQLAlchemy has 15 connections.
_THREADS = 12

Accounts = Literal["half", "all"]


@dataclass(frozen=True)
class Place:
    """Where one start of one contender happens.

    folder   -- of its own, made already; holds its database
    accounts -- which of user000000@bench.example to user099999@bench.example have one: every other, or all
    """

    port: int
    folder: Path
    smtp_host: str
    smtp_port: int
    accounts: Accounts

    @property
    def database(self) -> Path:
        return self.folder / "accounts.db"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Contender:
    """One that is measured.

    command     -- starts the server on 127.0.0.1 and the place's port, in one process
    environment -- all of it: what this process has, and what the contender wants besides
    ready_path  -- answers with less than 500 as soon as it works
    lacks       -- what it does not do, in words for a table
    """

    name: str
    title: str
    command: Callable[[Place], list[str]]
    environment: Callable[[Place], dict[str, str]]
    ask_path: str
    ask_field: str
    body_format: Literal["form", "json"]
    ready_path: str
    sends_mail: bool
    lacks: tuple[str, ...]
    python: Path
    packages: tuple[str, ...]
    make_database: Callable[[Path, Accounts], None] | None

    def prepare(self, place: Place) -> None:
        """Put the database with the accounts into the place. Made once for each kind of place, then copied."""
        if self.make_database is not None:
            shutil.copyfile(_made(self.make_database, place.accounts), place.database)
            sync(place.database)

    @property
    def installed(self) -> bool:
        return self.python.exists()

    def versions(self) -> dict[str, str]:
        """The installed release of each package that matters; none of them if its interpreter is not there."""
        if not self.installed:
            return {}
        code = "import importlib.metadata as m, json, sys; print(json.dumps({p: m.version(p) for p in sys.argv[1:]}))"
        said = subprocess.run(
            [self.python, "-c", code, *self.packages], check=True, capture_output=True, text=True
        )
        versions: dict[str, str] = json.loads(said.stdout)
        return versions


def addresses(accounts: Accounts) -> Iterator[str]:
    """The addresses that have an account."""
    return (
        f"user{number:06d}@bench.example" for number in range(0, ADDRESSES, 2 if accounts == "half" else 1)
    )


def sync(path: Path) -> None:
    """Have the disk done with a file that was just written: else that is what the first sync of whoever uses it waits for."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@functools.cache
def _made(make: Callable[[Path, Accounts], None], accounts: Accounts) -> Path:
    """A database file with these accounts, for as long as this process runs."""
    folder = Path(tempfile.mkdtemp(prefix="bench-accounts-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = folder / "accounts.db"
    make(database, accounts)
    return database


# ------------------------------------------------------------------------------------------------ what people use today


def _filled_by(name: str) -> Callable[[Path, Accounts], None]:
    """The contender's own models make its tables: its fill.py, with the addresses on standard input."""

    def make(database: Path, accounts: Accounts) -> None:
        nowhere = Place(1, database.parent, "127.0.0.1", 1, accounts)
        done = subprocess.run(
            [CONTENDERS_PYTHON, "fill.py"],
            cwd=_FOLDER / name,
            env=_environment(nowhere),
            input="".join(f"{address}\n" for address in addresses(accounts)),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{name}/fill.py failed: {done.stderr.strip()[-1500:]}")

    return make


def _environment(place: Place) -> dict[str, str]:
    return {
        **_inherited(),
        "BENCH_DATABASE": str(place.database),
        "BENCH_SMTP_HOST": place.smtp_host,
        "BENCH_SMTP_PORT": str(place.smtp_port),
        "BENCH_BASE_URL": place.url,
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _inherited() -> dict[str, str]:
    """What this process has, without settings of resetsvc: one that is meant for something else would count."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RESETSVC_")}


def _gunicorn(name: str, app: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        return [
            *(str(CONTENDERS_PYTHON), "-m", "gunicorn", "--worker-class", "gthread"),
            *("--workers", "1", "--threads", str(_THREADS), "--timeout", "120", "--no-control-socket"),
            *("--bind", f"127.0.0.1:{place.port}", "--pythonpath", str(_FOLDER / name), app),
        ]

    return command


def _uvicorn(name: str) -> Callable[[Place], list[str]]:
    """On uvloop and httptools, which it finds by itself, and without its log of accesses, which gunicorn has not either."""

    def command(place: Place) -> list[str]:
        return [
            *(str(CONTENDERS_PYTHON), "-m", "uvicorn", "--app-dir", str(_FOLDER / name), "--no-access-log"),
            *("--host", "127.0.0.1", "--port", str(place.port), "app:app"),
        ]

    return command


# --------------------------------------------------------------------------------------------------- resetsvc, the floor


def _floor(name: str, *more: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        return [str(OWN_PYTHON), str(_FOLDER / name / "app.py"), str(place.port), *more]

    return command


def resetsvc_command(place: Place) -> list[str]:
    return [str(OWN_PYTHON), "-m", "resetsvc", "serve", "--bind", f"127.0.0.1:{place.port}"]


def resetsvc_dispatch_command(place: Place) -> list[str]:
    """The dispatcher alone: it needs the environment of `resetsvc`, not of `resetsvc-accepting`."""
    return [str(OWN_PYTHON), "-m", "resetsvc", "dispatch"]


def resetsvc_environment(place: Place) -> dict[str, str]:
    """The defaults, but for the limits that one client would run into that plays everybody.

    The limit for each client is counted as ever, only that it is never reached; that for each account stays as it is.
    """
    return {
        **_inherited(),
        "RESETSVC_DATABASE_URL": f"sqlite:///{place.database}",
        "RESETSVC_SECRET_KEY": "3b7c1f2e9d5a486077e1c4b8a2d6f03915e8",
        "RESETSVC_PUBLIC_URL": place.url,
        "RESETSVC_SMTP_URL": f"smtp://{place.smtp_host}:{place.smtp_port}?tls=none",
        "RESETSVC_MAIL_FROM": "no-reply@bench.example",
        "RESETSVC_LIMIT_PER_CLIENT": "1000000/second",
        "RESETSVC_QUEUE_LIMIT": "10000000",
        "RESETSVC_TOKEN_TTL": "1800",
    }


def _accepting_environment(place: Place) -> dict[str, str]:
    return {**resetsvc_environment(place), "RESETSVC_DISPATCH": "false"}


def make_resetsvc_database(database: Path, accounts: Accounts) -> None:
    """The schema by the service's own migrations, the accounts by one statement."""
    from argon2 import PasswordHasher

    from resetsvc.settings import Settings
    from resetsvc.store.schema import upgrade

    upgrade(f"sqlite:///{database}")
    defaults = Settings.model_fields
    hasher = PasswordHasher(
        memory_cost=defaults["argon2_memory"].default,
        time_cost=defaults["argon2_time"].default,
        parallelism=defaults["argon2_parallelism"].default,
    )
    password_hash = hasher.hash("the same for everybody")
    now = time.time()
    connection = sqlite3.connect(database)
    with connection:
        connection.executemany(
            """
            INSERT INTO accounts (id, address, password_hash, active, created_at, changed_at)
            VALUES (?, ?, ?, TRUE, ?, ?)
            """,
            ((uuid.uuid4().hex, address, password_hash, now, now) for address in addresses(accounts)),
        )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()  # the last one to leave takes the WAL away: the file alone is copied


# --------------------------------------------------------------------------------------------------------- all of them

_LOSES_MAIL = "durable: a mail that is on its way when the process ends is lost"
_ONE_TRY = "retries: a mail that fails once is lost, and nobody is told"
_ONE_TRY_500 = "retries: if the relay fails, the person gets an error page"
_WAITS = "answers whatever the relay does: the person waits for it"
_NOT_UNIFORM = "uniform time: an address with an account answers later"
_NO_LIMITS = "limits: anybody may ask as often as they like, for any address"
_NO_AUDIT = "audit: nothing is on record of what was asked and sent"
_NO_SINGLE_USE = "single use: a link works until it expires"
_HOST = "links from a setting: the link is built from the Host header"
_NO_NOTICE = "notice: nobody is told that the password was changed"
_BASICS = ("flask", "werkzeug", "flask-mail", "flask-sqlalchemy", "sqlalchemy", "gunicorn")
_OURS = ("resetsvc", "quart", "hypercorn", "uvloop")

CONTENDERS: tuple[Contender, ...] = (
    Contender(
        name="flask-mail-in-request",
        title="Flask-Mail in the request",
        command=_gunicorn("flask-mail-in-request", "app:app"),
        environment=_environment,
        ask_path="/reset-password",
        ask_field="email",
        body_format="form",
        ready_path="/reset-password",
        sends_mail=True,
        lacks=(
            _WAITS,
            _NOT_UNIFORM,
            _ONE_TRY_500,
            _NO_SINGLE_USE,
            _HOST,
            _NO_LIMITS,
            _NO_AUDIT,
            _NO_NOTICE,
        ),
        python=CONTENDERS_PYTHON,
        packages=_BASICS,
        make_database=_filled_by("flask-mail-in-request"),
    ),
    Contender(
        name="flask-mail-thread",
        title="Flask-Mail in a thread",
        command=_gunicorn("flask-mail-thread", "app:app"),
        environment=_environment,
        ask_path="/reset-password",
        ask_field="email",
        body_format="form",
        ready_path="/reset-password",
        sends_mail=True,
        lacks=(
            _LOSES_MAIL,
            _ONE_TRY,
            "a bound: as many threads as mails that wait",
            _NOT_UNIFORM,
            _NO_SINGLE_USE,
            _HOST,
            _NO_LIMITS,
            _NO_AUDIT,
            _NO_NOTICE,
        ),
        python=CONTENDERS_PYTHON,
        packages=_BASICS,
        make_database=_filled_by("flask-mail-thread"),
    ),
    Contender(
        name="django",
        title="Django's PasswordResetView",
        command=_gunicorn("django", "app:application"),
        environment=_environment,
        ask_path="/accounts/password_reset/",
        ask_field="email",
        body_format="form",
        ready_path="/accounts/password_reset/",
        sends_mail=True,
        lacks=(_WAITS, _NOT_UNIFORM, _ONE_TRY, _HOST, _NO_LIMITS, _NO_AUDIT, _NO_NOTICE),
        python=CONTENDERS_PYTHON,
        packages=("django", "gunicorn"),
        make_database=_filled_by("django"),
    ),
    Contender(
        name="fastapi-background",
        title="FastAPI BackgroundTasks",
        command=_uvicorn("fastapi-background"),
        environment=_environment,
        ask_path="/forgot-password",
        ask_field="email",
        body_format="json",
        ready_path="/",
        sends_mail=True,
        lacks=(
            _LOSES_MAIL,
            _ONE_TRY,
            "a bound: as many connections to the relay as mails that wait",
            _NOT_UNIFORM,
            "the page where a new password is chosen: it is not part of what is measured",
            _NO_LIMITS,
            _NO_AUDIT,
            _NO_NOTICE,
        ),
        python=CONTENDERS_PYTHON,
        packages=(
            "fastapi",
            "starlette",
            "pydantic",
            "aiosmtplib",
            "sqlalchemy",
            "aiosqlite",
            "uvicorn",
            "uvloop",
        ),
        make_database=_filled_by("fastapi-background"),
    ),
    Contender(
        name="fastapi-users",
        title="fastapi-users",
        command=_uvicorn("fastapi-users"),
        environment=_environment,
        ask_path="/auth/forgot-password",
        ask_field="email",
        body_format="json",
        ready_path="/",
        sends_mail=True,
        lacks=(_WAITS, _NOT_UNIFORM, _ONE_TRY_500, _NO_LIMITS, _NO_AUDIT, _NO_NOTICE),
        python=CONTENDERS_PYTHON,
        packages=(
            "fastapi-users",
            "fastapi",
            "starlette",
            "aiosmtplib",
            "sqlalchemy",
            "aiosqlite",
            "uvicorn",
            "uvloop",
        ),
        make_database=_filled_by("fastapi-users"),
    ),
    Contender(
        name="flask-security",
        title="Flask-Security recoverable",
        command=_gunicorn("flask-security", "app:app"),
        environment=_environment,
        ask_path="/reset",
        ask_field="email",
        body_format="form",
        ready_path="/reset",
        sends_mail=True,
        lacks=(
            _WAITS,
            "uniform answer: an unknown address is told so, unless SECURITY_RETURN_GENERIC_RESPONSES is set",
            _NOT_UNIFORM,
            _ONE_TRY_500,
            _HOST,
            _NO_LIMITS,
            _NO_AUDIT,
        ),
        python=CONTENDERS_PYTHON,
        packages=("flask-security", *_BASICS),
        make_database=_filled_by("flask-security"),
    ),
    Contender(
        name="floor-quart",
        title="floor: a bare Quart view",
        command=_floor("floor-quart"),
        environment=_environment,
        ask_path="/reset-password",
        ask_field="email",
        body_format="form",
        ready_path="/",
        sends_mail=False,
        lacks=("everything: it reads one field and answers",),
        python=OWN_PYTHON,
        packages=("quart", "hypercorn", "uvloop"),
        make_database=None,
    ),
    Contender(
        name="floor-quart-ours",
        title="the same view on resetsvc's connections",
        command=_floor("floor-quart", "ours"),
        environment=_environment,
        ask_path="/reset-password",
        ask_field="email",
        body_format="form",
        ready_path="/",
        sends_mail=False,
        lacks=("everything: it reads one field and answers",),
        python=OWN_PYTHON,
        packages=("quart", "hypercorn", "uvloop"),
        make_database=None,
    ),
    Contender(
        name="floor-asgi",
        title="floor: a raw ASGI app",
        command=_floor("floor-asgi"),
        environment=_environment,
        ask_path="/reset-password",
        ask_field="email",
        body_format="form",
        ready_path="/",
        sends_mail=False,
        lacks=("everything: it reads the body and answers",),
        python=OWN_PYTHON,
        packages=("hypercorn", "uvloop"),
        make_database=None,
    ),
    Contender(
        name="resetsvc",
        title="resetsvc",
        command=resetsvc_command,
        environment=resetsvc_environment,
        ask_path="/reset-password",
        ask_field="email",
        body_format="form",
        ready_path="/healthz",
        sends_mail=True,
        lacks=(),
        python=OWN_PYTHON,
        packages=_OURS,
        make_database=make_resetsvc_database,
    ),
    Contender(
        name="resetsvc-accepting",
        title="resetsvc, dispatcher elsewhere",
        command=resetsvc_command,
        environment=_accepting_environment,
        ask_path="/reset-password",
        ask_field="email",
        body_format="form",
        ready_path="/healthz",
        sends_mail=False,
        lacks=("sending: that is the other process's work",),
        python=OWN_PYTHON,
        packages=_OURS,
        make_database=make_resetsvc_database,
    ),
)
