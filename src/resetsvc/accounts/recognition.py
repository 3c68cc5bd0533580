"""Which framework made these tables? Asked of their names and columns alone. Pure."""

from collections.abc import Mapping as Table
from functools import cache

from resetsvc.accounts.mapping import Mapping, preset_names, read_mapping
from resetsvc.accounts.rights import needed_rights

# What a preset cannot do without knowing; any text will do to read its names.
_PLACEHOLDERS: dict[str, dict[str, str]] = {"flask_security": {"password_salt": "x" * 32}}


@cache
def _presets() -> dict[str, Mapping]:
    return {
        name: read_mapping(
            {
                "preset": name,
                "url": "sqlite:///any.db",
                **({"hash": more} if (more := _PLACEHOLDERS.get(name)) else {}),
            }
        )
        for name in preset_names()
    }


def recognise_framework(found: Table[str, set[str]]) -> str | None:
    """The preset that fits best: all that it needs is there, and the most of it.

    found -- columns by table
    """
    fits = {name: score for name, mapping in _presets().items() if (score := _score(mapping, found))}
    return max(fits, key=lambda name: fits[name]) if fits else None


def _score(mapping: Mapping, found: Table[str, set[str]]) -> int:
    score = 0
    for rights in needed_rights(mapping):
        columns = rights.reads | rights.changes
        if columns <= found.get(rights.table, set()):
            score += len(columns)
        elif not rights.if_exists:
            return 0
    return score
