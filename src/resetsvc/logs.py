"""Structured logs: one record an event, UTC, JSON or for a person; the standard library's loggers go the same way.

No token, password or whole address belongs in a log. Third-party loggers that write what passes through them (bound
SQL values, SMTP dialogues, request lines with the token in the path) are kept to warnings at every level.
"""

import contextlib
import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from resetsvc.settings import Settings

TALKATIVE = (
    "databases",
    "aiosqlite",
    "asyncpg",
    "aiosmtplib",
    "mail.log",
    "hypercorn.access",
    "hypercorn.error",
    "quart.app",
    "quart.serving",
    "asyncio",
    "alembic",
    "httpx",
    "httpcore",
    "httpcore.connection",
    "httpcore.http11",
)


class Lines:
    """Where our own events go: finished lines to standard error, without the standard library's records in between.

    Those cost three times as much as the event itself (33 µs of a request). A line that cannot be written is given up:
    the request whose line it is was answered and stored all the same.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a full disk, a reader that is gone, a closed stream
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = write


def set_up_logging(settings: Settings) -> None:
    """Configure structlog and the root logger, to standard error. Done once by the commands, never by `create_app`."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render = _as_json if settings.log_format == "json" else _for_a_person()
    structlog.configure(
        processors=[*shared, render],
        logger_factory=Lines,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    quieten()


_encode = json.JSONEncoder(default=repr).encode


def _as_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return _encode(event)


def _for_a_person() -> structlog.typing.Processor:
    """The console form. What a library or a relay said begins no line of its own there and moves no cursor (ASVS 16.4.1).

    A traceback keeps its lines, those of its last message too: where lines have to be told apart by a program, it is JSON.
    """
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())

    def render(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        tame = {name: value if name == "exception" else _printable(value) for name, value in event.items()}
        return console(logger, method, tame)

    return render


def _printable(value: object) -> object:
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in value
    )


def mute() -> None:
    """Log nothing: a command says what happens itself."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def quieten() -> None:
    """Keep third-party loggers from writing what passes through them."""
    for name in TALKATIVE:
        logger = logging.getLogger(name)
        logger.setLevel(max(logging.WARNING, logger.level))
    if not structlog.is_configured():
        # As it comes, and where `rich` is installed, structlog prints the local variables of every frame of an error:
        # passwords and tokens among them. An app that is embedded somewhere may never be configured otherwise.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stdout is not None and sys.stdout.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
        )
        structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])
