"""Load as fast as it is answered: wrk with 32 connections, addresses one after the other."""

import json
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from bench.harness.machine import find_program

CONNECTIONS = 32
_SCRIPT = Path(__file__).with_name("ask.lua")
_MARK = "WRK "
_LIMIT = "LIMIT"


class LoadFailed(Exception):
    """wrk did not measure anything."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how to ask for a reset."""

    port: int
    path: str
    field: str
    body_format: str


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw. `refused`: answers of 400 and above; `broken`: connections and time-outs."""

    answered: int
    seconds: float
    p50: float  # seconds
    p99: float
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        return (self.answered - self.refused) / self.seconds if self.seconds else 0.0


class Asking:
    """wrk at work. It ends after its time, or as soon as its limit of answers is reached."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._said: list[str] = []
        self._limit_at: float | None = None
        self._began = time.monotonic()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.append(line)
            if line.strip() == _LIMIT:
                self._limit_at = time.monotonic()
                self._process.send_signal(signal.SIGINT)

    @property
    def over(self) -> bool:
        return self._process.poll() is not None or self._limit_at is not None

    def result(self) -> Load:
        """Wait for the end, and tell what was seen."""
        self._process.wait()
        self._reader.join()
        load = read_load("".join(self._said))
        if self._limit_at is None:
            return load
        return replace(load, seconds=self._limit_at - self._began)


def start_asking(
    target: Target,
    *,
    core: int | None,
    seconds: float,
    first: int = 0,
    limit: int = 0,
    connections: int = CONNECTIONS,
) -> Asking:
    """Ask for `seconds`, or until `limit` requests are answered (0: no limit). The first address is number `first`."""
    bound = [] if core is None else [find_program("taskset"), "-c", str(core)]
    command = [
        *bound,
        *(find_program("wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "20s"),
        *("-s", str(_SCRIPT), f"http://127.0.0.1:{target.port}{target.path}", "--"),
        *(target.path, target.field, target.body_format, str(first), str(limit)),
    ]
    return Asking(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))


def ask(target: Target, *, core: int | None, seconds: float, first: int = 0, limit: int = 0) -> Load:
    """The same, and wait for the end."""
    return start_asking(target, core=core, seconds=seconds, first=first, limit=limit).result()


def read_load(said: str) -> Load:
    """What the script's last line says."""
    lines = [line for line in said.splitlines() if line.startswith(_MARK)]
    if not lines:
        raise LoadFailed(said.strip()[-500:])
    told = json.loads(lines[-1].removeprefix(_MARK))
    return Load(
        answered=told["requests"],
        seconds=told["microseconds"] / 1e6,
        p50=told["p50"] / 1e6,
        p99=told["p99"] / 1e6,
        refused=told["refused"],
        broken=told["broken"],
    )
