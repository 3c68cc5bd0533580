"""What the changed passwords of figure H are compared with: argon2-cffi in as many threads, and nothing else.

python -m bench.harness.bare_argon2 --memory 19456 --time 2 --parallelism 1 --threads 2 --seconds 3
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("memory", "time", "parallelism", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    hasher = PasswordHasher(memory_cost=given.memory, time_cost=given.time, parallelism=given.parallelism)
    hasher.hash("the first one takes its memory from the system")
    began = time.monotonic()

    def hash_until_the_end(thread: int) -> int:
        count = 0
        while time.monotonic() < began + given.seconds:
            hasher.hash(f"four unrelated words {thread} {count}")
            count += 1
        return count

    with ThreadPoolExecutor(given.threads) as threads:
        count = sum(threads.map(hash_until_the_end, range(given.threads)))
    print(count / (time.monotonic() - began))


if __name__ == "__main__":
    main()
