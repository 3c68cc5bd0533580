"""The disk is full, fails or is read-only, the database is locked: nobody is told a lie, and it mends by itself.

Longer by hand: RESETSVC_TEST_LOCKED_FOR=60 pytest tests/faults/test_storage.py -k locked
"""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from resetsvc.app import create_app
from resetsvc.intake import DISK_RESERVE
from resetsvc.store.sqlite import BUSY_TIMEOUT
from resetsvc.testing import Mailbox, make_settings
from tests.cli.processes import Running, add_account, environment, serving
from tests.faults.failing_disk import FailingDisk, Failure, build_failing_disk
from tests.mail.houses import links
from tests.support.relay_on_order import Fault, RelayOnOrder

LOCKED_FOR = float(os.environ.get("RESETSVC_TEST_LOCKED_FOR", "1"))
SOON = 30.0
TOLD_WITHIN = (
    5 * BUSY_TIMEOUT
)  # once is what the service waits itself; who waits for the end of a fault waits for SOON
PASSWORD = "an old password of hers"


@dataclass
class Service:
    """A real process, its database, its relay, and what its clients were told: by address, asked once each."""

    process: Running
    client: httpx.AsyncClient
    database: Path
    relay: RelayOnOrder
    told: dict[str, int] = field(default_factory=dict)
    retry_after: set[str | None] = field(default_factory=set)
    slowest: float = 0.0

    async def ask(self, address: str) -> int:
        began = time.monotonic()
        answer = await self.client.post("/reset-password", data={"email": address})
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.told[address] = answer.status_code
        if answer.status_code != 200:
            self.retry_after.add(answer.headers.get("retry-after"))
            assert "Email sent" not in answer.text
        return answer.status_code

    async def ask_many(self, name: str, number: int) -> set[int]:
        return set(await asyncio.gather(*(self.ask(f"{name}{place}@user.test") for place in range(number))))

    async def ask_until(self, name: str, status: int) -> None:
        """Ask, and ask again, until the answer is as wanted: nothing announces that the service noticed."""
        end = time.monotonic() + SOON
        place = 0
        while await self.ask(f"{name}{place}@user.test") != status:
            assert time.monotonic() < end, self.process.said[-3000:]
            place += 1
            await asyncio.sleep(0.1)

    async def ready(self) -> tuple[int, dict[str, object]]:
        answer = await self.client.get("/readyz")
        return answer.status_code, answer.json()

    def stored(self) -> dict[str, str]:
        """Every letter's address and state."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return dict(connection.execute("SELECT address, state FROM letters").fetchall())

    def nobody_was_told_a_lie(self) -> None:
        acknowledged = {address for address, status in self.told.items() if status == 200}
        assert set(self.stored()) == acknowledged

    async def until_sent(self, *addresses: str) -> None:
        end = time.monotonic() + SOON
        while {self.stored().get(address) for address in addresses} != {"sent"}:
            assert time.monotonic() < end, (self.stored(), self.process.said[-3000:])
            await asyncio.sleep(0.05)
        sent = [mail.rcpt_tos[0] for mail in self.relay.mails]
        assert sorted(address for address in sent if address in addresses) == sorted(addresses)


@asynccontextmanager
async def service(
    folder: Path, data: Path, relay: RelayOnOrder, accounts: int = 1, disk: FailingDisk | None = None
) -> AsyncIterator[Service]:
    settings = {**environment(data, relay.url), **(disk.env if disk else {})}
    for place in range(accounts):
        await add_account(settings, f"ann{place}@user.test", PASSWORD)
    async with (
        serving(settings, folder) as process,
        httpx.AsyncClient(base_url=process.url, timeout=SOON) as client,
    ):
        yield Service(process, client, data / "resetsvc.db", relay)


# ---- a disk that fails ----


@pytest.mark.wall_clock
async def test_while_the_disk_fails_requests_are_refused_and_then_all_goes_on(tmp_path: Path) -> None:
    """Three times, in three ways, without a restart."""
    disk = build_failing_disk(tmp_path)
    async with RelayOnOrder() as relay:
        await relay.stop()
        async with service(tmp_path, tmp_path, relay, accounts=3, disk=disk) as house:
            assert await house.ask("ann0@user.test") == 200
            assert await house.ask_many("before", 5) == {200}
            ways: tuple[Failure, ...] = ("fsync", "full", "readonly")
            for how in ways:
                disk.fails(how)
                assert await house.ask_many(f"{how}-meanwhile", 10) == {503}, how
                assert await house.ask("ann1@user.test") == 503
                assert house.retry_after == {"5"}
                assert house.slowest < TOLD_WITHIN
                assert (await house.client.get("/healthz")).status_code == 200
                disk.works()
                await house.ask_until(f"{how}-after", 200)
            await relay.start()
            assert await house.ask("ann2@user.test") == 200
            await house.until_sent("ann0@user.test", "ann2@user.test")
            house.nobody_was_told_a_lie()


async def test_a_disk_that_fails_while_a_mail_is_handed_over_costs_no_second_copy(tmp_path: Path) -> None:
    disk = build_failing_disk(tmp_path)
    async with RelayOnOrder() as relay, service(tmp_path, tmp_path, relay, disk=disk) as house:
        held = relay.order(Fault.hold("DOT"), times=1)
        assert await house.ask("ann0@user.test") == 200
        await held.reached()
        disk.fails("fsync")
        held.release()
        await relay.next_mail()
        assert await house.ask("late@user.test") == 503
        assert house.stored() == {"ann0@user.test": "sending"}
        disk.works()
        await house.until_sent("ann0@user.test")
        assert relay.accepted == 1


async def test_a_password_is_not_changed_on_a_disk_that_fails_and_its_link_still_works(
    tmp_path: Path,
) -> None:
    disk = build_failing_disk(tmp_path)
    async with RelayOnOrder() as relay, service(tmp_path, tmp_path, relay, disk=disk) as house:
        await house.ask("ann0@user.test")
        path = links(await relay.next_mail())[0]
        await house.until_sent("ann0@user.test")
        disk.fails("fsync")
        refused = await house.client.post(path, data={"password": "four unrelated words here"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        disk.works()
        end = time.monotonic() + SOON
        while (
            answer := await house.client.post(path, data={"password": "four unrelated words here"})
        ).status_code == 503:
            assert time.monotonic() < end
        assert answer.status_code == 200
        assert b"Your password was changed" in (await relay.next_mail()).message


# ---- a disk that is full ----


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 24 MiB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip() or 'mount failed'}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """A file that leaves so many octets on its disk."""
    found = os.statvfs(folder)
    path = folder / "something-else"
    with path.open("wb") as file, contextlib.suppress(OSError):
        file.write(bytes(max(0, found.f_bavail * found.f_frsize - leave)))
    return path


async def test_on_an_almost_full_disk_nothing_new_is_taken_and_what_is_stored_is_delivered(
    small_disk: Path, tmp_path: Path
) -> None:
    async with RelayOnOrder() as relay:
        await relay.stop()
        async with service(tmp_path, small_disk, relay, accounts=20) as house:
            assert await house.ask_many("ann", 20) == {200}
            filling = fill(small_disk, leave=DISK_RESERVE - 2**20)
            await house.ask_until("more", 503)
            assert house.retry_after == {"60"}
            status, found = await house.ready()
            assert (status, found["problems"]) == (503, {"disk": "is almost full"})
            await relay.start()
            await house.until_sent(*(f"ann{place}@user.test" for place in range(20)))
            filling.unlink()
            await house.ask_until("again", 200)
            house.nobody_was_told_a_lie()


async def test_on_a_disk_without_any_room_nobody_is_told_a_lie_and_it_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    """Faster than the service looks at the room that is left."""
    async with RelayOnOrder() as relay:
        await relay.stop()
        async with service(tmp_path, small_disk, relay, accounts=5) as house:
            assert await house.ask_many("ann", 5) == {200}
            filling = fill(small_disk, leave=0)
            for burst in range(10):
                assert await house.ask_many(f"burst{burst}-", 20) <= {200, 503}
            assert await house.ask("none@user.test") == 503
            await relay.start()
            filling.unlink()
            await house.ask_until("again", 200)
            await house.until_sent(*(f"ann{place}@user.test" for place in range(5)))
            house.nobody_was_told_a_lie()


async def test_a_database_that_may_not_grow_refuses_and_goes_on_when_it_may(tmp_path: Path) -> None:
    """`max_page_count`, where no file system can be mounted."""
    app = create_app(make_settings(tmp_path), outbox=Mailbox())
    async with app.test_app():
        store = app.extensions["resetsvc.service"].store
        client = app.test_client()

        async def pages(number: int) -> None:
            await store.write(lambda connection: connection.execute(f"PRAGMA max_page_count = {number}"))

        statuses = []
        await pages(1)  # at least as many as it has
        for place in range(400):
            address = f"a-rather-long-name-that-takes-room-{place}@example.com"
            answer = await client.post("/reset-password", form={"email": address})
            statuses.append(answer.status_code)
            if answer.status_code == 503:
                assert answer.headers["Retry-After"] == "5"
                break
        assert statuses[-1] == 503
        await pages(100_000)
        assert (await client.post("/reset-password", form={"email": "a@example.com"})).status_code == 200
        (row,) = await store.read(
            lambda connection: connection.fetch_all("SELECT count(*) AS n FROM letters")
        )
        assert row["n"] == statuses.count(200) + 1


# ---- a database that is locked ----


@pytest.mark.wall_clock
async def test_while_another_process_locks_the_database_requests_are_refused_in_time(tmp_path: Path) -> None:
    async with RelayOnOrder() as relay:
        await relay.stop()
        async with service(tmp_path, tmp_path, relay, accounts=3) as house:
            assert await house.ask("ann0@user.test") == 200
            # Else the lock may come between claim and look-up, and the letter wait for the end of its lease.
            await house.process.until_event("relay down")
            holder = sqlite3.connect(tmp_path / "resetsvc.db", isolation_level=None, timeout=10)
            holder.execute("BEGIN IMMEDIATE")
            await relay.start()
            end, burst = time.monotonic() + LOCKED_FOR, 0
            while time.monotonic() < end:
                assert await house.ask_many(f"locked{burst}-", 5) == {503}
                burst += 1
                assert (await house.client.get("/reset-password")).status_code == 200
            assert house.retry_after == {"5"}
            assert house.slowest < TOLD_WITHIN
            holder.execute("ROLLBACK")
            holder.close()
            assert await house.ask("ann1@user.test") == 200
            await house.until_sent("ann0@user.test", "ann1@user.test")
            house.nobody_was_told_a_lie()
