"""`init`: from a few answers, or the address of a database, to a `resetsvc.toml` that works."""

import asyncio
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from resetsvc.accounts.mapping import Mapping, WrongMapping, preset, preset_names, read_mapping
from resetsvc.accounts.place import Kind, Place, parse_place
from resetsvc.accounts.recognition import Recognised, recognise_framework
from resetsvc.accounts.rights import grants, needed_rights, quoted
from resetsvc.cli.doctor import check
from resetsvc.cli.setup import new_key
from resetsvc.logs import quieten
from resetsvc.settings import read_from

# What is asked: the setting, the question, and an answer that works on this machine.
QUESTIONS = (
    ("public_url", "Under which address will people reach resetsvc?", "http://localhost:8000"),
    ("smtp_url", "Which mail server takes its mails?", "smtp://127.0.0.1:1025?tls=none"),
    ("mail_from", "Whom do its mails come from?", "Example <no-reply@example.com>"),
)
SALTED = "flask_security"  # the preset that cannot do without a secret of the application's
ROLE = {Kind.POSTGRESQL: "resetsvc", Kind.MYSQL: "'resetsvc'@'%'"}


@click.command()
@click.option("--url", help="The database of your application. Empty: the built-in accounts.")
@click.option(
    "--preset",
    "name",
    type=click.Choice(preset_names()),
    help="Its framework. Else recognised by its tables.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default="resetsvc.toml",
    show_default=True,
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option(
    "--no-questions", is_flag=True, help="Ask nothing; what is missing stands in the file, to be filled in."
)
@click.pass_context
def init(
    context: click.Context, url: str | None, name: str | None, output: Path, force: bool, no_questions: bool
) -> None:
    """Write a configuration for accounts in your application's database, and check it.

    Recognises the framework by its tables, makes a secret key, and writes the file for its owner alone. Says which
    rights the service needs in that database.
    """
    quieten()
    if output.exists() and not force:
        raise click.UsageError(
            f"{output} is there already: --force writes over it, --output names another one"
        )
    if url is None and not no_questions:
        url = click.prompt(
            "Where does your application keep its accounts? (empty: nowhere yet)",
            default="",
            show_default=False,
        )
    described: dict[str, Any] = {}
    if url:
        described = {"url": url, **_described(_place(url), name)}
        if described.get("preset") == SALTED:
            salt = (
                ""
                if no_questions
                else click.prompt(
                    "Its SECURITY_PASSWORD_SALT", default="", hide_input=True, show_default=False
                )
            )
            if salt:
                described["hash"] = {"password_salt": salt}
    answers = {
        setting: None if no_questions else click.prompt(question, default=default)
        for setting, question, default in QUESTIONS
    }
    _write(output, "".join(_file(answers, described, _mapping(described))), force=force)
    click.echo(f"Wrote {output}. To use it: export RESETSVC_CONFIG={output}")
    if no_questions:
        click.echo("Fill in what is missing there, then run `resetsvc check`.")
        return
    read_from(output)
    context.invoke(check)


def _place(url: str) -> Place:
    try:
        return parse_place(url)
    except ValueError as error:
        raise click.UsageError(f"the URL {error}") from None


def _described(place: Place, name: str | None) -> dict[str, Any]:
    from resetsvc.accounts.inspection import tables_of

    tables = asyncio.run(tables_of(place))
    if name is not None:
        return {"preset": name}
    found = recognise_framework(tables)
    if found is None:
        raise click.ClickException(
            f"none of the {len(tables)} tables there looks like the users of a framework that is known here: name it "
            "(--preset), or write [accounts] by hand, as docs/how_to/beside_your_application.md shows"
        )
    click.echo(f"These look like the tables of {_told(found)}.")
    return {"preset": found.preset, **found.changes}


def _told(found: Recognised) -> str:
    table = found.changes.get("table")
    return f"{found.preset}, with the users in {table}" if table else found.preset


def _mapping(described: dict[str, Any]) -> Mapping | None:
    """What is described, to tell of; a salt that is missing yet is made up for this alone and never written."""
    if not described:
        return None
    made_up = {"hash": {"password_salt": "x"}} if described.get("preset") == SALTED else {}
    try:
        return read_mapping({**made_up, **described})
    except WrongMapping as error:
        raise click.ClickException(str(error)) from None


def _write(path: Path, text: str, *, force: bool) -> None:
    """For its owner alone from the first byte on: there are secrets in it. One that is there goes when this one is whole."""
    try:
        if not force:
            _fill(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), text)
            return
        descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            _fill(descriptor, text)
            os.replace(beside, path)
        except BaseException:
            os.unlink(beside)
            raise
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None


def _fill(descriptor: int, text: str) -> None:
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)  # or a power cut may leave an empty file under a name that is there already


def _file(
    answers: dict[str, str | None], described: dict[str, Any], mapping: Mapping | None
) -> Iterator[str]:
    yield "# Settings of resetsvc: docs/reference/settings.md has them all. Keep this file closed to others: chmod 600.\n\n"
    for setting, question, default in QUESTIONS:
        answer = answers[setting]
        yield f"# {question}\n"
        yield f"{'' if answer else '# '}{setting} = {_toml(answer or default)}\n"
    yield "# Signs the links. Whoever has it can reset any password.\n"
    yield f"secret_key = {_toml(new_key())}\n"
    if mapping is None:
        yield "\n# Without [accounts], accounts are those of `resetsvc accounts`.\n"
        return
    yield "\n# The accounts of your application: docs/how_to/beside_your_application.md.\n[accounts]\n"
    for key in ("preset", "url", "table"):
        if key in described:
            yield f"{key} = {_toml(described[key])}\n"
    for effect in described.get("effects", ()):
        yield _effect(effect)
    for key in ("columns", "hash"):
        if key in described:
            yield f"\n[accounts.{key}]\n"
            yield "".join(f"{name} = {_toml(value)}\n" for name, value in described[key].items())
    if described["preset"] == SALTED and "hash" not in described:
        # Without it no setting is read at all. A text in its place would be taken for it, and no new password would log in.
        yield '\n# Fill in SECURITY_PASSWORD_SALT of your application.\n[accounts.hash]\n# password_salt = "…"\n'
    yield from _comments(described, mapping)


def _effect(effect: dict[str, Any]) -> str:
    return "\n[[accounts.effects]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in effect.items())


def _comments(described: dict[str, Any], mapping: Mapping) -> Iterator[str]:
    """What the preset says besides, and what the service has to be allowed."""
    base = preset(described["preset"])
    yield f"\n# The preset {described['preset']} says the rest. Whatever is otherwise with you, write above:\n"
    yield f"#   table = {_toml(base['table'])}, compare = {_toml(base['compare'])}, hash.format = {_toml(base['hash']['format'])}\n"
    yield f"#   columns = {_toml(base['columns'])}\n"
    for effect in mapping.effects:
        yield f"#   effect: {_toml(effect.model_dump(exclude_defaults=True))}\n"
    role = ROLE.get(mapping.place.kind)
    if role is not None:
        yield "\n# All that the service needs there; a role of its own that has this and no more is best.\n"
        if mapping.place.kind is Kind.POSTGRESQL:
            yield f"#   CREATE ROLE {role} LOGIN PASSWORD '…';\n"
        else:
            yield f"#   CREATE USER {role} IDENTIFIED BY '…';\n"
        kind = mapping.place.kind
        optional = [quoted(rights.table, kind) for rights in needed_rights(mapping) if rights.if_exists]
        for statement in grants(mapping, role):
            note = (
                "  -- if there is such a table"
                if any(f" ON {name} TO " in statement for name in optional)
                else ""
            )
            yield f"#   {statement};{note}\n"


def _toml(value: object) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(_toml(each) for each in value) + "]"
        case _:
            # A basic string of TOML knows all escapes of JSON's.
            return json.dumps(value, ensure_ascii=False)
