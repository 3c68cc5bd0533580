"""`accounts`: the built-in accounts table."""

import sys
from collections.abc import Awaitable, Callable
from typing import TextIO, TypeVar

import click

from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.addresses import parse_address
from resetsvc.cli.opened import with_store
from resetsvc.clock import Clock
from resetsvc.errors import AddressRefused
from resetsvc.i18n import Languages
from resetsvc.passwords.hashing import Hasher
from resetsvc.settings import Settings
from resetsvc.store.database import Store

T = TypeVar("T")


class Address(click.ParamType[str]):
    name = "email"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return parse_address(str(value))
        except AddressRefused:
            self.fail("not an email address", param, ctx)


password_stdin = click.option(
    "--password-stdin",
    is_flag=True,
    required=True,
    help="Read the password from standard input: an argument would stand in the process list.",
)


@click.group()
def accounts() -> None:
    """The built-in accounts table; `conform` is for accounts elsewhere."""


@accounts.command()
@click.argument("email", type=Address(), required=False)
@click.option(
    "--from",
    "file",
    type=click.File(encoding="utf-8"),
    help="Add an account for each address in this file, one a line, all with one password: for tests.",
)
@click.option("--locale", help="The language of this account's mails.")
@password_stdin
def add(email: str | None, file: TextIO | None, locale: str | None, password_stdin: bool) -> None:
    """Add an account."""
    if file is not None and email is None:
        addresses = _addresses_in(file)
    elif email is not None and file is None:
        addresses = [email]
    else:
        raise click.UsageError("name one address, or say --from for a file of them")
    if locale is not None and not Languages.is_locale(locale):
        raise click.BadParameter("not a language tag such as de or pt-BR", param_hint="--locale")
    password = read_password()

    async def add_all(table: BuiltinAccounts) -> int:
        return sum([await table.add(address, password, locale) for address in addresses])

    added = _with_accounts(add_all)
    if file is not None:
        click.echo(f"{added} added; {len(addresses) - added} had an account already.")
    elif added:
        click.echo("Added.")
    else:
        raise click.ClickException("there is an account with this address already")


@accounts.command()
@click.argument("email", type=Address())
@password_stdin
def verify(email: str, password_stdin: bool) -> None:
    """Say whether this is the account's password: exit 0 if it is, 1 if not."""
    password = read_password()
    matches = _with_accounts(lambda table: table.verify(email, password))
    click.echo("The password is right." if matches else "The password is wrong, or there is no such account.")
    sys.exit(0 if matches else 1)


@accounts.command()
@click.argument("email", type=Address())
def disable(email: str) -> None:
    """Let no mail go to an account and no link of it work."""
    if not _with_accounts(lambda table: table.disable(email)):
        raise click.ClickException("there is no account with this address")
    click.echo("Disabled.")


def read_password() -> str:
    raw = sys.stdin.buffer.read()
    try:
        password = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise click.UsageError("the password on standard input is not UTF-8 text") from None
    if not password:
        raise click.UsageError("there is no password on standard input")
    return password


def _addresses_in(file: TextIO) -> list[str]:
    """All of a file's, or UsageError for the first line that is none: then nothing is added."""
    try:
        lines = file.read().splitlines()
    except UnicodeDecodeError:
        raise click.UsageError("the file is not UTF-8 text") from None
    addresses = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                addresses.append(parse_address(line.strip()))
            except AddressRefused:
                raise click.UsageError(f"line {number} of the file is not an email address") from None
    if not addresses:
        raise click.UsageError("there is no address in the file")
    return addresses


def _with_accounts(work: Callable[[BuiltinAccounts], Awaitable[T]]) -> T:
    async def opened(settings: Settings, store: Store) -> T:
        if settings.accounts is not None:
            raise click.UsageError(
                "accounts are elsewhere, as [accounts] says: the built-in table is not in use"
            )
        hasher = Hasher.from_settings(settings)
        try:
            return await work(BuiltinAccounts(store, hasher, Clock()))
        finally:
            hasher.close()

    return with_store(opened)
