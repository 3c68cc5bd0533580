"""A line to a relay on which every reply is under way for so long: or a relay that takes connections and never speaks.

Each packet of replies arrives so many seconds after it was sent, in order, as on a long cable. So three commands in
one packet cost one delay, and one by one three. `smtp-sink` itself can only wait whole seconds, and once for each reply
whether or not they were asked for together, which is not what a relay far away does.

python -m bench.harness.delay_line --port 2526 --to 2525 --delay 0.1
python -m bench.harness.delay_line --port 2526 --hung
"""

import argparse
import asyncio
import selectors
import socket
from collections.abc import Callable

from bench.harness.machine import raise_open_files


def _nobody(_reply: bytes) -> None:
    return


class _NearEnd(asyncio.Protocol):
    """The client's connection: opens the one to the relay, and sends on what the client says at once."""

    def __init__(self, port: int, delay: float, on_reply: Callable[[bytes], None]) -> None:
        self._port = port
        self._delay = delay
        self._on_reply = on_reply
        self._early: list[bytes] = []
        self._near: asyncio.Transport | None = None
        self._far: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._near = transport
        self._opening = asyncio.ensure_future(self._open())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            far, _ = await loop.create_connection(lambda: _FarEnd(self), "127.0.0.1", self._port)
        except OSError:
            self.hang_up()
            return
        self._far = far
        far.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for data in self._early:
            far.write(data)

    def data_received(self, data: bytes) -> None:
        if self._far is None:
            self._early.append(data)
        else:
            self._far.write(data)

    def replied(self, data: bytes) -> None:
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._deliver, data)
        else:
            self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        if self._near is not None and not self._near.is_closing():
            self._near.write(data)
            self._on_reply(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._far is not None:
            self._far.close()

    def hang_up(self) -> None:
        if self._near is not None:
            asyncio.get_running_loop().call_later(self._delay, self._near.close)


class _FarEnd(asyncio.Protocol):
    """The relay's connection."""

    def __init__(self, near: _NearEnd) -> None:
        self._near = near

    def data_received(self, data: bytes) -> None:
        self._near.replied(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._near.hang_up()


class _Hung(asyncio.Protocol):
    """Takes the connection, reads, says nothing."""


async def open_line(
    port: int, to: int, delay: float, on_reply: Callable[[bytes], None] = _nobody
) -> asyncio.Server:
    """Listen on `port` and lead to the relay on the port `to`. `on_reply` is told of each packet that has been sent on."""
    return await asyncio.get_running_loop().create_server(
        lambda: _NearEnd(to, delay, on_reply), "127.0.0.1", port, backlog=1024
    )


def exact_loop() -> asyncio.AbstractEventLoop:
    """A loop whose timers are exact to some microseconds: epoll, the usual one, counts in milliseconds."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


async def _serve(port: int, to: int, delay: float, hung: bool) -> None:
    loop = asyncio.get_running_loop()
    if hung:
        server = await loop.create_server(_Hung, "127.0.0.1", port, backlog=4096)
    else:
        server = await open_line(port, to, delay)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--hung", action="store_true")
    given = parser.parse_args()
    raise_open_files()
    # Thousands of connections that wait are more than select() can count, and need no exact timers.
    factory = asyncio.new_event_loop if given.hung else exact_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(given.port, given.to, given.delay, given.hung))


if __name__ == "__main__":
    main()
