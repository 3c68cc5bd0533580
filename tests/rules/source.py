"""The source of resetsvc as its rules are read off it: modules, what they import, what they call."""

import ast
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "resetsvc"


@dataclass(frozen=True)
class Module:
    """One file of the package. `name` is what it is imported as."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def imports(self) -> frozenset[str]:
        """Every module that is named in an import, also in those inside of functions. Ours by their full name."""
        names = modules_by_name()
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}: a relative import hides where it leads"
                base = node.module or ""
                found |= {
                    f"{base}.{alias.name}" if f"{base}.{alias.name}" in names else base
                    for alias in node.names
                }
        return frozenset(found)

    @property
    def ours(self) -> frozenset[str]:
        return frozenset(name for name in self.imports if name.split(".")[0] == "resetsvc")

    @property
    def libraries(self) -> frozenset[str]:
        return frozenset(name.split(".")[0] for name in self.imports) - {"resetsvc"}

    @cached_property
    def calls(self) -> frozenset[str]:
        """What is called, as it is written: `time.sleep`, `print`, `self._store.write`."""
        return frozenset(ast.unparse(node.func) for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    @cached_property
    def names(self) -> frozenset[str]:
        """Every dotted name that is read, called or not."""
        return frozenset(
            ast.unparse(node) for node in ast.walk(self.tree) if isinstance(node, ast.Attribute | ast.Name)
        )

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Constant texts, those inside of f-strings too, without docstrings."""
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        return tuple(
            node.value
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
        )


@cache
def modules_by_name() -> dict[str, Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path)
    return found


def modules(*under: str) -> list[Module]:
    """The modules with one of these names or below one of them; all of them if none is given."""
    return [module for name, module in modules_by_name().items() if not under or is_under(name, *under)]


def is_under(name: str, *folders: str) -> bool:
    return any(name == folder or name.startswith(f"{folder}.") for folder in folders)


def all_that_loads(*names: str) -> set[str]:
    """These modules and all of ours that they import, directly or not."""
    known = modules_by_name()
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += known[name].ours
    return found


def code_lines(path: Path) -> int:
    """Lines that hold code: not blank, no comment, no docstring."""
    text = path.read_text("utf-8")
    prose: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            prose |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in prose
        for number, line in enumerate(text.splitlines(), 1)
    )
