""" "This was not me": ends an account's open links, and keeps reset mails away for a day if the person asks for that."""

import structlog

from resetsvc.audit import Event
from resetsvc.clock import Clock
from resetsvc.letters import DropReason, short_id
from resetsvc.links import Links
from resetsvc.store import links as link_sql
from resetsvc.store import mutes
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store
from resetsvc.trail import Trail

log = structlog.stdlib.get_logger("resetsvc.cancel")

MUTE = 86400.0  # seconds


class Cancel:
    """Stops resets that their account's owner did not ask for."""

    def __init__(self, links: Links, store: Store, clock: Clock, audit: Trail) -> None:
        self._links = links
        self._store = store
        self._clock = clock
        self._audit = audit

    async def stop_resets(self, token: str, *, mute: bool, client: str) -> None:
        """End all open links of the account that this link is for; with `mute`, send it no reset mail for a day.

        Raises LinkDoesNotWork where the link does not work (then it can do no harm either).
        """
        opened = await self._links.open(token)
        account, now = opened.account, self._clock.now()

        async def work(unit: Connection) -> None:
            await unit.lock([account.id])  # against a letter for it that is being admitted
            await link_sql.revoke_links(unit, account.id, now)
            await link_sql.drop_waiting_resets(unit, account.id, DropReason.CANCELLED, now)
            known_as = sorted({account.address, opened.link.address})
            await link_sql.drop_unseen_resets(unit, known_as, DropReason.CANCELLED, now)
            if mute:
                await mutes.mute_account(unit, account.id, now + MUTE)
            about = {"letter": opened.link.letter_id, "account": account.id, "address": account.address}
            await self._audit.record(unit, Event.RESETS_CANCELLED, **about, client=client, muted=mute)

        await self._store.unit(work)
        log.info(
            "resets stopped by the owner",
            letter=short_id(opened.link.letter_id),
            account=account.id,
            muted=mute,
        )
