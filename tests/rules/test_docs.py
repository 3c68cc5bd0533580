"""Documentation that cannot rot: what the code has stands in the reference, and what the reference says is so."""

import re
import tomllib
from pathlib import Path
from textwrap import dedent

import click
import pytest
from quart.typing import TestClientProtocol as Client

from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.audit import Event
from resetsvc.cli import main
from resetsvc.letters import DropReason, Kind, State
from resetsvc.relay.verdict import Verdict
from resetsvc.settings import PREFIX, Settings
from resetsvc.testing import Mailbox, make_settings
from resetsvc.web.body import BodyRefused
from resetsvc.web.openapi import document
from resetsvc.web.replies import HTTP_PROBLEMS, PROBLEMS
from tests.rules.source import ROOT, modules

REFERENCE = ROOT / "docs" / "reference"
SETTINGS = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
KINDS_OF_DOCS = ("tutorial", "how_to", "reference", "discussion")


def written(path: Path) -> str:
    assert path.exists(), f"{path.relative_to(ROOT)} is not written"
    return path.read_text("utf-8")


def markdown_files() -> list[Path]:
    found = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
    ]
    # What `make examples` installs has documents of its own.
    return sorted(path for path in found if "node_modules" not in path.parts)


@pytest.mark.parametrize("page", ["README.md", "docs/reference/settings.md"])
def test_every_setting_is_documented(page: str) -> None:
    text = written(ROOT / page)
    assert not [name for name in SETTINGS if f"`{name}`" not in text]


def test_no_setting_is_documented_that_there_is_not() -> None:
    known = {*SETTINGS, f"{PREFIX}CONFIG"}
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in markdown_files()
        for name in re.findall(rf"\b{PREFIX}[A-Z0-9_]+\b", written(path))
        if name not in known and not name.startswith((f"{PREFIX}TEST", f"{PREFIX}FOO"))
    }
    assert not wrong


def test_every_default_in_the_readme_is_the_one_in_the_code() -> None:
    rows = re.findall(
        rf"^\|\s*`({PREFIX}\w+)`\s*\|\s*([^|]*?)\s*\|", written(ROOT / "README.md"), re.MULTILINE
    )
    wrong = []
    for name, told in rows:
        setting = Settings.model_fields[name.removeprefix(PREFIX).lower()]
        if setting.is_required():
            right = "required" in told
        else:
            value = setting.get_default()
            words = {True: "true", False: "false", (): "[]", None: "none"}
            right = (
                words[value]
                if (value in words and not isinstance(value, int)) or isinstance(value, bool)
                else str(value)
            ) in told.replace("`", "")
        if not right:
            wrong.append(f"{name}: {told}")
    assert not wrong


def commands(command: click.Command = main, name: str = "resetsvc") -> list[tuple[str, click.Command]]:
    found = [(name, command)]
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            found += commands(inner, f"{name} {inner.name}")
    return found


def test_every_command_and_option_is_documented() -> None:
    text = written(REFERENCE / "commands.md")
    sections = dict(re.findall(r"^## `([^`]+)`$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    for name, command in commands():
        assert name in sections, name
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.is_eager:
                missing = [option for option in parameter.opts if option not in sections[name]]
                assert not missing, f"{name} {missing}"
    assert set(sections) == {name for name, _ in commands()}


def test_no_command_is_documented_that_there_is_not() -> None:
    known = dict(commands())
    wrong = []
    for path in markdown_files():
        for line in re.findall(
            r"(?<![\w./-])resetsvc ((?:[a-z]+)(?: [a-z-]+)*)", "\n".join(code_in(written(path)))
        ):
            words = line.split()
            name = f"resetsvc {words[0]}"
            if isinstance(known.get(name), click.Group) and len(words) > 1:
                name = f"{name} {words[1]}"
            if name not in known:
                wrong.append(f"{path.relative_to(ROOT)}: {name}")
    assert not wrong


def code_in(text: str) -> list[str]:
    blocks = re.findall(r"^```(?:console|sh|shell|bash)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [
        line
        for block in blocks
        for line in block.splitlines()
        if re.match(r"\s*(\$ |sudo |[A-Z_]+=\S* )?resetsvc ", line)
    ]


def error_codes() -> set[str]:
    # Each BodyRefused has a code of its own: that of the table is never told.
    codes = {problem.code for kind, problem in PROBLEMS.items() if kind is not BodyRefused}
    codes |= {problem.code for problem in HTTP_PROBLEMS.values()}
    for module in modules("resetsvc.web"):
        codes |= set(re.findall(r'BodyRefused\(\s*"(\w+)"', module.text))
        for suffix in re.findall(r'BodyRefused\(\s*f"\{name\}(_\w+)"', module.text):
            codes |= {f"{field}{suffix}" for field in ("email", "password")}
    return codes


def test_every_error_code_is_documented() -> None:
    codes = error_codes()
    assert {
        "email_missing",
        "email_repeated",
        "password_not_text",
        "link_does_not_work",
        "internal_error",
    } <= codes
    text = written(REFERENCE / "errors.md")
    assert not {code for code in codes if f"`{code}`" not in text}


def test_every_reason_against_a_password_is_documented(tmp_path: Path) -> None:
    used = {
        code for module in modules("resetsvc") for code in re.findall(r'\bReason\(\s*"(\w+)"', module.text)
    }
    assert {"too_short", "common", "missing"} <= used
    text = written(REFERENCE / "errors.md")
    assert not {code for code in used if f"`{code}`" not in text}
    described = document(make_settings(tmp_path))["components"]["schemas"]["Reason"]["properties"]["code"][
        "enum"
    ]
    assert used == set(described)


def test_every_state_kind_and_reason_of_a_letter_is_documented() -> None:
    text = written(REFERENCE / "letters.md")
    words = {*State, *Kind, *DropReason, *Verdict}
    assert not {word.value for word in words if f"`{word.value}`" not in text}


def test_every_event_of_the_audit_trail_is_documented_in_the_order_of_the_code() -> None:
    text = written(REFERENCE / "audit.md")
    section = text.partition("## Events")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [event.value for event in Event]


@pytest.fixture
def resetsvc_settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path, ops_token="a token for the figures")


async def test_every_metric_is_documented(
    resetsvc_client: Client, resetsvc_accounts: BuiltinAccounts, resetsvc_mailbox: Mailbox
) -> None:
    await resetsvc_accounts.add("ann@example.com", "an old password of hers")
    await resetsvc_client.post("/reset-password", form={"email": "ann@example.com"})
    await resetsvc_mailbox.next_mail()
    answer = await resetsvc_client.get(
        "/metrics", headers={"Authorization": "Bearer a token for the figures"}
    )
    exposed = await answer.get_data(as_text=True)
    names = set(re.findall(r"^# TYPE (\S+)", exposed, re.MULTILINE))
    names = {name for name in names if not name.endswith("_created")}
    assert {"resetsvc_requests_total", "resetsvc_letters"} <= names
    text = written(REFERENCE / "metrics.md")
    assert not {name for name in names if f"`{name}`" not in text}
    labels = set(re.findall(r'[{,](\w+)="', exposed)) - {"le"}
    assert labels
    assert not {label for label in labels if f"`{label}`" not in text}
    told = set(re.findall(r"`(resetsvc_\w+)`", text))
    assert not {
        name for name in told if name not in names and not name.endswith(("_bucket", "_sum", "_count"))
    }


def test_links_between_pages_lead_somewhere() -> None:
    dead = []
    for path in markdown_files():
        text = re.sub(r"^```.*?^```", "", written(path), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            leads_to = (path.parent / file).resolve() if file else path
            if not leads_to.exists() or (
                anchor and leads_to.suffix == ".md" and anchor not in anchors(leads_to)
            ):
                dead.append(f"{path.relative_to(ROOT)}: {target}")
    assert not dead


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_of_the_docs_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        waiting += [
            (path.parent / target.partition("#")[0]).resolve()
            for target in re.findall(r"\]\(([^)\s]+?\.md(?:#[^)]*)?)\)", written(path))
            if not re.match(r"[a-z]+:", target)
        ]
    lost = {str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")} - {
        str(page.relative_to(ROOT)) for page in reached
    }
    assert not lost


@pytest.mark.parametrize("kind", KINDS_OF_DOCS)
def test_there_is_a_first_page_of_each_kind(kind: str) -> None:
    assert list((ROOT / "docs" / kind).glob("*.md")), f"docs/{kind} is empty"


def test_python_in_the_docs_compiles() -> None:
    for path in markdown_files():
        for block in re.findall(r"^ *```python\n(.*?)^ *```", written(path), re.MULTILINE | re.DOTALL):
            try:
                # Top-level await is fine.
                compile(dedent(block), str(path), "exec", dont_inherit=True, flags=0x2000)
            except SyntaxError as error:
                raise AssertionError(f"{path.relative_to(ROOT)}: {error}") from error


def test_toml_in_the_docs_is_toml() -> None:
    for path in markdown_files():
        for block in re.findall(r"^ *```toml\n(.*?)^ *```", written(path), re.MULTILINE | re.DOTALL):
            tomllib.loads(dedent(block))


def test_the_readme_names_the_two_commands() -> None:
    text = written(ROOT / "README.md")
    assert "make run" in text
    assert "make test" in text
    for port in ("8000", "8025"):
        assert port in text


def test_every_target_of_make_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", written(ROOT / "Makefile"), re.MULTILINE))
    assert {"run", "test", "check", "bench", "help"} <= targets
    for path in markdown_files():
        named = set(re.findall(r"(?:`|^\$ |^)make ([a-z-]+)\b(?=`|$)", written(path), re.MULTILINE))
        assert named <= targets, f"{path.relative_to(ROOT)}: {named - targets}"


def test_the_licence_is_the_one_that_the_package_says() -> None:
    assert written(ROOT / "LICENSE").startswith("MIT License")
