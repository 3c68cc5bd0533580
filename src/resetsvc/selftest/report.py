"""What was found, as text for a person and as plain values for a program."""

import math
from collections.abc import Iterator, Mapping, Sequence

from resetsvc.selftest.measurement import Result
from resetsvc.selftest.statistics import Comparison
from resetsvc.selftest.verdict import LEAKS_FROM, PASSES_BELOW, Finding, Verdict

TITLES = {
    "timing": "The answer: does its time tell who has an account?",
    "echo": "The echo: does what comes after it?",
}
_HEAD = ("", "worst t", "of", "raw t", "means differ by", "± (1 s.e.)", "medians by")
_ROW = "  {:<22} {:>8} {:>8} {:>8} {:>17} {:>11} {:>13}"


def as_text(results: Sequence[Result]) -> str:
    """The report, with the verdict on each measurement last."""
    lines: list[str] = []
    for result in results:
        lines += [TITLES[result.name], ""]
        lines += (f"  {note}" for note in result.notes)
        for finding in result.findings:
            lines += _told(finding)
        if result.unequal:
            lines.append(f"  The answers themselves differ: {', '.join(result.unequal)} against unknown.")
        lines += [f"Verdict: {result.verdict.value}. {_meaning(result)}", ""]
    return "\n".join(lines)


def as_values(results: Sequence[Result], **run: object) -> dict[str, object]:
    """The same for a program. Times are in microseconds; a t that has no bound is null."""
    return {
        **run,
        "passes_below": PASSES_BELOW,
        "leaks_from": LEAKS_FROM,
        "measurements": [
            {
                "name": result.name,
                "verdict": result.verdict.value,
                "rounds": result.rounds,
                "answers_differ": list(result.unequal),
                "notes": list(result.notes),
                "findings": [
                    {
                        "what": finding.what,
                        "verdict": finding.verdict.value,
                        "comparisons": {name: _values(each) for name, each in finding.comparisons.items()},
                        "controls": {"same": _values(finding.same), "planted": _values(finding.planted)},
                        "planted_us": finding.planted_size,
                        "finds_from_us": _finite(finding.finds_from),
                    }
                    for finding in result.findings
                ],
            }
            for result in results
        ],
    }


def _told(finding: Finding) -> Iterator[str]:
    yield f"  {finding.what}: {finding.verdict.value}"
    yield _ROW.format(*_HEAD).rstrip()
    for name, comparison in _rows(finding).items():
        worst, raw = comparison.worst, comparison.raw
        yield _ROW.format(
            name,
            f"{worst.t:.2f}",
            "all" if worst.kept == 1 else f"{worst.kept:.1%}",
            f"{raw.t:.2f}",
            f"{raw.difference:+.1f} µs",
            f"{raw.error:.1f} µs",
            f"{comparison.median_difference:+.1f} µs",
        )
    sizes = ", ".join(
        f"{name.partition(' - ')[0]} {comparison.counts[0]:,}"
        for name, comparison in (*finding.comparisons.items(), ("planted", finding.planted))
    )
    yield f"  samples: unknown {finding.planted.counts[1]:,}, {sizes}"
    yield ""


def _rows(finding: Finding) -> Mapping[str, Comparison]:
    return {
        **finding.comparisons,
        "A/A (half - half)": finding.same,
        f"planted {finding.planted_size:g} µs": finding.planted,
    }


def _meaning(result: Result) -> str:
    if result.unequal:
        return "What is answered differs, not only when."
    decisive = [finding for finding in result.findings if finding.verdict is result.verdict]
    match result.verdict:
        case Verdict.PASS:
            finds_from = max(finding.finds_from for finding in decisive)
            return (
                "The controls are in order and nothing tells the classes apart; "
                f"a difference of {finds_from:.0f} µs would have been found."
            )
        case Verdict.LEAK:
            return f"Whoever measures like this learns who has an account (|t| ≥ {LEAKS_FROM:g})."
        case Verdict.UNDECIDED:
            return f"There may be a difference ({PASSES_BELOW:g} ≤ |t| < {LEAKS_FROM:g}): measure again, with more samples."
        case Verdict.UNSOUND:
            return (
                f"Two halves of one class differ (|t| ≥ {PASSES_BELOW:g}), so nothing else can be believed: "
                "measure again, on a machine that does less besides."
            )
        case Verdict.INSENSITIVE:
            factor = max(finding.factor_needed for finding in decisive)
            times = f"about {factor:.1f} times as many" if math.isfinite(factor) else "many more"
            return (
                f"No difference was found, but neither was the planted one (t ≤ {LEAKS_FROM:g}), so that says little: "
                f"{times} samples are needed, or a quieter machine."
            )


def _values(comparison: Comparison) -> dict[str, object]:
    return {
        "t": _finite(comparison.t),
        "samples": list(comparison.counts),
        "mean_difference_us": comparison.raw.difference,
        "standard_error_us": comparison.raw.error,
        "median_difference_us": comparison.median_difference,
        "tests": [
            {
                "kept": test.kept,
                "t": _finite(test.t),
                "mean_difference_us": test.difference,
                "standard_error_us": test.error,
            }
            for test in comparison.tests
        ],
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
