"""How the benchmarks count and report. Nothing here is timed: how fast anything is, is not for a test to say."""

import asyncio
import json
import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench.figures.a_accepting import shares_of_the_floor
from bench.figures.f_far_relay import most
from bench.figures.g_grown import is_scan
from bench.harness import machine, open_loop
from bench.harness.delay_line import open_line
from bench.harness.grown_database import grow
from bench.harness.processes import ProgramFailed, running, wait_until_it_answers
from bench.harness.relays import Relay, last_count, relay_that_is_down, watch
from bench.harness.result import Chart, Goal, Result
from bench.harness.wrk import Load, LoadFailed, read_load

from bench import report
from resetsvc.store.database import Store

# ---- counting -------------------------------------------------------------------------------------------------


def test_the_newest_whole_counter_of_the_sink_counts() -> None:
    assert last_count(b"") == 0
    assert last_count(b"sess=0 quit=0 mesg=1\rsess=0 quit=0 mesg=12\r") == 12


def test_a_counter_that_is_cut_off_is_not_believed() -> None:
    assert last_count(b"sess=0 quit=0 mesg=12\rsess=0 quit=0 mesg=1") == 12


def test_the_counter_of_a_long_run_is_read_from_its_end(tmp_path: Path) -> None:
    counter = tmp_path / "count"
    counter.write_bytes(b"".join(b"sess=1 quit=0 mesg=%d\r" % number for number in range(5000)))
    assert Relay(0, counter).letters() == 4999


def test_a_flow_counts_from_the_first_look_that_saw_letters(tmp_path: Path) -> None:
    counter = tmp_path / "count"
    counter.write_bytes(b"sess=1 quit=0 mesg=8\r")
    flow = watch(Relay(0, counter), until=8, patience=5, quiet=5)
    assert (flow.letters, flow.seconds, flow.rate) == (0, 0, 0)


def test_what_wrk_saw_is_read_from_the_last_line_of_the_script() -> None:
    said = (
        "Running 3s test\n\nLIMIT\n"
        'WRK {"requests": 1000, "microseconds": 500000, "p50": 1500, "p99": 9000, "refused": 100, "broken": 2}\n'
    )
    load = read_load(said)
    assert load == Load(answered=1000, seconds=0.5, p50=0.0015, p99=0.009, refused=100, broken=2)
    assert load.rate == 1800  # a request that was refused is not an accepted one


def test_a_load_that_did_not_run_says_why() -> None:
    with pytest.raises(LoadFailed, match="unable to connect"):
        read_load("unable to connect to 127.0.0.1:1 Connection refused\n")


@pytest.mark.parametrize(
    ("received", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Le", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    ],
)
def test_the_end_of_an_answer_is_found(received: bytes, whole: bool) -> None:
    assert open_loop.is_whole(received) is whole


def test_a_percentile_is_one_of_the_measured_values() -> None:
    values = [float(number) for number in range(1, 101)]
    assert open_loop.percentile(values, 0.5) == 50
    assert open_loop.percentile(values, 0.99) == 99
    assert open_loop.percentile(values, 1.0) == 100
    assert open_loop.percentile([7.0], 0.99) == 7


def test_each_round_is_compared_with_the_floors_around_it() -> None:
    assert shares_of_the_floor([100, 200, 400], [75, 150]) == [0.5, 0.5]


def test_lanes_can_send_twice_as_much_with_pipelining() -> None:
    assert most(8, 0.1, pipelining=True) == pytest.approx(40)
    assert most(8, 0.1, pipelining=False) == pytest.approx(20)


@pytest.mark.parametrize(
    ("step", "scan"),
    [
        ("SCAN letters", True),
        ("SCAN accounts", True),
        ("SEARCH letters USING INDEX letters_due (<expr>=?)", False),
        ("SCAN letters USING COVERING INDEX letters_due", False),
        ("SCAN json_each VIRTUAL TABLE INDEX 1:", False),
        ("SCAN (subquery-1)", False),
    ],
)
def test_a_scan_of_a_table_of_ours_is_told_from_other_steps(step: str, scan: bool) -> None:
    assert is_scan(step) is scan


# ---- relays and load ------------------------------------------------------------------------------------------


async def test_what_comes_through_a_line_is_seen_and_unchanged() -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"250 took " + await reader.readline())
        writer.close()

    seen: list[bytes] = []
    async with await asyncio.start_server(relay, "127.0.0.1", 0) as far:
        port = machine.free_port()
        async with await open_line(port, far.sockets[0].getsockname()[1], 0.001, seen.append):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"MAIL\r\n")
            assert await reader.read() == b"250 took MAIL\r\n"
            writer.close()
            await writer.wait_closed()
    assert b"".join(seen) == b"250 took MAIL\r\n"


def test_nobody_listens_where_the_relay_is_down() -> None:
    with relay_that_is_down() as relay, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", relay.port), timeout=5)


@contextmanager
def web_server(*answers: bytes) -> Iterator[int]:
    """Gives each connection one of the answers, in order, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]

        def serve() -> None:
            for answer in answers:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield port
        thread.join()


def test_a_request_that_gets_no_answer_counts_as_the_longest_wait() -> None:
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    with web_server(good, b"") as port:
        answers = open_loop.run_at_rate(port, lambda _: open_loop.post("/", b"a=b"), rate=1000, seconds=0.002)
    assert sorted(answer.status for answer in answers) == [0, 200]
    assert [answer.seconds for answer in answers if answer.status == 0] == [open_loop.PATIENCE]


# ---- programs -------------------------------------------------------------------------------------------------


def test_a_program_is_bound_to_its_core_and_ended_with_what_it_started(tmp_path: Path) -> None:
    core = machine.find_cores().service
    script = (
        "import os, subprocess; print(os.sched_getaffinity(0), flush=True); subprocess.run(['sleep', '600'])"
    )
    said = tmp_path / "said"
    with running([sys.executable, "-c", script], core=core, log=tmp_path / "log", stdout=said) as program:
        while program.threads() < 2:
            program.require_alive()
        assert program.memory() > 0
        assert said.read_text("utf-8").strip() == f"{{{core}}}"
    assert program.process.poll() is not None
    assert program.threads() == 0


def test_a_program_that_does_not_start_tells_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such setting')"]
    with (
        running(command, core=None, log=tmp_path / "app.log") as program,
        pytest.raises(ProgramFailed, match="no such setting"),
    ):
        wait_until_it_answers(program, machine.free_port(), "/")


def test_a_program_that_the_machine_lacks_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(machine.MachineLacks, match=r"wrk is missing: apt-get install wrk; .*postfix"):
        machine.require_programs()


# ---- the large database ---------------------------------------------------------------------------------------


async def test_a_grown_database_has_its_rows_and_its_indexes_again(tmp_path: Path) -> None:
    path = tmp_path / "grown.db"
    store = Store(f"sqlite:///{path}")
    await store.open()
    await store.close()
    connection = sqlite3.connect(path)
    named = "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name"
    before = connection.execute(named).fetchall()
    connection.close()

    grow(path, accounts=50, letters=70)

    connection = sqlite3.connect(path)
    assert connection.execute(named).fetchall() == before
    assert connection.execute("SELECT count(*) FROM accounts").fetchone() == (50,)
    finished = "SELECT count(*) FROM settled_letters WHERE state = 'sent' AND finished_at IS NOT NULL AND link IS NOT NULL"
    assert connection.execute(finished).fetchone() == (70,)
    connection.close()


# ---- the report -----------------------------------------------------------------------------------------------


def a_result() -> Result:
    result = Result("E", "Letters a second")
    result.add("resetsvc", "letters/s", 5836.4, "1/s", "rounds: 5,800 | 5,900")
    result.goals = [
        Goal("share of the bare loop", "at least", 1.5, 1.56, "×"),
        Goal("seconds", "at most", 2, 2.5, "s"),
        Goal("share of Flask-Mail", "at least", 6, None, "×", "Flask is not here"),
    ]
    result.charts = [Chart("letters/s", ["resetsvc", "bare"], {"rate": [5836.4, None]}, line=("must", 4000))]
    return result


def test_a_goal_is_reached_at_its_bound_and_not_beyond() -> None:
    assert Goal("", "at least", 0.9, 0.9).verdict == "reached"
    assert Goal("", "at least", 0.9, 0.899).verdict == "not reached"
    assert Goal("", "at most", 90, 90).verdict == "reached"
    assert Goal("", "at most", 90, 90.1).verdict == "not reached"
    assert Goal("", "at most", 90, None, why="no Chromium").verdict == "not measured"


def test_the_table_says_of_each_goal_whether_it_was_reached() -> None:
    text = report.as_markdown([a_result()], {"cores": "2", "quick": "false"}, {"E": ["e.png"]})
    assert "| E | share of the bare loop | ≥ 1.50 × | 1.56 × | reached |" in text
    assert "| E | seconds | ≤ 2.00 s | 2.50 s | **not reached** |" in text
    assert "| E | share of Flask-Mail | ≥ 6.00 × |  | not measured: Flask is not here |" in text
    assert "| resetsvc | letters/s | 5,836 /s | rounds: 5,800 \\| 5,900 |" in text
    assert "![Letters a second](e.png)" in text


def test_a_quick_run_says_that_its_figures_mean_nothing() -> None:
    warning = "its figures mean nothing"
    assert warning in report.as_markdown([], {"quick": "true"}, {})
    assert warning not in report.as_markdown([], {"quick": "false"}, {})


def test_a_figure_that_failed_stands_in_the_table_with_its_reason() -> None:
    failed = report.failed("J", "In the browser", FileNotFoundError("no chromium\nanywhere"))
    text = report.as_markdown([failed], {}, {})
    assert "| J | In the browser |  |  | not measured: FileNotFoundError: no chromium anywhere |" in text


def test_all_that_is_in_the_table_is_in_the_json(tmp_path: Path) -> None:
    told = json.loads(report.as_json([a_result()], {"cores": "2"}))
    assert told["machine"] == {"cores": "2"}
    (figure,) = told["figures"]
    assert [goal["verdict"] for goal in figure["goals"]] == ["reached", "not reached", "not measured"]
    assert figure["rows"][0]["value"] == 5836.4


def test_a_run_writes_json_table_and_pictures(tmp_path: Path) -> None:
    report.write(tmp_path / "results", [a_result()], {"cores": "2"})
    written = {path.name for path in (tmp_path / "results").iterdir()}
    assert written == {"README.md", "results.json", "e.png"}
    assert (tmp_path / "results" / "e.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0"), (0.0123, "0.0123"), (0.9, "0.900"), (1.5, "1.50"), (42.42, "42.4"), (5836.4, "5,836")],
)
def test_a_number_is_told_with_three_digits_that_count(value: float, told: str) -> None:
    assert report.number(value) == told
