"""The relay's ledger: what it took responsibility for, on the disk before it says 250."""

import asyncio
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class AcceptedMail:
    """`received_at` is monotonic, `wall_time` seconds since 1970; both are taken just before the record is written."""

    message: bytes
    mail_from: str
    rcpt_tos: tuple[str, ...]
    message_id: str
    received_at: float
    wall_time: float
    connection: int

    def as_json(self, *, with_message: bool) -> bytes:
        line: dict[str, object] = {
            "message_id": self.message_id,
            "mail_from": self.mail_from,
            "rcpt_tos": self.rcpt_tos,
            "wall_time": self.wall_time,
            "connection": self.connection,
            "size": len(self.message),
        }
        if with_message:
            line["message"] = self.message.decode("utf-8", "surrogateescape")
        return json.dumps(line).encode() + b"\n"


def message_id_of(message: bytes) -> str:
    headers = message.partition(b"\r\n\r\n")[0]
    found = _MESSAGE_ID.search(headers)
    return found[1].decode("utf-8", "replace") if found else ""


class Ledger:
    """Appends lines to a file; one fsync for all that wait, off the event loop, so that eight lanes are not slowed to one.

    In a thread of its own: asyncio's threads may all be taken by clients that wait for this very 250.
    """

    def __init__(self, path: Path, *, with_message: bool = False) -> None:
        self._file = path.open("ab", buffering=0)
        # A thread of its own: clients that wait for their 250 may sit in all of the loop's.
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._with_message = with_message
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, mail: AcceptedMail) -> None:
        """Returns when the line is on the disk."""
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((mail.as_json(with_message=self._with_message), written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await written

    async def close(self) -> None:
        if self._writing is not None:
            await self._writing
        self._thread.shutdown()
        self._thread.shutdown()
        self._file.close()

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                lines = b"".join(line for line, _ in batch)
                await asyncio.get_running_loop().run_in_executor(self._thread, self._append, lines)
                for _, written in batch:
                    if not written.done():  # its connection was ended by stop()
                        written.set_result(None)
        finally:
            self._writing = None

    def _append(self, lines: bytes) -> None:
        self._file.write(lines)
        os.fsync(self._file.fileno())
