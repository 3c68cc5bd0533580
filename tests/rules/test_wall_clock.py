"""A test that may be repeated claims seconds of the real clock, and says so by a mark of its own; nothing else is repeated."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rules.source import ROOT

MARK = "pytest.mark.wall_clock"
CLOCKS = {"time.monotonic", "time.perf_counter"}
REPEATS = {"pytest.mark.flaky"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def files_of_tests() -> list[Path]:
    return sorted((ROOT / "tests").rglob("*.py"))


def marked(tree: ast.Module) -> list[Function]:
    """Functions that are marked themselves. A mark anywhere else would be on more than one test."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, Function)
        and MARK in {ast.unparse(decorator) for decorator in node.decorator_list}
    ]


def looks_at_a_clock(test: Function, tree: ast.Module) -> bool:
    """Whether it does itself, or by what it calls of its own file."""
    there: dict[str, Function] = {node.name: node for node in ast.walk(tree) if isinstance(node, Function)}
    seen: set[str] = set()
    todo = [test]
    while todo:
        calls = set(called(todo.pop()))
        if calls & CLOCKS:
            return True
        names = {call.rpartition(".")[2] for call in calls} & there.keys() - seen
        seen |= names
        todo += [there[name] for name in names]
    return False


def called(function: Function) -> Iterator[str]:
    return (ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call))


def dotted(tree: ast.Module) -> set[str]:
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in files_of_tests()}
MARKED = [(name, test, tree) for name, tree in TREES.items() for test in marked(tree)]


@pytest.mark.parametrize(
    ("test", "tree"), [case[1:] for case in MARKED], ids=[f"{name}::{test.name}" for name, test, _ in MARKED]
)
def test_what_may_be_repeated_looks_at_a_clock(test: Function, tree: ast.Module) -> None:
    assert looks_at_a_clock(test, tree)


def test_each_is_marked_by_itself() -> None:
    marks = sum(
        ast.unparse(node) == MARK
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
    )
    assert marks == len(MARKED) > 0


def test_nothing_is_repeated_but_what_is_marked() -> None:
    assert [name for name, tree in TREES.items() if dotted(tree) & REPEATS] == ["tests/conftest.py"]
    for name in ("Makefile", "pyproject.toml", ".ci/run"):
        assert "--reruns" not in (ROOT / name).read_text("utf-8"), name


def test_a_test_that_looks_at_no_clock_would_be_found() -> None:
    tree = ast.parse(
        f"@{MARK}\ndef test_a(): helped()\ndef helped(): time.monotonic()\n@{MARK}\ndef test_b(): hurry()"
    )
    assert [looks_at_a_clock(test, tree) for test in marked(tree)] == [True, False]
