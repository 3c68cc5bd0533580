"""`selftest`: the procedure that shows whether a running service tells who has an account."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from resetsvc.errors import ResetError, WrongSettings

if TYPE_CHECKING:
    from resetsvc.selftest.measurement import Result

T = TypeVar("T")

LIST = click.Path(path_type=Path, dir_okay=False, exists=True)


class NotMeasured(click.ClickException):
    """Exit code 1 says that there is a leak, and nothing else does."""

    exit_code = 3


@click.group()
def selftest() -> None:
    """Measure a running service for what it must not tell."""


@selftest.command()
@click.option("--url", required=True, help="The service, such as http://127.0.0.1:8000.")
@click.option("--known", type=LIST, required=True, help="Addresses that have an account, one a line.")
@click.option("--unknown", type=LIST, required=True, help="Addresses that have none, equally long.")
@click.option("--disabled", type=LIST, help="Addresses whose account is disabled, equally long.")
@click.option(
    "--samples",
    type=click.IntRange(200, 10_000_000),
    default=10_000,
    show_default=True,
    help="Requests a class.",
)
@click.option("--echo", is_flag=True, help="Also measure what comes after each request, for 60 ms.")
@click.option(
    "--echo-samples",
    type=click.IntRange(200, 10_000_000),
    default=1000,
    show_default=True,
    help="Requests a class, each followed by 60 ms of polling.",
)
@click.option(
    "--repeats",
    type=click.IntRange(0, 10),
    default=2,
    show_default=True,
    help="How often to double the samples while nothing is decided.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Decides the order of the requests.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Draw the distributions to this .svg or .png file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option(
    "--i-operate-this-deployment",
    is_flag=True,
    help="Needed for a service that is not on this machine: it gets tens of thousands of requests.",
)
def timing(
    url: str,
    known: Path,
    unknown: Path,
    disabled: Path | None,
    samples: int,
    echo: bool,
    echo_samples: int,
    repeats: int,
    seed: int,
    picture: Path | None,
    as_json: bool,
    i_operate_this_deployment: bool,
) -> None:
    """Measure whether time tells who has an account.

    Asks for resets, really: known addresses get mails. Use accounts made for this, and a relay that throws away. Lift
    the client limit for the address that this comes from (RESETSVC_LIMIT_PER_CLIENT= lifts it for all).

    Exit code: 0 nothing found, 1 a leak, 2 wrong use, 3 undecided, not sensitive enough, or not measurable.
    """
    # Here, so that a service never loads it.
    from resetsvc.selftest.addresses import read_lists
    from resetsvc.selftest.client import Client, parse_target
    from resetsvc.selftest.echo import Echo
    from resetsvc.selftest.measurement import Classes, measure_until_decided
    from resetsvc.selftest.report import as_text, as_values
    from resetsvc.selftest.timing import Timing
    from resetsvc.selftest.verdict import worst

    def work() -> list["Result"]:
        target = parse_target(url)
        draw = _drawing(picture)
        files = {"known": known, "unknown": unknown} | ({"disabled": disabled} if disabled else {})
        lists = read_lists(files, min(samples, echo_samples) if echo else samples)
        if not target.is_loopback and not i_operate_this_deployment:
            raise WrongSettings(
                [
                    f"{target.host} is another machine: this sends it tens of thousands of requests, as fast as it answers. "
                    "Say --i-operate-this-deployment if it is yours"
                ]
            )

        def tell(line: str) -> None:
            click.echo(line, err=True)

        results = []
        with Client(target) as client:
            tell("the answer:")
            measurement = Timing(client, Classes(lists, seed))
            results.append(measure_until_decided(measurement, samples, repeats, tell))
            if echo:
                tell("the echo:")
                results.append(
                    measure_until_decided(Echo(client, Classes(lists, seed)), echo_samples, repeats, tell)
                )
        if draw is not None:
            draw(results)
        return results

    results = _told_apart_from_a_leak(work)
    if as_json:
        click.echo(json.dumps(as_values(results, url=url, seed=seed), indent=2))
    else:
        click.echo(as_text(results), nl=False)
    sys.exit(worst([result.verdict for result in results]).exit_code)


def _drawing(picture: Path | None) -> Callable[[list["Result"]], None] | None:
    """What draws the picture; looked for before an hour of measuring, not after it."""
    if picture is None:
        return None
    if picture.suffix not in (".svg", ".png"):
        raise WrongSettings(["--picture has to end in .svg or .png"])
    try:
        from resetsvc.selftest.picture import draw
    except ModuleNotFoundError as error:
        raise WrongSettings([f"{error.name} is missing: pip install 'resetsvc[selftest]'"]) from error
    return lambda results: draw(results, picture)


def _told_apart_from_a_leak(work: Callable[[], T]) -> T:
    """Whatever goes wrong is told by another exit code than 1."""
    try:
        return work()
    except WrongSettings:
        raise
    except (ResetError, OSError) as error:
        raise NotMeasured(str(error)) from error
    except Exception as error:
        raise NotMeasured(f"unexpected error ({type(error).__name__}): {error}") from error
