"""Group commit: what comes while a batch is being written becomes the next one; each is told the truth about its own."""

import asyncio
from collections.abc import Sequence

from resetsvc.store import kept_letters as kept
from resetsvc.store import letters as sql
from resetsvc.store.database import Store
from resetsvc.store.group_commit import GroupCommit
from tests.store.rows import new_letter


class Disk:
    """Where batches go: one at a time, and only when it is let go on."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.fails: set[int] = set()
        self.gate = asyncio.Event()
        self.begun = asyncio.Event()
        self.group: GroupCommit[int] = GroupCommit(self.write)

    async def write(self, batch: Sequence[int]) -> None:
        self.batches.append(list(batch))
        self.begun.set()
        await self.gate.wait()
        if self.fails & set(batch):
            raise OSError(f"no room for {sorted(self.fails & set(batch))}")

    def add(self, *items: int) -> list["asyncio.Task[None]"]:
        return [asyncio.create_task(self.group.add(item)) for item in items]


async def test_a_lone_item_is_written_at_once() -> None:
    disk = Disk()
    disk.gate.set()
    async with asyncio.timeout(10):  # else it would wait for ever
        await disk.group.add(1)
        await disk.group.add(2)
    assert disk.batches == [[1], [2]]


async def test_what_comes_meanwhile_is_the_next_batch_in_its_order() -> None:
    disk = Disk()
    first = disk.add(0)
    await disk.begun.wait()
    rest = disk.add(*range(1, 50))
    await asyncio.sleep(0)
    assert not any(task.done() for task in first + rest)  # nobody is told before it is durable
    disk.gate.set()
    await asyncio.gather(*first, *rest)
    assert disk.batches == [[0], list(range(1, 50))]


async def test_a_batch_has_a_bound() -> None:
    disk = Disk()
    first = disk.add(0)
    await disk.begun.wait()
    rest = disk.add(*range(1, 2502))
    await asyncio.sleep(0)
    disk.gate.set()
    await asyncio.gather(*first, *rest)
    assert [len(batch) for batch in disk.batches] == [1, 1000, 1000, 501]


async def test_an_error_refuses_exactly_the_batch_that_it_hit() -> None:
    disk = Disk()
    disk.fails = {0, 1200}
    first = disk.add(0)
    await disk.begun.wait()
    rest = disk.add(*range(1, 2002))
    await asyncio.sleep(0)
    disk.gate.set()
    outcomes = await asyncio.gather(*first, *rest, return_exceptions=True)
    refused = [item for item, outcome in enumerate(outcomes) if isinstance(outcome, OSError)]
    assert refused == [0, *range(1001, 2001)]
    assert [item for item, outcome in enumerate(outcomes) if outcome is None] == [*range(1, 1001), 2001]
    await disk.group.add(7)  # and it goes on
    assert disk.batches[-1] == [7]


async def test_a_caller_who_hangs_up_does_not_take_the_item_back() -> None:
    disk = Disk()
    first = disk.add(0)
    await disk.begun.wait()
    gone, stays = disk.add(1, 2)
    await asyncio.sleep(0)
    gone.cancel()
    first[0].cancel()
    await asyncio.gather(gone, *first, return_exceptions=True)
    assert gone.cancelled()
    disk.gate.set()
    await stays
    assert disk.batches == [[0], [1, 2]]


async def test_an_error_whose_caller_hung_up_is_not_reported_as_lost() -> None:
    disk = Disk()
    disk.fails = {0}
    lost: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
    (task,) = disk.add(0)
    await disk.begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    disk.gate.set()
    await disk.group.flush()
    import gc

    gc.collect()
    await asyncio.sleep(0)
    assert lost == []


async def test_flushing_waits_for_all_that_was_added() -> None:
    disk = Disk()
    tasks = disk.add(*range(5))
    await disk.begun.wait()
    flushing = asyncio.create_task(disk.group.flush())
    tasks += disk.add(5)
    await asyncio.sleep(0)
    assert not flushing.done()
    disk.gate.set()
    await flushing
    assert [item for batch in disk.batches for item in batch] == [0, 1, 2, 3, 4, 5]
    await asyncio.gather(*tasks)
    await disk.group.flush()  # nothing left: returns at once


async def test_a_flush_that_is_cancelled_stops_no_writing() -> None:
    disk = Disk()
    tasks = disk.add(1)
    await disk.begun.wait()
    flushing = asyncio.create_task(disk.group.flush())
    await asyncio.sleep(0)
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    disk.gate.set()
    await asyncio.gather(*tasks)


async def test_letters_added_together_are_stored_in_few_commits(store: Store) -> None:
    commits = 0

    async def write(letters: Sequence[object]) -> None:
        nonlocal commits
        commits += 1
        await store.write(lambda connection: sql.insert_letters(connection, letters))  # type: ignore[arg-type]  # letters they are

    group: GroupCommit[object] = GroupCommit(write)
    await asyncio.gather(*(group.add(new_letter()) for _ in range(300)))
    assert await store.read(kept.count_by_state) == {"queued": 300}
    assert commits <= 3


async def test_one_bad_letter_refuses_its_batch_and_nothing_of_it_is_kept(store: Store) -> None:
    from resetsvc.errors import CannotStore
    from resetsvc.letters import NewLetter

    async def write(letters: Sequence[NewLetter]) -> None:
        await store.write(lambda connection: sql.insert_letters(connection, letters))

    group: GroupCommit[NewLetter] = GroupCommit(write)
    twice = new_letter()
    outcomes = await asyncio.gather(
        *(group.add(letter) for letter in (twice, new_letter(), twice)), return_exceptions=True
    )
    accepted = sum(outcome is None for outcome in outcomes)
    assert CannotStore in {type(outcome) for outcome in outcomes}
    assert (await store.read(kept.count_by_state)).get("queued", 0) == accepted
