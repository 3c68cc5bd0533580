"""One port that listens, refuses, or lets SYN packets go unanswered, and stays ours in between."""

import asyncio
import socket
from collections.abc import Callable


class Listener:
    """All methods act at once; `accepted` is called with each new connection's socket."""

    def __init__(self, host: str, port: int, accepted: Callable[[socket.socket], None]) -> None:
        self._accepted = accepted
        # Bound, never listening: connections are refused, and nobody else is given the port while we are down.
        self._reservation = _bound(host, port)
        self.host, self.port = self._reservation.getsockname()[:2]
        self._listening: socket.socket | None = None
        self._stuffing: socket.socket | None = None

    def listen(self) -> None:
        self.refuse()
        self._listening = _bound(self.host, self.port)
        self._listening.listen(1024)
        asyncio.get_running_loop().add_reader(self._listening, self._accept_all)

    def swallow(self) -> None:
        """As a packet filter that drops: the queue of waiting connections is full, so that the kernel ignores SYN."""
        self.refuse()
        self._listening = _bound(self.host, self.port)
        self._listening.listen(0)
        self._stuffing = socket.create_connection((self.host, self.port))

    def refuse(self) -> None:
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        if self._stuffing is not None:
            self._stuffing.close()
            self._stuffing = None

    def close(self) -> None:
        self.refuse()
        self._reservation.close()

    def _accept_all(self) -> None:
        while self._listening is not None:
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            connection.setblocking(False)
            # asyncio does so only for sockets made with IPPROTO_TCP; else replies to pipelined commands take 40 ms each.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._accepted(connection)


def _bound(host: str, port: int) -> socket.socket:
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound
