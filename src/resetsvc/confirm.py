"""A link and a new password become a changed password: all of it, or nothing (rule 7)."""

from collections.abc import Callable

import structlog

from resetsvc.accounts import Accounts
from resetsvc.audit import Event
from resetsvc.clock import Clock
from resetsvc.errors import LinkDoesNotWork, PasswordRefused, Reason
from resetsvc.letters import DropReason, Kind, NewLetter, short_id
from resetsvc.links import Links, OpenLink
from resetsvc.passwords.breach import Breached
from resetsvc.passwords.policy import check_password
from resetsvc.store import letters as sql
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store
from resetsvc.tokens import Tokens
from resetsvc.trail import Trail

log = structlog.stdlib.get_logger("resetsvc.confirm")

# The notice warns of what has happened: it is worth more trouble than a link that can be asked for again.
NOTICE_DEADLINE = 3 * 86400.0  # seconds


class Confirm:
    """Changes passwords. `on_notice` is called when a notice letter waits to be sent."""

    def __init__(
        self,
        links: Links,
        store: Store,
        accounts: Accounts,
        tokens: Tokens,
        clock: Clock,
        audit: Trail,
        *,
        min_length: int,
        product_name: str,
        breached: Breached,
        on_notice: Callable[[], None],
    ) -> None:
        self._links = links
        self._store = store
        self._accounts = accounts
        self._tokens = tokens
        self._clock = clock
        self._audit = audit
        self._min_length = min_length
        self._product_name = product_name
        self._breached = breached
        self._on_notice = on_notice

    async def change_password(self, token: str, password: str, *, client: str) -> None:
        """Set the new password and use the link up.

        Raises LinkDoesNotWork; PasswordRefused, after which the link still works; Busy; CannotStore.
        """
        opened = await self._links.open(token)
        check_password(
            password, min_length=self._min_length, names=(opened.account.address, self._product_name)
        )
        # Asked only about what could become a password: a wrong link or a short one costs no question.
        if await self._breached(password):
            raise PasswordRefused([Reason("breached")])
        # Slow, so outside any transaction; what it was based on is checked again inside.
        sealed = await self._accounts.seal(password)
        await self._store.unit(lambda unit: self._change(unit, opened, sealed, client))
        log.info("password changed", letter=short_id(opened.link.letter_id), account=opened.account.id)
        self._on_notice()

    async def _change(self, unit: Connection, opened: OpenLink, sealed: str, client: str) -> None:
        account, now = opened.account, self._clock.now()
        await unit.lock([account.id])  # against a letter for it that is being admitted
        if not await sql.mark_link_used(unit, opened.link.letter_id, now):
            # Somebody with the same link was faster.
            raise LinkDoesNotWork(short_id(opened.link.letter_id), "ended")
        if not await self._accounts.swap(unit, account, sealed):
            # The password was changed elsewhere meanwhile.
            raise LinkDoesNotWork(short_id(opened.link.letter_id), "account_changed")
        about = {"letter": opened.link.letter_id, "account": account.id, "client": client}
        await self._audit.record(unit, Event.LINK_USED, **about)
        await self._audit.record(unit, Event.PASSWORD_CHANGED, **about, address=account.address)
        await sql.revoke_links(unit, account.id, now)
        await sql.drop_waiting_resets(unit, account.id, DropReason.PASSWORD_CHANGED, now)
        known_as = sorted({account.address, opened.link.address})
        await sql.drop_unseen_resets(unit, known_as, DropReason.PASSWORD_CHANGED, now)
        notice_id = self._clock.new_id()
        await sql.insert_letters(
            unit,
            [
                NewLetter(
                    id=notice_id,
                    kind=Kind.NOTICE,
                    address=account.address,
                    locale=account.locale,
                    client=client,
                    message_id=self._tokens.message_id(notice_id),
                    asked_at=now,
                    deadline_at=now + NOTICE_DEADLINE,
                    account_id=account.id,
                )
            ],
        )
