"""The passwords that everybody tries first: the list that the package zxcvbn keeps (30,000, from real breaches)."""

from functools import lru_cache
from importlib.metadata import distribution
from runpy import run_path

# Shorter entries ("tom", "1234") would make common words of what merely holds them.
_SHORTEST_WORD = 4


@lru_cache(maxsize=1)
def common_passwords() -> frozenset[str]:
    """The list alone, out of its file: to import the package costs 11 MiB for good, for words of films and surnames."""
    file = distribution("zxcvbn").locate_file("zxcvbn/frequency_lists.py")
    return frozenset(run_path(str(file))["FREQUENCY_LISTS"]["passwords"])


def is_common(folded: str) -> bool:
    """Whether a password, in lower case, is on the list, or is such a word with digits and signs around it."""
    if folded in common_passwords():
        return True
    core = _core(folded)
    return len(core) >= _SHORTEST_WORD and (core in common_passwords() or _repeats_one(core))


def _core(folded: str) -> str:
    """What is left without the digits, signs and spaces at both ends, which is where people put them."""
    start, end = 0, len(folded)
    while start < end and not folded[start].isalpha():
        start += 1
    while end > start and not folded[end - 1].isalpha():
        end -= 1
    return folded[start:end]


def _repeats_one(core: str) -> bool:
    """`passwordpassword`: a common word over and over."""
    for size in range(_SHORTEST_WORD, len(core) // 2 + 1):
        if len(core) % size == 0 and core == core[:size] * (len(core) // size):
            return core[:size] in common_passwords()
    return False
