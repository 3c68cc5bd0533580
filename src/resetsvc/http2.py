"""HTTP/2, which clients agree upon in TLS: what a single request does to hypercorn's does not end a connection with all of them."""

from typing import Any

from hypercorn.protocol.h2 import H2Protocol


class Http2(H2Protocol):
    """hypercorn's, but that two things of one request do not fail in it: with a traceback, and all others of the connection lost."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.streams = _Streams()

    async def _create_stream(self, request: Any) -> None:
        """A path or a method that is not ASCII is one that nobody knows; CONNECT has no path."""
        headers = {
            name: value if value.isascii() else b"*" for name, value in request.headers if name[:1] == b":"
        }
        others = [header for header in request.headers if header[0] not in headers]
        request.headers = [*{b":path": b"*", **headers}.items(), *others]
        await super()._create_stream(request)


class _Streams(dict[int, Any]):
    """Those under way. What is still sent of a request that has been answered (413, say) goes to none."""

    def __missing__(self, _: int) -> "_Over":
        return _Over()


class _Over:
    async def handle(self, _: object) -> None:
        return
