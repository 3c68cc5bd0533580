"""What a database says of itself: which tables and columns there are, what we may do there, how it would look addresses up."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
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
_POSTGRES_ROLE = """
    SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = current_user
    """
_POSTGRES_TABLES = """
    SELECT c.relname AS t, pg_has_role(current_user, c.relowner, 'USAGE') AS owns,
           has_table_privilege(c.oid, 'INSERT') AS insert, has_table_privilege(c.oid, 'DELETE') AS delete,
           has_table_privilege(c.oid, 'TRUNCATE') AS truncate
    FROM pg_class c
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    """
_POSTGRES_COLUMNS = """
    SELECT c.relname AS t, a.attname AS c, has_column_privilege(c.oid, a.attnum, 'SELECT') AS reads,
           has_column_privilege(c.oid, a.attnum, 'UPDATE') AS changes
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
      AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    """
# Whoever may read the server's own tables sees the rights of others there too.
_MYSQL_GLOBAL = """
    SELECT privilege_type AS p FROM information_schema.user_privileges
    WHERE grantee = concat('''', replace(current_user(), '@', '''@'''), '''') AND privilege_type <> 'USAGE'
    """
_MYSQL_SCHEMA = """
    SELECT privilege_type AS p FROM information_schema.schema_privileges
    WHERE grantee = concat('''', replace(current_user(), '@', '''@'''), '''') AND database() LIKE table_schema
    """
_MYSQL_TABLES = """
    SELECT table_name AS t, privilege_type AS p FROM information_schema.table_privileges
    WHERE grantee = concat('''', replace(current_user(), '@', '''@'''), '''') AND table_schema = database()
    """
_MYSQL_COLUMNS = """
    SELECT table_name AS t, column_name AS c, privilege_type AS p FROM information_schema.column_privileges
    WHERE grantee = concat('''', replace(current_user(), '@', '''@'''), '''') AND table_schema = database()
    """
_MYSQL_ENGINE = """
    SELECT table_name AS t, engine AS e FROM information_schema.tables WHERE table_schema = database()
    """


@dataclass(slots=True)
class Held:
    """What we may do in a database.

    everywhere -- what is not bound to a table: to be a superuser, to do this or that in every table
    in_all_tables -- rights that need no grant on a table any more (SELECT, UPDATE, DELETE)
    reads, changes -- columns, by table; more -- other rights on a table (INSERT, DELETE, its ownership)
    """

    everywhere: set[str] = field(default_factory=set)
    in_all_tables: set[str] = field(default_factory=set)
    reads: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    changes: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    more: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


async def columns_by_table(connection: AsyncConnection, kind: Kind) -> dict[str, set[str]]:
    """The tables that we can know of, and their columns."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for row in await _rows(connection, _COLUMNS[kind]):
        found[row["t"]].add(row["c"])
    return dict(found)


async def held_rights(connection: AsyncConnection, kind: Kind) -> Held:
    held = Held()
    if kind is Kind.POSTGRESQL:
        names = {
            "rolsuper": "is a superuser",
            "rolcreaterole": "may create roles",
            "rolcreatedb": "may create databases",
            "rolbypassrls": "bypasses row security",
        }  # fmt: skip -- as a table
        for row in await _rows(connection, _POSTGRES_ROLE):
            held.everywhere = {meaning for name, meaning in names.items() if row[name]}
        for row in await _rows(connection, _POSTGRES_TABLES):
            rights = {right.upper() for right in ("insert", "delete", "truncate") if row[right]}
            if rights or row["owns"]:
                held.more[row["t"]] = rights | ({"ownership"} if row["owns"] else set())
        for row in await _rows(connection, _POSTGRES_COLUMNS):
            if row["reads"]:
                held.reads[row["t"]].add(row["c"])
            if row["changes"]:
                held.changes[row["t"]].add(row["c"])
    elif kind is Kind.MYSQL:
        await _held_in_mysql(connection, held)
    return held


async def _held_in_mysql(connection: AsyncConnection, held: Held) -> None:
    known = await columns_by_table(connection, Kind.MYSQL)
    for where, sql in (("every database", _MYSQL_GLOBAL), ("every table", _MYSQL_SCHEMA)):
        rights = {row["p"] for row in await _rows(connection, sql)}
        held.in_all_tables |= rights
        held.everywhere |= {f"has {right} in {where}" for right in rights}
    for row in await _rows(connection, _MYSQL_TABLES):
        match row["p"]:
            case "SELECT":
                held.reads[row["t"]] |= known.get(row["t"], set())
            case "UPDATE":
                held.changes[row["t"]] |= known.get(row["t"], set())
            case right:
                held.more[row["t"]].add(right)
    for row in await _rows(connection, _MYSQL_COLUMNS):
        match row["p"]:
            case "SELECT":
                held.reads[row["t"]].add(row["c"])
            case "UPDATE":
                held.changes[row["t"]].add(row["c"])
            case right:
                held.more[row["t"]].add(right)


async def tables_without_transactions(connection: AsyncConnection, kind: Kind) -> set[str]:
    """Those of MySQL's older engines, where a change could be left half done."""
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
