"""What `[accounts]` is made of: names, conditions, effects, the format of hashes; each checked by itself.

Names are checked here and trusted by the statements, which hold nothing else of a description: all values are
parameters.
"""

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from resetsvc.accounts.place import parse_place

if TYPE_CHECKING:
    from resetsvc.passwords.formats import Format

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_CONDITION = re.compile(
    r"\s*(?P<column>[A-Za-z_][A-Za-z0-9_]{0,62})\s+"
    r"(?:is\s+(?P<negated>not\s+)?(?P<null>null)|=\s*(?P<value>'[^']*'|-?\d{1,18}|true|false))\s*",
    re.IGNORECASE,
)
# What a value of an effect may stand for; `accounts/values.py` says what each becomes.
PLACEHOLDERS = ("{id}", "{address}", "{now}", "{now_iso}", "{uuid}", "{hex}", "{base32}", "{letters}")
_BINDS = (
    "{id}",
    "{address}",
)  # of these one has to stand in a condition: it names the one account that is meant


def _column_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("is no plain name: letters, digits and _, at most 63")
    return name


def _table_name(name: str) -> str:
    if not 1 <= len(parts := name.split(".")) <= 2 or not all(map(_NAME.fullmatch, parts)):
        raise ValueError("is no plain name, or schema.name: letters, digits and _, at most 63 each")
    return name


def _value(value: str | int | bool) -> str | int | bool:
    if isinstance(value, str) and "{" in value and value not in PLACEHOLDERS:
        raise ValueError(f"holds a brace and is none of {' '.join(PLACEHOLDERS)}")
    return value


def _literal_value(value: str | int | bool) -> str | int | bool:
    if value in PLACEHOLDERS:
        raise ValueError(f"is {value}, which stands for something in effects alone")
    return value


def database(url: SecretStr) -> SecretStr:
    parse_place(url.get_secret_value())
    return url


Column = Annotated[str, AfterValidator(_column_name)]
# A preset's optional column is taken away by an empty text: TOML has no null.
OptionalColumn = Annotated[Column | None, BeforeValidator(lambda name: name or None)]
TableName = Annotated[str, AfterValidator(_table_name)]
Value = Annotated[str | int | bool, AfterValidator(_value)]
LiteralValue = Annotated[Value, AfterValidator(_literal_value)]


class Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class Columns(Part):
    """What the application's columns are called.

    lookup -- where addresses are looked up, if that is another column than the one that mail goes to
    """

    id: Column
    address: Column
    password: Column
    lookup: OptionalColumn = None
    active: OptionalColumn = None
    locale: OptionalColumn = None
    name: OptionalColumn = None


class PasswordTable(Part):
    """The table that the password is in, where it is not the one of the addresses.

    account -- its column that holds the account's id; where -- what else tells the row
    """

    table: TableName
    account: Column
    where: dict[Column, LiteralValue] = {}


class Condition(Part):
    """One condition of a filter. `value` counts where `null` is None."""

    column: Column
    null: bool | None = None
    value: str | int | bool = True


class Effect(Part):
    """What else a change of password does, in the same transaction: rows that are deleted, columns that are set."""

    delete: TableName | None = None
    update: TableName | None = None
    set: dict[Column, Value] = {}
    null: tuple[Column, ...] = Field((), strict=False)
    where: dict[Column, Value] = {}
    if_exists: bool = False

    @model_validator(mode="after")
    def _is_whole(self) -> "Effect":
        if self.delete is not None and (self.update is not None or self.set or self.null):
            raise ValueError("deletes, so it cannot update, set or null as well")
        if self.delete is None and not self.set and not self.null:
            raise ValueError("does nothing: it has neither delete, nor set, nor null")
        if self.elsewhere is None and (self.where or self.if_exists):
            raise ValueError("is on the account's own row, so it has no where and no if_exists")
        if self.elsewhere is not None and not any(value in _BINDS for value in self.where.values()):
            raise ValueError('would be on the rows of all accounts: its where needs "{id}" or "{address}"')
        return self

    @property
    def elsewhere(self) -> str | None:
        """The table that it is on, if that is not the account's own."""
        return self.delete or self.update


class Hash(BaseModel):
    """The format that new passwords are written in; whatever else stands here are its costs and its secrets."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, hide_input_in_errors=True)

    format: str

    @model_validator(mode="after")
    def _is_known(self) -> "Hash":
        _ = self.made
        return self

    @property
    def made(self) -> "Format":
        # Loaded where it is needed: those who keep their accounts here have no use for other formats.
        from resetsvc.passwords.formats import format_named

        return format_named(self.format, **self.costs)

    @property
    def costs(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})

    def __repr__(self) -> str:
        return f"Hash({self.format!r})"


def conditions(value: object) -> object:
    """`deleted_at IS NULL`, or several such; nothing else is understood, so nothing else can be said."""
    found = []
    for text in [value] if isinstance(value, str) else value if isinstance(value, list) else [None]:
        match = _CONDITION.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(
                "knows `column IS NULL`, `column IS NOT NULL` and `column = value` (a number, true, false or "
                "'text'), one or a list of them"
            )
        if match["null"]:
            found.append(Condition(column=match["column"], null=not match["negated"]))
        else:
            found.append(Condition(column=match["column"], value=_literal(match["value"])))
    return tuple(found)


def _literal(text: str) -> str | int | bool:
    if text.startswith("'"):
        return text[1:-1]
    return text.lower() == "true" if text.lower() in ("true", "false") else int(text)
