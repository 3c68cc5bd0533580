"""Programs on one core each: started, waited for, looked at, ended, by their own process group and nothing else."""

import contextlib
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.harness.machine import find_program

_PATIENCE = 30.0  # seconds for a program to start, or to end
_LOOK_AGAIN = 0.005
_TICKS = os.sysconf("SC_CLK_TCK")


class ProgramFailed(Exception):
    """A program that is measured did not start, or ended by itself; the message ends with what it said."""


@dataclass(frozen=True, slots=True)
class Program:
    """One that runs, with its children."""

    process: subprocess.Popen[bytes]
    log: Path

    def require_alive(self) -> None:
        if self.process.poll() is not None:
            raise ProgramFailed(f"{self.log.stem} ended ({self.process.returncode}): {_tail(self.log)}")

    def memory(self) -> int:
        """Octets in memory (RSS) of it and its children."""
        return sum(_rss(pid) for pid in self._pids())

    def cpu(self) -> float:
        """Seconds of processor time that it and its children have taken."""
        return sum(_cpu(pid) for pid in self._pids())

    def threads(self) -> int:
        return sum(_threads(pid) for pid in self._pids())

    def _pids(self) -> list[int]:
        return _members(self.process.pid)


@contextmanager
def running(
    command: Sequence[str],
    *,
    core: int | None,
    log: Path,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    stdout: Path | None = None,
    grace: float = 10.0,
) -> Iterator[Program]:
    """Start a program, and end it at the end, with all that it started.

    core   -- the one that it is bound to; None: any
    log    -- where what it says goes; `stdout` alone can go elsewhere
    grace  -- seconds between asking it to end and ending it: letters in hand for a relay that hangs take some
    """
    bound = [] if core is None else [find_program("taskset"), "-c", str(core)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as said, (stdout or Path(os.devnull)).open("ab") as out:
        process = subprocess.Popen(
            [*bound, *command],
            env=None if env is None else dict(env),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out if stdout else said,
            stderr=said,
            start_new_session=True,  # a group of its own: its pid names all that it starts
        )
    try:
        yield Program(process, log)
    finally:
        _end(process, grace)


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    # Whatever is left: thousands of threads that wait for a relay keep a process from ending in order.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_PATIENCE)
    end = time.monotonic() + _PATIENCE
    while _members(process.pid) and time.monotonic() < end:
        time.sleep(_LOOK_AGAIN)  # its children are not ours: nothing tells when they have ended


def wait_until_it_answers(program: Program, port: int, path: str) -> float:
    """Ask until there is an answer; returns the seconds that took. ProgramFailed if there is none in time."""
    began = time.monotonic()
    while time.monotonic() < began + _PATIENCE:
        program.require_alive()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        try:
            connection.request("GET", path)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            time.sleep(_LOOK_AGAIN)  # nothing tells when a program begins to listen
        else:
            if status < 500:
                return time.monotonic() - began
            time.sleep(_LOOK_AGAIN)
        finally:
            connection.close()
    raise ProgramFailed(f"{program.log.stem} does not answer on port {port}: {_tail(program.log)}")


def _tail(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-1500:].strip()


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name (which may hold blanks): state, parent, group, …"""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:  # ended meanwhile
        return []


def _members(group: int) -> list[int]:
    """The processes of a group that have not ended."""
    return [
        pid
        for pid in _all_pids()
        if (fields := _stat(pid)) and int(fields[2]) == group and fields[0] not in "ZX"
    ]


def _cpu(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _threads(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[17]) if fields else 0


def _rss(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
