"""The running service as these tests meet it: its client, its mailbox, its records, and other parts to start it with."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio
from quart import Quart, Response
from quart.typing import TestClientProtocol as Client

from resetsvc import create_app
from resetsvc.accounts import Account
from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.clock import Clock
from resetsvc.errors import CannotStore
from resetsvc.service import Service
from resetsvc.settings import Settings
from resetsvc.store.connection import Connection, Row
from resetsvc.testing import CaughtMail, HandClock, Mailbox, make_settings
from tests.support import postgres

ANN = "ann@example.com"
OLD_PASSWORD = "an old password of hers"
NEW_PASSWORD = "four unrelated words here"

# How a client says what it wants to read.
FORMS = {"text": {}, "html": {"Accept": "text/html"}, "json": {"Accept": "application/json"}}
CONTENT_TYPES = {
    "text": "text/plain; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer, byte by byte: what a client could tell two of them apart by."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name.lower())


async def seen(response: Response) -> Seen:
    headers = sorted((name.lower(), value) for name, value in response.headers.items())
    return Seen(
        response.status_code,
        tuple((name, value) for name, value in headers if name not in ("date", "server-timing")),
        await body_of(response),
    )


async def body_of(response: Response) -> bytes:
    data: bytes = await response.get_data(as_text=False)
    return data


async def text_of(response: Response) -> str:
    return (await body_of(response)).decode()


@dataclass(frozen=True, slots=True)
class Running:
    """One running service, with what a test asks of it most."""

    app: Quart
    client: Client
    mailbox: Mailbox
    hand: HandClock | None = None

    @property
    def service(self) -> Service:
        service = self.app.extensions["resetsvc.service"]
        assert isinstance(service, Service)
        return service

    @property
    def accounts(self) -> BuiltinAccounts:
        assert isinstance(self.service.accounts, BuiltinAccounts)
        return self.service.accounts

    def wake(self) -> None:
        """Let the dispatcher look at the clock, which was moved behind its back."""
        assert self.service.supervisor is not None
        self.service.supervisor.wake()

    async def ask(self, address: str = ANN, **how: Any) -> Response:
        return await self.client.post("/reset-password", form={"email": address}, **how)

    async def open(self, path: str, method: str, **how: Any) -> Response:
        answer: Response = await self.client.open(path, method=method, **how)
        return answer

    async def mail_to(self, address: str = ANN) -> CaughtMail:
        """Ask for a reset and take the mail out of the mailbox."""
        assert (await self.ask(address)).status_code == 200
        mail = await self.mailbox.next_mail()
        assert mail.recipient == address
        return mail

    async def set_password(self, path: str, password: str = NEW_PASSWORD, **how: Any) -> Response:
        return await self.client.post(path, form={"password": password}, **how)

    async def letters(self) -> Sequence[Row]:
        """All but those that are settled, which takes hours."""
        return await self.rows("SELECT * FROM letters ORDER BY seq")

    async def rows(self, sql: str, **values: Any) -> Sequence[Row]:
        return await self.service.store.read(lambda connection: connection.fetch_all(sql, values))

    async def change(self, sql: str, **values: Any) -> None:
        await self.service.store.write(lambda connection: connection.execute(sql, values))

    async def letters_finished(self, number: int) -> Sequence[Row]:
        """Wait until so many letters have an end on record; return all letters."""

        async def enough() -> bool:
            return sum(row["finished_at"] is not None for row in await self.letters()) >= number

        await until(enough)
        return await self.letters()

    async def past_all_letters(self) -> None:
        """Return once the dispatcher has dealt with every letter that was stored and due before this call."""
        await self.past_all_letters_but_those_in_hand()

        async def nothing_in_hand() -> bool:
            return all(row["state"] != "sending" for row in await self.letters())

        await until(nothing_in_hand)

    async def past_all_letters_but_those_in_hand(self) -> None:
        nobody = "nobody@nowhere.example"
        assert (await self.ask(nobody)).status_code == 200

        async def reached() -> bool:
            letters = [row for row in await self.letters() if row["address"] == nobody]
            return letters[-1]["finished_at"] is not None

        await until(reached)


async def until(true: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Wait for what has no event of its own: a record that another task writes."""
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 -- a row in a database sets no event
            await asyncio.sleep(0.005)


class Start(Protocol):
    """Start a service with other settings or other parts than usual. Stopped at the end of the test."""

    async def __call__(
        self,
        *,
        outbox: Mailbox | None = None,
        accounts: Any = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> Running: ...


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of this test's database: SQLite, or PostgreSQL where RESETSVC_TEST_DATABASE=postgresql says so.

    test_on_postgresql.py runs what matters most there in any case.
    """
    about_sqlite = request.node.get_closest_marker("about_sqlite") is not None
    if about_sqlite or os.environ.get("RESETSVC_TEST_DATABASE") != "postgresql":
        yield f"sqlite:///{tmp_path / 'resetsvc.db'}"
        return
    yield (url := postgres.new_database())
    postgres.drop_database(url)


@pytest.fixture
def resetsvc_settings(tmp_path: Path, database: str) -> Settings:
    return make_settings(tmp_path, database_url=database)


@pytest_asyncio.fixture
async def start(tmp_path: Path, database: str) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def begin(
            *,
            outbox: Mailbox | None = None,
            accounts: Any = None,
            clock: Clock | None = None,
            **settings: Any,
        ) -> Running:
            mailbox = outbox or Mailbox()
            app = create_app(
                make_settings(tmp_path, **{"database_url": database, **settings}),
                outbox=mailbox,
                accounts=accounts,
                clock=clock,
            )
            test_app = app.test_app()
            await test_app.startup()
            stack.push_async_callback(test_app.shutdown)
            return Running(app, app.test_client(), mailbox)

        yield begin


@pytest.fixture
def running(resetsvc_app: Quart, resetsvc_client: Client, resetsvc_mailbox: Mailbox) -> Running:
    """The service as it comes."""
    return Running(resetsvc_app, resetsvc_client, resetsvc_mailbox)


@pytest_asyncio.fixture
async def ann(running: Running) -> Running:
    """The service as it comes, with one account."""
    assert await running.accounts.add(ANN, OLD_PASSWORD)
    return running


def whole_clock(hand: HandClock) -> Clock:
    """A clock of which nothing goes on by itself: leases, pauses and counts neither."""
    return replace(hand.clock, monotonic=lambda: hand.seconds)


@dataclass
class RememberedAccounts:
    """Accounts in a dictionary: the contract met without SQL, without a hash, and with what goes wrong on order."""

    elsewhere: bool = False
    by_id: dict[str, Account] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    sealed: list[str] = field(default_factory=list)  # every password that would have cost an Argon2 hash
    swap_fails: Exception | None = None
    get_fails: Exception | None = None
    find_fails: Exception | None = None
    out_of_reach: set[str] = field(default_factory=set)  # ids that `get` cannot be asked about
    found_under: dict[str, str] = field(default_factory=dict)
    hides_credentials: bool = False  # as in front of a system that tells nothing of them
    foresees_credentials: bool = True  # an endpoint chooses them as it likes
    before_swap: Callable[[], Awaitable[None]] | None = None
    after_swap: Callable[[], Awaitable[None]] | None = None

    def put(self, address: str, *, mailed_to: str | None = None, account_id: str | None = None) -> Account:
        """Add an account that is found under `address`, with its mail going to `mailed_to`."""
        account = Account(account_id or f"id of {address}", mailed_to or address, True, "first password")
        self.by_id[account.id] = account
        self.passwords[account.id] = OLD_PASSWORD
        self.found_under[address] = account.id
        return account

    async def find(self, addresses: Sequence[str]) -> Mapping[str, Account]:
        if self.find_fails is not None:
            raise self.find_fails
        return {
            address: self.by_id[self.found_under[address]]
            for address in addresses
            if address in self.found_under
        }

    async def get(self, account_id: str) -> Account | None:
        if self.get_fails is not None:
            raise self.get_fails
        if account_id in self.out_of_reach:
            raise CannotStore
        return self.by_id.get(account_id)

    async def seal(self, password: str) -> str:
        self.sealed.append(password)
        return password

    def credential_after(self, account: Account, sealed: str) -> str | None:
        return f"after {account.credential}" if self.foresees_credentials else None

    async def swap(self, unit: Connection | None, account: Account, sealed: str) -> bool:
        assert (unit is None) == self.elsewhere
        if self.before_swap is not None:
            await self.before_swap()
        if self.swap_fails is not None:
            raise self.swap_fails
        if self.by_id[account.id].credential != account.credential:
            return False
        self.passwords[account.id] = sealed
        if not self.hides_credentials:
            self.by_id[account.id] = replace(account, credential=f"after {account.credential}")
        if self.after_swap is not None:
            await self.after_swap()
        return True
