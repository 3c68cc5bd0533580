"""Accounts in another application's table. A change is one transaction there: the new hash and all its effects, or nothing."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import structlog
from sqlalchemy import Select

from resetsvc.accounts import Account, locale_or_none
from resetsvc.accounts.catalog import full_name
from resetsvc.accounts.cells import can_be_kept, text_of, truth_of
from resetsvc.accounts.engines import open_engine
from resetsvc.accounts.mapping import Mapping as Description
from resetsvc.accounts.place import Kind
from resetsvc.accounts.sql import LONGEST_LIST, Statements
from resetsvc.addresses import parse_address, written_forms
from resetsvc.clock import Clock
from resetsvc.errors import AddressRefused, CannotStore
from resetsvc.passwords.formats import recognise
from resetsvc.passwords.hashing import Hasher
from resetsvc.store.connection import Connection

T = TypeVar("T")
Row = Mapping[str, Any]

log = structlog.stdlib.get_logger("resetsvc.accounts.table")

# Seconds, by our own clock. Letters that cannot be looked up are taken again a little later, and a dispatcher that waits
# for longer than 3.5 seconds counts as standing still.
FIND_WITHIN = 2.5
GET_WITHIN = 5.0
SWAP_WITHIN = 9.0


class AccountsDatabaseFailed(Exception):
    """What another application's database answered: the error's kind and number. Its words may hold an address."""


class TableAccounts:
    """Meets the contract `resetsvc.accounts.Accounts` on a table that somebody else owns. Close it in the end.

    Work is done in tasks of its own and not in its callers': one who hangs up cannot tear a change, nor take a connection
    away with him.
    """

    elsewhere = True

    def __init__(self, description: Description, hasher: Hasher, clock: Clock) -> None:
        """Nothing is contacted yet, so a database that is down holds no start up."""
        self._description = description
        self._kind = description.place.kind
        self._format = description.format
        self._statements = Statements(description)
        self._hasher = hasher
        self._clock = clock
        self._engine = open_engine(description.place)
        self._working: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Finish what was begun, then close the connections."""
        await self.settled()
        await self._engine.dispose()
        await asyncio.sleep(0)  # a socket that was closed is let go in the loop's next turn

    async def settled(self) -> None:
        """Wait for all that was begun, also for what nobody waits for any more."""
        if self._working:
            await asyncio.wait(self._working)

    def connections_in_use(self) -> int:
        return self._engine.pool.checkedout()  # type: ignore[attr-defined,no-any-return]  # the pool of all engines of ours

    async def find(self, addresses: Sequence[str]) -> Mapping[str, Account]:
        found: dict[str, Account] = {}
        for start in range(0, len(addresses), LONGEST_LIST):
            some = addresses[start : start + LONGEST_LIST]
            rows = await self._done(lambda some=some: self._rows(some), within=FIND_WITHIN)  # type: ignore[misc]  # mypy cannot tell a lambda's default
            found |= self._by_address(rows, some)
        return found

    async def get(self, account_id: str) -> Account | None:
        row = await self._done(lambda: self._row(account_id), within=GET_WITHIN)
        return None if row is None else _account(row, self._kind)

    async def seal(self, password: str) -> str:
        return await self._hasher.hash_as(self._format, password)

    def credential_after(self, account: Account, sealed: str) -> str | None:
        return _credential(account.address, sealed)

    async def swap(self, unit: Connection | None, account: Account, sealed: str) -> bool:
        return await self._done(lambda: self._swap(account, sealed), within=SWAP_WITHIN)

    async def stored_hash(self, account_id: str) -> str:
        """The hash as it stands in the table; empty if there is none. For an operator's trial: a reset needs no such thing."""
        row = await self._done(lambda: self._row(account_id), within=GET_WITHIN)
        return "" if row is None else text_of(row["password"])

    async def put_back(self, account_id: str, *, stored: str, old: str) -> bool:
        """Store an old hash in place of the one that is stored, and do nothing else; False if that is another one by now.

        For an operator's trial, as above; what is stored may be no hash at all.
        """
        return await self._done(lambda: self._put_back(account_id, stored, old), within=SWAP_WITHIN)

    # ---- inside of a task ----

    async def _rows(self, addresses: Sequence[str]) -> Sequence[Row]:
        asked = [self._as_compared(form) for address in addresses for form in written_forms(address)]
        if self._kind is Kind.SQLITE:
            return await self._read_file(asked)
        return await self._read(self._statements.find(asked))

    async def _row(self, account_id: str) -> Row | None:
        rows = await self._read(self._statements.get(account_id))
        return rows[0] if len(rows) == 1 else None

    async def _swap(self, account: Account, sealed: str) -> bool:
        row = await self._row(account.id)
        there = None if row is None else _account(row, self._kind)
        if row is None or there is None or there.credential != account.credential:
            return False
        who = _as_stored(row, self._kind)
        async with self._engine.connect() as connection, connection.begin() as change:
            swapped = await connection.execute(
                self._statements.swap(**who, old=text_of(row["password"]), new=sealed)
            )
            if swapped.rowcount != 1:
                await change.rollback()
                return False
            for effect in self._description.effects:
                table = effect.elsewhere or ""
                if not effect.if_exists or await full_name(connection, self._kind, table) is not None:
                    await connection.execute(self._statements.effect(effect, **who, now=self._clock.now()))
        return True

    async def _put_back(self, account_id: str, stored: str, old: str) -> bool:
        row = await self._row(account_id)
        if row is None:
            return False
        who = _as_stored(row, self._kind)
        async with self._engine.begin() as connection:
            return (await connection.execute(self._statements.swap(**who, old=stored, new=old))).rowcount == 1

    async def _read(self, statement: Select[Any]) -> list[Row]:
        """The rows of one statement, which needs no transaction around it."""
        async with self._engine.connect() as connection:
            # SQLite begins none to read, and each word to its driver takes two turns of a thread.
            if self._kind is not Kind.SQLITE:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
            found = await connection.execute(statement)
            names = tuple(found.keys())
            return [dict(zip(names, row, strict=True)) for row in found]

    async def _read_file(self, asked: Sequence[str]) -> list[Row]:
        """The same rows, straight from the driver: in one turn of its thread, and with nothing compiled again.

        A file answers in microseconds, so that all that stands around it shows in how fast a full queue is emptied.
        """
        text, values, names = self._statements.look_up(asked, self._engine.dialect)
        async with self._engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection  # aiosqlite's own
            return [dict(zip(names, row, strict=True)) for row in await driver.execute_fetchall(text, values)]

    # ---- around it ----

    async def _done(self, work: Callable[[], Awaitable[T]], *, within: float) -> T:
        async def bounded() -> T:
            try:
                async with asyncio.timeout(within):
                    return await work()
            except Exception as error:
                told = AccountsDatabaseFailed(kind_of_failure(error))
                log.warning("accounts database failed", why=str(told))
                raise CannotStore from told

        task = asyncio.create_task(bounded(), name="accounts table")
        self._working.add(task)
        task.add_done_callback(self._read_outcome)
        return await asyncio.shield(task)

    def _read_outcome(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever still waits for it

    def _as_compared(self, address: str) -> str:
        if self._description.compare != "upper":
            return address
        # Letter by letter, as .NET does it: there `ß` stays one letter.
        return "".join(capital if len(capital := letter.upper()) == 1 else letter for letter in address)

    def _by_address(self, rows: Sequence[Row], asked: Sequence[str]) -> dict[str, Account]:
        """The accounts that these addresses mean beyond doubt.

        What the database takes for the same need not be: a collation may find `mike` for `mıke`, and a reset mail would
        go to somebody else (CVE-2019-19844). So each row's address is made canonical as the asked ones were.
        """
        wanted = set(asked)
        by_address = defaultdict(list)
        for row in rows:
            stored = text_of(row["address"])
            address = stored if stored in wanted else canonical(stored)  # what was asked for is canonical
            if address not in wanted or (
                self._description.compare == "exact" and text_of(row["lookup"]) not in written_forms(address)
            ):
                continue
            by_address[address].append(row)
        # Nobody can tell which of two accounts is meant: neither gets a mail.
        accounts = {
            address: _account(same[0], self._kind, address)
            for address, same in by_address.items()
            if len(same) == 1
        }
        return {address: account for address, account in accounts.items() if account is not None}


def _as_stored(row: Row, kind: Kind) -> dict[str, Any]:
    """What tells a row in a statement.

    To MySQL an id goes as text: there `7 = '7a'` is true, so a number would meet other people's rows in a column of
    text. And aiomysql cannot hand bytes over.
    """
    return {
        "account_id": text_of(row["id"]) if kind is Kind.MYSQL else row["id"],
        "address": text_of(row["address"]),
    }


def canonical(address: object) -> str:
    """The canonical form of what a column holds; empty if that is no address."""
    try:
        return parse_address(text_of(address))
    except AddressRefused:
        return ""


def _account(row: Row, kind: Kind, address: str | None = None) -> Account | None:
    """The account of a row; None if it is none that a password can be set for: a social log-in, `!` of Django.

    Nor if there is no address to write to, or no id that it is found by again. `address`: canonical, where it is known.
    """
    stored, password, locale = text_of(row["address"]), text_of(row["password"]), row.get("locale")
    address = canonical(stored) if address is None else address
    if not address or recognise(password) is None or not can_be_kept(row["id"], kind):
        return None
    # The part before the @ is the mail host's to understand, so it stays as it was written.
    mailed_to = f"{stored.strip(' ').rpartition('@')[0]}@{address.rpartition('@')[2]}"
    return Account(
        id=text_of(row["id"]),
        address=mailed_to,
        active=truth_of(row.get("active", True)),
        credential=_credential(mailed_to, password),
        locale=locale_or_none(locale) if isinstance(locale, str) else None,
        name=text_of(row.get("name")) or None,
    )


def _credential(address: str, password: str) -> str:
    """A fingerprint of address and hash. The hash has a random salt, so nothing can be guessed from it."""
    known = f"{address}\0{password}"
    return hashlib.sha256(known.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def kind_of_failure(error: BaseException) -> str:
    """Class and number of what a driver raised, without its words."""
    driver = getattr(error, "orig", None) or error
    cause = driver if driver is error else driver.__cause__ or driver
    first = cause.args[0] if cause.args else None
    number = (
        (first if isinstance(first, int) else None)
        or getattr(driver, "sqlstate", None)
        or getattr(cause, "sqlite_errorname", None)
    )
    return f"{type(cause).__name__} {number}" if number else type(cause).__name__
