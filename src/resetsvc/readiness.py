"""Whether the service can do its work at the moment, and what its operator should know besides."""

import asyncio
from dataclasses import dataclass

from resetsvc.dispatch.supervisor import Supervisor
from resetsvc.errors import CannotStore
from resetsvc.intake import DISK_RESERVE
from resetsvc.relay.relays import Outbox
from resetsvc.relay.verdict import Verdict
from resetsvc.store import schema
from resetsvc.store.database import Store


@dataclass(frozen=True, slots=True)
class Readiness:
    """What keeps the service from its work, by the name of the part, and what the operator should know besides."""

    problems: dict[str, str]
    warnings: dict[str, str]


async def readiness(store: Store, supervisor: Supervisor | None, outbox: Outbox) -> Readiness:
    """Look at all that the service needs. A relay that is down keeps nobody from asking: that is a warning.

    Relays are numbered as in the settings: who may ask for this need not know their names.
    """
    problems = {}
    try:
        async with asyncio.timeout(2):
            revision = await store.read(schema.current_revision)
    except (CannotStore, TimeoutError):
        problems["database"] = "cannot be reached"
    else:
        if schema.is_outdated(revision):
            problems["database"] = "has an older schema than this version needs: resetsvc migrate"
    if store.free_space() <= DISK_RESERVE:
        problems["disk"] = "is almost full"
    if supervisor is not None and not supervisor.alive:
        problems["dispatcher"] = "stands still"
    warnings = {
        f"relay {number}": (
            "refuses our log-in or our sender"
            if relay.why_down is not None and relay.why_down.verdict is Verdict.OUR_FAULT
            else "cannot be reached"
        )
        for number, relay in enumerate(outbox.status(), start=1)
        if not relay.up
    }
    return Readiness(problems, warnings)
