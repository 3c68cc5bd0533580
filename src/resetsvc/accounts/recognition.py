"""Which framework made these tables? Asked of their names and columns alone. Pure."""

from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from functools import cache
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Recognised:
    """A preset, and what has to be written over it because these tables are called otherwise."""

    preset: str
    changes: dict[str, Any] = field(default_factory=dict)


def recognise_framework(found: Table[str, set[str]]) -> Recognised | None:
    """The preset that fits best: all that it needs is there, and the most of it.

    found -- columns by table
    """
    fits = {name: score for name, mapping in _presets().items() if (score := _score(mapping, found))}
    if fits:
        return Recognised(max(fits, key=lambda name: fits[name]))
    return _custom_django_user(found) or _other_wordpress_prefix(found)


def _score(mapping: Mapping, found: Table[str, set[str]]) -> int:
    score = 0
    for rights in needed_rights(mapping):
        columns = rights.reads | rights.changes
        if columns <= found.get(rights.table, set()):
            score += len(columns)
        elif not rights.if_exists:
            return 0
    return score


def _custom_django_user(found: Table[str, set[str]]) -> Recognised | None:
    """A user model of the application's own: `last_login` beside `password` is in each of them."""
    fitting = [
        name for name, columns in found.items() if {"id", "email", "password", "last_login"} <= columns
    ]
    if len(fitting) != 1 or "django_migrations" not in found:
        return None
    without = {} if "is_active" in found[fitting[0]] else {"columns": {"active": ""}}
    return Recognised("django", {"table": fitting[0], **without})


def _other_wordpress_prefix(found: Table[str, set[str]]) -> Recognised | None:
    preset = _presets()["wordpress"]
    needed = {rights.table: rights.reads | rights.changes for rights in needed_rights(preset)}
    for name in sorted(found):
        prefix = name.removesuffix("users")
        renamed = {table.replace("wp_", prefix, 1): columns for table, columns in needed.items()}
        if prefix != name and all(columns <= found.get(table, set()) for table, columns in renamed.items()):
            effects = [
                effect.model_dump(exclude_defaults=True)
                | ({"delete": effect.delete.replace("wp_", prefix, 1)} if effect.delete else {})
                for effect in preset.effects
            ]
            return Recognised("wordpress", {"table": name, "effects": effects})
    return None
