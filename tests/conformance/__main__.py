"""`make conformance`: every run of the kit, and what came of it to docs/reference/conformance.md. Exit code 1 if not all is well."""

import logging
import sys
import tempfile
from pathlib import Path

import structlog

from tests.conformance.applications import ROOT
from tests.conformance.cases import RUNS
from tests.conformance.kit import run
from tests.conformance.page import all_well, page

PAGE = ROOT / "docs" / "reference" / "conformance.md"


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    outcomes = []
    for case, kind in RUNS:
        sys.stderr.write(f"{case.name} on {kind}\n")
        with tempfile.TemporaryDirectory() as folder:
            outcomes.append(run(case, kind, Path(folder)))
        for stray in outcomes[-1].stray:
            sys.stderr.write(f"  {stray}\n")
    PAGE.write_text(page(outcomes), "utf-8")
    return 0 if all_well(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
