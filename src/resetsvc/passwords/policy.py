"""What is a good password. Pure functions: no storage, no hashing.

Length is what counts; there are no composition rules (NIST SP 800-63B-4 3.1.1.2).
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from resetsvc.errors import PasswordRefused, Reason
from resetsvc.passwords.common import is_common

MAX_LENGTH = 1024  # characters; told to the person, and nothing is ever cut

# An address or product name this long is refused wherever it stands; a shorter one, and parts of them, only where they
# make up half of the password: "me" and "app" are in too many good ones.
_WHOLE_NAME = 6
_PART_OF_NAME = 4
_SHARE_OF_ITS_OWN = 0.5
# How much of a password may be steps of one size: aaaa, 123456, zyxw.
_SHARE_OF_STEPS = 0.75


def normalise(password: str) -> str:
    """NFC, so that one keyboard's `é` is another one's (NIST SP 800-63B-4 3.1.1.2, RFC 8265 4.2.2)."""
    return unicodedata.normalize("NFC", password)


def check_password(password: str, *, min_length: int, names: Sequence[str]) -> None:
    """Raise PasswordRefused with every reason against a new password.

    names -- what an attacker knows: the address, the product's name

    Characters are Unicode code points after NFC: every one counts as one.
    """
    reasons = []
    try:
        password.encode()
    except UnicodeEncodeError:
        raise PasswordRefused([Reason("not_text")]) from None
    normal = normalise(password)
    folded = normal.casefold()
    if len(normal) < min_length:
        reasons.append(Reason("too_short", min_length))
    if len(normal) > MAX_LENGTH:
        raise PasswordRefused([Reason("too_long", MAX_LENGTH)])  # nothing that follows is worth its time
    if _is_simple(folded):
        reasons.append(Reason("too_simple"))
    elif is_common(folded):
        reasons.append(Reason("common"))
    if _is_made_of(folded, names):
        reasons.append(Reason("contains_name"))
    if reasons:
        raise PasswordRefused(reasons)


def _is_simple(folded: str) -> bool:
    """Whether a password is one character, or a row of neighbours, most of the way."""
    steps = [ord(after) - ord(before) for before, after in pairwise(folded)]
    return len(set(folded)) < 4 or any(
        steps.count(size) >= len(steps) * _SHARE_OF_STEPS for size in (-1, 0, 1)
    )


def _is_made_of(folded: str, names: Sequence[str]) -> bool:
    """Whether a password holds a whole address or product name, or is at least half made of parts of them."""
    whole, parts = _names_and_parts(names)
    if any(name in folded for name in whole):
        return True
    left = folded
    for part in sorted(parts, key=len, reverse=True):
        left = left.replace(part, "")
    return len(left) < len(folded) and len(left) <= len(folded) * _SHARE_OF_ITS_OWN


def _names_and_parts(names: Sequence[str]) -> tuple[set[str], set[str]]:
    whole: set[str] = set()
    parts: set[str] = set()
    for name in names:
        folded = normalise(name).casefold()
        whole |= {folded, folded.rpartition("@")[0], re.sub(r"\s+", "", folded)}
        parts |= {*whole, *re.split(r"[\W_]+", folded)}
    return (
        {name for name in whole if len(name) >= _WHOLE_NAME},
        {part for part in parts if len(part) >= _PART_OF_NAME},
    )
