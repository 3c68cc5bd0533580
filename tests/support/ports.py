"""Ports for servers that have to be told theirs: each stays ours for as long as a test needs it, listened on or not."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def own_ports(count: int) -> Iterator[list[int]]:
    """So many ports of 127.0.0.1, all different, for servers that listen with SO_REUSEADDR, as servers do.

    Bound until the end and never listened on: connections are refused while the server is down, and the system gives the
    port to nobody else meanwhile, neither to a socket that asks for any port nor to an outgoing connection.
    """
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", 0))
        yield [one.getsockname()[1] for one in held]
