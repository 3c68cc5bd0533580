"""Structured logs: one record an event, UTC, JSON or for a person; the standard library's loggers go the same way.

No token, password or whole address belongs in a log. Third-party loggers that write what passes through them (bound
SQL values, SMTP dialogues, request lines with the token in the path) are kept to warnings at every level.
"""

import logging
import sys

import structlog

from resetsvc.settings import Settings

TALKATIVE = (
    "databases",
    "aiosqlite",
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


def set_up_logging(settings: Settings) -> None:
    """Configure structlog and the root logger, to standard error. Done once by the commands, never by `create_app`."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
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
    root.setLevel(settings.log_level.upper())
    quieten()


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
