"""Every statement on another application's tables: names come out of a checked description, all values are parameters."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Delete, Dialect, Select, Update, func, select, type_coerce
from sqlalchemy import cast as sql_cast
from sqlalchemy import delete as sql_delete
from sqlalchemy import update as sql_update
from sqlalchemy.sql import quoted_name
from sqlalchemy.sql.expression import ColumnClause, FromClause, TableClause, column, exists, table
from sqlalchemy.types import LargeBinary, UserDefinedType

from resetsvc.accounts.mapping import Mapping
from resetsvc.accounts.parts import Condition, Effect
from resetsvc.accounts.place import Kind
from resetsvc.accounts.values import filled

LONGEST_LIST = 500  # addresses in one statement: as long as a text that a server reads gladly
_IN_THE_PLACE_OF_ADDRESSES = "\0"  # no filter asks for it
_OPTIONAL = ("active", "locale", "name")


class AsTheColumn(UserDefinedType[Any]):
    """A value that the database itself makes into what the column holds: no type is known here, so none is claimed."""

    cache_ok = True


def table_named(name: str, *columns: str) -> TableClause:
    """Always quoted: `user` is a word of SQL, and `accountId` has a capital in it."""
    schema, _, plain = name.rpartition(".")
    parts: list[ColumnClause[Any]] = [
        column(quoted_name(each, True), AsTheColumn()) for each in dict.fromkeys(columns)
    ]
    return table(quoted_name(plain, True), *parts, schema=quoted_name(schema, True) if schema else None)


class LookUp(NamedTuple):
    """A look-up as a driver takes it: with a `?` for each value, and the names of the columns that come back."""

    text: str
    values: Sequence[Any]
    names: Sequence[str]


class Statements:
    """The statements of one mapping."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._kind = mapping.place.kind
        self._look_ups: dict[int, tuple[str, int, list[Any], list[str]]] = {}
        columns, other = mapping.columns, mapping.password_table
        self.lookup = columns.lookup or columns.address
        optional = {name: found for name in _OPTIONAL if (found := getattr(columns, name)) is not None}
        in_table = [columns.id, columns.address, self.lookup, *optional.values()]
        in_table += [condition.column for condition in mapping.filter]
        if other is None:
            self.accounts = self.passwords = table_named(mapping.table, *in_table, columns.password)
        else:
            self.accounts = table_named(mapping.table, *in_table)
            self.passwords = table_named(other.table, other.account, columns.password, *other.where)
        self._read = [
            self.accounts.c[columns.id].label("id"),
            self.accounts.c[columns.address].label("address"),
            self.accounts.c[self.lookup].label("lookup"),
            self.passwords.c[columns.password].label("password"),
            *(self.accounts.c[found].label(name) for name, found in optional.items()),
        ]

    def find(self, addresses: Sequence[str]) -> Select[Any]:
        """The accounts whose addresses are any of these, which are written as the column is compared."""
        looked_up: ColumnElement[Any] = self.accounts.c[self.lookup]
        if self._mapping.compare == "lower":
            looked_up = func.lower(looked_up, type_=AsTheColumn())
        return self.all().where(looked_up.in_(_padded(addresses)))

    def look_up(self, addresses: Sequence[str], dialect: Dialect) -> LookUp:
        """The same as text: it is made once for each length of the list. For a dialect whose values are told by `?`."""
        padded = _padded(addresses)
        if len(padded) not in self._look_ups:
            statement = self.find([_IN_THE_PLACE_OF_ADDRESSES] * len(padded))
            compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
            values = [compiled.params[name] for name in compiled.positiontup or ()]
            names = [column.name for column in statement.selected_columns]
            at = values.index(_IN_THE_PLACE_OF_ADDRESSES)
            self._look_ups[len(padded)] = (str(compiled), at, values, names)
        text, at, values, names = self._look_ups[len(padded)]
        return LookUp(text, [*values[:at], *padded, *values[at + len(padded) :]], names)

    def get(self, account_id: object) -> Select[Any]:
        return self.all().where(self.accounts.c[self._mapping.columns.id] == account_id)

    def all(self) -> Select[Any]:
        source: FromClause = self.accounts
        other = self._mapping.password_table
        if other is not None:
            ours = self.accounts.c[self._mapping.columns.id]
            source = self.accounts.join(self.passwords, self.passwords.c[other.account] == ours)
        return select(*self._read).select_from(source).where(*self._filter(), *self._password_rows())

    def swap(self, *, account_id: object, address: str, old: str, new: str) -> Update:
        """Compare and swap: it changes one row, or none if the hash or the address is no longer what it was."""
        columns, other = self._mapping.columns, self._mapping.password_table
        stored: ColumnElement[Any] = self.passwords.c[columns.password]
        if self._kind is Kind.MYSQL:
            # Most collations there take `a` for `A`, and two hashes may differ in nothing else.
            stored = type_coerce(sql_cast(stored, LargeBinary), AsTheColumn())
        statement = sql_update(self.passwords).values({columns.password: new}).where(stored == old)
        accounts = self.accounts.c
        as_it_was = [
            accounts[columns.id] == account_id,
            accounts[columns.address] == address,
            *self._filter(),
        ]
        if other is None:
            return statement.where(*as_it_was)
        return statement.where(
            self.passwords.c[other.account] == account_id,
            *self._password_rows(),
            exists(select(accounts[columns.id]).where(*as_it_was)),
        )

    def effect(self, effect: Effect, *, account_id: object, address: str, now: float) -> Update | Delete:
        def value(stands_for: str | int | bool) -> object:
            return filled(stands_for, id=account_id, address=address, now=now, kind=self._kind)

        names = (*effect.where, *effect.set, *effect.null)
        if effect.elsewhere is None:
            own = table_named(self._mapping.table, self._mapping.columns.id, *names)
            conditions = [own.c[self._mapping.columns.id] == account_id]
        else:
            own = table_named(effect.elsewhere, *names)
            conditions = [own.c[name] == value(asked) for name, asked in effect.where.items()]
        if effect.delete is not None:
            return sql_delete(own).where(*conditions)
        changes = {name: value(asked) for name, asked in effect.set.items()} | dict.fromkeys(effect.null)
        return sql_update(own).values(changes).where(*conditions)

    def _filter(self) -> list[ColumnElement[bool]]:
        return [self._meets(condition) for condition in self._mapping.filter]

    def _meets(self, condition: Condition) -> ColumnElement[bool]:
        found = self.accounts.c[condition.column]
        if condition.null is not None:
            return found.is_(None) if condition.null else found.is_not(None)
        return found == condition.value

    def _password_rows(self) -> list[ColumnElement[bool]]:
        other = self._mapping.password_table
        return (
            [] if other is None else [self.passwords.c[name] == value for name, value in other.where.items()]
        )


def _padded(addresses: Sequence[str]) -> list[str]:
    """As long as a power of two: so there are few different statements, and drivers keep them prepared."""
    length = 1 << (len(addresses) - 1).bit_length()
    return [*addresses, *[addresses[-1]] * (length - len(addresses))]
