"""The sample applications, running: Flask in a thread of this process, Express under Node.js."""

import asyncio
import importlib.util
import json
import os
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import httpx
from werkzeug.serving import make_server

from tests.rules.source import ROOT
from tests.support.accounts_endpoint import SECRET
from tests.support.lacking import lacking

EXAMPLES = ROOT / "examples"
DEMO = "demo@example.com"
OLD_PASSWORD = "an old password of mine"
SAMPLES = ("flask", "express")


@dataclass(frozen=True)
class Sample:
    """One of them, with the demo account in it."""

    url: str

    @property
    def endpoint(self) -> str:
        return f"{self.url}/internal/accounts"

    async def lets_in(self, password: str) -> bool:
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{self.url}/login", data={"email": DEMO, "password": password})
        assert answer.status_code in (200, 401)
        return answer.status_code == 200


@asynccontextmanager
async def running_sample(name: str, folder: Path) -> AsyncIterator[Sample]:
    async with _flask(folder) if name == "flask" else _express() as sample:
        yield sample


def flask_sample() -> ModuleType:
    path = EXAMPLES / "accounts_webhook_flask" / "app.py"
    spec = importlib.util.spec_from_file_location("accounts_webhook_flask_app", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@asynccontextmanager
async def _flask(folder: Path) -> AsyncIterator[Sample]:
    module, database = flask_sample(), str(folder / "shop.db")
    app = module.create_app(database, SECRET, "a key for sessions")
    module.add_user(database, DEMO, OLD_PASSWORD)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, name="Flask")
    thread.start()
    try:
        yield Sample(f"http://127.0.0.1:{server.server_port}")
    finally:
        await asyncio.to_thread(server.shutdown)
        await asyncio.to_thread(thread.join)
        server.server_close()


@asynccontextmanager
async def _express() -> AsyncIterator[Sample]:
    folder = EXAMPLES / "accounts_webhook_express"
    node = shutil.which("node")
    if node is None:
        lacking("Node.js")
    wanted = json.loads((folder / "package.json").read_text("utf-8"))["dependencies"]
    for package, version in wanted.items():
        found = folder / "node_modules" / package / "package.json"
        if not found.exists() or json.loads(found.read_text("utf-8"))["version"] != version:
            lacking(f"{package} {version} for Node.js: `make examples` installs it")
    process = await asyncio.create_subprocess_exec(
        node,
        "server.js",
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PORT": "0", "ACCOUNTS_SECRET": SECRET},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            said = (await process.stdout.readline()).decode()
        assert said.startswith("listening on http://127.0.0.1:"), said
        yield Sample(said.removeprefix("listening on ").strip())
    finally:
        process.kill()
        await process.wait()
