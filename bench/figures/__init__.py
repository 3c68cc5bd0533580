"""One file a figure. Each has LETTER, TITLE and `measure(bench)`, and its docstring says what it means."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from bench.harness.bench import Bench
from bench.harness.result import Result


@dataclass(frozen=True, slots=True)
class Figure:
    letter: str
    title: str
    meaning: str
    measure: Callable[[Bench], Result]


def all_figures() -> list[Figure]:
    """Every figure of this folder, in the order of their letters: files are named `letter_what.py`."""
    found = []
    for module_info in pkgutil.iter_modules(__path__):
        if module_info.name[1:2] != "_":
            continue
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        found.append(Figure(module.LETTER, module.TITLE, (module.__doc__ or "").strip(), module.measure))
    return sorted(found, key=lambda figure: figure.letter)
