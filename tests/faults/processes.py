"""Real processes: the service and the relay, started, stopped, stalled and killed by their own pid."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST_START = 60.0  # seconds; a busy machine takes its time to import
STREAM_LIMIT = 1 << 20  # a traceback in JSON is one long line


class DidNotStart(Exception):
    """The process ended, or said nothing, before it was ready."""


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Nothing of ours but the way to Python and the settings of this run."""
    kept = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
    }
    beside_us = os.pathsep.join((str(ROOT / "src"), str(ROOT)))  # and not what else may be installed
    return {**kept, "PYTHONPATH": beside_us, **settings}


class ServiceProcess:
    """One service, under one name, through all its lives."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        settings: Mapping[str, str],
        folder: Path,
        port: int | None,
        *,
        delivers: bool = True,
    ) -> None:
        self.name = name
        self.port = port
        self.delivers = delivers
        self.up = asyncio.Event()
        self.starts = 0
        self.kills = 0
        self._command = command
        self._settings = settings
        self._folder = folder
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Returns when it serves; DidNotStart if it ended before."""
        assert not self.running
        self.starts += 1
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *self._command,
            env=environment(self._settings),
            cwd=self._folder,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
            limit=STREAM_LIMIT,
        )
        self._reading = asyncio.create_task(self._read(self._process))
        up = asyncio.create_task(self.up.wait())
        try:
            await asyncio.wait(
                {up, self._reading}, timeout=LONGEST_START, return_when=asyncio.FIRST_COMPLETED
            )
            if not up.done():
                raise DidNotStart(f"{self.name}: see {self._log}")
        finally:
            up.cancel()

    def send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            if number == signal.SIGKILL:
                self.kills += 1
                self.up.clear()

    async def ended(self) -> int:
        """Waits for its end; its exit code."""
        assert self._process is not None
        assert self._reading is not None
        code = await self._process.wait()
        await self._reading
        return code

    def listens(self) -> bool:
        """Whether it takes new connections."""
        assert self.port is not None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    async def stop(self, number: signal.Signals = signal.SIGTERM, *, within: float = 60.0) -> int:
        self.send(number)
        async with asyncio.timeout(within):
            return await self.ended()

    async def away(self) -> None:
        """Dead, whatever it did: the end of a run leaves nothing behind."""
        if self.running:
            self.send(signal.SIGCONT)
            await self.stop(signal.SIGKILL)

    @property
    def _log(self) -> Path:
        return self._folder / f"{self.name}.log"

    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    async def _read(self, process: Process) -> None:
        assert process.stderr is not None
        with self._log.open("ab", buffering=0) as log:
            async for line in process.stderr:
                log.write(line)
                if b'"event": "serving"' in line or b'"event": "dispatching"' in line:
                    self.up.set()
        self.up.clear()


class RelayProcess:
    """The relay on order, with its ledger on the disk."""

    def __init__(self, ledger: Path, port: int) -> None:
        self._ledger = ledger
        self.port = port
        self._process: Process | None = None

    async def start(self, *faults: str) -> None:
        words = [word for fault in faults for word in ("--fault", fault)]
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.relay_on_order", "--orders-from-stdin"),
            *("--port", str(self.port), "--ledger", str(self._ledger), *words),
            stdin=PIPE,
            stdout=PIPE,
            cwd=ROOT,
            env=environment({}),
        )
        if not (await self._line(LONGEST_START)).startswith("listening on"):
            raise DidNotStart("the relay")

    async def order(self, words: str) -> None:
        """In force when this returns."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(words.encode() + b"\n")
        answer = await self._line(30.0)
        if answer != "ok":
            raise ValueError(f"the relay answers {answer!r} to {words!r}")

    async def away(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(10):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def _line(self, within: float) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(within):
            return (await self._process.stdout.readline()).decode().strip()
