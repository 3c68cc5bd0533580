"""Writes what the code itself knows: settings and commands in the reference and the README, and the sentences for translators.

`generate.py` writes the pages, `generate.py --messages` the sentences. `generate.py --check` writes nothing, says what
is out of date, and exits with 1 if anything is.
"""

import difflib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import write_po
from pydantic.fields import FieldInfo

from resetsvc.accounts.webhook_openapi import document as webhook_document
from resetsvc.cli import main as resetsvc
from resetsvc.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
REFERENCE = ROOT / "docs" / "reference"
PACKAGE = ROOT / "src" / "resetsvc"
SENTENCES = PACKAGE / "locales" / "resetsvc.pot"

SETTINGS_HEAD = """\
# Settings

<!-- Written by docs/generate.py from the settings themselves. Change those, then run `make docs`. -->

Every setting is an environment variable. It may also stand in a file `.env` in the folder that the command is started
in (`RESETSVC_SECRET_KEY=…`, one a line), or, without the prefix and in lower case, in a TOML file that `RESETSVC_CONFIG`
names (`secret_key = "…"`). The environment wins over `.env`, and `.env` over the TOML file. A file that a key comes from
has to be closed to all but its owner (`chmod 600`).

All wrong settings are told at once, by name and without their values, before anything starts; the exit code is then 2.
A `RESETSVC_…` variable that is no setting is a wrong setting too, since it is most likely one with a typing error.
Names that begin with `RESETSVC_TEST_` are left alone.

A list is written as a JSON list or as words separated by spaces.

"""
TABLE_BEGINS = "<!-- Written by docs/generate.py: -->\n"
TABLE_ENDS = "<!-- Up to here. -->\n"

COMMANDS_HEAD = """\
# Commands

<!-- Written by docs/generate.py from the commands themselves. Change those, then run `make docs`. -->

`python -m resetsvc` is the same as `resetsvc`. A command that fails says why in one line on standard error. The exit
code is 0 if all went well, 2 for wrong use or wrong settings, and 1 for everything else.
Every command takes `--help`.
"""


def settings_page() -> str:
    return SETTINGS_HEAD + _settings_table()


def readme() -> str:
    """The README, with its table of settings as they are now."""
    text = README.read_text("utf-8")
    before, begins, rest = text.partition(TABLE_BEGINS)
    _, ends, after = rest.partition(TABLE_ENDS)
    if not begins or not ends:
        raise click.ClickException("README.md has lost the marks around its table of settings")
    return f"{before}{begins}\n{_settings_table()}\n{ends}{after}"


def _settings_table() -> str:
    rows = (
        f"| `{PREFIX}{name.upper()}` | {_default(setting)} | {_cell(_meaning(setting))} |\n"
        for name, setting in Settings.model_fields.items()
    )
    return "| setting | default | what it is |\n| --- | --- | --- |\n" + "".join(rows)


def _default(setting: FieldInfo) -> str:
    if setting.is_required():
        return "none, required"
    match setting.get_default():
        case None:
            return "none"
        case ():
            return "`[]`"
        case bool(value):
            return f"`{str(value).lower()}`"
        case value:
            return f"`{value}`"


def _meaning(setting: FieldInfo) -> str:
    return " ".join(filter(None, (setting.description, _bounds(setting))))


def _bounds(setting: FieldInfo) -> str:
    """What pydantic holds a value to, as a sentence."""
    lowest = highest = ""
    unit = ""
    for bound in setting.metadata:
        match bound:
            case Ge(ge=value):
                lowest = f"{value}"
            case Gt(gt=0):
                lowest = "more than 0"
            case Le(le=value):
                highest = f"{value}"
            case MinLen(min_length=value):
                lowest, unit = f"{value}", " characters"
            case MaxLen(max_length=value):
                highest, unit = f"{value}", " characters"
    if lowest.startswith("more") and highest:
        return f"More than 0, up to {highest}."
    if lowest and highest:
        return f"From {lowest} to {highest}{unit}."
    return f"{lowest[0].upper()}{lowest[1:]}{unit}." if lowest else ""


def commands_page() -> str:
    context = click.Context(resetsvc, info_name="resetsvc")
    return COMMANDS_HEAD + "".join(_sections(resetsvc, context))


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"\n## `{context.command_path}`\n\n"
    yield f"    {context.command_path} {' '.join(command.collect_usage_pieces(context))}\n\n"
    yield _paragraphs(command.help or "")
    options = [
        record
        for parameter in command.params
        if isinstance(parameter, click.Option)
        and not parameter.is_eager  # --version, and the --help that every command has
        and (record := parameter.get_help_record(context)) is not None
    ]
    if options:
        yield "\n| option | what it does |\n| --- | --- |\n"
        for names, meaning in options:
            yield f"| `{_cell(names)}` | {_cell(meaning)} |\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _sections(inner, click.Context(inner, parent=context, info_name=name))


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def sentences_file() -> str:
    """All sentences in code and templates, as `pybabel extract` finds them, but for the date and Babel's version."""
    with (ROOT / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]  # Babel has no types here
    catalog = Catalog(project="resetsvc", charset="utf-8", copyright_holder="The resetsvc authors")
    catalog.header_comment = (
        "# Every sentence of resetsvc's pages and mails, written by `make messages`.\n"
        "# docs/how_to/add_a_language.md says how to translate them."
    )
    for name, _, message, comments, message_context in extract_from_dir(PACKAGE, methods, options):
        where = [((PACKAGE / name).relative_to(ROOT).as_posix(), 1)]
        catalog.add(message, None, where, auto_comments=comments, context=message_context)
    written = io.BytesIO()
    write_po(written, catalog, width=100, sort_by_file=True, include_lineno=False)
    return "".join(
        line
        for line in written.getvalue().decode("utf-8").splitlines(keepends=True)
        if not line.startswith(('"POT-Creation-Date', '"Generated-By'))
    )


def webhook_page() -> str:
    return json.dumps(webhook_document(), indent=2) + "\n"


PAGES = {
    README: readme,
    REFERENCE / "settings.md": settings_page,
    REFERENCE / "commands.md": commands_page,
    REFERENCE / "webhook_openapi.json": webhook_page,
}
MESSAGES = {SENTENCES: sentences_file}


@click.command()
@click.option("--messages", is_flag=True, help="Write the sentences for translators instead.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if anything is out of date.")
def generate(messages: bool, check: bool) -> None:
    """Write the generated pages of the reference."""
    stale = []
    for path, make in {**PAGES, **MESSAGES}.items() if check else (MESSAGES if messages else PAGES).items():
        page = make()
        found = path.read_text("utf-8") if path.exists() else ""
        if found == page:
            continue
        if check:
            stale.append(path)
            name = str(path.relative_to(ROOT))
            lines = difflib.unified_diff(found.splitlines(), page.splitlines(), name, "now", lineterm="")
            click.echo("\n".join(lines))
        else:
            path.write_text(page, "utf-8")
            click.echo(f"wrote {path.relative_to(ROOT)}")
    for path in stale:
        target = "make messages" if path in MESSAGES else "make docs"
        click.echo(f"{path.relative_to(ROOT)} is out of date: run `{target}` and commit it.", err=True)
    sys.exit(1 if stale else 0)


if __name__ == "__main__":
    generate()
