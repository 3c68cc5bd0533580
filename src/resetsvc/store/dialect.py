"""The store's SQL as PostgreSQL wants it: the only place that knows where the two databases differ.

Statements are written so that SQLite takes them as they are. For PostgreSQL five things are put in their place, once
for each statement:

- `:name` becomes `$1`, `$2`, …: the driver binds by position.
- `json_each(:rows)` becomes the function of PostgreSQL that reads a batch. Numbers are cast where they are read
  (`CAST(value ->> 1 AS DOUBLE PRECISION)`), as PostgreSQL takes text out of JSON; SQLite does not mind.
- `IN (SELECT …)` over a batch, or over rows that were locked first, becomes a comparison with an array. PostgreSQL guesses
  how many rows such a query gives, and guesses a tenth of the table: it would walk through an index of all letters ever
  sent to find sixty (measured: claims at a tenth of their speed beside 300,000 finished letters).
- `(attempts > 0) = …` becomes a comparison of numbers: PostgreSQL turns that of truth values into `attempts <= 0`, and
  then no longer sees that an index is on it.
- `/*postgresql … */`, a comment to SQLite, becomes what stands in it.
"""

import re
from functools import cache

_ONLY_HERE = re.compile(r"/\*postgresql(.*?)\*/", re.DOTALL)
_NOT_IN = re.compile(r"NOT IN \((SELECT (?:value FROM json_each\(:\w+\)|seq FROM \w+))\)")
_IN = re.compile(r"IN \((SELECT (?:value FROM json_each\(:\w+\)|seq FROM \w+))\)")
_TEXTS = re.compile(r"SELECT value FROM json_each\((:\w+)\)")
_ROWS = re.compile(r"json_each\((:\w+)\)")
_TRIED = re.compile(r"\(attempts > 0\) = (:\w+|TRUE|FALSE)")
_NAME = re.compile(r"(?<![:\w]):([a-z_]+)")


@cache
def for_postgresql(sql: str) -> tuple[str, tuple[str, ...]]:
    """A statement in PostgreSQL's words, and the names of the values that it binds, in the order of `$1`, `$2`, …"""
    sql = _ONLY_HERE.sub(r"\1", sql)
    sql = _NOT_IN.sub(r"<> ALL(ARRAY(\1))", sql)
    sql = _IN.sub(r"= ANY(ARRAY(\1))", sql)
    sql = _TEXTS.sub(r"SELECT value FROM jsonb_array_elements_text(CAST(CAST(\1 AS text) AS jsonb))", sql)
    sql = _ROWS.sub(r"jsonb_array_elements(CAST(CAST(\1 AS text) AS jsonb))", sql)
    sql = _TRIED.sub(r"CAST(attempts > 0 AS integer) = CAST(CAST(\1 AS boolean) AS integer)", sql)
    names: dict[str, int] = {}
    sql = _NAME.sub(lambda found: f"${names.setdefault(found[1], len(names) + 1)}", sql)
    return sql, tuple(names)
