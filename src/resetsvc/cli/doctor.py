"""`check`: is everything in order? One line for each thing looked at; exit 1 if any of them is not."""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid, parseaddr
from urllib.parse import urlsplit

import click

from resetsvc.accounts.mapping import Mapping
from resetsvc.addresses import mask_address
from resetsvc.admission import Budget
from resetsvc.cli.accounts import Address
from resetsvc.cli.tables import print_json, print_table
from resetsvc.clock import Clock
from resetsvc.compose.composer import Composer
from resetsvc.errors import ResetError, WrongSettings
from resetsvc.i18n import Languages
from resetsvc.logs import quieten
from resetsvc.relay.conversation import Envelope
from resetsvc.relay.lane import CannotOpen, open_lane
from resetsvc.relay.url import RelayAddress
from resetsvc.relay.verdict import Verdict
from resetsvc.settings import Settings, load_settings
from resetsvc.store import kept_letters as kept
from resetsvc.store import schema
from resetsvc.store.database import Store
from resetsvc.store.events import count_events
from resetsvc.templates import Templates
from resetsvc.tokens import Tokens

Finding = tuple[str, bool, str]  # what was looked at, whether it is in order, what was seen


@click.command()
@click.option("--send-to", type=Address(), help="Also send a test mail to this address, over every relay.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")
def check(send_to: str | None, as_json: bool) -> None:
    """Look whether settings, database, templates, accounts elsewhere and relays are in order.

    The public URL is looked at, not contacted. Exit 1 if anything is wrong, 2 if settings are.
    """
    try:
        settings = load_settings()
    except WrongSettings as error:
        _print([("settings", False, problem) for problem in error.problems], as_json)
        sys.exit(2)
    quieten()
    findings = asyncio.run(_collect(settings, send_to))
    _print(findings, as_json)
    sys.exit(0 if all(fine for _, fine, _ in findings) else 1)


def _print(findings: list[Finding], as_json: bool) -> None:
    if as_json:
        print_json([{"check": name, "ok": fine, "detail": detail} for name, fine, detail in findings])
    else:
        print_table(
            ("CHECK", "RESULT", "DETAIL"),
            [(name, "ok" if fine else "FAIL", detail) for name, fine, detail in findings],
        )


async def _collect(settings: Settings, send_to: str | None) -> list[Finding]:
    return [finding async for finding in _look(settings, send_to)]


async def _look(settings: Settings, send_to: str | None) -> AsyncIterator[Finding]:
    yield "settings", True, "complete and well-formed"
    yield _public_url(settings)
    yield _links(settings)
    yield _templates(settings)
    yield await _database(settings)
    if isinstance(settings.accounts, Mapping):
        from resetsvc.accounts.inspection import inspect

        async for finding in inspect(settings.accounts):
            yield finding
    elif settings.accounts is not None:
        from resetsvc.accounts.webhook_inspection import inspect_endpoint
        from resetsvc.accounts.webhook_mapping import WebhookMapping

        assert isinstance(settings.accounts, WebhookMapping)
        async for finding in inspect_endpoint(settings.accounts, Clock()):
            yield finding
    if settings.events_url is not None:
        yield await _events(settings)
    tls = ssl.create_default_context()
    for address in settings.relays:
        yield await _relay(settings, address, tls, send_to)


def _public_url(settings: Settings) -> Finding:
    host = urlsplit(settings.public_url).hostname or ""
    if host in ("localhost", "127.0.0.1", "::1"):
        return "public url", True, f"{settings.public_url} (only this machine can follow its links)"
    return "public url", True, settings.public_url


def _links(settings: Settings) -> Finding:
    minutes = settings.token_ttl / 60
    told = f"work for {minutes:g} minutes"
    if settings.account_limit is None:
        return "links", True, told
    limit = settings.account_limit
    refill = Budget(limit.amount, limit.get_expiry()).refill / 60
    if minutes >= refill:
        return (
            "links",
            True,
            f"{told}; who has spent the mails of an account gets another one each {refill:g}",
        )
    return (
        "links",
        True,
        f"{told}, and the mails of an account refill by one each {refill:g}: between, a stranger can keep its owner "
        "without a link (a longer RESETSVC_TOKEN_TTL or a larger RESETSVC_LIMIT_PER_ACCOUNT closes the gap)",
    )


def _templates(settings: Settings) -> Finding:
    try:
        templates = Templates(Languages(settings.locales), settings.templates)
        templates.compile_pages()
        clock = Clock()
        Composer(settings, templates, Tokens(settings.keys, settings.token_ttl, clock), clock).prepare_all()
    except Exception as error:
        return "templates", False, f"a page or a mail cannot be made: {error}"
    return "templates", True, f"pages and mails in {', '.join(templates.languages.names)}"


async def _database(settings: Settings) -> Finding:
    store = Store(settings.database_url)
    try:
        await store.open()
        counts = await store.read(kept.count_by_state)
    except (ResetError, OSError) as error:
        return "database", False, str(error)
    finally:
        await store.close()
    waiting = counts.get("queued", 0) + counts.get("sending", 0)
    return (
        "database",
        True,
        f"schema {schema.REVISION}, {waiting} letters waiting, {counts.get('failed', 0)} failed",
    )


async def _events(settings: Settings) -> Finding:
    """What waits there. Nothing is posted: the application would take it for an event."""
    store = Store(settings.database_url)
    try:
        await store.open()
        waiting, failed = await store.read(count_events)
    except (ResetError, OSError):
        return "events", False, "cannot be looked up in the database"
    finally:
        await store.close()
    return "events", True, f"{waiting} waiting, {failed} given up"


async def _relay(
    settings: Settings, address: RelayAddress, tls: ssl.SSLContext, send_to: str | None
) -> Finding:
    name = f"relay {address.name}"
    try:
        lane = await open_lane(address, timeout=settings.smtp_timeout, tls=tls)
    except CannotOpen as error:
        return name, False, f"{error.code or ''} {error.reply}".strip()
    try:
        how = {"implicit": "TLS", "starttls": "STARTTLS", "none": "no TLS"}[address.tls]
        how += ", logged in" if address.username else ", without log-in"
        if send_to is None:
            return name, True, how
        outcome = await lane.hand_over(_test_mail(settings, send_to), lambda: True)
        said = f"{outcome.code or ''} {outcome.reply}".strip()
        return name, outcome.verdict is Verdict.SENT, f"{how}; test mail to {mask_address(send_to)}: {said}"
    finally:
        await lane.quit(2.0)


def _test_mail(settings: Settings, recipient: str) -> Envelope:
    message = EmailMessage(policy=SMTP)
    message["From"] = settings.mail_from
    message["To"] = recipient
    message["Subject"] = f"Test mail from {settings.product_name}"
    message["Date"] = formatdate()
    sender = parseaddr(settings.mail_from)[1]
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("This mail was sent by `resetsvc check`: the relay takes mail from this service.\n")
    return Envelope(sender, recipient, message.as_bytes(), utf8=not recipient.isascii())
