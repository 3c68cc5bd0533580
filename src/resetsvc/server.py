"""Running an app on hypercorn in this process, until a signal; a second signal ends it at once."""

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import tomllib
import traceback
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.utils import LifespanFailureError
from quart import Quart

from resetsvc.connections import DatedConfig, take_over
from resetsvc.errors import SetupError, WrongSettings

# Seconds in which a client takes nothing of its answer. Linux counts on while a client takes less at a time than the kernel
# would send: 5 KB a second for the largest file were cut off at 20. Our own descriptor does not wait so long (`_close`).
LONGEST_UNREAD = 60.0
MOST_OPEN_FILES = 16_384  # an idle connection takes 10 to 20 KiB

BUILT_IN_CONFIG = Path(__file__).parent / "hypercorn.toml"


def read_config(path: Path | None) -> Config:
    """Read a hypercorn.toml; the built-in one if there is none. WrongSettings names every key that is wrong."""
    path = path or BUILT_IN_CONFIG
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WrongSettings([f"{path} cannot be read: {error}"]) from error
    problems = [
        f"{name} {problem}" for name, value in sorted(table.items()) if (problem := _wrong(name, value))
    ]
    if not problems and (table.get("certfile") is None) != (table.get("keyfile") is None):
        problems = ["certfile and keyfile go together: with one of them hypercorn would serve in the clear"]
    if problems:
        raise WrongSettings([f"{path}: {problem}" for problem in problems])
    config = DatedConfig.from_mapping(table)
    if config.workers > 1:
        raise WrongSettings(
            [f"{path}: workers = {config.workers}: start `resetsvc serve` several times instead"]
        )
    config.workers = 1  # what `serve` of hypercorn expects: it runs in this process whatever this says
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    try:
        config.create_ssl_context()
    except (OSError, ValueError) as error:  # also ssl.SSLError
        raise WrongSettings(
            [f"{path}: {config.certfile} with {config.keyfile} cannot be used: {error}"]
        ) from error
    return config


def _wrong(name: str, value: object) -> str | None:
    """What is wrong with a key of hypercorn's configuration, or None. hypercorn itself takes any key and any value."""
    known = getattr(Config, name, None)
    settable = known.fset is not None if isinstance(known, property) else not callable(known)
    if not hasattr(Config, name) or name.startswith("_") or not settable:
        return "is no setting of hypercorn"
    if isinstance(known, property):
        known = getattr(Config(), name) if name != "cert_reqs" else None  # that one can only be set
    wanted: tuple[str, bool]
    match known:
        case bool():
            wanted = "true or false", isinstance(value, bool)
        case int() | float():
            wanted = "a number", isinstance(value, int | float) and not isinstance(value, bool)
        case str():
            wanted = "a text", isinstance(value, str)
        case list():
            texts = value if isinstance(value, list) else [value]
            wanted = "a list of texts", all(isinstance(text, str) for text in texts)
        case _:
            return None
    return None if wanted[1] else f"is not {wanted[0]}"


def listen(config: Config) -> list[str]:
    """Take the addresses that the configuration names, and leave them to hypercorn. Returns what was taken.

    Before any part of the service starts: hypercorn looks at its addresses last, and if one is taken it leaves the
    parts as they are, with letters in their hands. Clients that come early wait. SetupError if an address is taken.
    """
    if not config.bind:
        raise WrongSettings(["hypercorn's bind names no address"])
    asked = ", ".join(config.bind)
    try:
        sockets = config.create_sockets()
        for opened in (*sockets.secure_sockets, *sockets.insecure_sockets):
            opened.listen(config.backlog)
            _cut_off_who_does_not_read(opened)
    except OSError as error:
        _let_go(error)
        raise SetupError(f"cannot listen on {asked}: {error.strerror or error}") from error
    except (ValueError, OverflowError) as error:
        _let_go(error)
        raise WrongSettings([f"cannot listen on {asked}: {error}"]) from error
    first, *more = [group for group in (sockets.secure_sockets, sockets.insecure_sockets) if group]
    taken = [_name(opened) for group in (first, *more) for opened in group]
    config.bind = [f"fd://{opened.detach()}" for opened in first]
    config.insecure_bind = [f"fd://{opened.detach()}" for group in more for opened in group]
    config.quic_bind = [f"fd://{opened.detach()}" for opened in sockets.quic_sockets]
    return taken


def _cut_off_who_does_not_read(listening: socket.socket) -> None:
    """Let the kernel end connections whose client takes nothing of its answer for a while; accepted ones inherit this.

    What the kernel has taken of an answer it keeps, also when we have closed the connection and given its descriptor back.
    """
    if listening.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(LONGEST_UNREAD * 1000))


def raise_open_files() -> None:
    """Take as many descriptors as the system grants without asking, up to a bound that its memory stands.

    The usual soft limit is 1,024, for the sake of programs that use select(): as many idle clients would end the service.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _let_go(error: BaseException) -> None:
    """Close what hypercorn had opened before it failed: it does not, and Python would complain of that at the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        traceback.clear_frames(error.__traceback__)


def _name(opened: socket.socket) -> str:
    name = opened.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{name}"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Stop:
    """The wish to stop, from SIGTERM or SIGINT. The second one does not wait for anything."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._actions: list[Callable[[], None]] = []
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, self._on_signal, signal_number)

    def also(self, action: Callable[[], None]) -> None:
        """Do this too, as soon as the wish is known."""
        self._actions.append(action)

    def now(self) -> None:
        for action in self._actions:
            action()
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()

    def _on_signal(self, signal_number: int) -> None:
        if self._event.is_set():
            os._exit(128 + signal_number)
        self.now()


async def serve_app(app: Quart, config: Config, until: Callable[[], Awaitable[None]]) -> None:
    """Serve until `until` returns, then stop in order. SetupError if the app does not start, with its reason."""
    raise_open_files()
    listen(config)  # what was taken before stays taken
    take_over()
    try:
        await serve(app, config, shutdown_trigger=until)
    except LifespanFailureError as error:
        reason = str(error).partition("'")[2].rpartition("'")[0] or str(error)
        raise app.extensions.get("resetsvc.why_not", SetupError(reason)) from None


def freeze_garbage() -> None:
    """Leave what the start made out of every later garbage collection, and collect less often.

    Without it the pauses of full collections make the slowest answers twice as slow.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a command's main task, on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
