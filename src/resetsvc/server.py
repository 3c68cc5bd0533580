"""Running an app on hypercorn in this process, until a signal; a second signal ends it at once."""

import asyncio
import gc
import logging
import os
import signal
import tomllib
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.utils import LifespanFailureError
from quart import Quart

from resetsvc.errors import SetupError, WrongSettings

BUILT_IN_CONFIG = Path(__file__).parent / "hypercorn.toml"


def read_config(path: Path | None) -> Config:
    """Read a hypercorn.toml; the built-in one if there is none. WrongSettings names every key that hypercorn does not know."""
    path = path or BUILT_IN_CONFIG
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WrongSettings([f"{path} cannot be read: {error}"]) from error
    unknown = sorted(name for name in table if not hasattr(Config, name) or name.startswith("_"))
    if unknown:
        raise WrongSettings([f"{path}: {name} is no setting of hypercorn" for name in unknown])
    config = Config.from_mapping(table)
    if config.workers > 1:
        raise WrongSettings(
            [f"{path}: workers = {config.workers}: start `resetsvc serve` several times instead"]
        )
    config.workers = 1  # what `serve` of hypercorn expects: it runs in this process whatever this says
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    return config


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
    try:
        await serve(app, config, shutdown_trigger=until)
    except LifespanFailureError as error:
        reason = str(error).partition("'")[2].rpartition("'")[0] or str(error)
        raise SetupError(reason) from None
    except OSError as error:
        raise SetupError(f"cannot listen on {', '.join(config.bind)}: {error.strerror or error}") from error


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
