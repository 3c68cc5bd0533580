"""One request in one task: its body is read, it is answered, and the answer leaves in one piece.

Quart reads the body in a second task beside the one that answers, and puts a third one around each wait that has a
limit. That buys streaming, which a service that takes 16 KiB and answers from memory has no use for.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import Request, Response
from quart.asgi import ASGIHTTPConnection
from quart.utils import encode_headers
from quart.wrappers.response import DataBody
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response as WerkzeugResponse

LARGEST_BODY = 16 * 1024  # octets; an address and a password of 1,024 characters fit in several times over
SLOWEST_BODY = 10.0  # seconds from the headers to the end of the body
# Seconds until an answer has been taken by its client; the largest file has a few hundred KiB.
SLOWEST_READER = 20.0

EncodedHeaders = list[tuple[bytes, bytes]]


class OneTask(ASGIHTTPConnection):
    """A client that leaves does not interrupt what it has begun: a password that is being changed is changed."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        request = self._create_request_from_scope(send)
        is_whole: bool | None = False
        try:
            async with asyncio.timeout(SLOWEST_BODY):
                is_whole = await _read_body(request, receive)
        except TimeoutError:
            request.body_timeout = 0  # whoever asks for the body is told at once that it did not come
        if is_whole is None:
            return
        if not is_whole:
            self._rest = asyncio.create_task(_read_over(receive))
        response = await self.app.handle_request(request)
        body = await _body_of(response)
        more: Callable[[Request, int], EncodedHeaders] = self.app.extensions["resetsvc.headers"]
        start: Any = {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": encode_headers(response.headers) + more(request, response.status_code),
        }
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SLOWEST_READER):
                await send(start)
                await send({"type": "http.response.body", "body": body, "more_body": False})

    def _create_request_from_scope(self, send: ASGISendCallable) -> Request:
        """As Quart does, but for the headers, which it adds one by one, each looked at for line ends: there are none."""
        scope = self.scope
        if scope.get("root_path") or scope["http_version"] < "1.1":
            return super()._create_request_from_scope(send)
        headers = Headers()
        headers._list = [
            ("Remote-Addr", (scope.get("client") or ["<local>"])[0]),
            *((name.decode("latin-1").title(), value.decode("latin-1")) for name, value in scope["headers"]),
        ]
        return self.app.request_class(
            scope["method"],
            scope["scheme"],
            scope["path"],
            scope["query_string"],
            headers,
            "",
            scope["http_version"],
            max_content_length=LARGEST_BODY,
            send_push_promise=partial(self._send_push_promise, send),
            scope=scope,
        )


async def _body_of(response: Response | WerkzeugResponse) -> bytes:
    if isinstance(response, WerkzeugResponse):  # a redirect
        return response.get_data(as_text=False)
    # Nearly always: the bytes as they are, without iterating over them.
    if isinstance(response.response, DataBody):
        return response.response.data
    return await response.get_data(as_text=False)


async def _read_body(request: Request, receive: ASGIReceiveCallable) -> bool | None:
    """Read until the end, or until it is too much: False, and the request itself remembers that. None: the client left."""
    if (request.content_length or 0) > LARGEST_BODY:
        return False  # announced as too much: not waited for
    octets = 0
    while octets <= LARGEST_BODY:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            return None
        body = message.get("body", b"")
        octets += len(body)
        request.body.append(body)
        if not message.get("more_body", False):
            request.body.set_complete()
            return True
    return False


async def _read_over(receive: ASGIReceiveCallable) -> None:
    """Take what still comes of a body that nobody wants, until the request is over.

    hypercorn hands on ten pieces of it and waits for room then, also to say that the request is over: nobody would make
    any, and the connection would be kept for ever.
    """
    while (await receive())["type"] != "http.disconnect":
        pass
