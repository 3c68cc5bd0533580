"""The lists of addresses: read, and refused where they would make a difference of their own.

A longer address takes longer to send, to parse and to store, and a list of ten is answered from caches. Either would be
taken for a leak, or hide one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote_plus

from resetsvc.addresses import parse_address
from resetsvc.errors import AddressRefused, WrongSettings

FEWEST = 1000  # addresses a class; no more than there are samples
_UNEQUAL_FROM = 0.01  # the share of addresses that may have a length of their own


def read_lists(files: Mapping[str, Path], samples: int) -> dict[str, list[str]]:
    """Read one file a class, an address a line. WrongSettings tells all that is wrong with them, at once."""
    lists: dict[str, list[str]] = {}
    problems: list[str] = []
    for name, path in files.items():
        try:
            lines = path.read_text("utf-8").split("\n")
        except (OSError, ValueError) as error:
            problems.append(f"{path} cannot be read: {error}")
            continue
        lists[name] = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                lists[name].append(parse_address(line.strip()))
            except AddressRefused:
                problems.append(f"{path}, line {number}: not an e-mail address")
                break
    problems = problems or _what_is_wrong(lists, min(FEWEST, samples))
    if problems:
        raise WrongSettings(problems)
    return lists


def _what_is_wrong(lists: Mapping[str, Sequence[str]], fewest: int) -> list[str]:
    problems = []
    seen: dict[str, str] = {}
    for name, addresses in lists.items():
        different = set(addresses)
        if len(different) < fewest:
            problems.append(f"--{name} has {len(different)} addresses, {fewest} are needed")
        others = sorted({seen[address] for address in different & seen.keys()})
        problems += [f"--{name} and --{other} have addresses in common" for other in others]
        seen |= dict.fromkeys(different, name)
    if problems:
        return problems
    first, *rest = lists
    return [
        problem
        for other in rest
        if (problem := _unequal(first, lists[first], other, lists[other])) is not None
    ]


def _unequal(name: str, addresses: Sequence[str], other_name: str, others: Sequence[str]) -> str | None:
    """How the lengths differ, in octets as they are sent; None if they do not."""
    lengths = Counter(len(quote_plus(address)) for address in addresses)
    other_lengths = Counter(len(quote_plus(address)) for address in others)
    shares = {
        length: lengths[length] / len(addresses) - other_lengths[length] / len(others)
        for length in lengths.keys() | other_lengths.keys()
    }
    if sum(map(abs, shares.values())) / 2 <= _UNEQUAL_FROM:
        return None
    length = max(shares, key=lambda length: (abs(shares[length]), -length))
    return (
        f"the addresses of --{name} and --{other_name} are not equally long: {lengths[length]} of {len(addresses)} and "
        f"{other_lengths[length]} of {len(others)} have {length} octets as they are sent"
    )
