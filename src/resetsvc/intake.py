"""A request becomes one durable row, and that is all: whether there is an account is nobody's business here (rule 1)."""

from collections.abc import Callable, Sequence

from resetsvc.clock import Clock
from resetsvc.errors import DiskFull, QueueFull
from resetsvc.letters import Kind, NewLetter
from resetsvc.store import letters as sql
from resetsvc.store.database import Store
from resetsvc.store.group_commit import GroupCommit
from resetsvc.tokens import Tokens

# How long a count of the queue is trusted; meanwhile what is stored here is added to it.
_COUNT_AGAIN = 1.0  # seconds

# Left free on the disk for the letters that are stored already: delivering them has to be written down too.
DISK_RESERVE = 8 * 2**20  # octets


class Intake:
    """Stores requests. `on_stored` is called after each commit: there is work for the dispatcher."""

    def __init__(
        self,
        store: Store,
        tokens: Tokens,
        clock: Clock,
        *,
        deadline: float,
        queue_limit: int,
        on_stored: Callable[[], None],
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock
        self._deadline = deadline
        self._queue_limit = queue_limit
        self._on_stored = on_stored
        self._undelivered = 0
        self._room_on_disk = True
        self._counted_at = float("-inf")
        self._group: GroupCommit[NewLetter] = GroupCommit(self._store_batch)

    async def accept(self, address: str, *, client: str, locale: str | None) -> str:
        """Return the letter's id once the request is durable; raise CannotStore (or QueueFull) if it is not, and then nothing is kept.

        address -- canonical, and otherwise whatever was typed
        """
        now = self._clock.now()
        letter_id = self._clock.new_letter_id()
        await self._group.add(
            NewLetter(
                id=letter_id,
                kind=Kind.RESET,
                address=address,
                locale=locale,
                client=client,
                message_id=self._tokens.message_id(letter_id),
                asked_at=now,
                deadline_at=now + self._deadline,
            )
        )
        return letter_id

    async def close(self) -> None:
        """Finish what has been begun."""
        await self._group.flush()

    async def _store_batch(self, letters: Sequence[NewLetter]) -> None:
        if self._clock.monotonic() >= self._counted_at + _COUNT_AGAIN:
            self._room_on_disk = self._store.free_space() > DISK_RESERVE
            self._undelivered = await self._store.read(
                lambda connection: sql.count_undelivered(connection, self._queue_limit)
            )
            self._counted_at = self._clock.monotonic()
        if self._undelivered >= self._queue_limit:
            raise QueueFull
        if not self._room_on_disk:
            raise DiskFull
        await self._store.write(lambda connection: sql.insert_letters(connection, letters))
        self._undelivered += len(letters)
        self._on_stored()
