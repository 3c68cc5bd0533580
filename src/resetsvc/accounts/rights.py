"""What the service has to be allowed in another application's database, by table and column; and the GRANTs for it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from resetsvc.accounts.mapping import Mapping
from resetsvc.accounts.place import Kind


@dataclass(slots=True)
class Rights:
    """On one table.

    reads, changes -- columns; deletes -- whole rows; if_exists -- the table need not be there
    """

    table: str
    reads: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    deletes: bool = False
    if_exists: bool = True

    def __or__(self, other: "Rights") -> "Rights":
        """Both together, where one table is named in two ways: `members` and `public.members`."""
        return Rights(
            self.table,
            self.reads | other.reads,
            self.changes | other.changes,
            self.deletes or other.deletes,
            self.if_exists and other.if_exists,
        )


def needed_rights(mapping: Mapping) -> list[Rights]:
    """All that is needed, and nothing else; the accounts' own table comes first."""
    found: dict[str, Rights] = {}

    def on(table: str) -> Rights:
        return found.setdefault(table, Rights(table))

    columns, other = mapping.columns, mapping.password_table
    accounts = on(mapping.table)
    accounts.if_exists = False
    named = (columns.id, columns.address, columns.lookup, columns.active, columns.locale, columns.name)
    accounts.reads |= {name for name in named if name is not None}
    accounts.reads |= {condition.column for condition in mapping.filter}
    passwords = accounts if other is None else on(other.table)
    passwords.if_exists = False
    passwords.reads |= {columns.password, *((other.account, *other.where) if other else ())}
    passwords.changes.add(columns.password)
    for effect in mapping.effects:
        table = on(effect.elsewhere or mapping.table)
        table.if_exists = table.if_exists and effect.if_exists
        table.reads |= {*effect.where}
        table.changes |= {*effect.set, *effect.null}
        table.deletes = table.deletes or effect.delete is not None
    return list(found.values())


def grants(mapping: Mapping, role: str) -> Iterator[str]:
    """The statements that allow it to a role of PostgreSQL, or to an account of MySQL or MariaDB (`'name'@'host'`)."""
    kind, needed = mapping.place.kind, needed_rights(mapping)
    if kind is Kind.POSTGRESQL:
        # Whoever may not use a schema sees no table of it. Without one that is named it is `public`, as a rule, which is
        # everybody's to use: PostgreSQL 15 took away no more than making tables there.
        for schema in sorted({rights.table.rpartition(".")[0] for rights in needed} - {""}):
            yield f"GRANT USAGE ON SCHEMA {quoted(schema, kind)} TO {role}"
    for rights in needed:
        allowed = [f"SELECT ({_listed(rights.reads, kind)})"] if rights.reads else []
        if rights.changes:
            allowed.append(f"UPDATE ({_listed(rights.changes, kind)})")
        if rights.deletes:
            allowed.append("DELETE")
        yield f"GRANT {', '.join(allowed)} ON {quoted(rights.table, kind)} TO {role}"


def quoted(name: str, kind: Kind) -> str:
    mark = "`" if kind is Kind.MYSQL else '"'
    return ".".join(f"{mark}{part}{mark}" for part in name.split("."))


def _listed(names: set[str], kind: Kind) -> str:
    return ", ".join(quoted(name, kind) for name in sorted(names))
