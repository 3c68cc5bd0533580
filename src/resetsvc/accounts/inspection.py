"""What `resetsvc check` says of accounts elsewhere: do the description, the rights and the indexes fit? No address is told."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from resetsvc.accounts import catalog
from resetsvc.accounts.cells import can_be_kept, text_of
from resetsvc.accounts.engines import open_engine
from resetsvc.accounts.held_rights import EVERYTHING, Held, held_rights
from resetsvc.accounts.mapping import Mapping
from resetsvc.accounts.place import Kind, Place, sqlite_path
from resetsvc.accounts.recognition import recognise_framework
from resetsvc.accounts.rights import Rights, needed_rights
from resetsvc.accounts.sql import Statements, table_named
from resetsvc.accounts.table import canonical, kind_of_failure
from resetsvc.errors import DatabaseUnusable, SetupError
from resetsvc.passwords.formats import recognise

Finding = tuple[str, bool, str]  # what was looked at, whether it is in order, what was seen

SAMPLE = 10_000  # rows, of which the hashes are looked at
SMALL = 10_000  # rows: reading so many from end to end is no matter
LONGEST = 6  # things that are listed by name
WITHIN = 20.0  # seconds for everything


async def tables_of(place: Place) -> dict[str, set[str]]:
    """The tables and columns that can be seen there; DatabaseUnusable if none can."""
    engine = open_engine(place)
    try:
        async with asyncio.timeout(WITHIN), engine.connect() as connection:
            return await catalog.columns_by_table(connection, place.kind)
    except Exception as error:
        raise DatabaseUnusable(
            f"the database at {place.name} cannot be used: {kind_of_failure(error)}"
        ) from None
    finally:
        await engine.dispose()
        await asyncio.sleep(0)  # a socket that was closed is let go in the loop's next turn


async def inspect(mapping: Mapping) -> AsyncIterator[Finding]:
    """Look at everything in turn; what cannot be looked at is told as wrong, and ends it."""
    name = "accounts"
    try:
        engine = open_engine(mapping.place)
    except SetupError as error:
        yield name, False, str(error)
        return
    try:
        async with asyncio.timeout(WITHIN), engine.connect() as plain:
            connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
            preset = f", preset {mapping.preset}" if mapping.preset else ""
            yield name, True, f"{mapping.place.kind} {mapping.place.name}, table {mapping.table}{preset}"
            name = "accounts columns"
            finding = await _columns(connection, mapping)
            yield finding
            if not finding[1]:
                return
            name = "accounts rows"
            count, finding = await _rows(connection, mapping)
            yield finding
            name = "accounts hashes"
            yield await _hashes(connection, mapping)
            name = "accounts rights"
            yield await _rights(connection, mapping)
            name = "accounts index"
            yield await _index(connection, mapping, count)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        yield (
            name,
            False,
            f"the database at {mapping.place.name} does not answer this: {kind_of_failure(error)}",
        )
    except Exception as error:  # drivers raise errors of their own while they connect
        yield name, False, f"the database at {mapping.place.name} cannot be used: {kind_of_failure(error)}"
    finally:
        await engine.dispose()
        await asyncio.sleep(0)  # a socket that was closed is let go in the loop's next turn


async def _columns(connection: AsyncConnection, mapping: Mapping) -> Finding:
    """Every table and column that is named, asked one by one: that needs no right but those that are needed anyway."""
    kind = mapping.place.kind
    wrong: list[str] = []
    absent: list[str] = []
    for rights in needed_rights(mapping):
        closed = await catalog.closed_schema(connection, kind, rights.table)
        if closed is not None:
            wrong.append(f"{rights.table} cannot be seen: missing is USAGE on schema {closed}")
            continue
        if await catalog.full_name(connection, kind, rights.table) is None:
            (absent if rights.if_exists else wrong).append(
                f"{rights.table}, which need not be there"
                if rights.if_exists
                else f"there is no table {rights.table}"
            )
            continue
        for column in sorted(rights.reads):
            own = table_named(rights.table, column)
            if not await catalog.answers(connection, select(own.c[column]).limit(0)):
                wrong.append(f"{rights.table} has no column {column} that we may read")
        known = (await catalog.columns_by_table(connection, kind)).get(rights.table, set())
        wrong += [
            f"{rights.table} has no column {column} that we may change"
            for column in sorted(rights.changes - rights.reads)
            if known and column not in known
        ]
    if wrong:
        looks = recognise_framework(await catalog.columns_by_table(connection, kind))
        hint = (
            f"; the tables look like those of {looks.preset}"
            if looks and looks.preset != mapping.preset
            else ""
        )
        return "accounts columns", False, f"{'; '.join(wrong)}{hint}"
    named = {name: column for name, column in mapping.columns if column is not None}
    seen = ", ".join(f"{name} {column}" for name, column in named.items())
    without = f" (not there: {'; '.join(absent)})" if absent else ""
    return "accounts columns", True, f"{seen}; {len(mapping.effects)} effects{without}"


async def _rows(connection: AsyncConnection, mapping: Mapping) -> tuple[int | None, Finding]:
    """How many accounts there are, None if the database gives up counting: that may be as many as you like."""
    everybody = Statements(mapping).all().subquery()
    count = await _counted(connection, select(func.count()).select_from(everybody))
    if count is None:
        return None, ("accounts rows", True, "more accounts than can be counted in some seconds")
    looked_up: Any = everybody.c.lookup
    if mapping.compare == "lower":
        looked_up = func.lower(looked_up)
    shared = (
        select(looked_up)
        .where(everybody.c.lookup.is_not(None), everybody.c.lookup != "")
        .group_by(looked_up)
        .having(func.count() > 1)
        .subquery()
    )
    several = await _counted(connection, select(func.count()).select_from(shared))
    seen = f"{count:,} accounts"
    if several is None:
        seen += "; too many to look for addresses that belong to several of them"
    elif several:
        seen += f"; addresses that belong to several accounts: {several:,} (no mail to any of these)"
    return count, ("accounts rows", True, seen)


async def _counted(connection: AsyncConnection, statement: Select[Any]) -> int | None:
    try:
        return int((await connection.execute(statement)).scalar_one())
    except SQLAlchemyError:
        return None


async def _hashes(connection: AsyncConnection, mapping: Mapping) -> Finding:
    formats: Counter[str] = Counter()
    without_address = with_odd_id = 0
    result = await connection.execute(Statements(mapping).all().limit(SAMPLE))
    for row in result.mappings():
        formats[recognise(text_of(row["password"])) or ""] += 1
        without_address += not canonical(row["address"])
        with_odd_id += not can_be_kept(row["id"], mapping.place.kind)
    unusable = formats.pop("", 0)
    looked_at = formats.total() + unusable
    if not looked_at:
        return "accounts hashes", True, "warning: there are no accounts to look at"
    seen = [f"{name} {number:,}" for name, number in formats.most_common()]
    if unusable:
        seen.append(f"none or unusable {unusable:,} (no mail)")
    if without_address:
        seen.append(f"without an address {without_address:,} (no mail)")
    if with_odd_id:
        seen.append(f"with an id of bytes {with_odd_id:,} (no mail)")
    of = f" (the first {SAMPLE:,} rows alone)" if looked_at == SAMPLE else ""
    others = formats and _inner(mapping.hash.format) not in formats
    warning = (
        "warning: none of these is the format that new ones are written in: " if others or not formats else ""
    )
    if with_odd_id == looked_at:
        return (
            "accounts hashes",
            False,
            f"nobody would get a mail: column {mapping.columns.id} holds bytes that are no text, and no letter can keep such an id",
        )
    return "accounts hashes", True, f"{warning}{', '.join(seen)}{of}; new ones: {mapping.hash.format}"


def _inner(name: str) -> str:
    """Nothing tells Flask-Security's double hash from the plain one inside."""
    return "argon2id" if name == "flask_security" else name


async def _rights(connection: AsyncConnection, mapping: Mapping) -> Finding:
    name, kind = "accounts rights", mapping.place.kind
    if kind is Kind.SQLITE:
        if _may_be_written(sqlite_path(mapping.place.url)):
            return name, True, "the file and its folder can be written"
        return name, False, "the file, or the folder that SQLite keeps its journal in, cannot be written"
    held, needed = await held_rights(connection, kind), await _needed_on_tables(connection, mapping)
    missing = list(_missing(needed, held))
    if missing:
        return name, False, f"missing: {_some(missing)}"
    more = [*sorted(held.everywhere), *_more(needed, held)]
    engines = await catalog.tables_without_transactions(connection, kind)
    unsafe = sorted(rights.table for table, rights in needed.items() if table in engines)
    warnings = [f"more than is needed: {_some(more)}"] if more else []
    if unsafe:
        warnings.append(f"a change could be left half done, without transactions in {_some(unsafe)}")
    return name, True, f"warning: {'; '.join(warnings)}" if warnings else "no more than is needed"


async def _needed_on_tables(connection: AsyncConnection, mapping: Mapping) -> dict[str, Rights]:
    """What is needed on the tables that there are, by their full names."""
    found: dict[str, Rights] = {}
    for rights in needed_rights(mapping):
        table = await catalog.full_name(connection, mapping.place.kind, rights.table)
        if table is not None:
            found[table] = found[table] | rights if table in found else rights
    return found


def _may_be_written(path: str) -> bool:
    folder = os.path.dirname(os.path.abspath(path))
    return os.access(path, os.W_OK) and os.access(folder, os.W_OK)


def _missing(needed: dict[str, Rights], held: Held) -> Iterator[str]:
    for table, rights in needed.items():
        everywhere = held.in_all_tables[table.partition(".")[0]]
        for right, wanted, has in (
            ("SELECT", rights.reads, held.reads[table]),
            ("UPDATE", rights.changes, held.changes[table]),
        ):
            if wanted - has and not everywhere & {right, EVERYTHING}:
                yield f"{right} ({', '.join(sorted(wanted - has))}) on {rights.table}"
        if rights.deletes and not (held.more[table] | everywhere) & {"DELETE", "ownership", EVERYTHING}:
            yield f"DELETE on {rights.table}"


def _more(needed: dict[str, Rights], held: Held) -> Iterator[str]:
    for table, rights in needed.items():
        reads, changes = held.reads[table] - rights.reads, held.changes[table] - rights.changes
        if reads:
            yield f"SELECT of {len(reads)} more columns of {rights.table}"
        if changes:
            yield f"UPDATE of {len(changes)} more columns of {rights.table}"
        for right in sorted(held.more[table] - ({"DELETE"} if rights.deletes else set())):
            yield f"{right} of {rights.table}" if right == "ownership" else f"{right} on {rights.table}"
    others = {
        table for each in (held.reads, held.changes, held.more) for table, found in each.items() if found
    }
    if others - set(needed):
        yield f"something on {len(others - set(needed))} more tables"


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - LONGEST} more" if len(names) > LONGEST else ""
    return f"{', '.join(names[:LONGEST])}{rest}"


async def _index(connection: AsyncConnection, mapping: Mapping, count: int | None) -> Finding:
    name, statements = "accounts index", Statements(mapping)
    asked = ["nobody@example.com", "no.one@example.com"]
    plain = mapping.table.rpartition(".")[2]
    if count is not None and count <= SMALL:
        return name, True, f"{count:,} accounts are few enough to do without one"
    if not await catalog.reads_whole_table(connection, mapping.place.kind, statements.find(asked), plain):
        return name, True, "look-ups go by one"
    rows = "the many" if count is None else f"{count:,}"
    advice = catalog.index_that_helps(mapping)
    return name, True, f"warning: each look-up reads all of {rows} rows; to end that: {advice}"
