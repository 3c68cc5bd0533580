"""What is asked of the machine: two cores, Debian's wrk and smtp-sink, enough open files; and free ports."""

import os
import platform
import resource
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

# Where Debian puts it: not on the path of an ordinary user.
_MORE_FOLDERS = ("/usr/sbin", "/usr/local/sbin")
_PACKAGES = {"wrk": "wrk", "smtp-sink": "postfix", "taskset": "util-linux"}
_OPEN_FILES = 16_384


class MachineLacks(Exception):
    """Something that the measurements need is not on this machine."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of what is measured, and the core of all that measures it."""

    service: int
    load: int


def find_program(name: str) -> str:
    """The path of a program, also outside the path; MachineLacks names the package that brings it."""
    folders = os.pathsep.join((os.environ.get("PATH", ""), *_MORE_FOLDERS))
    found = shutil.which(name, path=folders)
    if found is None:
        raise MachineLacks(f"{name} is missing: apt-get install {_PACKAGES[name]}")
    return found


def find_cores() -> Cores:
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise MachineLacks("two cores are needed: one for what is measured, one for the load and the relay")
    return Cores(service=allowed[0], load=allowed[1])


def require_programs() -> None:
    """All that is missing, at once."""
    lacking = []
    for name in _PACKAGES:
        try:
            find_program(name)
        except MachineLacks as error:
            lacking.append(str(error))
    if lacking:
        raise MachineLacks("; ".join(lacking))


def raise_open_files() -> None:
    """Thousands of connections: a thread for each mail has one each. Children inherit this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def describe() -> dict[str, str]:
    """What machine this is, for whoever reads the figures elsewhere."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load when it began": f"{os.getloadavg()[0]:.2f}",
    }
