"""A link and a new password become a changed password, if both are good."""

import structlog

from resetsvc.accounts import Accounts
from resetsvc.changes import Changes
from resetsvc.errors import PasswordRefused, Reason
from resetsvc.letters import short_id
from resetsvc.links import Links
from resetsvc.passwords.breach import Breached
from resetsvc.passwords.policy import check_password

log = structlog.stdlib.get_logger("resetsvc.confirm")


class Confirm:
    """Looks at the link, then at the password, and has it changed."""

    def __init__(
        self,
        links: Links,
        accounts: Accounts,
        changes: Changes,
        *,
        min_length: int,
        product_name: str,
        breached: Breached,
    ) -> None:
        self._links = links
        self._accounts = accounts
        self._changes = changes
        self._min_length = min_length
        self._product_name = product_name
        self._breached = breached

    async def change_password(self, token: str, password: str, *, client: str) -> None:
        """Set the new password and use the link up.

        Raises LinkDoesNotWork; PasswordRefused, after which the link still works; Busy; CannotStore.
        """
        opened = await self._links.open(token)
        names = [opened.account.address, self._product_name, opened.account.name or ""]
        check_password(password, min_length=self._min_length, names=[name for name in names if name])
        # Asked only about what could become a password: a wrong link or a short one costs no question.
        if await self._breached(password):
            raise PasswordRefused([Reason("breached")])
        # Slow, so outside any transaction; what it was based on is checked again when it is swapped.
        sealed = await self._accounts.seal(password)
        await self._changes.make(opened, sealed, client=client)
        log.info("password changed", letter=short_id(opened.link.letter_id), account=opened.account.id)
