"""The caught mails: one `.eml` file each in a folder, the newest 500, and a way to wait for the next change."""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from resetsvc.dev.eml import Envelope, wrap
from resetsvc.dev.reading import CaughtMail, OpenedMail, list_mail, open_mail

KEPT = 500
_TIME = "%Y%m%dT%H%M%S.%fZ"
# Only names of this form are ours; anything else that somebody puts into the folder is neither shown nor deleted.
_ID = re.compile(r"\d{8}T\d{6}\.\d{6}Z")
_TICK = timedelta(microseconds=1)


class CaughtMails:
    """A mailbox in a folder. Belongs to one event loop and one process; open it with `await CaughtMails.open(folder)`.

    A mail's id is the UTC time when it came, and its file's name: unique, and sorted by age.
    """

    def __init__(self, folder: Path, mails: list[CaughtMail], now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._mails = mails  # oldest first
        self._now = now
        self._last_at = mails[-1].at if mails else datetime.min.replace(tzinfo=UTC)
        # Files change in threads, one after the other, so that the list and the folder agree.
        self._one_by_one = asyncio.Lock()
        self._adding: set[asyncio.Task[CaughtMail]] = set()
        # Not from zero: an open page that outlives a restart must see that the number is another.
        self._version = time.time_ns()
        self._changed = asyncio.Event()
        self._closed = False

    @classmethod
    async def open(cls, folder: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Self:
        """The mailbox as an earlier run left it, even one that was killed."""
        return cls(folder, await asyncio.to_thread(_load, folder), now)

    @property
    def version(self) -> int:
        """Another number after every change."""
        return self._version

    def newest_first(self) -> list[CaughtMail]:
        return self._mails[::-1]

    async def add(self, source: bytes, envelope: Envelope) -> CaughtMail:
        """Keep a mail. Once this returns, the mail is in its file. Raises `OSError` if it cannot be written."""
        # A sender that hangs up cancels us, but the thread writes on: the list must then still learn of the file.
        task = asyncio.create_task(self._add(source, envelope))
        self._adding.add(task)
        task.add_done_callback(self._adding.discard)
        return await asyncio.shield(task)

    async def _add(self, source: bytes, envelope: Envelope) -> CaughtMail:
        async with self._one_by_one:
            at = max(self._now(), self._last_at + _TICK)  # clocks step back, ids must not
            too_many = self._mails[: max(0, len(self._mails) + 1 - KEPT)]
            mail = await asyncio.to_thread(_write, self._folder, at, source, envelope, too_many)
            self._last_at = at
            self._mails = [*self._mails[len(too_many) :], mail]
            self._tell()
            return mail

    async def get(self, mail_id: str) -> OpenedMail | None:
        """The whole mail, or None if there is none (any more)."""
        found = next((mail for mail in self._mails if mail.id == mail_id), None)
        return None if found is None else await asyncio.to_thread(_read, self._folder, found)

    async def delete_all(self) -> None:
        async with self._one_by_one:
            mails, self._mails = self._mails, []
            self._tell()
            await asyncio.to_thread(_delete, self._folder, mails)

    async def changes(self) -> AsyncIterator[int]:
        """The version now, and again after each change (several at once count as one), until `close`."""
        seen = None
        while not self._closed:
            changed = self._changed  # taken before looking, so that no change is missed
            if self._version != seen:
                seen = self._version
                yield seen
            else:
                await changed.wait()

    def close(self) -> None:
        """End every `changes` at once. Mails can still be added: the catcher may stop later than the page."""
        self._closed = True
        self._changed.set()

    def _tell(self) -> None:
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()


def _path(folder: Path, mail_id: str) -> Path:
    return folder / f"{mail_id}.eml"


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # the mails hold links that work


def _load(folder: Path) -> list[CaughtMail]:
    _make(folder)
    for leftover in folder.glob(".*.part"):
        leftover.unlink(missing_ok=True)
    ids = sorted(path.stem for path in folder.glob("*.eml") if _ID.fullmatch(path.stem))
    for mail_id in ids[:-KEPT]:
        _path(folder, mail_id).unlink(missing_ok=True)
    mails = []
    for mail_id in ids[-KEPT:]:
        at = datetime.strptime(mail_id, _TIME).replace(tzinfo=UTC)
        mails.append(list_mail(mail_id, at, _path(folder, mail_id).read_bytes()))
    return mails


def _write(
    folder: Path, at: datetime, source: bytes, envelope: Envelope, too_many: list[CaughtMail]
) -> CaughtMail:
    """Write under another name, then rename: a file that is there is whole, also after `kill -9`.

    Without fsync: what the kernel has taken outlives the process, and a development mailbox need not outlive a power cut.
    """
    mail_id = at.strftime(_TIME)
    raw = wrap(source, envelope, at)
    _make(folder)  # somebody may have tidied up while we run
    part = folder / f".{mail_id}.part"
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(raw)
        part.rename(_path(folder, mail_id))
    except OSError:
        part.unlink(missing_ok=True)
        raise
    _delete(folder, too_many)
    return list_mail(mail_id, at, raw)


def _read(folder: Path, mail: CaughtMail) -> OpenedMail | None:
    try:
        return open_mail(mail, _path(folder, mail.id).read_bytes())
    except FileNotFoundError:  # deleted by hand, or by the limit since we looked
        return None


def _delete(folder: Path, mails: list[CaughtMail]) -> None:
    for mail in mails:
        _path(folder, mail.id).unlink(missing_ok=True)
