"""Claims letters in batches and puts them on record as sent, until none is due: a dispatcher without mails.

python -m bench.harness.claiming    (the service's settings in the environment)

Says `ready` when it could begin, begins when it is told to (a line on standard input), and ends with a line of JSON: how
many letters it had, when it began and when it had the last one on record (seconds of the machine's monotonic clock).
"""

import asyncio
import json
import sys
import time

from resetsvc.clock import new_id
from resetsvc.settings import load_settings
from resetsvc.store import letters as sql
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store

BATCH = 64  # letters a claim: what there is room for in a dispatcher under load


async def _claim_all() -> dict[str, float]:
    store = Store(load_settings().database_url)
    await store.open()
    owner = new_id()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    letters, began = 0, time.monotonic()
    ended = began
    while True:
        now = time.time()

        async def claim(unit: Connection, now: float = now) -> list[str]:
            claimed = await sql.claim_due_letters(
                unit, fresh=True, owner=owner, now=now, lease_until=now + 10, limit=BATCH
            )
            return [letter.id for letter in claimed]

        ids = await store.unit(claim, alone=False)
        if not ids:
            break
        rows = [(letter_id, now, "bench", "250 2.0.0 Ok") for letter_id in ids]
        await store.write(lambda connection, rows=rows: sql.mark_sent(connection, rows))  # type: ignore[misc]  # a default binds the loop's value
        letters, ended = letters + len(ids), time.monotonic()
    await store.close()
    return {"letters": letters, "began": began, "ended": ended}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_claim_all())))
