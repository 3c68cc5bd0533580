"""The floor: a bare Quart view that reads one form field and answers, on the settings and the loop that resetsvc has.

    python app.py PORT

It is run by resetsvc's own `server` (uvloop where it is installed, the built-in hypercorn.toml, what the start made left
out of garbage collection), so that the difference is what the service does for a request, and nothing else.
`/reset-password` reads the form as Quart teaches it; `/parsed` by `parse_qsl`, which is cheaper, and what resetsvc does.
"""

import sys
from urllib.parse import parse_qsl

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


async def main(port: int) -> None:
    stop = server.Stop()
    config = server.read_config(None)
    config.bind = [f"127.0.0.1:{port}"]
    app.before_serving(server.freeze_garbage)
    await server.serve_app(app, config, stop.wait)


if __name__ == "__main__":
    server.run(main(int(sys.argv[1])))
