"""What a database says of itself: which tables and columns there are, and how it would look addresses up."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from resetsvc.accounts.mapping import Mapping
from resetsvc.accounts.place import Kind
from resetsvc.accounts.rights import quoted

_COLUMNS = {
    Kind.SQLITE: """
        SELECT m.name AS t, p.name AS c FROM sqlite_master m, pragma_table_info(m.name) p
        WHERE m.type IN ('table', 'view')
        """,
    Kind.POSTGRESQL: """
        SELECT c.relname AS t, a.attname AS c FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
          AND pg_table_is_visible(c.oid)
          AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        """,
    Kind.MYSQL: """
        SELECT table_name AS t, column_name AS c FROM information_schema.columns WHERE table_schema = database()
        """,
}
_FULL_NAME = {
    Kind.SQLITE: "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name = :plain",
    Kind.POSTGRESQL: """
        SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = to_regclass(CAST(:quoted AS text))
        """,
    Kind.MYSQL: """
        SELECT concat(table_schema, '.', table_name) FROM information_schema.tables
        WHERE table_schema = coalesce(nullif(:schema, ''), database()) AND table_name = :plain
        """,
}
_CLOSED_SCHEMA = """
    SELECT n.nspname FROM pg_namespace n
    WHERE n.nspname = CAST(:schema AS text) AND NOT has_schema_privilege(n.oid, 'USAGE')
    """
_CLOSED_ON_THE_PATH = """
    SELECT n.nspname FROM unnest(string_to_array(current_setting('search_path'), ',')) WITH ORDINALITY AS p (name, place)
    JOIN pg_namespace n ON n.nspname = replace(btrim(p.name, ' "'), '$user', current_user)
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = CAST(:plain AS text)
    WHERE NOT has_schema_privilege(n.oid, 'USAGE') ORDER BY p.place LIMIT 1
    """
_MYSQL_ENGINE = """
    SELECT concat(table_schema, '.', table_name) AS t, engine AS e FROM information_schema.tables
    """


async def columns_by_table(connection: AsyncConnection, kind: Kind) -> dict[str, set[str]]:
    """The tables that are found without their schema being named, and their columns."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for row in await _rows(connection, _COLUMNS[kind]):
        found[row["t"]].add(row["c"])
    return dict(found)


async def full_name(connection: AsyncConnection, kind: Kind, table: str) -> str | None:
    """`schema.table`, or SQLite's `table`, for a table as it is named in a description; None if there is none.

    Two schemas may each have a table of one name, and a description may name one table in two ways.
    """
    schema, _, plain = table.rpartition(".")
    values = {
        Kind.SQLITE: {"plain": plain},
        Kind.POSTGRESQL: {"quoted": quoted(table, kind)},
        Kind.MYSQL: {"schema": schema, "plain": plain},
    }
    return await _name(connection, _FULL_NAME[kind], values[kind])


async def closed_schema(connection: AsyncConnection, kind: Kind, table: str) -> str | None:
    """The schema that a table is in, or would be, if we may not use it: PostgreSQL then lets nobody see the table."""
    schema, _, plain = table.rpartition(".")
    if kind is not Kind.POSTGRESQL:
        return None
    if schema:
        return await _name(connection, _CLOSED_SCHEMA, {"schema": schema})
    if await full_name(connection, kind, table) is not None:
        return None
    return await _name(connection, _CLOSED_ON_THE_PATH, {"plain": plain})


async def _name(connection: AsyncConnection, sql: str, values: dict[str, str]) -> str | None:
    found = (await connection.execute(text(sql), values)).scalar_one_or_none()
    return None if found is None else str(found)


async def tables_without_transactions(connection: AsyncConnection, kind: Kind) -> set[str]:
    """Those of MySQL's older engines, by full name, where a change could be left half done."""
    if kind is not Kind.MYSQL:
        return set()
    return {
        row["t"]
        for row in await _rows(connection, _MYSQL_ENGINE)
        if row["e"] and row["e"] not in ("InnoDB", "ROCKSDB")
    }


async def reads_whole_table(
    connection: AsyncConnection, kind: Kind, statement: Select[Any], table: str
) -> bool:
    """Whether the planner would answer this statement by reading that table, or an index of it, from end to end."""
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    names: Sequence[str] = compiled.positiontup or []
    values = tuple(compiled.params[name] for name in names)
    explain = {
        Kind.SQLITE: "EXPLAIN QUERY PLAN",
        Kind.POSTGRESQL: "EXPLAIN (FORMAT JSON)",
        Kind.MYSQL: "EXPLAIN",
    }
    rows = (await connection.exec_driver_sql(f"{explain[kind]} {compiled}", values)).mappings().all()
    match kind:
        case Kind.SQLITE:
            return any(str(row["detail"]).split()[:2] in (["SCAN", table], ["SCAN", "TABLE"]) for row in rows)
        case Kind.MYSQL:
            return any(row["table"] == table and row["type"] in ("ALL", "index") for row in rows)
        case Kind.POSTGRESQL:
            plan = rows[0]["QUERY PLAN"]
            return _scans(json.loads(plan) if isinstance(plan, str) else plan, table)


def index_that_helps(mapping: Mapping) -> str:
    """What to say to the database so that look-ups need not read the whole table."""
    kind = mapping.place.kind
    column = quoted(mapping.columns.lookup or mapping.columns.address, kind)
    if mapping.compare == "lower":
        if kind is Kind.MYSQL:
            return 'compare = "collation", if the column\'s collation takes no notice of capitals, and an index on it'
        column = f"lower({column})"
    name = "" if kind is Kind.POSTGRESQL else "resetsvc_address "
    return f"CREATE INDEX {name}ON {quoted(mapping.table, kind)} ({column})"


def _scans(plan: Any, table: str) -> bool:
    if isinstance(plan, list):
        return any(_scans(each, table) for each in plan)
    if not isinstance(plan, dict):
        return False
    # A bitmap heap scan reads what the index scan below it found.
    reads_all = (
        plan.get("Relation Name") == table
        and "Index Cond" not in plan
        and plan.get("Node Type") != "Bitmap Heap Scan"
    )
    return reads_all or any(_scans(plan.get(below), table) for below in ("Plan", "Plans"))


async def _rows(connection: AsyncConnection, sql: str) -> Sequence[Any]:
    return (await connection.execute(text(sql))).mappings().all()


async def answers(connection: AsyncConnection, statement: Select[Any]) -> bool:
    """Whether a statement is one that this database can do, for us."""
    try:
        await connection.execute(statement)
    except SQLAlchemyError:
        return False
    return True
