"""From letters that were claimed to those that are to be sent, and to whom: looks the accounts up, applies the rules."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from resetsvc.accounts import Account, Accounts
from resetsvc.admission import Admission, Budget, Earlier, decide
from resetsvc.clock import Clock
from resetsvc.letters import ClaimedLetter
from resetsvc.store import letters as sql
from resetsvc.store import mutes
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store


class Gatekeeper:
    """Admits reset letters or drops them, and puts either on record."""

    def __init__(self, store: Store, accounts: Accounts, clock: Clock, budget: Budget | None) -> None:
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._budget = budget

    async def admit(self, letters: Sequence[ClaimedLetter], owner: str) -> list[Admission]:
        """Return what was decided about each letter. Those that were dropped are on record when this returns.

        The look-up is outside the unit of work, since accounts may live anywhere; counting what an account had and
        admitting one more is inside, so that two dispatchers cannot both see room for the last mail of the hour.
        """
        accounts = await self._accounts.find(sorted({letter.address for letter in letters}))
        return await self._store.unit(lambda unit: self._decide(unit, letters, accounts, owner))

    async def _decide(
        self, unit: Connection, letters: Sequence[ClaimedLetter], accounts: Mapping[str, Account], owner: str
    ) -> list[Admission]:
        now = self._clock.now()
        ids = sorted({account.id for account in accounts.values()})
        earlier: defaultdict[str, list[Earlier]] = defaultdict(list)
        muted: frozenset[str] = frozenset()
        if ids:
            muted = frozenset(await mutes.muted_accounts(unit, ids, now))
            # Back to the first request of this batch too: a mail that left after it answers it.
            since = min(
                [
                    now - (self._budget.seconds if self._budget else 0),
                    *(letter.asked_at for letter in letters),
                ]
            )
            for row in await sql.earlier_resets(unit, ids, since):
                earlier[row["account_id"]].append(Earlier(row["id"], row["admitted_at"], row["sent_at"]))
        decisions = decide(letters, accounts, earlier, muted, self._budget, now)
        await self._record(unit, decisions, owner, now)
        return decisions

    async def _record(self, unit: Connection, decisions: Sequence[Admission], owner: str, now: float) -> None:
        admitted = [
            (decision.letter.id, decision.account.id, decision.account.credential)
            for decision in decisions
            if decision.admitted and decision.account is not None and decision.letter.account_id is None
        ]
        dropped = [(d.letter.id, d.reason.value) for d in decisions if d.reason is not None]
        extended = [(d.merged_into, d.letter.deadline_at) for d in decisions if d.merged_into is not None]
        if admitted:
            await sql.admit_letters(unit, admitted, now=now)
        if dropped:
            await sql.drop_letters(unit, dropped, owner=owner, now=now)
        if extended:
            await sql.extend_deadlines(unit, extended)
