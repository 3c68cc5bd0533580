"""`audit`: look at what was recorded for afterwards, and see whether anybody has changed it."""

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

import click

from resetsvc.audit import detail_of
from resetsvc.cli.opened import with_store
from resetsvc.cli.tables import as_time, print_json, print_table
from resetsvc.clock import Clock
from resetsvc.settings import Settings
from resetsvc.store import audit as sql
from resetsvc.store.connection import Row
from resetsvc.store.database import Store
from resetsvc.trail import NotedHead, Trail


class HeadType(click.ParamType[NotedHead]):
    name = "seq:chain"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> NotedHead:
        found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{16,64})", str(value))
        if found is None:
            self.fail("not of the form 120:7f0c…, as `audit verify` prints it", param, ctx)
        return NotedHead(int(found[1]), found[2])


@click.group()
def audit() -> None:
    """What matters afterwards: links used and refused, passwords changed, limits hit, starts. Addresses are masked."""


@audit.command("list")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="The newest so many."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")
def list_(limit: int, as_json: bool) -> None:
    """List records, the newest first. Whether they are as they were written, `audit verify` says."""

    async def work(_: Settings, store: Store) -> Sequence[Row]:
        return await store.read(lambda connection: sql.newest_records(connection, limit))

    found = [_told(row) for row in with_store(work)]
    if as_json:
        print_json(found)
    elif found:
        print_table(("SEQ", "TIME", "EVENT", "DETAIL"), [_cells(record) for record in found])
    else:
        click.echo("No records.")


@audit.command()
@click.option(
    "--head",
    "noted",
    type=HeadType(),
    help="A head that was noted elsewhere, as this command prints it: the trail has to go through it.",
)
def verify(noted: NotedHead | None) -> None:
    """See whether any record was altered, removed, moved or added. Exit 1 if so, with the first that does not fit.

    Old records need the key that they were made with, unless the change of keys is on record too.
    """

    async def work(settings: Settings, store: Store) -> tuple[str | None, str]:
        return await Trail(store, settings.keys, Clock()).verify(noted)

    fault, told = with_store(work)
    if fault is not None:
        click.echo(f"resetsvc: the audit trail is not as it was written: {fault}", err=True)
        sys.exit(1)
    click.echo(told)


def _told(row: Row) -> dict[str, Any]:
    return {
        "seq": row["seq"],
        "at": _time(row["at"]),
        "event": row["event"],
        "detail": detail_of(row["detail"]),
        "key": row["key"],
        "chain": row["chain"],
    }


def _time(at: object) -> str | None:
    try:
        return as_time(float(str(at)))
    except (ValueError, OverflowError, OSError):  # altered: `audit verify` tells
        return None


def _cells(record: dict[str, Any]) -> list[str]:
    detail = " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in record["detail"].items()
    )
    return [str(record["seq"]), record["at"] or "-", record["event"], detail]
