"""What a run did, in figures: for people, and for the documentation."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tests.faults.ledgers import ANSWERED, REFUSED, Ledgers, Look, Mail


def figures(ledgers: Ledgers, copies: Mapping[str, Sequence[Mail]]) -> dict[str, object]:
    """What a run did, for people and for the documentation."""
    asked = [request for request in ledgers.requests if request.kind == "ask"]
    changes = [request for request in ledgers.requests if request.kind == "change"]
    mailed = {message_id: found for message_id, found in copies.items() if found}
    ended = {request.number: request.ended for request in asked if request.outcome == ANSWERED}
    waits = sorted(
        copies[letter.message_id][0].at - answered
        for letter in ledgers.letters
        if copies.get(letter.message_id) and (answered := ended.get(letter.number or 0)) is not None
    )
    return {
        "requests": _by(request.outcome for request in asked),
        "statuses of refusals": _by(str(r.status) for r in ledgers.requests if r.outcome == REFUSED),
        "password changes": _by(request.outcome for request in changes),
        "letters": _by(f"{letter.state} {letter.reason or ''}".strip() for letter in ledgers.letters),
        "mails": sum(map(len, mailed.values())),
        "letters mailed": len(mailed),
        "copies beyond the first": sum(len(found) - 1 for found in mailed.values()),
        "most copies of one letter": max(map(len, mailed.values()), default=0),
        "blows": _by(blow.what if blow.kind == "other" else blow.kind for blow in ledgers.blows),
        "seconds from answer to relay": {
            name: round(waits[min(int(share * len(waits)), len(waits) - 1)], 3)
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
            if waits
        },
        **_leases(ledgers.looks),
    }


def _leases(looks: Sequence[Look]) -> dict[str, object]:
    if not looks:
        return {}
    ends = [(look, until) for look in looks for until in look.held.values()]
    return {
        "looks at leases": len(looks),
        "longest lease ahead": round(max((until - look.ended for look, until in ends), default=0.0), 2),
        "longest past its lease": round(
            max((look.began - max(until, look.able_since) for look, until in ends), default=0.0), 2
        ),
    }


def _by(words: Iterable[str]) -> dict[str, int]:
    counted: defaultdict[str, int] = defaultdict(int)
    for word in words:
        counted[word] += 1
    return dict(sorted(counted.items()))
