"""Nothing of the machine that this was written on stands in a tracked file."""

import re
import shutil
import subprocess

import pytest

from tests.rules.source import ROOT

# Split, so that this file does not find itself.
STRAY = re.compile(
    r"/(?:home|Users)/[a-z]|/ro"
    + r"ot/|/wo"
    + r"rk/|C:\\\\Users|pypi\.or"
    + r"g|files\.pythonhosted|index-u"
    + r"rl|extra-in"
    + r"dex"
)


def tracked() -> list[str]:
    """Also what is new and not ignored: it will be tracked with the next commit."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not in a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_tracked_file_names_a_path_of_a_machine_or_a_registry() -> None:
    names = tracked()
    assert "pyproject.toml" in names
    found = []
    for name in names:
        try:
            text = (ROOT / name).read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if match := STRAY.search(line):
                found.append(f"{name}:{number}: {match[0]}")
    assert not found


def test_nothing_is_tracked_that_is_made_anew() -> None:
    made = re.compile(r"(^|/)(__pycache__|\.venv|var|\.mypy_cache|\.env$)|\.(pyc|db|db-wal|key|pem)$")
    assert not [name for name in tracked() if made.search(name)]
