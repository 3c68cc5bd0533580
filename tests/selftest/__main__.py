"""The whole measurement on this machine: sets a service up, measures it, leaves the report and the picture.

python -m tests.selftest --samples 20000 --apart --echo --into /tmp/timing

--apart delivers in a process of its own; --relay-fault hang:RCPT lets SMTP hang; --budget 1/hour has all known accounts
but the first request throttled; --sink /usr/sbin/smtp-sink takes the mails with less work; --mutant measures the service that leaks. All else is for `resetsvc selftest timing`.
"""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests.selftest.scene import scene


@click.command(context_settings={"ignore_unknown_options": True}, help=__doc__)
@click.option("--addresses", default=4000, show_default=True, help="in each class")
@click.option("--apart", is_flag=True)
@click.option("--relay-fault")
@click.option("--budget", default="", help="RESETSVC_LIMIT_PER_ACCOUNT")
@click.option("--sink", help="the path of Postfix's smtp-sink")
@click.option("--mutant", is_flag=True)
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(
    addresses: int,
    apart: bool,
    relay_fault: str | None,
    budget: str,
    sink: str | None,
    mutant: bool,
    into: Path,
    options: tuple[str, ...],
) -> None:
    into.mkdir(parents=True, exist_ok=True)
    program = ("tests.selftest.launch",) if mutant else ("resetsvc", "serve")

    async def measure(folder: Path) -> int:
        async with scene(
            folder,
            addresses=addresses,
            program=program,
            apart=apart,
            relay_fault=relay_fault,
            sink=sink,
            limit_per_account=budget,
            queue_limit="10000000",
        ) as here:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "resetsvc", "selftest", "timing", *here.options, *options),
                *("--picture", str(into.resolve() / "timing.svg")),
                env=here.env,
            )
            return await process.wait()

    with TemporaryDirectory(prefix="resetsvc-selftest-") as folder:
        sys.exit(asyncio.run(measure(Path(folder))))


if __name__ == "__main__":
    main()
