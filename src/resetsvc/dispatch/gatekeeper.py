"""From letters that were claimed to those that are to be sent, and to whom: looks the accounts up, applies the rules."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from resetsvc.accounts import Account, Accounts
from resetsvc.admission import Admission, Budget, Earlier, decide
from resetsvc.clock import Clock
from resetsvc.errors import CannotStore
from resetsvc.letters import ClaimedLetter, DropReason
from resetsvc.store import admissions as admission_sql
from resetsvc.store import mutes
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store


class AccountsOutOfReach(Exception):
    """The accounts are elsewhere and cannot be looked up; our own database works."""

    def __init__(self, error: CannotStore) -> None:
        super().__init__()
        self.why = repr(error.__cause__ or error)


class Gatekeeper:
    """Decides which reset letters are sent, and puts that on record.

    Each letter costs the same, whatever is decided: one look, one row. Who has an account must not show in how long
    other requests wait meanwhile.
    """

    def __init__(self, store: Store, accounts: Accounts, clock: Clock, budget: Budget | None) -> None:
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._budget = budget

    async def admit(self, letters: Sequence[ClaimedLetter]) -> list[Admission]:
        """Return what was decided about each letter.

        The look-up is outside the unit of work, since accounts may live anywhere; counting what an account had and
        admitting one more is inside, so that two dispatchers cannot both see room for the last mail of the hour. What
        ends letters between the two (a new password, "this was not me") has its say: they are not admitted.
        """
        try:
            accounts = await self._accounts.find(sorted({letter.address for letter in letters}))
        except CannotStore as error:
            if self._accounts.elsewhere:
                raise AccountsOutOfReach(error) from error
            raise
        return await self._store.unit(lambda unit: self._decide(unit, letters, accounts), alone=False)

    async def _decide(
        self, unit: Connection, letters: Sequence[ClaimedLetter], accounts: Mapping[str, Account]
    ) -> list[Admission]:
        now = self._clock.now()
        # Who has no account is looked for as well, under a name that none has.
        ids = sorted(
            {accounts[one.address].id if one.address in accounts else one.message_id for one in letters}
        )
        # Until what is decided here can be seen by whoever decides about one of them next.
        await unit.lock(ids)
        muted = frozenset(await mutes.muted_accounts(unit, ids, now))
        # Back to the first request of this batch too: a mail that left after it answers it.
        since = min(now - (self._budget.seconds if self._budget else 0), *(one.asked_at for one in letters))
        earlier: defaultdict[str, list[Earlier]] = defaultdict(list)
        for row in await admission_sql.earlier_resets(unit, ids, since):
            earlier[row["account_id"]].append(Earlier(row["id"], row["admitted_at"], row["sent_at"]))
        decisions = decide(letters, accounts, earlier, muted, self._budget, now)
        return await self._record(unit, decisions, now)

    async def _record(self, unit: Connection, decisions: Sequence[Admission], now: float) -> list[Admission]:
        """Put decisions on record; return them, with those revised whose letter has come to an end since the look-up."""
        admitted = [
            (decision.letter.id, decision.account.id, decision.account.credential)
            for decision in decisions
            if decision.admitted and decision.account is not None and decision.letter.account_id is None
        ]
        refused = [
            (d.letter.id, d.reason.value) for d in decisions if d.reason is not None and d.merged_into is None
        ]
        extended = [(d.merged_into, d.letter.deadline_at) for d in decisions if d.merged_into is not None]
        ended = {letter_id for letter_id, *_ in admitted}
        if admitted:
            ended.difference_update(await admission_sql.admit_letters(unit, admitted, now=now))
        if refused:
            await admission_sql.refuse_letters(unit, refused)
        if extended:
            await admission_sql.extend_deadlines(unit, extended)
        # A password was changed, or the owner has stopped all resets: the record says which, and keeps it.
        return [
            replace(d, reason=DropReason.PASSWORD_CHANGED) if d.letter.id in ended else d for d in decisions
        ]
