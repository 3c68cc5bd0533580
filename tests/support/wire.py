"""One connection's bytes: lines and bodies out of a buffer, TLS in the middle, rude ways to end.

A protocol of its own and not asyncio's streams, because those cannot stop reading, reset, or turn to TLS
without the chance of losing what has come in between.
"""

import asyncio
import socket
import ssl
import struct

_LONGEST_LINE = 65_536
_TCP_ESTABLISHED = 1
_LOOK_EVERY = 0.02


class Gone(Exception):
    """The client has left, or was thrown out."""


class Wire(asyncio.Protocol):
    """What has come is handed out also after the client has left: a mail that arrived whole is accepted."""

    def __init__(self, *, reads_at_once: bool) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.secure = False
        self._reads_at_once = reads_at_once
        self._raw: asyncio.Transport | None = None
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._news: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._ended = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._raw = self._transport = transport
        if not self._reads_at_once:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._tell()

    def eof_received(self) -> None:
        self._ended = True
        self._tell()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    # Reading.

    @property
    def has_unread(self) -> bool:
        return bool(self._buffer)

    async def line(self) -> bytes:
        """The next line, without its end; LF alone ends a command too."""
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            if start > _LONGEST_LINE:
                raise Gone
            await self._more()
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return line

    async def body(self) -> bytes:
        """All up to CRLF . CRLF and no other end, unstuffed (RFC 5321 4.5.2)."""
        while len(self._buffer) < 3:
            await self._more()
        if self._buffer.startswith(b".\r\n"):
            del self._buffer[:3]
            return b""
        start = 0
        while (end := self._buffer.find(b"\r\n.\r\n", start)) < 0:
            start = max(0, len(self._buffer) - 4)
            await self._more()
        body = bytes(self._buffer[: end + 2])
        del self._buffer[: end + 5]
        return body.removeprefix(b".").replace(b"\r\n.", b"\r\n")

    async def first_bytes(self) -> None:
        while not self._buffer:
            await self._more()

    def forget_unread(self) -> None:
        self._buffer.clear()

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    # Writing.

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self.lost.done() and not self._transport.is_closing():
            self._transport.write(data)

    async def drained(self) -> None:
        await self._writable.wait()
        if self.lost.done():
            raise Gone

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """The caller has paused reading before it let the client speak TLS, so that no byte of it lands here."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                self._transport, self, context, server_side=True, ssl_shutdown_timeout=1.0
            )
        except OSError as error:  # ssl.SSLError is one
            raise Gone from error
        if secured is None:  # asyncio's answer to a client that leaves in the middle of the handshake
            raise Gone
        self._transport = secured
        self.secure = True

    # Ending.

    async def wait_gone_or(self, event: asyncio.Future[None]) -> None:
        """Returns at `event`; raises Gone when the client leaves first, also while reading is paused."""
        while not event.done():
            if self.lost.done() or not self._seems_connected():
                raise Gone
            paused = self._transport is not None and not self._transport.is_reading()
            await asyncio.wait(
                {self.lost, event},
                timeout=_LOOK_EVERY if paused else None,
                return_when=asyncio.FIRST_COMPLETED,
            )

    async def hang_up(self) -> None:
        """Closes after what was written has left; TLS is ended properly."""
        if self._transport is not None and not self.lost.done():
            self._transport.close()
            await asyncio.wait({self.lost})

    def abort(self, *, reset: bool = False) -> None:
        """Closes at once: FIN (TLS without its close_notify), or RST."""
        if self._raw is not None and not self._raw.is_closing() and reset:
            connection = self._raw.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if self._raw is not None:
            self._raw.abort()
        self._end()

    def _seems_connected(self) -> bool:
        """A paused transport does not see the client's FIN: ask the kernel (Linux; elsewhere such a hang ends with stop())."""
        assert self._raw is not None
        connection = self._raw.get_extra_info("socket")
        if not hasattr(socket, "TCP_INFO") or connection is None or connection.fileno() < 0:
            return not self._raw.is_closing()
        state: int = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return state == _TCP_ESTABLISHED

    async def _more(self) -> None:
        if self._ended or self.lost.done():
            raise Gone
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _end(self) -> None:
        self._ended = True
        if not self.lost.done():
            self.lost.set_result(None)
        self._writable.set()
        self._tell()
