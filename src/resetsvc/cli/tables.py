"""How commands print: a table for a person, JSON for a program."""

import json
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

import click


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns as wide as their widest cell. Control characters are shown as `?`: a terminal obeys them."""
    cells = [[_printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(_width(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        click.echo(
            "  ".join(
                cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
            ).rstrip()
        )


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def as_time(seconds: float | None) -> str | None:
    """A moment in UTC as RFC 3339 writes it, to the second."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _printable(cell: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in cell)


def _width(cell: str) -> int:
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in cell
    )
