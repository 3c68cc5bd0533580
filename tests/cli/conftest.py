"""Commands inside this process, where a process of their own is not needed; and what they set up, put back."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import structlog
from click.testing import CliRunner, Result

from resetsvc.cli import main
from resetsvc.store.database import Store
from tests.cli.processes import environment

T = TypeVar("T")


class Command:
    """Runs `resetsvc …` in this process, with these settings and nothing else from the environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env: dict[str, str] = environment(folder)

    def set(self, **settings: str) -> None:
        self.env |= {f"RESETSVC_{name.upper()}": value for name, value in settings.items()}

    def __call__(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        env: dict[str, str | None] = {**self.env}
        result = CliRunner().invoke(main, list(arguments), input=stdin, env=env, prog_name="resetsvc")
        assert "Traceback" not in result.output
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def with_store(self, work: Callable[[Store], Awaitable[T]]) -> T:
        async def opened() -> T:
            store = Store(self.env["RESETSVC_DATABASE_URL"])
            await store.open()
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(opened())


@pytest.fixture
def resetsvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in list(logging.root.manager.loggerDict)}
    yield Command(tmp_path)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()
