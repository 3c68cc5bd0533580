"""The store: nothing is lost by a restart, the newest 500 stay, and whoever waits is woken."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import aiosmtplib
import pytest

from resetsvc.dev.caught_mails import KEPT, CaughtMails
from resetsvc.dev.eml import Envelope
from tests.dev.conftest import a_mail

ENVELOPE = Envelope("no-reply@example.com", ("demo@example.com",))

KILLED = """
import asyncio, sys
from pathlib import Path
from resetsvc.dev.catcher import catcher
from resetsvc.dev.caught_mails import CaughtMails

async def main():
    async with catcher(await CaughtMails.open(Path(sys.argv[1])), port=0) as address:
        print(address.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_an_accepted_mail_survives_kill_9(folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as smtp:
        await smtp.send_message(a_mail("Still here"))
        process.kill()
        await process.wait()
        smtp.close()
    store = await CaughtMails.open(folder)
    assert [(mail.subject, mail.to) for mail in store.newest_first()] == [("Still here", "demo@example.com")]


async def test_a_restart_finds_the_same_list(store: CaughtMails, folder: Path) -> None:
    for number in range(3):
        await store.add(a_mail(f"No. {number}").as_bytes(), ENVELOPE)
    again = await CaughtMails.open(folder)
    assert again.newest_first() == store.newest_first()
    assert [mail.subject for mail in again.newest_first()] == ["No. 2", "No. 1", "No. 0"]
    assert again.version != store.version


async def test_only_the_newest_500_are_kept(store: CaughtMails, folder: Path) -> None:
    for number in range(KEPT + 3):
        await store.add(b"Subject: %d\r\n\r\n" % number, ENVELOPE)
    assert [mail.subject for mail in store.newest_first()] == [str(n) for n in range(KEPT + 2, 2, -1)]
    assert len(list(folder.iterdir())) == KEPT == 500
    assert (await CaughtMails.open(folder)).newest_first() == store.newest_first()


async def test_a_start_deletes_what_is_over_the_limit(store: CaughtMails, folder: Path) -> None:
    for number in range(KEPT):
        await store.add(b"Subject: %d\r\n\r\n" % number, ENVELOPE)
    (folder / "20000101T000000.000000Z.eml").write_bytes(b"Subject: old\r\n\r\n")
    again = await CaughtMails.open(folder)
    assert again.newest_first() == store.newest_first()
    assert len(list(folder.iterdir())) == KEPT


async def test_a_half_written_file_is_no_mail_and_foreign_files_stay(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / ".20261103T101502.000000Z.part").write_bytes(b"Subject: ha")
    (folder / "notes.eml").write_bytes(b"Subject: mine\r\n\r\n")
    store = await CaughtMails.open(folder)
    assert store.newest_first() == []
    assert [path.name for path in folder.iterdir()] == ["notes.eml"]


async def test_a_clock_that_stands_still_or_steps_back_keeps_the_order(folder: Path) -> None:
    times = iter([datetime(2026, 11, 3, 10, minute, tzinfo=UTC) for minute in (5, 5, 1)])
    store = await CaughtMails.open(folder, now=lambda: next(times))
    for subject in (b"a", b"b", b"c"):
        await store.add(b"Subject: " + subject + b"\r\n\r\n", ENVELOPE)
    assert [mail.subject for mail in (await CaughtMails.open(folder)).newest_first()] == ["c", "b", "a"]


async def test_mails_that_come_at_once_are_all_kept(store: CaughtMails, folder: Path) -> None:
    await asyncio.gather(*(store.add(b"Subject: %d\r\n\r\n" % n, ENVELOPE) for n in range(30)))
    assert len({mail.id for mail in store.newest_first()}) == 30
    assert (await CaughtMails.open(folder)).newest_first() == store.newest_first()


async def test_a_sender_that_hangs_up_leaves_list_and_folder_agreeing(store: CaughtMails) -> None:
    changes = store.changes()
    await anext(changes)
    adding = asyncio.create_task(store.add(a_mail().as_bytes(), ENVELOPE))
    await asyncio.sleep(0)  # so that it has begun
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    await anext(changes)
    assert len(store.newest_first()) == 1


async def test_the_folder_is_private_and_made_again_when_it_was_deleted(
    store: CaughtMails, folder: Path
) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    mail = await store.add(a_mail().as_bytes(), ENVELOPE)
    assert (folder / f"{mail.id}.eml").stat().st_mode & 0o777 == 0o600


async def test_a_mail_whose_file_is_gone_is_gone(store: CaughtMails, folder: Path) -> None:
    mail = await store.add(a_mail().as_bytes(), ENVELOPE)
    (folder / f"{mail.id}.eml").unlink()
    assert await store.get(mail.id) is None


async def test_delete_all_leaves_no_file(store: CaughtMails, folder: Path) -> None:
    await store.add(a_mail().as_bytes(), ENVELOPE)
    await store.delete_all()
    assert store.newest_first() == []
    assert list(folder.iterdir()) == []


async def test_a_mail_that_cannot_be_written_is_an_error_and_not_in_the_list(tmp_path: Path) -> None:
    store = await CaughtMails.open(tmp_path / "mailbox")
    (tmp_path / "mailbox").rmdir()
    (tmp_path / "mailbox").write_text("a file in the way")
    with pytest.raises(OSError, match="exists"):
        await store.add(a_mail().as_bytes(), ENVELOPE)
    assert store.newest_first() == []


async def test_all_who_wait_are_woken_by_a_change_and_end_at_close(store: CaughtMails) -> None:
    seen: list[list[int]] = [[], []]

    async def watch(mine: list[int]) -> None:
        mine.extend([version async for version in store.changes()])

    firsts = [store.changes() for _ in seen]
    assert [await anext(first) for first in firsts] == [store.version] * 2
    watching = [asyncio.create_task(watch(mine)) for mine in seen]
    nexts = [asyncio.ensure_future(anext(first)) for first in firsts]
    await store.add(a_mail().as_bytes(), ENVELOPE)
    assert await asyncio.gather(*nexts) == [store.version] * 2
    store.close()
    await asyncio.gather(*watching)
    assert all(mine for mine in seen)
    assert [version async for version in store.changes()] == []


async def test_mails_are_kept_after_close(store: CaughtMails) -> None:
    store.close()
    await store.add(a_mail().as_bytes(), ENVELOPE)
    assert len(store.newest_first()) == 1
