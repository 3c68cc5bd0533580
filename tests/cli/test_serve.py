"""`serve` and `dispatch` as real processes: starting, answering, delivering, stopping, dying."""

import json
import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Command
from tests.cli.processes import (
    Running,
    add_account,
    dispatching,
    environment,
    one_line,
    relay_process,
    run,
    running,
    serving,
    states_of_letters,
)
from tests.rules.source import ROOT
from tests.support.relay_on_order import Fault, RelayOnOrder

ADDRESS = "ann@example.com"


async def ask(server: Running, address: str = ADDRESS) -> None:
    async with httpx.AsyncClient(timeout=10) as client:
        answer = await client.post(f"{server.url}/reset-password", data={"email": address})
    assert (answer.status_code, answer.text) == (200, "Email sent")


async def status(server: Running, path: str) -> int:
    async with httpx.AsyncClient(timeout=10) as client:
        return (await client.get(server.url + path)).status_code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_serve_answers_delivers_and_stops_in_order(number: signal.Signals, tmp_path: Path) -> None:
    async with RelayOnOrder() as relay:
        env = environment(tmp_path, relay.url)
        await add_account(env, ADDRESS, "an old password of hers")
        async with serving(env, tmp_path) as server:
            assert await status(server, "/healthz") == 200
            await ask(server)
            mail = await relay.next_mail()
            assert mail.rcpt_tos == (ADDRESS,)
            assert b"https://reset.example.com/reset/" in mail.message
            assert await status(server, "/readyz") == 200
            server.signal(number)
            assert await server.ended() == 0
            await server.until(lambda said: '"stopped"' in said)
        assert "Traceback" not in server.said
        assert not [record for record in server.events() if record["level"] in ("warning", "error")], (
            server.said
        )
        await relay.until(lambda: relay.open_connections == 0)


async def test_a_letter_in_hand_is_finished_before_the_end(tmp_path: Path) -> None:
    async with RelayOnOrder() as relay:
        env = environment(tmp_path, relay.url)
        await add_account(env, ADDRESS, "an old password of hers")
        held = relay.order(Fault.hold("DOT"))
        async with serving(env, tmp_path) as server:
            await ask(server)
            await held.reached()
            server.signal(signal.SIGTERM)
            await server.until_event("stopping")
            with pytest.raises(TimeoutError):  # it waits for the letter
                await server.ended(within=0.7)
            held.release()
            assert await server.ended() == 0
        assert relay.accepted == 1
        assert await states_of_letters(env) == ["sent"]


async def test_the_second_signal_ends_it_at_once_and_the_letter_is_not_lost(tmp_path: Path) -> None:
    async with RelayOnOrder() as relay:
        env = environment(tmp_path, relay.url)
        await add_account(env, ADDRESS, "an old password of hers")
        held = relay.order(Fault.hold("DATA"))
        async with serving(env, tmp_path) as server:
            await ask(server)
            await held.reached()
            server.signal(signal.SIGTERM)
            await server.until_event("stopping")
            server.signal(signal.SIGINT)
            assert await server.ended() == 128 + signal.SIGINT  # and not 0, as after waiting for the letter
        assert relay.accepted == 0
        held.release()
        assert await states_of_letters(env) == ["sending"], "its lease runs out by itself"


async def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        ended = await run("serve", "--bind", address, env=environment(tmp_path), cwd=tmp_path)
    assert ended.code == 1
    assert ended.err == f"resetsvc: cannot listen on {address}: Address already in use\n"
    assert not list(tmp_path.glob("*.db")), "nothing had been started that would have to be stopped"


@pytest.mark.parametrize(
    ("bind", "code", "problem"),
    [
        ("127.0.0.1:99999", 2, "cannot listen on 127.0.0.1:99999"),
        ("192.0.2.1:8000", 1, "cannot listen on 192.0.2.1:8000"),
        ("no such host.invalid:80", 1, "cannot listen on no such host.invalid:80"),
        ("fd://notanumber", 2, "cannot listen on fd://notanumber"),
    ],
)
def test_an_address_that_cannot_be_taken_is_named(
    bind: str, code: int, problem: str, resetsvc: Command
) -> None:
    result = resetsvc("serve", "--bind", bind)
    assert result.exit_code == code, result.output
    assert problem in result.stderr
    assert one_line(result.stderr), result.stderr


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("bind = [", "cannot be read"),
        ("bindd = 'x'", "bindd is no setting of hypercorn"),
        ("workers = 3", "workers = 3"),
    ],
)
def test_a_wrong_configuration_of_hypercorn_is_named(text: str, problem: str, resetsvc: Command) -> None:
    for options in (["--config", "mine.toml"], []):
        path = resetsvc.folder / ("mine.toml" if options else "hypercorn.toml")
        path.write_text(text)
        result = resetsvc("serve", *options)
        assert result.exit_code == 2
        assert path.name in result.stderr
        assert problem in result.stderr
        assert one_line(result.stderr)


def test_a_configuration_that_is_not_there_is_named(resetsvc: Command) -> None:
    result = resetsvc("serve", "--config", "nowhere.toml")
    assert result.exit_code == 2
    assert "nowhere.toml cannot be read" in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere: this is for everybody else")
def test_a_folder_that_cannot_be_written_to_is_named(resetsvc: Command) -> None:
    locked = resetsvc.folder / "locked"
    locked.mkdir(mode=0o500)
    resetsvc.set(database_url=f"sqlite:///{locked}/resetsvc.db")
    for command in (["serve", "--bind", "127.0.0.1:0"], ["dispatch"]):
        result = resetsvc(*command)
        assert result.exit_code == 1
        assert "locked/resetsvc.db cannot be used" in result.stderr.splitlines()[-1]


async def test_serve_and_dispatch_are_two_processes_on_one_file(tmp_path: Path) -> None:
    async with RelayOnOrder() as relay:
        env = environment(tmp_path, relay.url)
        await add_account(env, ADDRESS, "an old password of hers")
        async with serving({**env, "RESETSVC_DISPATCH": "false"}, tmp_path) as server:
            assert server.events("serving")[0]["dispatch"] is False
            await ask(server)
            assert relay.connections == 0
            assert await status(server, "/readyz") == 200
            # `dispatch` delivers whatever RESETSVC_DISPATCH says.
            async with dispatching({**env, "RESETSVC_DISPATCH": "false"}, tmp_path) as dispatcher:
                await relay.next_mail()
                await ask(server, "nobody@example.com")
                await dispatcher.until_event("letter dropped")
                assert await dispatcher.stop() == 0
                assert "Traceback" not in dispatcher.said
            assert await server.stop() == 0


async def test_the_second_signal_ends_dispatch_at_once_too(
    tmp_path: Path,
) -> None:
    async with RelayOnOrder() as relay:
        env = environment(tmp_path, relay.url)
        await add_account(env, ADDRESS, "an old password of hers")
        held = relay.order(Fault.hold("MAIL"))
        async with serving({**env, "RESETSVC_DISPATCH": "false"}, tmp_path) as server:
            await ask(server)
            async with dispatching(env, tmp_path) as dispatcher:
                await held.reached()
                dispatcher.signal(signal.SIGINT)
                await dispatcher.until_event("stopping")
                dispatcher.signal(signal.SIGTERM)
                assert await dispatcher.ended() == 128 + signal.SIGTERM
        held.release()


async def test_two_serve_share_one_file(tmp_path: Path) -> None:
    async with RelayOnOrder() as relay:
        env = environment(tmp_path, relay.url, limit_per_account="")
        await add_account(env, ADDRESS, "an old password of hers")
        async with serving(env, tmp_path) as first, serving(env, tmp_path) as second:
            assert first.url != second.url
            for server in (first, second) * 3:
                await ask(server)
            await relay.until(lambda: len(relay.mails) == 6)
            assert len({mail.message_id for mail in relay.mails}) == 6, "each letter once"
            link = (
                relay.mails[0]
                .message.decode()
                .replace("=\r\n", "")
                .partition("https://reset.example.com")[2]
                .split()[0]
            )
            assert await status(second, link) == 200
            assert await first.stop() == 0
            await ask(second)
            await relay.until(lambda: len(relay.mails) == 7)
            assert await second.stop() == 0


async def test_a_request_that_was_answered_survives_a_kill(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    async with relay_process("--ledger", str(ledger), "--orders-from-stdin", "--fault", "refuse") as (
        relay,
        port,
    ):
        env = environment(tmp_path, f"smtp://127.0.0.1:{port}?tls=none")
        await add_account(env, ADDRESS, "an old password of hers")
        async with serving(env, tmp_path) as server:
            await ask(server)
            server.signal(signal.SIGKILL)
            assert await server.ended() == -signal.SIGKILL
        assert not ledger.exists() or not ledger.read_text()
        assert relay.process.stdin is not None
        relay.process.stdin.write(b"clear\n")
        await relay.until(lambda said: "\nok" in said)
        async with serving(env, tmp_path) as again:
            await again.until(lambda said: '"verdict": "sent"' in said, within=20)
            assert await again.stop() == 0
    (mail,) = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert mail["rcpt_tos"] == [ADDRESS]


async def test_hypercorn_serves_the_app_by_itself(tmp_path: Path) -> None:
    async with RelayOnOrder() as relay:
        env = environment(tmp_path, relay.url)
        await add_account(env, ADDRESS, "an old password of hers")
        program = [
            sys.executable,
            "-m",
            "hypercorn",
            "--config",
            str(ROOT / "hypercorn.toml"),
            "--bind",
            "127.0.0.1:0",
        ]
        async with running("resetsvc.app:create_app()", env=env, cwd=tmp_path, program=program) as server:
            await server.until(lambda said: "Running on http://127.0.0.1:" in said)
            port = server.said.partition("Running on http://127.0.0.1:")[2].split()[0]
            async with httpx.AsyncClient() as client:
                answer = await client.post(f"http://127.0.0.1:{port}/reset-password", data={"email": ADDRESS})
            assert (answer.status_code, answer.text) == (200, "Email sent")
            assert "server" not in answer.headers
            await relay.next_mail()
            assert await server.stop() == 0
        assert "Traceback" not in server.said
        assert ADDRESS not in server.said


async def test_hypercorn_by_itself_says_why_it_does_not_start(tmp_path: Path) -> None:
    env = environment(tmp_path, token_ttl="1", secret_key="short-secret")
    program = [sys.executable, "-m", "hypercorn", "--config", str(ROOT / "hypercorn.toml")]
    async with running("resetsvc.app:create_app()", env=env, cwd=tmp_path, program=program) as server:
        assert await server.ended() != 0
        await server.until(lambda said: "RESETSVC_TOKEN_TTL" in said)
    assert "short-secret" not in server.said
