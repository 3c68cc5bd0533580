"""What we may do in another application's database, as it says itself: by table and column, and beyond them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from resetsvc.accounts.mysql_grants import read_grants
from resetsvc.accounts.place import Kind

_POSTGRES_ROLE = """
    SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = current_user
    """
_POSTGRES_MEANINGS = {
    "rolsuper": "is a superuser",
    "rolcreaterole": "may create roles",
    "rolcreatedb": "may create databases",
    "rolbypassrls": "bypasses row security",
}
_POSTGRES_TABLES = """
    SELECT n.nspname || '.' || c.relname AS t, pg_has_role(current_user, c.relowner, 'USAGE') AS owns,
           has_table_privilege(c.oid, 'INSERT') AS insert, has_table_privilege(c.oid, 'DELETE') AS delete,
           has_table_privilege(c.oid, 'TRUNCATE') AS truncate
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    """
_POSTGRES_COLUMNS = """
    SELECT n.nspname || '.' || c.relname AS t, a.attname AS c,
           has_column_privilege(c.oid, a.attnum, 'SELECT') AS reads,
           has_column_privilege(c.oid, a.attnum, 'UPDATE') AS changes
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
      AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    """
_MYSQL_COLUMNS = """
    SELECT concat(table_schema, '.', table_name) AS t, column_name AS c FROM information_schema.columns
    WHERE table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')
    """
EVERYTHING = "ALL PRIVILEGES"  # what MySQL calls them


@dataclass(slots=True)
class Held:
    """What we may do in a database. Tables are named with their schema.

    everywhere -- what is not bound to a table: to be a superuser, to do this or that in every table
    in_all_tables -- rights that need no grant on a table any more (SELECT, UPDATE, DELETE), by schema
    reads, changes -- columns, by table; more -- other rights on a table (INSERT, DELETE, its ownership)
    """

    everywhere: set[str] = field(default_factory=set)
    in_all_tables: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    reads: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    changes: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    more: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


async def held_rights(connection: AsyncConnection, kind: Kind) -> Held:
    match kind:
        case Kind.POSTGRESQL:
            return await _in_postgresql(connection)
        case Kind.MYSQL:
            return await _in_mysql(connection)
        case Kind.SQLITE:
            return Held()


async def _in_postgresql(connection: AsyncConnection) -> Held:
    held = Held()
    for row in await _rows(connection, _POSTGRES_ROLE):
        held.everywhere = {meaning for name, meaning in _POSTGRES_MEANINGS.items() if row[name]}
    for row in await _rows(connection, _POSTGRES_TABLES):
        rights = {right.upper() for right in ("insert", "delete", "truncate") if row[right]}
        if rights or row["owns"]:
            held.more[row["t"]] = rights | ({"ownership"} if row["owns"] else set())
    for row in await _rows(connection, _POSTGRES_COLUMNS):
        if row["reads"]:
            held.reads[row["t"]].add(row["c"])
        if row["changes"]:
            held.changes[row["t"]].add(row["c"])
    return held


async def _in_mysql(connection: AsyncConnection) -> Held:
    held = Held()
    columns: defaultdict[str, set[str]] = defaultdict(set)
    for row in await _rows(connection, _MYSQL_COLUMNS):
        columns[row["t"]].add(row["c"])
    schemas = {table.partition(".")[0] for table in columns}
    for line in (await connection.execute(text("SHOW GRANTS"))).scalars():
        for grant in read_grants(str(line)):
            if grant.table is None:
                where = "every database" if grant.schema is None else f"every table of {grant.schema}"
                held.everywhere.add(f"has {grant.right} in {where}")
                for schema in filter(grant.is_in, schemas):
                    held.in_all_tables[schema].add(grant.right)
                continue
            table = f"{grant.schema}.{grant.table}"
            named = columns[table] if grant.columns is None else grant.columns
            if grant.right in ("SELECT", EVERYTHING):
                held.reads[table] |= named
            if grant.right in ("UPDATE", EVERYTHING):
                held.changes[table] |= named
            if grant.right not in ("SELECT", "UPDATE"):
                held.more[table].add(grant.right)
    return held


async def _rows(connection: AsyncConnection, sql: str) -> Sequence[Any]:
    return (await connection.execute(text(sql))).mappings().all()
