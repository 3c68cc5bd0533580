"""What a reset changed in an application's database, held against what it may change. Pure: rows in, sentences out."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.conformance.cases import Case

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def stray_changes(case: Case, person: str, address: str, before: Rows, after: Rows) -> list[str]:
    """Return what is not as it should be, each in a sentence that holds no value: nothing, if all is well.

    person -- what the application calls the one whose password was changed: all others' rows have to be as they were
    address -- of the person, for tables that have nothing else
    """
    found = []
    for table in sorted({*before, *after}):
        gone, new = _differing(before.get(table, ()), after.get(table, ()))
        if table in case.ends:
            named, where = case.ends[table]
            ends = {named: address if named == "email" else person, **where}
            if new:
                found.append(f"{table}: {len(new)} rows are new")
            if not all(_is(row, ends) for row in gone):
                found.append(f"{table}: other rows are gone")
            if any(_is(row, ends) for row in after[table]) or not gone:
                found.append(f"{table}: not all rows of the person are gone")
        elif table in case.changes:
            named, columns = case.changes[table]
            if len(gone) != 1 or len(new) != 1 or {str(gone[0][named]), str(new[0][named])} != {person}:
                found.append(f"{table}: {len(gone)} rows changed, where one of the person should have")
            else:
                changed = {column for column in gone[0] if gone[0][column] != new[0][column]}
                found += [f"{table}: {column} was changed" for column in sorted(changed - columns)]
                found += [f"{table}: {column} was not changed" for column in sorted(columns - changed)]
        elif gone or new:
            found.append(f"{table}: {len(gone)} rows are gone or changed, {len(new)} are new")
    return found


def what_changed(before: Rows, after: Rows) -> frozenset[str]:
    """Return what differs, whosever it is: `table.column`, and `rows gone from table` or `rows new in table`.

    A row is known again by its first column, which is the key in every table here.
    """
    found = set()
    for table in {*before, *after}:
        gone, new = _differing(before.get(table, ()), after.get(table, ()))
        was, now = ({next(iter(row.values())): row for row in rows} for rows in (gone, new))
        found |= {
            f"{table}.{column}"
            for key in was.keys() & now
            for column in was[key]
            if was[key][column] != now[key][column]
        }
        if was.keys() - now:
            found.add(f"rows gone from {table}")
        if now.keys() - was:
            found.add(f"rows new in {table}")
    return frozenset(found)


def _is(row: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    return all(str(row[column]) == value for column, value in said.items())


def _differing(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The rows that are in one of them alone, byte for byte."""
    return [row for row in before if row not in after], [row for row in after if row not in before]
