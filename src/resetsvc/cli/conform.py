"""`accounts conform`: is the description of accounts elsewhere right? Tried on one account, whose old password is put back."""

import asyncio
import secrets
import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Protocol

import click
from pydantic import BaseModel

from resetsvc.accounts.mapping import Mapping
from resetsvc.cli.accounts import Address, password_stdin, read_password
from resetsvc.clock import Clock
from resetsvc.errors import CannotStore, ResetError
from resetsvc.logs import mute, quieten
from resetsvc.passwords.hashing import Hasher
from resetsvc.settings import Settings, load_settings

if TYPE_CHECKING:
    from resetsvc.accounts.table import TableAccounts
    from resetsvc.passwords.formats import Format

Say = Callable[[str], None]


class StepFailed(ResetError):
    """What is not as it should be, and at which step. No secret and no address is in it."""


@click.command()
@click.argument("email", type=Address())
@password_stdin
def conform(email: str, password_stdin: bool) -> None:
    """Try the description of accounts elsewhere on a test account, of a copy of the database or of a staging one.

    Reads the stored hash and holds the account's present password against it; writes a hash of a password made up by
    chance as a reset would, with all that the description says a change does; reads it back; puts the old hash back. The
    account is logged out everywhere. Says each step in a line, and stops with exit code 1 at the first that fails.

    Accounts behind an endpoint: asks for the account and for changes of its password as a reset would, also for one twice
    and for one that comes too late; then makes the password that was given the one in force. Whether that was the one
    before, nobody can ask an endpoint: take care to type it right.
    """
    password = read_password()
    settings = load_settings()
    if settings.accounts is None:
        raise click.UsageError("no table of another application is configured in [accounts]")
    quieten()
    mute()
    asyncio.run(_conform(settings, settings.accounts, email, password))


async def _conform(settings: Settings, described: BaseModel, email: str, password: str) -> None:
    hasher = Hasher.from_settings(settings)
    if isinstance(described, Mapping):
        from resetsvc.accounts.table import TableAccounts

        accounts = TableAccounts(described, hasher, Clock())
        await _to_its_end(
            Trial(accounts, described, hasher, click.echo).run(email, password), accounts, hasher
        )
    else:
        from resetsvc.accounts.webhook_mapping import WebhookMapping
        from resetsvc.cli.conform_endpoint import EndpointTrial

        assert isinstance(described, WebhookMapping)
        trial = EndpointTrial.of(described, hasher, Clock(), click.echo)
        await _to_its_end(trial.run(email, password), trial, hasher)


class Closed(Protocol):
    async def close(self) -> None: ...


async def _to_its_end(run: Coroutine[object, object, None], accounts: Closed, hasher: Hasher) -> None:
    trial = asyncio.ensure_future(run)
    # Whoever stops this, or closes the terminal, would leave a password behind that nobody knows.
    for stop in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(stop, trial.cancel)
    try:
        await trial
    except asyncio.CancelledError:
        raise click.Abort from None
    finally:
        await accounts.close()
        hasher.close()


class Trial:
    """One account, once through. `say` is called with a line for each step that went well."""

    def __init__(self, accounts: "TableAccounts", described: Mapping, hasher: Hasher, say: Say) -> None:
        self._accounts = accounts
        self._described = described
        self._hasher = hasher
        self._say = say
        self._step = ""

    async def run(self, email: str, password: str) -> None:
        """Raises StepFailed. Whatever it says, and whoever stops this, the old hash is in place afterwards."""
        try:
            await self._run(email, password)
        except CannotStore as error:
            raise StepFailed(
                f"{self._step}: the database did not do it ({error.__cause__ or 'no reason given'}); "
                "`resetsvc check` looks for what is missing"
            ) from None

    async def _run(self, email: str, password: str) -> None:
        self._step = "account"
        account = (await self._accounts.find([email])).get(email)
        if account is None:
            raise StepFailed(
                "account: nobody has this address, or several have, or the hash is of no known format "
                "(`resetsvc check` counts them)"
            )
        if not account.active:
            raise StepFailed("account: it is disabled, so no mail would go to it")
        self._say("account: found, and mail would go to it")
        self._step = "stored hash"
        old = await self._accounts.stored_hash(account.id)
        form = self._format_of(old)
        self._say(f"stored hash: {form.name}")
        if not await self._hasher.verify_as(form, old, password):
            raise StepFailed("old password: wrong, so nothing was changed")
        self._say("old password: right")
        new_password = secrets.token_urlsafe(24)
        new = await self._accounts.seal(new_password)
        self._step = "new hash"
        change = asyncio.ensure_future(self._accounts.swap(None, account, new))
        try:
            if not await asyncio.shield(change):
                raise StepFailed("new hash: not written, the account was changed meanwhile")
            self._say(f"new hash: {self._described.format.name} written, with {self._effects()}")
            self._step = "read back"
            await self._read_back(account.id, new, new_password, password)
            self._say("read back: takes the new password and no longer the old one")
        finally:
            # It may be under way still, if this was stopped: then what is stored is not told yet.
            await asyncio.wait([change])
            if not change.exception():
                self._step = "old hash"
            await self._put_back(account.id, old)
        self._say("old hash: back in place")

    async def _read_back(self, account_id: str, new: str, new_password: str, old_password: str) -> None:
        stored = await self._accounts.stored_hash(account_id)
        if stored != new:
            raise StepFailed(
                f"read back: another text is stored ({len(stored)} characters of {len(new)}): is the column too short, "
                "or does a trigger change it?"
            )
        form = self._format_of(stored)
        if not await self._hasher.verify_as(form, stored, new_password):
            raise StepFailed("read back: the new password does not verify")
        if await self._hasher.verify_as(form, stored, old_password):
            raise StepFailed("read back: the old password still verifies")

    async def _put_back(self, account_id: str, old: str) -> None:
        """Whatever became of it: a column may have cut it, or a trigger changed it."""
        stored = await self._accounts.stored_hash(account_id)
        if stored != old and not await self._accounts.put_back(account_id, stored=stored, old=old):
            raise StepFailed("old hash: NOT put back, as the account was changed or has gone meanwhile")

    def _effects(self) -> str:
        number = len(self._described.effects)
        return f"{number or 'no'} effect{'s' * (number != 1)}"

    def _format_of(self, stored: str) -> "Format":
        """The configured one where it can read it: it has the secrets that belong to it."""
        from resetsvc.passwords.formats import format_named, recognise

        if self._described.format.recognises(stored):
            return self._described.format
        name = recognise(stored)
        if name is None:
            raise StepFailed("stored hash: of no known format")
        return format_named(name)
