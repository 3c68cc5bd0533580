"""One run of the benchmarks: where its files are, what runs on which core, and each contender started with all it needs."""

import itertools
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.contenders import CONTENDERS, Accounts, Contender, Place, resetsvc_dispatch_command, sync
from bench.harness.machine import Cores, free_port
from bench.harness.processes import Program, running, wait_until_it_answers
from bench.harness.relays import Relay
from bench.harness.wrk import Target


@dataclass(slots=True)
class Bench:
    """What a figure is given.

    quick -- everything a tenth as long, to see that it runs; figures from it mean nothing
    """

    folder: Path
    cores: Cores
    quick: bool
    say: Callable[[str], None]
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def contender(self, name: str) -> Contender:
        for contender in CONTENDERS:
            if contender.name == name:
                return contender
        raise KeyError(name)

    @property
    def rivals(self) -> Sequence[Contender]:
        """What people use today, as far as it is installed."""
        ours = ("resetsvc", "floor-")
        return [
            contender
            for contender in CONTENDERS
            if not contender.name.startswith(ours) and contender.installed
        ]

    def long(self, seconds: float) -> float:
        return max(1.0, seconds / 4) if self.quick else seconds

    def many(self, count: int) -> int:
        return max(1, count // 10) if self.quick else count

    def new_folder(self, name: str) -> Path:
        folder = self.folder / f"{next(self._numbers):03d}-{name}"
        folder.mkdir(parents=True)
        return folder

    def new_place(self, contender: Contender, relay: Relay, accounts: Accounts = "all") -> Place:
        """A folder, a port and a database with 100,000 addresses, for one start of one contender."""
        place = Place(
            port=free_port(),
            folder=self.new_folder(contender.name),
            smtp_host="127.0.0.1",
            smtp_port=relay.port,
            accounts=accounts,
        )
        contender.prepare(place)
        return place

    def place_like(self, prepared: Place, relay: Relay) -> Place:
        """A copy of a place that nothing runs in: the same database, another port, another relay."""
        folder = self.new_folder("copy")
        shutil.copytree(prepared.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.log"))
        for path in folder.iterdir():
            sync(path)
        return Place(
            port=free_port(),
            folder=folder,
            smtp_host="127.0.0.1",
            smtp_port=relay.port,
            accounts=prepared.accounts,
        )

    @contextmanager
    def serving(
        self, contender: Contender, place: Place, *, core: int | None = -1, grace: float = 10.0
    ) -> Iterator[Program]:
        """A contender that answers. core: by default the service's."""
        with running(
            contender.command(place),
            core=self.cores.service if core == -1 else core,
            log=place.folder / f"{contender.name}.log",
            env=contender.environment(place),
            folder=place.folder,
            grace=grace,
        ) as program:
            wait_until_it_answers(program, place.port, contender.ready_path)
            yield program

    @contextmanager
    def dispatching(
        self, place: Place, more: Mapping[str, str] | None = None, *, core: int | None = -1
    ) -> Iterator[Program]:
        """The dispatcher alone, on the database of that place. more -- settings"""
        environment = {
            **self.contender("resetsvc").environment(place),
            "RESETSVC_DISPATCH": "true",
            **(more or {}),
        }
        with running(
            resetsvc_dispatch_command(place),
            core=self.cores.service if core == -1 else core,
            log=place.folder / "dispatch.log",
            env=environment,
            folder=place.folder,
            grace=2.0,  # what is left in a queue that was full is of no use to anybody
        ) as program:
            yield program

    def forget(self, place: Place) -> None:
        """Take a place's files away: a million rows are large."""
        shutil.rmtree(place.folder, ignore_errors=True)


def target(contender: Contender, place: Place) -> Target:
    return Target(place.port, contender.ask_path, contender.ask_field, contender.body_format)


def own_python() -> str:
    """The interpreter that runs this: it has resetsvc and what the harness needs."""
    return sys.executable
