"""python -m bench [--scale] [--only A,E] [--quick]: measures, shows its progress, writes bench/results/."""

import argparse
import datetime
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from bench.harness.machine import (
    MachineLacks,
    describe,
    find_cores,
    raise_open_files,
    require_programs,
)

RESULTS = Path(__file__).parent / "results"
SCALE = {"M", "N", "O"}  # many processes over PostgreSQL, and a million people elsewhere: a run of their own
ON_ALL_CORES = {"J", "L", "M", "N"}  # the figures whose programs may use all of them, as their docstrings say


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default="", help="the letters of some figures, such as A,E")
    parser.add_argument(
        "--scale", action="store_true", help=f"the figures {', '.join(sorted(SCALE))} instead of the others"
    )
    parser.add_argument(
        "--quick", action="store_true", help="see that everything runs: its figures mean nothing"
    )
    parser.add_argument(
        "--into", type=Path, default=None, help=f"where results go  [default: {RESULTS.name}/]"
    )
    given = parser.parse_args()
    try:
        require_programs()
        cores = find_cores()
    except MachineLacks as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    raise_open_files()
    all_cores = os.sched_getaffinity(0)

    # Not before the machine is known to have what is needed: these import the contenders.
    from bench import report
    from bench.contenders import CONTENDERS
    from bench.figures import all_figures
    from bench.harness.bench import Bench

    figures = all_figures()
    wanted = {letter.strip().upper() for letter in given.only.split(",") if letter.strip()}
    if unknown := wanted - {figure.letter for figure in figures}:
        print(f"bench: there is no figure {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    whole = {figure.letter for figure in figures if (figure.letter in SCALE) == given.scale}
    chosen = [figure for figure in figures if figure.letter in (wanted or whole)]
    # A part of the figures, or quick ones, must not stand where those of a whole run are linked from.
    results_of_a_whole_run = RESULTS / "scale" if given.scale else RESULTS
    into = given.into or (
        results_of_a_whole_run if not wanted and not given.quick else Path(tempfile.mkdtemp(prefix="bench-"))
    )
    machine = describe()
    programs = [
        report.Measured(
            contender.title,
            ", ".join(f"{name} {version}" for name, version in contender.versions().items())
            or "not installed: not measured",
            contender.lacks,
        )
        for contender in CONTENDERS
    ]
    began = time.monotonic()
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        for number, figure in enumerate(chosen, 1):
            progress = Progress(f"{number}/{len(chosen)} {figure.letter}", began)
            progress.say(figure.title)
            bench = Bench(
                folder=Path(folder) / figure.letter, cores=cores, quick=given.quick, say=progress.say
            )
            # The client must not take time from what it measures.
            os.sched_setaffinity(0, all_cores if figure.letter in ON_ALL_CORES else {cores.load})
            started = time.monotonic()
            try:
                result = figure.measure(bench)
            except Exception as error:  # one figure that fails must not take the others with it
                traceback.print_exc()
                result = report.failed(figure.letter, figure.title, error)
            result.seconds = time.monotonic() - started
            for goal in result.goals:
                progress.say(report.one_line(goal))
            results.append(result)
            progress.say(f"took {result.seconds:.0f} s")
            report.write(
                into, results, machine | {"date": _today(), "quick": str(given.quick).lower()}, programs
            )
    minutes, seconds = divmod(int(time.monotonic() - began), 60)
    print(f"done in {minutes}:{seconds:02d}; see {into / 'README.md'}")
    return 1 if any(result.failed for result in results) else 0


class Progress:
    """One line a step: which figure of how many, how long it has been, what is done now."""

    def __init__(self, where: str, began: float) -> None:
        self._where = where
        self._began = began

    def say(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        print(f"[{minutes:2d}:{seconds:02d}] {self._where}  {text}", flush=True)


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


if __name__ == "__main__":
    sys.exit(main())
