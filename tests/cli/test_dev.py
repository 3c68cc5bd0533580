"""`dev` as a real process: everything on one machine, with nothing configured."""

import re
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Command
from tests.cli.processes import one_line, run, running

BARE = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONWARNINGS": "error"}


def free_ports(count: int) -> list[int]:
    """Ports that are free at this moment. All are held until the last one is known, so that no two are the same."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in taken]
    finally:
        for one in taken:
            one.close()


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


async def test_dev_shows_a_whole_reset_with_nothing_configured(tmp_path: Path) -> None:
    port, mailbox, smtp = free_ports(3)
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


async def test_dev_keeps_away_from_the_accounts_of_an_application(tmp_path: Path) -> None:
    port, mailbox, smtp = free_ports(3)
    env = BARE | {"RESETSVC_ACCOUNTS_URL": "sqlite:///shop.db", "RESETSVC_ACCOUNTS_PRESET": "django"}
    async with running("dev", *options(port, mailbox, smtp), env=env, cwd=tmp_path) as dev:
        await dev.until(lambda said: "Ctrl+C" in said)
        async with httpx.AsyncClient() as client:
            await client.post(f"http://127.0.0.1:{port}/reset-password", data={"email": "demo@example.com"})
        await dev.until(lambda said: "verdict=sent" in said)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_taken_port_is_named_with_the_option_that_chooses_another(index: int, resetsvc: Command) -> None:
    ports = free_ports(3)
    with socket.create_server(("127.0.0.1", ports[index])):
        result = resetsvc("dev", *options(*ports))
    assert result.exit_code == 1
    assert one_line(result.stderr), result.stderr
    assert str(ports[index]) in result.stderr
    assert ["--port", "--mailbox-port", "--smtp-port"][index] in result.stderr
    assert not (resetsvc.folder / "data").exists()


def test_two_equal_ports_are_told(resetsvc: Command) -> None:
    port, other = free_ports(2)
    result = resetsvc("dev", *options(port, other, port))
    assert result.exit_code == 1
    assert "choose two different ports" in result.stderr
    assert one_line(result.stderr)
