"""What the service is made of is written down with versions: also what its libraries bring along (ASVS 15.1.2)."""

import importlib.metadata
import re

from packaging.requirements import Requirement

from tests.rules.source import ROOT


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {_normal(name): version for name, version in pairs}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def brought_along(name: str, extras: frozenset[str]) -> set[str]:
    """Every distribution here that this one needs, directly or not."""
    found: set[str] = set()
    waiting = [(name, extras)]
    while waiting:
        owner, wanted = waiting.pop()
        for text in importlib.metadata.requires(owner) or []:
            needed = Requirement(text)
            applies = needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in ("", *wanted)
            )
            if applies and _normal(needed.name) not in found:
                try:
                    importlib.metadata.distribution(needed.name)
                except importlib.metadata.PackageNotFoundError:
                    continue  # an extra that is not installed here
                found.add(_normal(needed.name))
                waiting.append((needed.name, frozenset(needed.extras)))
    return found


def test_every_component_that_runs_has_its_version_in_the_inventory() -> None:
    components = brought_along("resetsvc", frozenset({"speed", "redis", "breach", "webhook"}))
    assert {"quart", "hypercorn", "h11", "h2", "pydantic-core", "argon2-cffi-bindings"} <= components
    assert not components - pinned().keys()
    assert not {
        name: importlib.metadata.version(name)
        for name in components
        if importlib.metadata.version(name) != pinned()[name]
    }
