"""The floor: a bare Quart view that reads one form field and answers, on the settings and the loop that resetsvc has.

    python app.py PORT [ours]

It is run by hypercorn as it comes, with resetsvc's settings (uvloop where it is installed, the built-in hypercorn.toml, what
the start made left out of garbage collection); with `ours` by resetsvc's own `server`, which replaces parts of hypercorn, so
that the difference is what the service does for a request, and nothing else.
`/reset-password` reads the form as Quart teaches it; `/parsed` by `parse_qsl`, which is cheaper, and what resetsvc does.
"""

import sys
from urllib.parse import parse_qsl

from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart, Response, request

from resetsvc import server

app = Quart(__name__, static_folder=None)


@app.get("/")
async def ready() -> Response:
    return Response("ok", mimetype="text/plain")


@app.post("/reset-password")
async def ask() -> Response:
    email = (await request.form)["email"]
    assert email
    return Response("Email sent", mimetype="text/plain")


@app.post("/parsed")
async def ask_parsed() -> Response:
    data = await request.get_data()
    email = dict(parse_qsl(data.decode(), keep_blank_values=True))["email"]
    assert email
    return Response("Email sent", mimetype="text/plain")


async def main(port: int, *, ours: bool) -> None:
    stop = server.Stop()
    app.before_serving(server.freeze_garbage)
    config = server.read_config(None) if ours else Config.from_toml(server.BUILT_IN_CONFIG)
    config.bind = [f"127.0.0.1:{port}"]
    config.workers = 1
    await (
        server.serve_app(app, config, stop.wait) if ours else serve(app, config, shutdown_trigger=stop.wait)
    )


if __name__ == "__main__":
    server.run(main(int(sys.argv[1]), ours=sys.argv[2:] == ["ours"]))
