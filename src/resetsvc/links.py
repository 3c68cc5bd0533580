"""From the text of a link to the account that it may change: the signature first, then the letter, then the account."""

from dataclasses import dataclass

from resetsvc.accounts import Account, Accounts
from resetsvc.errors import LinkDoesNotWork
from resetsvc.letters import Link, short_id
from resetsvc.store import links as link_sql
from resetsvc.store.database import Store
from resetsvc.tokens import Tokens


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A link that works at this moment, and whose it is."""

    link: Link
    account: Account


class Links:
    """Says whether a link works. Looking uses nothing up, however often it is done."""

    def __init__(self, tokens: Tokens, store: Store, accounts: Accounts) -> None:
        self._tokens = tokens
        self._store = store
        self._accounts = accounts

    async def open(self, token: str) -> OpenLink:
        """Return what a token opens, or raise LinkDoesNotWork: the same whether it is unknown, altered, expired, used or revoked.

        A wrong signature stops here, after some microseconds and without a look at the database.
        """
        letter_id = self._tokens.read(token)
        link = await self._store.read(lambda connection: link_sql.get_open_link(connection, letter_id))
        if link is None:
            raise LinkDoesNotWork(short_id(letter_id), "ended")  # used, revoked, or never meant to be sent
        account = await self._accounts.get(link.account_id)
        # A password or an address that changed since the letter was admitted kills the link, whoever changed it.
        if account is None or not account.active or account.credential != link.credential:
            raise LinkDoesNotWork(short_id(letter_id), "account_changed")
        return OpenLink(link, account)
