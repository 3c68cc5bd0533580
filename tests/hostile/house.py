"""The service on a real port, in a thread of this process: raw bytes go in, and logs, rows and mails can be looked at."""

import asyncio
import concurrent.futures
import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import structlog
from structlog.testing import LogCapture

from resetsvc import server
from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.addresses import parse_address
from resetsvc.app import create_app
from resetsvc.errors import LinkDoesNotWork
from resetsvc.service import Service
from resetsvc.testing import CaughtMail, Mailbox, make_settings
from tests.hostile.wire import Answer, Connection, one_answer

T = TypeVar("T")

ANN = "ann@example.com"
OLD_PASSWORD = "an old password of hers"
OPS_TOKEN = "a token for the figures"
HARMLESS = ("debug", "info")


class Records(logging.Handler):
    """Whatever our own loggers and those of the libraries said that somebody should look at."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.ours = LogCapture()
        self._others: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.name}: {record.getMessage()}"
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        self._others.append(text)

    def alarming(self) -> list[str]:
        ours = [repr(entry) for entry in self.ours.entries if entry["log_level"] not in HARMLESS]
        return ours + self._others

    def forget_what_is_harmless(self) -> None:
        """So that a long run does not fill the memory with one record a request."""
        self.ours.entries[:] = [entry for entry in self.ours.entries if entry["log_level"] not in HARMLESS]


class House:
    """One running service. Every method may be called from the thread of the test."""

    def __init__(self, folder: Path, records: Records) -> None:
        self.records = records
        self.mailbox: Mailbox
        self.service: Service
        self.port = 0
        self._database = folder / "resetsvc.db"
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._up: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._folder = folder
        self._thread = threading.Thread(target=self._run, name="house")
        self._token: str | None = None

    # ---- what goes in ----

    def send(self, data: bytes, *, half_close: bool = False) -> list[Answer]:
        """Send bytes on a connection of their own; every answer until the service closes it or has no more to say."""
        with Connection(self.port) as connection:
            connection.send(data)
            return connection.answers(half_close=half_close)

    def ask_healthily(self, number: int = 0) -> None:
        """Somebody else, on a new connection, is answered as ever."""
        body = f"email=healthy{number}@example.com".encode()
        head = (
            b"POST /reset-password HTTP/1.1\r\nHost: reset.example.com\r\nConnection: close\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        answer = one_answer(self.send(head + body))
        assert (answer.status, answer.body) == (200, b"Email sent")

    # ---- what came of it ----

    def letters(self) -> int:
        """How many letters are owed or were sent, of all kinds."""
        with contextlib.closing(sqlite3.connect(self._database)) as connection:
            (number,) = connection.execute("SELECT count(*) FROM letters").fetchone()
        return int(number)

    def addresses(self) -> set[str]:
        """Every address that somebody asked for, with an account or without."""
        with contextlib.closing(sqlite3.connect(self._database)) as connection:
            return {str(row[0]) for row in connection.execute("SELECT address FROM letters")}

    def recipients(self) -> set[str]:
        return {mail.recipient for mail in self.mailbox.mails}

    def has_let_go(self) -> bool:
        """Whether soon after the last connection was closed the service has nothing to do for any of them."""

        async def all_end() -> bool:
            served = [task for task in asyncio.all_tasks() if "_server_callback" in repr(task.get_coro())]
            return not served or not (await asyncio.wait(served, timeout=10))[1]

        return self.call(all_end)

    def open_token(self) -> str:
        """The token of a link to Ann's account that works now."""
        if self._token is None:
            self._token = self.call(self._new_link).token
        return self._token

    def link_was_used(self) -> None:
        self._token = None

    def password_is(self, password: str) -> bool:
        accounts = self.accounts
        return self.call(lambda: accounts.verify(ANN, password))

    @property
    def accounts(self) -> BuiltinAccounts:
        assert isinstance(self.service.accounts, BuiltinAccounts)
        return self.service.accounts

    def mail_after(self, ask: Callable[[], None]) -> CaughtMail:
        """The next mail with a link in it that `ask` brings about."""
        before = len(self.mailbox.mails)
        ask()

        async def arrived() -> CaughtMail:
            while True:
                mail = await self.mailbox.next_mail()
                if self.mailbox.mails.index(mail) >= before and "Reset" in mail.subject:
                    return mail

        return self.call(arrived)

    def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run something in the service's own event loop."""
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(timeout=20)

    async def _new_link(self) -> CaughtMail:
        """Also after a cancel with `mute=1`, which would keep all mails back for a day."""
        await self.service.store.write(lambda connection: connection.execute("DELETE FROM mutes"))
        await self.service.parts.intake.accept(parse_address(ANN), client="127.0.0.1", locale="en")
        while True:
            mail = await self.mailbox.next_mail()
            if mail.recipient == ANN and "Reset" in mail.subject:
                with contextlib.suppress(LinkDoesNotWork):  # an older one, that was used or cancelled
                    await self.service.parts.links.open(mail.token)
                    return mail

    # ---- its life ----

    def start(self) -> None:
        self._thread.start()
        self._up.result(timeout=30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            server.run(self._serve())
        except BaseException as error:
            if not self._up.done():
                self._up.set_exception(error)
                return
            raise

    async def _until_stop(self) -> None:
        await self._stop.wait()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.mailbox = Mailbox()
        config = server.read_config(None)  # what `resetsvc serve` uses as it comes
        config.bind = ["127.0.0.1:0"]
        (name,) = server.listen(config)
        self.port = int(name.rpartition(":")[2])

        async def ready(service: Service) -> None:
            self.service = service
            assert await self.accounts.add(ANN, OLD_PASSWORD)
            self._up.set_result(None)

        settings = make_settings(
            self._folder,
            limit_per_account="",
            ops_token=OPS_TOKEN,
        )
        app = create_app(settings, outbox=self.mailbox, on_start=ready)
        await server.serve_app(app, config, self._until_stop)


@contextmanager
def open_house(folder: Path) -> Iterator[House]:
    """A running service; at its end it must have stopped in order, with nothing alarming in any log."""
    records = Records()
    root = logging.getLogger()
    before = structlog.get_config()
    configured = structlog.is_configured()
    structlog.configure(processors=[records.ours], cache_logger_on_first_use=False)
    root.addHandler(records)
    house = House(folder, records)
    try:
        house.start()
        yield house
        house.stop()
        assert records.alarming() == []
    finally:
        root.removeHandler(records)
        structlog.reset_defaults()
        if configured:
            structlog.configure(**before)
