"""Relays of every mood: at once, far away, hung, down. Each that takes letters counts them."""

import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.harness.machine import find_program, free_port
from bench.harness.processes import Program, ProgramFailed, running

_PATIENCE = 10.0
_COUNTED = re.compile(rb"mesg=(\d+)")
_ENOUGH = 4096  # octets at the end of the counters: the last one is in there whole
LOOK_AGAIN = 0.005  # seconds between two looks at a counter

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Relay:
    """One to hand letters to. `counter`: where smtp-sink counts what it has taken; None: it takes none."""

    port: int
    counter: Path | None = None

    def letters(self) -> int:
        """How many it has answered with 250 after the body."""
        if self.counter is None:
            return 0
        with self.counter.open("rb") as counted:
            counted.seek(0, 2)
            counted.seek(max(0, counted.tell() - _ENOUGH))
            return last_count(counted.read())

    def wait_for_letters(self, count: int, patience: float) -> bool:
        """Whether so many were taken in time."""
        end = time.monotonic() + patience
        while self.letters() < count:
            if time.monotonic() > end:
                return False
            time.sleep(LOOK_AGAIN)
        return True


@dataclass(frozen=True, slots=True)
class Flow:
    """Letters that came in: from the first look that saw one to the last that saw a new one."""

    letters: int  # those after the first look
    seconds: float
    ended_at: float  # monotonic

    @property
    def rate(self) -> float:
        return self.letters / self.seconds if self.seconds else 0.0


def watch(relay: Relay, *, until: int, patience: float, quiet: float) -> Flow:
    """Look at a relay's counter until it says `until`, or nothing new came for `quiet` seconds, or patience ends.

    patience -- seconds altogether; `quiet` counts from the first letter on
    """
    end = time.monotonic() + patience
    first: tuple[int, float] | None = None
    last = (0, time.monotonic())
    while time.monotonic() < end:
        count, now = relay.letters(), time.monotonic()
        if count > last[0]:
            last = (count, now)
            first = first or last
        if count >= until or (first is not None and now > last[1] + quiet):
            break
        time.sleep(LOOK_AGAIN)
    if first is None:
        return Flow(0, 0.0, last[1])
    return Flow(last[0] - first[0], last[1] - first[1], last[1])


def last_count(said: bytes) -> int:
    """The newest of smtp-sink's running counters: `sess=3 quit=1 mesg=250`, each ended by a carriage return."""
    whole = said[: said.rfind(b"\r") + 1]
    found = _COUNTED.findall(whole)
    return int(found[-1]) if found else 0


@contextmanager
def instant_relay(folder: Path, core: int | None, *, pipelining: bool = True) -> Iterator[Relay]:
    """Postfix's smtp-sink: in C, answers at once, throws everything away."""
    port = free_port()
    counter = folder / f"sink-{port}.count"
    counter.touch()
    command = [find_program("smtp-sink"), "-c", "-m", "8000", "-4"]
    if not pipelining:
        command.append("-p")
    command += ["-u", "nobody"] if _is_root() else []
    command += [f"127.0.0.1:{port}", "1024"]
    with running(command, core=core, log=folder / f"sink-{port}.log", stdout=counter) as program:
        _until_it_listens(program, port)
        yield Relay(port, counter)


@contextmanager
def far_relay(folder: Path, core: int | None, delay: float, *, pipelining: bool = True) -> Iterator[Relay]:
    """The same, at the other end of a line on which replies take `delay` seconds."""
    port = free_port()
    with (
        instant_relay(folder, core, pipelining=pipelining) as relay,
        _line(folder, core, port, "--to", str(relay.port), "--delay", str(delay)),
    ):
        yield Relay(port, relay.counter)


@contextmanager
def hung_relay(folder: Path, core: int | None) -> Iterator[Relay]:
    """Takes connections and never says a word."""
    port = free_port()
    with _line(folder, core, port, "--hung"):
        yield Relay(port)


@contextmanager
def relay_that_is_down() -> Iterator[Relay]:
    """A port that nobody listens on, and that nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield Relay(held.getsockname()[1])


@contextmanager
def _line(folder: Path, core: int | None, port: int, *options: str) -> Iterator[Program]:
    command = [sys.executable, "-m", "bench.harness.delay_line", "--port", str(port), *options]
    with running(command, core=core, log=folder / f"line-{port}.log", folder=_ROOT) as program:
        _until_it_listens(program, port)
        yield program


def _until_it_listens(program: Program, port: int) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        program.require_alive()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(LOOK_AGAIN)
        else:
            return
    raise ProgramFailed(f"{program.log.stem} does not listen")


def _is_root() -> bool:
    import os

    return os.geteuid() == 0
