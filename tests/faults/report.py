"""A verdict in words: for a person, or as JSON for a program."""

import json

from tests.faults.checker import Verdict


def report(verdict: Verdict, *, as_json: bool, **more: object) -> str:
    """The verdict for a program, or for a person."""
    told = {**more, **verdict.figures}
    if as_json:
        findings = [
            {"kind": finding.kind, "id": finding.id, "what": finding.what} for finding in verdict.findings
        ]
        return json.dumps({"good": verdict.good, "findings": findings, **told}, indent=2)
    lines = [f"{name}: {_in_words(value)}" for name, value in told.items()]
    lines += [str(finding) for finding in verdict.findings[:50]]
    if len(verdict.findings) > 50:
        lines.append(f"... and {len(verdict.findings) - 50} findings more")
    lines.append("nothing found" if verdict.good else f"{len(verdict.findings)} findings")
    return "\n".join(lines)


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{word} {count}" for word, count in value.items()) or "none"
    return str(value)
