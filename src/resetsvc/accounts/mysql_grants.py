"""What `SHOW GRANTS` of MySQL and MariaDB says, right by right. Pure.

It tells what the roles that are active allow, too, which `information_schema` keeps from those who have them. A line may
hold the hash of the account's own password: nothing of it is kept but what is read here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_NAME = r"""(?:`(?:[^`]|``)*`|"(?:[^"]|"")*"|[^\s`"(),.*]+)"""
_GRANT = re.compile(
    rf"GRANT (?P<rights>(?:{_NAME}|[\s(),])+) ON (?P<schema>{_NAME}|\*)\.(?P<table>{_NAME}|\*) TO .*",
    re.DOTALL,
)
_RIGHT = re.compile(rf"(?P<right>[A-Z_]+(?: [A-Z_]+)*)(?: ?\((?P<columns>(?:{_NAME}|[\s,])*)\))?")


@dataclass(frozen=True, slots=True)
class Grant:
    """One right, on what it is.

    schema -- a pattern of LIKE, as the server keeps it; None: all of them
    table -- None: all of them; columns -- None: all of them
    """

    right: str
    schema: str | None
    table: str | None
    columns: frozenset[str] | None

    def is_in(self, schema: str) -> bool:
        """Whether it is a right in the schema of this name. In a pattern `_` is any character, unless it is `\\_`."""
        if self.schema is None:
            return True
        if self.table is not None:
            return self.schema == schema
        wild = {"%": ".*", "_": "."}
        parts = re.findall(r"\\?.", self.schema, re.DOTALL)
        pattern = "".join(wild.get(part) or re.escape(part[-1]) for part in parts)
        return re.fullmatch(pattern, schema, re.DOTALL) is not None


def read_grants(line: str) -> Iterator[Grant]:
    """The rights on tables that a line grants: none, where it is about a role, a routine, or nothing at all (USAGE)."""
    found = _GRANT.fullmatch(line)
    if found is None:
        return
    schema, table = (None if name == "*" else _plain(name) for name in (found["schema"], found["table"]))
    for each in _RIGHT.finditer(found["rights"]):
        if each["right"] != "USAGE":
            named = each["columns"]
            columns = None if named is None else frozenset(map(_plain, re.findall(_NAME, named)))
            yield Grant(each["right"], schema, table, columns)


def _plain(name: str) -> str:
    mark = name[0]
    return name[1:-1].replace(mark * 2, mark) if mark in '`"' else name
