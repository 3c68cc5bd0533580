"""Writes batches of letters through the service's own store, one after the other, each durable before the next.

python -m bench.harness.single_writer BATCH SECONDS    (the service's settings in the environment)
"""

import asyncio
import sys
import time

from resetsvc.clock import Clock, new_id
from resetsvc.errors import CannotStore
from resetsvc.letters import Kind, NewLetter
from resetsvc.settings import load_settings
from resetsvc.store import letters as sql
from resetsvc.store.database import Store


async def _write(batch: int, seconds: float) -> float:
    store = Store(load_settings().database_url)
    await store.open()
    clock = Clock()
    began = time.monotonic()
    stored = 0
    while time.monotonic() < began + seconds:
        now = time.time()
        letters = [
            NewLetter(
                id=clock.new_letter_id(),
                kind=Kind.RESET,
                address=f"user{number:06d}@bench.example",
                locale=None,
                client="127.0.0.1",
                message_id=new_id(),
                asked_at=now,
                deadline_at=now + 14_400,
            )
            for number in range(batch)
        ]
        try:
            await store.write(lambda connection, letters=letters: sql.insert_letters(connection, letters))  # type: ignore[misc]  # a default binds the loop's value
        except CannotStore:
            continue  # another process wrote for too long: that is what is measured
        stored += batch
    rate = stored / (time.monotonic() - began)
    await store.close()
    return rate


if __name__ == "__main__":
    print(asyncio.run(_write(int(sys.argv[1]), float(sys.argv[2]))))
