"""Whoever takes the letters that must not leave: the same session, the same bytes, the same pauses, and no relay.

A letter to nobody (no account, over its budget) that cost less than one to somebody would tell, to whoever measures
other requests meanwhile, who has an account. So it is composed, and handed over to our own end of a socket pair, which
says what a relay says, after the time that the relay took.
"""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable

from resetsvc.relay.conversation import Conversation, Envelope, Pace

LONGEST = 5.0  # seconds; a relay that once took longer is not imitated in that
PACES = 64  # of the last letters; one of them is taken by chance
_SOON = 0.0005  # seconds; timers go by the millisecond: less than half of one is no wait at all
_MOST = 65_536  # octets of a letter (it has about 7,000): so many fit into the pair before anybody reads


class Understudy:
    """Takes letters and gives them to nobody.

    chance -- a number from 0 up to 1, new at each call
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._paces: deque[Pace] = deque(maxlen=PACES)
        self._idle: list[_Rehearsal] = []
        self._closed = False

    def learn(self, pace: Pace) -> None:
        """What the relay's last replies took."""
        self._paces.append(pace)

    async def take(self, compose: Callable[[], Envelope]) -> None:
        """Do what handing a letter over does. Raises only what `compose` raises."""
        pace = self._paces[int(self._chance() * len(self._paces))] if self._paces else Pace()
        session = self._idle.pop() if self._idle else None
        if session is None or session.pipelining is not pace.pipelining:
            if session is not None:
                session.close()
            session = await _Rehearsal.open(pipelining=pace.pipelining)
        try:
            session.imitated = pace
            await session.hand_over(compose(), lambda: True)
        finally:
            if session.usable and not self._closed:
                self._idle.append(session)
            else:
                session.close()

    def close(self) -> None:
        self._closed = True
        for session in self._idle:
            session.close()
        self._idle.clear()


class _Rehearsal(Conversation):
    """A session whose other end is ours."""

    def __init__(self, *, pipelining: bool, far_end: socket.socket) -> None:
        super().__init__(pipelining=pipelining, utf8=True, timeout=4 * LONGEST)
        self.pipelining = pipelining
        self.imitated = Pace()
        self._far_end = far_end
        self._timer: asyncio.Handle | None = None

    @classmethod
    async def open(cls, *, pipelining: bool) -> "_Rehearsal":
        near, far_end = socket.socketpair()
        near.setblocking(False)
        far_end.setblocking(False)
        try:
            _, session = await asyncio.get_running_loop().create_unix_connection(
                lambda: cls(pipelining=pipelining, far_end=far_end), sock=near
            )
        except BaseException:
            near.close()
            far_end.close()
            raise
        return session

    def _write(self, data: bytes) -> None:
        super()._write(data[:_MOST])
        if self._broken is not None:
            return
        if data.startswith(b"MAIL "):
            replies = b"250 ok\r\n250 ok\r\n354 go on\r\n" if self._pipelining else b"250 ok\r\n"
            seconds = self.imitated.mail + (
                self.imitated.rcpt + self.imitated.data if self._pipelining else 0.0
            )
        elif data.startswith(b"RCPT "):
            replies, seconds = b"250 ok\r\n", self.imitated.rcpt
        elif data == b"DATA\r\n":
            replies, seconds = b"354 go on\r\n", self.imitated.data
        else:
            replies, seconds = b"250 taken by nobody\r\n", self.imitated.body
        self._answer_after(min(seconds, LONGEST), replies)

    def _answer_after(self, seconds: float, replies: bytes) -> None:
        loop = asyncio.get_running_loop()
        if seconds < _SOON:
            self._timer = loop.call_soon(self._answer, replies)
        else:
            self._timer = loop.call_later(seconds, self._answer, replies)

    def _answer(self, replies: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # nothing there yet: it is read before the next answer
            self._far_end.recv(2 * _MOST)
        self._far_end.send(replies)

    def _break(self, why: str) -> None:
        super()._break(why)
        if self._timer is not None:
            self._timer.cancel()
        self._far_end.close()
