"""`letters`: look at the mails that are owed, sent and failed; put dead ones back."""

import os
from collections.abc import Sequence
from typing import Any

import click

from resetsvc.addresses import mask_address
from resetsvc.audit import Event
from resetsvc.changes import NOTICE_DEADLINE
from resetsvc.cli.opened import with_store
from resetsvc.cli.tables import as_time, print_json, print_table
from resetsvc.client_address import mask_client
from resetsvc.clock import Clock
from resetsvc.letters import Kind, State, short_id
from resetsvc.settings import Settings
from resetsvc.store import kept_letters as kept
from resetsvc.store.connection import Connection, Row
from resetsvc.store.database import Store
from resetsvc.trail import Trail

TOLD = 100  # letters that one audit record names

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")


@click.group()
def letters() -> None:
    """The mails that are owed, sent and failed. Addresses are masked."""


@letters.command("list")
@click.option(
    "--state", type=click.Choice([state.value for state in State]), help="Only letters in this state."
)
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="The newest so many."
)
@as_json
def list_(state: str | None, limit: int, as_json: bool) -> None:
    """List letters, the newest first."""

    async def work(_: Settings, store: Store) -> Sequence[Row]:
        return await store.read(lambda connection: kept.list_letters(connection, state, limit))

    found = [_summary(row) for row in with_store(work)]
    if as_json:
        print_json(found)
    elif found:
        head = ("ID", "KIND", "STATE", "REASON", "TO", "ASKED", "ATTEMPTS", "NEXT")
        print_table(head, [_cells(letter) for letter in found])
    else:
        click.echo("No letters.")


@letters.command()
@click.argument("letter_id", metavar="ID")
@as_json
def show(letter_id: str, as_json: bool) -> None:
    """Tell the whole story of a letter. The beginning of its id is enough if there is only one such."""

    async def work(_: Settings, store: Store) -> dict[str, Any]:
        row = await store.read(lambda connection: _only_one(connection, letter_id))
        attempts = await store.read(lambda connection: kept.attempts_of(connection, row["id"]))
        return _story(row, attempts)

    story = with_store(work)
    if as_json:
        print_json(story)
        return
    attempts = story.pop("attempts_made")
    print_table(
        ("FIELD", "VALUE"), [(name, "-" if value is None else str(value)) for name, value in story.items()]
    )
    if attempts:
        click.echo()
        head = ("AT", "RELAY", "VERDICT", "CODE", "REPLY")
        print_table(head, [[str(attempt[name.lower()] or "-") for name in head] for attempt in attempts])


@letters.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--failed", is_flag=True, help="All letters that failed or expired.")
def retry(ids: tuple[str, ...], failed: bool) -> None:
    """Put failed and expired letters back, with a fresh deadline."""
    if bool(ids) == failed:
        raise click.UsageError("name letters, or say --failed for all of them")

    async def work(settings: Settings, store: Store) -> tuple[int, list[str]]:
        now = Clock().now()

        async def put_back(unit: Connection) -> tuple[int, list[str]]:
            asked = [(await _only_one(unit, letter_id))["id"] for letter_id in ids] if ids else None
            back = []
            for kind, lifetime in ((Kind.RESET, settings.delivery_deadline), (Kind.NOTICE, NOTICE_DEADLINE)):
                back += await kept.retry_letters(unit, asked, kind=kind, now=now, deadline_at=now + lifetime)
            if back:
                trail = Trail(store, settings.keys, Clock())
                await trail.record(
                    unit, Event.LETTERS_PUT_BACK, number=len(back), letters=back[:TOLD], uid=os.getuid()
                )
            return len(back), [letter_id for letter_id in asked or () if letter_id not in back]

        return await store.unit(put_back)

    put_back, left = with_store(work)
    click.echo(f"{put_back} put back.")
    if left:
        raise click.ClickException(f"neither failed nor expired, left alone: {', '.join(left)}")


async def _only_one(connection: Connection, letter_id: str) -> Row:
    if not letter_id or set(letter_id) - set("0123456789abcdef"):
        raise click.UsageError(f"{letter_id!r} is not the id of a letter, nor the beginning of one")
    found = await kept.find_letters(connection, letter_id)
    if not found:
        raise click.ClickException(f"there is no letter {letter_id}")
    if len(found) > 1:
        raise click.ClickException(f"more than one letter begins with {letter_id}")
    return found[0]


def _summary(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "kind": row["kind"],
        "state": row["state"],
        "reason": row["reason"],
        "to": mask_address(row["address"] or ""),
        "asked_at": as_time(row["asked_at"]),
        "attempts": row["attempts"],
        "due_at": as_time(row["due_at"]) if row["state"] == State.QUEUED else None,
        "sent_at": as_time(row["sent_at"]),
    }


def _cells(letter: dict[str, Any]) -> list[str]:
    next_step = letter["due_at"] or letter["sent_at"] or "-"
    names = ("kind", "state", "reason", "to", "asked_at", "attempts")
    return [
        short_id(letter["id"]),
        *("-" if letter[name] is None else str(letter[name]) for name in names),
        next_step,
    ]


def _story(row: Row, attempts: Sequence[Row]) -> dict[str, Any]:
    made = [
        {
            "at": as_time(attempt["at"]),
            "relay": attempt["relay"],
            "verdict": attempt["verdict"],
            "code": attempt["code"],
            "reply": attempt["reply"],
        }
        for attempt in attempts
    ]
    if row["sent_at"] is not None:
        code, _, reply = (row["reply"] or "").partition(" ")
        made.append(
            {
                "at": as_time(row["sent_at"]),
                "relay": row["relay"],
                "verdict": "sent",
                "code": int(code) if code.isdigit() else None,
                "reply": reply,
            }
        )
    return {
        **_summary(row),
        "client": mask_client(row["client"] or ""),
        "locale": row["locale"],
        "message_id": row["message_id"],
        "deadline_at": as_time(row["deadline_at"]),
        "lease_until": as_time(row["lease_until"]),
        "account": row["account_id"],
        "link": row["link"] or ("open" if row["admitted_at"] and row["state"] != State.DROPPED else None),
        "link_at": as_time(row["link_at"]),
        "attempts_made": made,
    }
