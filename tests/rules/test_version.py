"""One version, told in one place."""

import importlib.metadata
import re
import sys
import tomllib

import resetsvc
from tests.rules.source import ROOT, modules

# What needs one of the extras, and says so by itself where that is not installed.
MAY_BE_MISSING = (
    "resetsvc.dev",
    "resetsvc.testing",
    "resetsvc.server",
    "resetsvc.passwords.breach",
    "resetsvc.accounts.webhook_endpoint",
    "resetsvc.events.poster",
    "resetsvc.store.postgres",
    "resetsvc.store.postgres_store",
    "resetsvc.store.news",
    "resetsvc.selftest",
    "resetsvc.accounts.engines",
)


def test_the_changelog_names_the_current_version() -> None:
    headings = re.findall(
        r"^## \[?v?([0-9][^\]\s]*)\]?", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    )
    assert headings, "no version at all"
    assert headings[0] == resetsvc.__version__


def test_the_installed_package_is_this_one() -> None:
    assert importlib.metadata.version("resetsvc") == resetsvc.__version__


def test_every_library_that_is_imported_is_a_dependency() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {re.split(r"[\[<>=!;, ]", text)[0].lower() for text in table["dependencies"]}
    extra = {
        re.split(r"[\[<>=!;, ]", text)[0].lower()
        for texts in table["optional-dependencies"].values()
        for text in texts
    }
    for_library = importlib.metadata.packages_distributions()
    behind = {  # imported from, and brought along by something that is named
        "aiosqlite": "databases",
        "markupsafe": "jinja2",
        "pydantic": "pydantic-settings",
        "werkzeug": "quart",
    }
    for module in modules():
        for library in module.libraries - set(sys.stdlib_module_names):
            if library in behind:
                assert behind[library] in named
                continue
            distributions = {name.lower().replace("_", "-") for name in for_library[library]}
            allowed = named | extra if module.name.startswith(MAY_BE_MISSING) else named
            assert distributions & allowed, (
                f"{module.name} imports {library}, which pyproject.toml does not name"
            )
