"""Fills a queue through the service's own intake, in a process of its own: the rows are those of real requests.

python -m bench.harness.full_queue COUNT [FIRST]    (the service's settings in the environment)
"""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from resetsvc.service import open_service
from resetsvc.settings import load_settings

_AT_ONCE = 500
_ROOT = Path(__file__).resolve().parents[2]


def fill_queue(env: Mapping[str, str], count: int, first: int = 0) -> None:
    """Store `count` requests, for the addresses from number `first` on."""
    subprocess.run(
        [sys.executable, "-m", "bench.harness.full_queue", str(count), str(first)],
        env=dict(env),
        cwd=_ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )


async def _fill(count: int, first: int) -> None:
    settings = load_settings(dispatch=False)
    async with open_service(settings) as service:
        for start in range(first, first + count, _AT_ONCE):
            await asyncio.gather(
                *(
                    service.parts.intake.accept(
                        f"user{number % 100_000:06d}@bench.example", client="127.0.0.1", locale=None
                    )
                    for number in range(start, min(start + _AT_ONCE, first + count))
                )
            )


if __name__ == "__main__":
    asyncio.run(_fill(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
