"""`selftest timing`: convicts what leaks, never what does not, and says when it cannot know."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from resetsvc.selftest.client import CannotMeasure, Client, only_loopback, parse_target
from resetsvc.selftest.echo import Echo
from resetsvc.selftest.measurement import Classes, measure_until_decided
from resetsvc.selftest.timing import Timing
from resetsvc.selftest.verdict import Verdict
from tests.cli.conftest import Command
from tests.cli.processes import Ended, one_line, run
from tests.rules.source import ROOT
from tests.selftest.scene import scene

COUNT = 400
LISTS = {
    name: [f"{name[0]}{number:04}@example.com" for number in range(COUNT)] for name in ("known", "unknown")
}
StartServer = Callable[..., str]


@pytest.fixture
def bare_server() -> Iterator[StartServer]:
    """Starts a server that treats known addresses otherwise, as ordered; returns its URL."""
    with ExitStack() as stack:

        def start(*habits: str) -> str:
            listening = socket.create_server(("127.0.0.1", 0))
            port = listening.getsockname()[1]
            with listening:
                process = subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "tests.selftest.bare_server",
                        "--fd",
                        str(listening.fileno()),
                        *habits,
                    ],
                    pass_fds=[listening.fileno()],
                    cwd=ROOT,
                )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return f"http://127.0.0.1:{port}"

        yield start


@pytest.fixture
def timing(resetsvc: Command) -> Callable[..., Result]:
    """Runs the command with lists for which the server has its habits."""
    for name, addresses in LISTS.items():
        (resetsvc.folder / f"{name}.txt").write_text("\n".join(addresses))

    def measure(url: str, *options: str, samples: int = COUNT, repeats: int = 0) -> Result:
        return resetsvc(
            *("selftest", "timing", "--url", url, "--known", "known.txt", "--unknown", "unknown.txt"),
            *("--samples", str(samples), "--repeats", str(repeats), *options),
        )

    return measure


def told(result: Result | Ended) -> Any:
    return json.loads(result.stdout if isinstance(result, Result) else result.out)["measurements"]


def test_an_answer_that_takes_longer_for_accounts_is_a_leak(
    bare_server: StartServer, timing: Callable[..., Result]
) -> None:
    result = timing(bare_server("--slow", "20"), samples=200, repeats=2)
    assert result.exit_code == 1
    assert "Verdict: leak. Whoever measures like this learns who has an account" in result.stdout
    assert "known - unknown" in result.stdout


def test_the_same_as_json_says_how_much_longer(
    bare_server: StartServer, timing: Callable[..., Result]
) -> None:
    result = timing(bare_server("--slow", "20"), "--json", samples=200, repeats=2)
    assert result.exit_code == 1
    (measured,) = told(result)
    (finding,) = measured["findings"]
    known = finding["comparisons"]["known - unknown"]
    assert (measured["verdict"], finding["verdict"], measured["answers_differ"]) == ("leak", "leak", [])
    assert known["t"] > 10
    assert 15_000 < known["median_difference_us"] < 60_000
    assert abs(finding["controls"]["same"]["t"]) < 4.5
    assert finding["planted_us"] == 50
    assert sum(finding["controls"]["planted"]["samples"]) == pytest.approx(
        2 * 200 * 2 ** (measured["rounds"] - 1) * 0.99, rel=0.02
    )


def test_equal_answers_are_no_leak_whatever_else_the_server_does(
    bare_server: StartServer, timing: Callable[..., Result]
) -> None:
    """It closes the connection now and then, with notice and without, in the middle of a run."""
    for habit in (("--answers", "37"), ("--hangs-up", "23")):
        result = timing(bare_server(*habit), "--json")
        (measured,) = told(result)
        assert measured["verdict"] in ("pass", "not sensitive enough"), result.stdout
        assert result.exit_code == (0 if measured["verdict"] == "pass" else 3)
        assert measured["answers_differ"] == []


def test_answers_with_other_words_are_a_leak(bare_server: StartServer, timing: Callable[..., Result]) -> None:
    result = timing(bare_server("--says", "Email SENT"), "--json")
    assert result.exit_code == 1
    assert told(result)[0]["answers_differ"] == ["known"]
    assert "The answers themselves differ: known" in timing(bare_server("--says", "Email SENT")).stdout


@pytest.mark.parametrize(
    ("status", "problem"),
    [("429", "RESETSVC_LIMIT_PER_CLIENT="), ("503", "answers 503"), ("302", "answers 302")],
)
def test_a_service_that_refuses_is_not_measured(
    status: str, problem: str, bare_server: StartServer, timing: Callable[..., Result]
) -> None:
    result = timing(bare_server("--status", status))
    assert result.exit_code == 3
    assert problem in result.stderr.splitlines()[-1]
    assert result.stdout == ""


def test_nobody_there_is_no_leak(timing: Callable[..., Result]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    result = timing(f"http://127.0.0.1:{port}")
    assert result.exit_code == 3
    assert f"cannot connect to 127.0.0.1, port {port}" in result.stderr


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "0.0.0.0"])  # noqa: S104 -- an address to connect to
def test_another_machine_is_left_alone_unless_it_is_ones_own(
    host: str, timing: Callable[..., Result]
) -> None:
    result = timing(f"http://{host}:8000")
    assert result.exit_code == 2
    assert "--i-operate-this-deployment" in result.stderr
    assert one_line(result.stderr), "not a single round was begun"


@pytest.mark.parametrize(
    "url", ["http://localhost", "http://127.0.0.2:1", "https://[::1]:8443/reset", "http://127.0.0.1"]
)
def test_this_machine_is_known_as_such(url: str) -> None:
    assert parse_target(url).is_loopback


def test_a_name_with_one_address_elsewhere_is_another_machine() -> None:
    assert only_loopback(["127.0.0.1", "::1", "::1%lo"])
    assert not only_loopback(["127.0.0.1", "192.0.2.1"])


def test_a_name_that_nobody_has_is_told(timing: Callable[..., Result]) -> None:
    result = timing("http://nowhere.invalid")
    assert result.exit_code == 3
    assert "nowhere.invalid cannot be found" in result.stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--url", "127.0.0.1:8000"], "--url"),
        (["--url", "ftp://127.0.0.1"], "--url"),
        (["--url", "http://127.0.0.1:x"], "--url"),
        (["--url", "http://user:word@127.0.0.1"], "--url"),
        (["--url", "http://127.0.0.1/?a=b"], "--url"),
        (["--known", "nowhere.txt"], "nowhere.txt"),
        (["--samples", "10"], "--samples"),
        (["--picture", "picture.gif"], ".svg or .png"),
        (["--known", "unknown.txt"], "addresses in common"),
        (["--disabled", "longer.txt"], "--known and --disabled are not equally long"),
        (["--disabled", "few.txt"], "--disabled has 3 addresses, 400 are needed"),
    ],
)
def test_wrong_use_is_told_in_one_line_before_anything_is_sent(
    options: list[str], problem: str, timing: Callable[..., Result], resetsvc: Command
) -> None:
    (resetsvc.folder / "longer.txt").write_text(
        "\n".join(f"d{number:05}@example.com" for number in range(COUNT))
    )
    (resetsvc.folder / "few.txt").write_text("\n".join(f"d{number:04}@example.com" for number in range(3)))
    result = timing("http://127.0.0.1:1", *options)
    assert result.exit_code == 2, result.output
    assert problem in result.stderr
    assert one_line(result.stderr), result.stderr


def test_no_settings_are_needed(
    bare_server: StartServer, timing: Callable[..., Result], resetsvc: Command
) -> None:
    resetsvc.env = {}
    assert timing(bare_server("--says", "Email SENT"), samples=200).exit_code == 1


@pytest.mark.parametrize(("ending", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_the_distributions_are_drawn(
    ending: str, begins: bytes, bare_server: StartServer, timing: Callable[..., Result], resetsvc: Command
) -> None:
    timing(bare_server(), "--picture", f"picture.{ending}", samples=200)
    drawn = (resetsvc.folder / f"picture.{ending}").read_bytes()
    assert drawn.startswith(begins)
    assert len(drawn) > 10_000


def test_undecided_runs_are_repeated_with_more(
    bare_server: StartServer, timing: Callable[..., Result]
) -> None:
    """A planted delay of 50 µs is not found in 200 samples that differ by milliseconds."""
    result = timing(bare_server("--jitter", "4"), "--json", samples=200, repeats=1)
    (measured,) = told(result)
    assert measured["rounds"] == 2
    assert [line for line in result.stderr.splitlines() if line.startswith("round")] == [
        "round 1: 200 samples a class",
        "round 2: 200 samples a class",
    ]
    (finding,) = measured["findings"]
    assert finding["comparisons"]["known - unknown"]["samples"][0] > 390
    assert (measured["verdict"], result.exit_code) == ("not sensitive enough", 3)


def test_an_echo_is_found_where_it_is_looked_for(bare_server: StartServer) -> None:
    """What follows a request for a known address waits 20 ms; that request itself does not."""
    with Client(parse_target(bare_server("--echo", "20"))) as client:
        answer = Timing(client, Classes(LISTS, seed=1))
        answer.measure(200)
        assert answer.result(1).verdict is not Verdict.LEAK
        echo = Echo(client, Classes(LISTS, seed=1), window=2000)
        result = measure_until_decided(echo, 100, repeats=2, tell=lambda _: None)
    assert result.verdict is Verdict.LEAK
    for finding in result.findings:
        compared = finding.comparisons["known - unknown"]
        assert compared.t > 4.5, finding.what
        assert 10_000 < compared.median_difference < 60_000, finding.what


def test_where_there_is_no_echo_none_is_found(bare_server: StartServer) -> None:
    with Client(parse_target(bare_server())) as client:
        echo = Echo(client, Classes(LISTS, seed=1), window=2000)
        echo.measure(200)
        for finding in echo.result(1).findings:
            assert finding.verdict is not Verdict.LEAK, finding.what
            assert finding.planted_size == 500


def test_the_planted_delay_is_in_the_samples(bare_server: StartServer) -> None:
    with Client(parse_target(bare_server())) as client:
        assert client.ask("ann@example.com", wait=20_000_000).took > 20_000_000
        assert client.poll(wait=20_000_000).took > 20_000_000


@pytest.mark.parametrize(
    "said",
    [
        b"220 smtp.example.com\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_told(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-c", _SAYS_ONCE, str(listening.fileno()), repr(said)],
            pass_fds=[listening.fileno()],
        )
        with Client(parse_target(url)) as client, pytest.raises(CannotMeasure, match="the answer is none"):
            client.poll()
        process.wait()


_SAYS_ONCE = """
import ast, socket, sys
with socket.socket(fileno=int(sys.argv[1])) as listening:
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(ast.literal_eval(sys.argv[2]))
"""


# The real service. What is asserted holds on a machine that is busy with other things, too: such a machine may be too
# noisy to acquit anybody, and still convicts nobody without cause.


async def test_the_service_is_not_convicted(tmp_path: Path) -> None:
    async with scene(tmp_path, addresses=500) as here:
        ended = await run(
            *("selftest", "timing", *here.options[:4], "--samples", "500", "--repeats", "0", "--json"),
            env={},
            cwd=tmp_path,
            within=600,
        )
    (measured,) = told(ended)
    assert measured["verdict"] in ("pass", "not sensitive enough"), ended.said
    assert ended.code == (0 if measured["verdict"] == "pass" else 3)
    assert measured["answers_differ"] == []


async def test_a_service_that_looks_the_account_up_in_the_handler_is_convicted(tmp_path: Path) -> None:
    """With an Argon2id hash for those who have one, as strong as the default: some 20 ms and more."""
    program = ("tests.selftest.launch",)
    async with scene(
        tmp_path, addresses=200, program=program, argon2_memory="19456", argon2_time="2"
    ) as here:
        ended = await run(
            *("selftest", "timing", *here.options, "--samples", "200", "--repeats", "3", "--json"),
            env={},
            cwd=tmp_path,
            within=600,
        )
    assert ended.code == 1, ended.said
    (measured,) = told(ended)
    (finding,) = measured["findings"]
    assert measured["verdict"] == "leak"
    assert measured["answers_differ"] == [], "it says the same, only later"
    for name in ("known", "disabled"):
        assert finding["comparisons"][f"{name} - unknown"]["t"] > 10
