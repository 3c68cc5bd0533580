"""The same work for a letter that is not sent as for one that is, so that the work does not tell which it was.

Delivering shares the event loop with asking: whoever asks for an address and then watches how fast other answers come
sees whether a mail was composed and handed over. So a letter without an account is composed, too, and handed over by the
same code to nobody: a transport that answers as the relay last did, after the times that it last took.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from resetsvc.relay.conversation import Conversation, Envelope

DEFAULT_PACE = (
    0.002,
    0.002,
)  # seconds to the go-ahead and from the body to its answer, before a relay was seen
LONGEST = 5.0  # seconds that a rehearsal waits for one answer at most
_TIME_OUT = 60.0


class Rehearsal:
    """Hands letters over to nobody. Enter it to use it.

    pace -- seconds that the relay last took to its go-ahead, and from the body's end to its answer
    """

    def __init__(self, pace: Callable[[], tuple[float, float] | None]) -> None:
        self._pace = pace
        self._near, self._far = socket.socketpair()
        for end in (self._near, self._far):
            end.setblocking(False)

    async def hand_over(self, compose: Callable[[], Envelope]) -> None:
        """Do what handing this letter over would take, and let nobody have it."""
        session = Conversation(pipelining=True, utf8=True, timeout=_TIME_OUT)
        session.connection_made(_Nobody(session, self._pace() or DEFAULT_PACE, self._near, self._far))
        await session.hand_over(compose(), lambda: True)
        session.close()

    def close(self) -> None:
        self._near.close()
        self._far.close()


class _Nobody(asyncio.Transport):
    """Writes what it is given to a socket that nobody reads, and says what a relay would say."""

    def __init__(
        self, session: Conversation, pace: tuple[float, float], near: socket.socket, far: socket.socket
    ) -> None:
        super().__init__()
        self._session = session
        self._answers = [
            (pace[0], b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 Go ahead\r\n"),
            (pace[1], b"250 2.0.0 Ok\r\n"),
        ]
        self._near = near
        self._far = far
        self._closed = False

    def write(self, data: Any) -> None:
        self._through_the_kernel(data)
        if self._answers:
            seconds, answer = self._answers.pop(0)
            asyncio.get_running_loop().call_later(min(seconds, LONGEST), self._answer, answer)

    def abort(self) -> None:
        self._closed = True

    def _answer(self, answer: bytes) -> None:
        if not self._closed:
            self._through_the_kernel(answer)
            self._session.data_received(answer)

    def _through_the_kernel(self, data: bytes) -> None:
        """One write and one read: what a socket's turn costs."""
        try:
            self._near.send(data)
            self._far.recv(65536)
        except BlockingIOError:
            pass  # a body larger than the socket's buffer: most of the work is done by then
