"""A real redis-server on this machine, for the limits that processes share."""

import asyncio
import shutil
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.lacking import lacking
from tests.support.ports import own_ports


@dataclass
class RedisServer:
    """Keeps everything in memory; `stop` and `start` as often as a test likes, always at the same address."""

    folder: Path
    port: int
    socket_path: Path | None = None
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        program = shutil.which("redis-server")
        assert program is not None
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            "dir": str(self.folder),
        }
        if self.socket_path is not None:
            options["unixsocket"] = str(self.socket_path)
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = await asyncio.create_subprocess_exec(program, *arguments, stdout=DEVNULL)
        async with asyncio.timeout(10):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.01)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def redis_server(folder: Path, socket_path: Path | None = None) -> AsyncIterator[RedisServer]:
    if shutil.which("redis-server") is None:
        lacking("redis-server (Debian: apt install redis-server)")
    with own_ports(1) as (port,):
        server = RedisServer(folder, port, socket_path)
        await server.start()
        try:
            yield server
        finally:
            await server.stop()
