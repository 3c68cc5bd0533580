"""What SMTP said, and what to do about it. Pure functions: no I/O, no clock."""

import re
from dataclasses import dataclass
from enum import StrEnum

from resetsvc.addresses import mask_address

# The id that a token signs is enough to tell one; what may follow it in a quoted link goes with it.
# A token (resetsvc/tokens.py). With its dot: without, it may be the relay's own queue id, which is worth keeping.
_TOKEN = re.compile(r"[0-9a-f]{32,}(?:\.|%2e)[\w.%-]*", re.IGNORECASE)
# Relays name the recipient that they refuse. From the beginning of a word only: a long one is looked through once.
_ADDRESS = re.compile(r"""(?<![^\s<>"'(),:;[\]])[^\s<>"'(),:;[\]@]+@[^\s<>"'(),:;[\]]+""")


class Verdict(StrEnum):
    SENT = "sent"
    RETRY = "retry"  # 4yz, time-outs, lost connections: RFC 5321 4.5.4.1
    FAILED = "failed"  # 5yz about this letter: repeating it is rude
    OUR_FAULT = "our_fault"  # 5yz about us (log-in or sender refused): alarm, keep every letter
    RELAY_DOWN = "relay_down"  # the relay was not reached, or it closes: nothing is known of the letter
    POSTPONED = "postponed"  # not handed over: other letters to its domain get no answer at the moment
    DROPPED = "dropped"  # never meant to leave: no account, over its budget, ...
    WITHHELD = "withheld"  # we did not send it: the lease or the deadline ran out before the body


class Step(StrEnum):
    """Where in a session something was said."""

    CONNECT = "connect"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"  # from its first byte until the answer to the final dot


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMTP reply: three digits and the text of all its lines, as it came: `presentable` before it goes anywhere."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt to hand a letter over.

    relay -- the relay's name; code -- SMTP's, or None if it said nothing; reply -- its words, or ours in its stead
    """

    verdict: Verdict
    relay: str
    code: int | None
    reply: str


def presentable(text: str) -> str:
    """What a relay said, as it may be kept, logged and shown: spam filters quote the link that they dislike.

    It may also steer a terminal, and bytes that were no UTF-8 are lone surrogates, which no database takes.
    """
    printable = text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)
    masked = _ADDRESS.sub(lambda found: mask_address(found[0]), _TOKEN.sub("[link]", printable))
    return masked.strip()[:200]


def verdict_of(step: Step, code: int) -> Verdict:
    """What a reply at a step means for the letter. Only a 2yz after the body says that it was taken over."""
    if step is Step.BODY and 200 <= code < 300:
        return Verdict.SENT
    if code == 421:  # "service not available, closing": RFC 5321 3.8, at any step
        return Verdict.RETRY if step is Step.BODY else Verdict.RELAY_DOWN
    if 500 <= code < 600:
        if step in (Step.RCPT, Step.BODY):
            # 530 "authentication required" and 535 are about us, wherever a server chooses to say so (RFC 4954).
            return Verdict.OUR_FAULT if code in (530, 535) else Verdict.FAILED
        # 552 and 554 at DATA are about the message (RFC 5321 4.2.2); before it, they are about who we are.
        return Verdict.FAILED if step is Step.DATA and code in (552, 554) else Verdict.OUR_FAULT
    return Verdict.RETRY


def retry_pause(attempts: int, chance: float) -> float:
    """Seconds to wait after so many attempts (1 or more): 15, 45, 120, 300, 300, … each give or take a fifth.

    chance -- a number from 0 up to 1: jitter, so that letters that failed together do not come back together
    """
    pause = RETRY_PAUSES[min(attempts, len(RETRY_PAUSES)) - 1]
    return pause * (0.8 + 0.4 * chance)


RETRY_PAUSES = (15.0, 45.0, 120.0, 300.0)
