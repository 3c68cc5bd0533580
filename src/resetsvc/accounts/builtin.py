"""The accounts table that comes with the service, in the same database as the letters."""

import hashlib
from collections.abc import Mapping, Sequence

from resetsvc.accounts import Account
from resetsvc.clock import Clock
from resetsvc.passwords.hashing import Hasher
from resetsvc.store import accounts as sql
from resetsvc.store.connection import Connection, Row
from resetsvc.store.database import Store


class BuiltinAccounts:
    """Meets the contract `resetsvc.accounts.Accounts`; adding, verifying and disabling are for the command line."""

    elsewhere = False

    def __init__(self, store: Store, hasher: Hasher, clock: Clock) -> None:
        self._store = store
        self._hasher = hasher
        self._clock = clock

    async def find(self, addresses: Sequence[str]) -> Mapping[str, Account]:
        rows = await self._store.read(lambda connection: sql.find_accounts(connection, addresses))
        return {row["address"]: _account(row) for row in rows}

    async def get(self, account_id: str) -> Account | None:
        row = await self._store.read(lambda connection: sql.get_account(connection, account_id))
        return None if row is None else _account(row)

    async def seal(self, password: str) -> str:
        return await self._hasher.hash(password)

    def credential_after(self, account: Account, sealed: str) -> str | None:
        return _credential({"address": account.address, "password_hash": sealed})

    async def swap(self, unit: Connection | None, account: Account, sealed: str) -> bool:
        assert unit is not None  # not elsewhere
        row = await sql.get_account(unit, account.id)
        if row is None or _credential(row) != account.credential:
            return False
        return await sql.swap_password_hash(
            unit, account_id=account.id, old=row["password_hash"], new=sealed, now=self._clock.now()
        )

    async def add(self, address: str, password: str, locale: str | None = None) -> bool:
        """Add an account under a canonical address; False if there is one already."""
        password_hash = await self._hasher.hash(password)
        return await self._store.unit(
            lambda unit: sql.insert_account(
                unit,
                account_id=self._clock.new_id(),
                address=address,
                password_hash=password_hash,
                locale=locale,
                now=self._clock.now(),
            )
        )

    async def verify(self, address: str, password: str) -> bool:
        """Whether this is the account's password. A weaker hash than the present settings make is replaced on the way.

        An unknown address costs a hash all the same, so that the time tells nothing.
        """
        rows = await self._store.read(lambda connection: sql.find_accounts(connection, [address]))
        if not rows or not rows[0]["active"]:
            await self._hasher.hash(password)
            return False
        stored = rows[0]["password_hash"]
        if not await self._hasher.verify(stored, password):
            return False
        if self._hasher.is_weak(stored):
            stronger = await self._hasher.hash(password)
            await self._store.unit(
                lambda unit: sql.swap_password_hash(
                    unit, account_id=rows[0]["id"], old=stored, new=stronger, now=self._clock.now()
                )
            )
        return True

    async def disable(self, address: str) -> bool:
        """Let no more mail go to the account and no link of it work; False if there is no such account."""
        return await self._store.unit(lambda unit: sql.disable_account(unit, address, self._clock.now()))


def _account(row: Row) -> Account:
    return Account(
        id=row["id"],
        address=row["address"],
        active=bool(row["active"]),
        credential=_credential(row),
        locale=row["locale"],
    )


def _credential(row: Row) -> str:
    """A fingerprint of hash and address. The hash has a random salt, so nothing can be guessed from it."""
    return hashlib.sha256(f"{row['address']}\0{row['password_hash']}".encode()).hexdigest()[:32]
