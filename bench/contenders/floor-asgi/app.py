"""Below the floor: a raw ASGI app that reads the body and answers, on the settings and the loop that resetsvc has.

    python app.py PORT

It shows what hypercorn takes of a request, and so what Quart takes.
"""

import sys
from typing import Any, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config

from resetsvc import server


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    if scope["type"] != "http":
        return
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        more = event.get("more_body", False)
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"10")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Email sent"})


async def live(receive: Any, send: Any) -> None:
    while True:
        event = await receive()
        if event["type"] == "lifespan.startup":
            server.freeze_garbage()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return


async def main(port: int) -> None:
    stop = server.Stop()
    config = Config.from_toml(server.BUILT_IN_CONFIG)
    config.bind = [f"127.0.0.1:{port}"]
    config.workers = 1
    await serve(cast(Any, app), config, shutdown_trigger=stop.wait)


if __name__ == "__main__":
    server.run(main(int(sys.argv[1])))
