"""Accounts in another application's table, as `[accounts]` describes them: a preset, and what is written over it."""

import tomllib
from collections.abc import Mapping as Table
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from resetsvc.accounts.parts import (
    Columns,
    Condition,
    Effect,
    Hash,
    Part,
    PasswordTable,
    TableName,
    conditions,
    database,
)
from resetsvc.accounts.place import Place, parse_place

if TYPE_CHECKING:
    from resetsvc.passwords.formats import Format

SECRETS = ("password_salt", "pepper")  # what formats need that nobody else may know
PRESETS = Path(__file__).parent / "presets"


class Mapping(Part):
    """All that there is to say about accounts elsewhere.

    compare -- exact: as it stands in the table, lower: by lower() of the column, upper: the column holds capitals,
               collation: as the column itself compares
    """

    url: Annotated[SecretStr, Field(strict=False), AfterValidator(database)]
    preset: str | None = None
    table: TableName
    filter: Annotated[tuple[Condition, ...], BeforeValidator(conditions)] = ()
    columns: Columns
    password_table: PasswordTable | None = None
    compare: Literal["exact", "lower", "upper", "collation"] = "exact"
    hash: Hash
    effects: tuple[Effect, ...] = Field((), strict=False)

    @model_validator(mode="after")
    def _leaves_what_is_compared(self) -> "Mapping":
        ours = {self.table: {self.columns.id, self.columns.address, self.columns.password}}
        if self.password_table is not None:
            ours.setdefault(self.password_table.table, set()).update(
                {self.password_table.account, self.columns.password}
            )
        for number, effect in enumerate(self.effects):
            compared = ours.get(effect.elsewhere or self.table, set())
            if twice := compared & {*effect.set, *effect.null}:
                raise ValueError(f"has an effect, number {number}, that changes {min(twice)}: none may")
        return self

    @property
    def place(self) -> Place:
        return parse_place(self.url.get_secret_value())

    @property
    def format(self) -> "Format":
        return self.hash.made

    def told(self) -> dict[str, object]:
        """What the audit trail may hold of it."""
        return {
            "preset": self.preset,
            "database": f"{self.place.kind}://{self.place.name}",
            "table": self.table,
            "format": self.hash.format,
        }


class WrongMapping(ValueError):
    """The description is wrong. `problems` are all that is, each with its name."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def preset_names() -> list[str]:
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def preset(name: str) -> dict[str, Any]:
    return tomllib.loads((PRESETS / f"{name}.toml").read_text("utf-8"))


def read_accounts(
    described: Table[str, Any], *, url: str | None = None, preset_name: str | None = None
) -> BaseModel:
    """Read what says where accounts elsewhere are: a `Mapping`, or the `WebhookMapping` of an application's endpoint."""
    where = url or described.get("url")
    if not isinstance(where, str) or not where.startswith(("https://", "http://")):
        return read_mapping(described, url=url, preset_name=preset_name)
    from resetsvc.accounts.webhook_mapping import WebhookMapping

    name = "RESETSVC_ACCOUNTS_URL" if url else "accounts.url"
    try:
        return WebhookMapping.model_validate({**described, "url": where})
    except ValidationError as error:
        raise WrongMapping(_problems(error, "accounts", {"url": name})) from None


def read_mapping(
    described: Table[str, Any],
    *,
    url: str | None = None,
    preset_name: str | None = None,
    at: str = "accounts",
) -> Mapping:
    """Put a preset and what is written over it together; WrongMapping with all that is wrong, by name, without values.

    described -- `[accounts]` of the TOML file; url, preset_name -- from the environment, which wins
    """
    problems = []
    written = dict(described)
    named = {"url": "RESETSVC_ACCOUNTS_URL" if url else f"{at}.url"}
    if url:
        written["url"] = url
    if preset_name:
        written["preset"] = preset_name
    chosen, base = written.get("preset"), {}
    if isinstance(chosen, str):
        if chosen in preset_names():
            base = preset(chosen)
        else:
            where = "RESETSVC_ACCOUNTS_PRESET" if preset_name else f"{at}.preset"
            problems.append(f"{where} is none of {', '.join(preset_names())}")
    elif chosen is None and "table" not in written:
        problems.append(f"{at} has neither a preset (one of {', '.join(preset_names())}) nor a table")
    try:
        mapping = Mapping.model_validate(_written_over(base, written))
    except ValidationError as error:
        found = _problems(error, at, named)
        if problems:
            # What is missing would have come with the preset.
            found = [each for each in found if not each.endswith(" is missing")]
        raise WrongMapping(problems + found) from None
    if problems:
        raise WrongMapping(problems)
    return mapping


def _written_over(base: dict[str, Any], written: Table[str, Any]) -> dict[str, Any]:
    """A preset's tables are filled up key by key; its lists are replaced."""
    merged = {**base, **written}
    for name in ("columns", "hash"):
        below, above = base.get(name), written.get(name)
        if isinstance(below, dict) and isinstance(above, dict):
            # The costs of one format say nothing about another one.
            other = name == "hash" and above.get("format", below.get("format")) != below.get("format")
            merged[name] = above if other else {**below, **above}
    return merged


def _problems(error: ValidationError, at: str, named: Table[str, str]) -> list[str]:
    return [
        f"{_dotted(each['loc'], at, named)} {_sentence(each)}" for each in error.errors(include_input=False)
    ]


def _dotted(location: tuple[str | int, ...], at: str, named: Table[str, str]) -> str:
    if location[:1] == ("url",):
        return named["url"]
    name = at
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else "" if part == "[key]" else f".{part}"
    return name


def _sentence(found: Any) -> str:
    match found["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not known here"
        case "value_error":
            return str(found["ctx"]["error"])
        case _:
            return str(found["msg"][0].lower() + found["msg"][1:]).replace("input should", "should")
