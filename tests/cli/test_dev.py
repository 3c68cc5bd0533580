"""`dev` as a real process: everything on one machine, with nothing configured."""

import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Command
from tests.cli.processes import one_line, run, running
from tests.support.ports import own_ports

BARE = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONWARNINGS": "error"}


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """For the service, the mailbox and the catcher."""
    with own_ports(3) as ports:
        yield ports


def options(port: int, mailbox: int, smtp: int) -> list[str]:
    return [
        "--port",
        str(port),
        "--mailbox-port",
        str(mailbox),
        "--smtp-port",
        str(smtp),
        "--data-dir",
        "data",
    ]


async def test_dev_shows_a_whole_reset_with_nothing_configured(tmp_path: Path, ports: list[int]) -> None:
    port, mailbox, smtp = ports
    config = tmp_path / "data" / "resetsvc.toml"
    config.parent.mkdir()
    config.touch(0o644)  # as an earlier version may have left it: it holds the key
    async with running("dev", *options(port, mailbox, smtp), env=BARE, cwd=tmp_path) as dev:
        await dev.until(lambda said: "Ctrl+C" in said)
        for words in (
            f"http://127.0.0.1:{port}/reset-password",
            f"http://127.0.0.1:{mailbox}/",
            "demo@example.com",
        ):
            assert words in dev.said
        async with httpx.AsyncClient() as client:
            asked = await client.post(
                f"http://127.0.0.1:{port}/reset-password", data={"email": "demo@example.com"}
            )
            assert asked.text == "Email sent"
            await dev.until(lambda said: "verdict=sent" in said)
            page = (await client.get(f"http://127.0.0.1:{mailbox}/")).text
            assert "Reset your password" in page
        (mail,) = (tmp_path / "data" / "mailbox").glob("*.eml")
        text = mail.read_text().replace("=\n", "")
        link = re.search(rf"^http://127\.0\.0\.1:{port}/reset/\S+$", text, re.MULTILINE)
        assert link is not None
        async with httpx.AsyncClient() as client:
            changed = await client.post(link[0], data={"password": "four unrelated words here"})
            assert changed.status_code == 200
        key = (tmp_path / "data" / "secret.key").read_text().strip()
        assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o077 == 0
        dev.signal(signal.SIGINT)
        assert await dev.ended() == 0
    verified = await run("audit", "verify", env={**BARE, "RESETSVC_CONFIG": str(config)}, cwd=tmp_path)
    assert (verified.code, verified.err) == (0, "")
    assert key not in dev.said
    assert "Traceback" not in dev.said
    assert link[0] not in dev.said


async def test_dev_keeps_away_from_the_accounts_of_an_application(tmp_path: Path, ports: list[int]) -> None:
    port, mailbox, smtp = ports
    env = BARE | {"RESETSVC_ACCOUNTS_URL": "sqlite:///shop.db", "RESETSVC_ACCOUNTS_PRESET": "django"}
    async with running("dev", *options(port, mailbox, smtp), env=env, cwd=tmp_path) as dev:
        await dev.until(lambda said: "Ctrl+C" in said)
        async with httpx.AsyncClient() as client:
            await client.post(f"http://127.0.0.1:{port}/reset-password", data={"email": "demo@example.com"})
        await dev.until(lambda said: "verdict=sent" in said)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_taken_port_is_named_with_the_option_that_chooses_another(
    index: int, resetsvc: Command, ports: list[int]
) -> None:
    with socket.create_server(("127.0.0.1", ports[index])):
        result = resetsvc("dev", *options(*ports))
    assert result.exit_code == 1
    assert one_line(result.stderr), result.stderr
    assert str(ports[index]) in result.stderr
    assert ["--port", "--mailbox-port", "--smtp-port"][index] in result.stderr
    assert not (resetsvc.folder / "data").exists()


def test_two_equal_ports_are_told(resetsvc: Command, ports: list[int]) -> None:
    port, other, _ = ports
    result = resetsvc("dev", *options(port, other, port))
    assert result.exit_code == 1
    assert "choose two different ports" in result.stderr
    assert one_line(result.stderr)
