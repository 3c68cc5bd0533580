"""The moment in which a password changes: all of it or nothing, whoever keeps the hash (rule 7)."""

from collections.abc import Callable

import structlog

from resetsvc.accounts import Account, Accounts
from resetsvc.audit import Event
from resetsvc.clock import Clock
from resetsvc.errors import Busy, CannotStore, LinkDoesNotWork
from resetsvc.letters import DropReason, Kind, Link, NewLetter, short_id
from resetsvc.links import OpenLink
from resetsvc.store import changes
from resetsvc.store import letters as sql
from resetsvc.store import links as link_sql
from resetsvc.store.connection import Connection, Row
from resetsvc.store.database import Store
from resetsvc.tokens import Tokens
from resetsvc.trail import Trail

log = structlog.stdlib.get_logger("resetsvc.changes")

# The notice warns of what has happened: it is worth more trouble than a link that can be asked for again.
NOTICE_DEADLINE = 3 * 86400.0  # seconds


class Changes:
    """Swaps the hash, uses the link up, and owes the owner a notice. `on_notice` is called when that waits to be sent.

    Accounts in the letters' own database: one unit of work.

    Accounts elsewhere: two databases cannot commit as one, so a change is written down before it is made and taken off
    the record together with all that follows from it. If this process dies in between, a dispatcher finds what was
    written down, and the credential tells how far it came: as before, and nothing was changed; as it was to become, and
    the rest is done now; a third one, and somebody else has changed it, after ours or in place of it: the owner is told
    of that, and the trail does not say that it was the link.

    look_after -- seconds after which a change that has no end on record was interrupted: longer than a swap elsewhere takes
    """

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        tokens: Tokens,
        clock: Clock,
        audit: Trail,
        on_notice: Callable[[], None],
        look_after: float,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._tokens = tokens
        self._clock = clock
        self._audit = audit
        self._on_notice = on_notice
        self._look_after = look_after

    async def make(self, opened: OpenLink, sealed: str, *, client: str) -> None:
        """Change the password. Raises LinkDoesNotWork; Busy; CannotStore."""
        if self._accounts.elsewhere:
            await self._make_elsewhere(opened, sealed, client)
        else:
            await self._store.unit(lambda unit: self._make_here(unit, opened, sealed, client))
        self._on_notice()

    async def _make_here(self, unit: Connection, opened: OpenLink, sealed: str, client: str) -> None:
        await unit.lock([opened.account.id])  # against a letter for it that is being admitted
        if not await link_sql.mark_link_used(unit, opened.link.letter_id, self._clock.now()):
            # Somebody with the same link was faster.
            raise LinkDoesNotWork(short_id(opened.link.letter_id), "ended")
        if not await self._accounts.swap(unit, opened.account, sealed):
            # The password was changed elsewhere meanwhile.
            raise LinkDoesNotWork(short_id(opened.link.letter_id), "account_changed")
        await self._tell(unit, opened.link.letter_id, opened.link.address, opened.account, client, ours=True)

    async def _make_elsewhere(self, opened: OpenLink, sealed: str, client: str) -> None:
        link, account = opened.link, opened.account
        becomes = self._accounts.credential_after(account, sealed)
        await self._store.unit(lambda unit: self._begin(unit, link, becomes, client))
        # If this fails, nobody knows yet whether it was done: the record stays, and is looked into.
        if not await self._accounts.swap(None, account, sealed):
            await self._store.unit(lambda unit: changes.end_change(unit, link.letter_id))
            raise LinkDoesNotWork(short_id(link.letter_id), "account_changed")
        await self._store.unit(
            lambda unit: self._end(unit, link.letter_id, link.address, account, client, True)
        )

    async def _begin(self, unit: Connection, link: Link, becomes: str | None, client: str) -> None:
        await unit.lock([link.account_id])
        if await link_sql.get_open_link(unit, link.letter_id) is None:
            raise LinkDoesNotWork(short_id(link.letter_id), "ended")
        if not await changes.begin_change(
            unit,
            letter_id=link.letter_id,
            account_id=link.account_id,
            credential=link.credential,
            becomes=becomes,
            client=client,
            look_at=self._clock.now() + self._look_after,
        ):
            raise Busy  # one is on its way, and how that ends is not known yet

    async def _end(
        self, unit: Connection, letter_id: str, asked_for: str, account: Account, client: str, ours: bool
    ) -> None:
        """All that follows from a hash that was swapped elsewhere: once, whether its own process comes or another."""
        await unit.lock([account.id])
        was_open = await changes.end_change(unit, letter_id)
        is_used_now = ours and await link_sql.mark_link_used(unit, letter_id, self._clock.now())
        # Neither: somebody has done it all. Only the first: the link was stopped by its owner meanwhile, and the
        # password has changed all the same.
        if was_open or is_used_now:
            await self._tell(unit, letter_id, asked_for, account, client, ours)

    async def _tell(
        self, unit: Connection, letter_id: str, asked_for: str, account: Account, client: str, ours: bool
    ) -> None:
        """Put on record that a password was changed, end all other ways in, and owe the owner a notice."""
        now = self._clock.now()
        about = {"letter": letter_id, "account": account.id, "client": client}
        if ours:
            await self._audit.record(unit, Event.LINK_USED, **about)
        event = Event.PASSWORD_CHANGED if ours else Event.CHANGE_UNCLEAR
        await self._audit.record(unit, event, **about, address=account.address)
        await link_sql.revoke_links(unit, account.id, now)
        await link_sql.drop_waiting_resets(unit, account.id, DropReason.PASSWORD_CHANGED, now)
        known_as = sorted({account.address, asked_for} - {""})
        await link_sql.drop_unseen_resets(unit, known_as, DropReason.PASSWORD_CHANGED, now)
        notice_id = self._clock.new_letter_id()
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

    # ---- what a crash has left open ---------------------------------------------------------------------------

    async def finish_interrupted(self) -> int:
        """End the changes whose process has died on the way; return how many of them had changed a password.

        Those that cannot be looked into are looked at again, and keep no other one from its end: CannotStore afterwards.
        """
        if not self._accounts.elsewhere:
            return 0
        now = self._clock.now()
        taken = await self._store.unit(
            lambda unit: changes.take_interrupted_changes(unit, now=now, look_again_at=now + self._look_after)
        )
        changed = 0
        failed: CannotStore | None = None
        for row in taken:
            try:
                changed += await self._finish(row, row["letter_id"])
            except CannotStore as error:
                # Perhaps it is this account alone that cannot be asked about.
                failed = error
        if changed:
            self._on_notice()
        if failed is not None:
            raise failed
        return changed

    async def _finish(self, row: Row, letter_id: str) -> bool:
        account, client = await self._accounts.get(row["account_id"]), row["client"]
        if account is None or account.credential == row["credential"]:
            await self._store.unit(lambda unit: changes.end_change(unit, letter_id))
            log.warning("an interrupted change had changed nothing", letter=short_id(letter_id))
            return False
        asked_for = await self._store.read(lambda connection: changes.address_of(connection, letter_id))
        # Where nobody foresees the credential, another one is all that there is to see.
        ours = row["becomes"] in (None, account.credential)
        await self._store.unit(lambda unit: self._end(unit, letter_id, asked_for, account, client, ours))
        end = "complete" if ours else "unclear"
        log.warning(f"an interrupted change is {end}", letter=short_id(letter_id), account=account.id)
        return True
