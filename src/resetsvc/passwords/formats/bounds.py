"""How dear a hash may be: said by name where it is configured, and refused where it is read from a stored hash.

Whoever can write into a user table could otherwise have one look at a hash take minutes, or gigabytes. Each bound is
about ten times what the frameworks use today, and costs a few seconds of one core at the most.
"""

LONGEST_STORED = 512  # characters; the longest that is written here has about 200

LEAST_ITERATIONS = 1_000  # of PBKDF2, to write
MOST_ITERATIONS = 10_000_000

LEAST_ROUNDS = 4  # of bcrypt, each doubles the last
MOST_ROUNDS = 16

MOST_LANES = 64  # of Argon2 and scrypt
MOST_ARGON2_KIB = 512 * 1024
MOST_PASSES = 64
MOST_ARGON2_WORK = 4 * 1024 * 1024  # KiB times passes

MOST_SCRYPT_OCTETS = 256 * 1024 * 1024
MOST_SCRYPT_BLOCK = 64
MOST_SCRYPT_WORK = 4 * 1024 * 1024  # n times r times p

MOST_PHPASS_ROUNDS = 18  # as a power of two


def whole_number(cost: str, value: object, least: int, most: int) -> int:
    """Return the value of a cost; ValueError that names the cost and what it may be."""
    # True is an int in Python, and nobody means one iteration by it.
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{cost} has to be a whole number from {least} to {most}")
    return value


def one_of(option: str, value: object, *allowed: str) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{option} has to be one of {', '.join(repr(each) for each in allowed)}")
    return value


def text(option: str, value: object) -> str:
    """Return a text that is often a secret: the error does not show it."""
    if not isinstance(value, str):
        raise ValueError(f"{option} has to be a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{option} holds half of a character") from None
    return value


def scrypt_is_bearable(n: int, r: int, p: int) -> bool:
    return (
        n >= 2
        and n & (n - 1) == 0
        and 1 <= r <= MOST_SCRYPT_BLOCK
        and 1 <= p <= MOST_LANES
        and 128 * n * r <= MOST_SCRYPT_OCTETS
        and n * r * p <= MOST_SCRYPT_WORK
    )


def argon2_is_bearable(memory: int, passes: int, lanes: int) -> bool:
    return (
        1 <= lanes <= MOST_LANES
        and 1 <= passes <= MOST_PASSES
        and 8 * lanes <= memory <= MOST_ARGON2_KIB
        and memory * passes <= MOST_ARGON2_WORK
    )
