"""`resetsvc dev`, the real command, as somebody meets it who has just cloned the project."""

import asyncio
import http.client
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.serving import NEW_PASSWORD
from tests.browser.steps import choose_password, see_heading
from tests.support.ports import own_ports

pytestmark = pytest.mark.asyncio(loop_scope="session")

DEMO = "demo@example.com"
DEMO_PASSWORD = "the demo account's first password"  # as the tutorial tells it
START = 60  # seconds, on a busy machine
LEASE = 10  # seconds that a killed process's letters stay its own


@dataclass
class Dev:
    """One run of the command."""

    process: asyncio.subprocess.Process
    folder: Path
    port: int
    mailbox_port: int
    smtp_port: int
    told: str = field(default="", init=False)

    @property
    def ask_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/reset-password"

    @property
    def mailbox_url(self) -> str:
        return f"http://127.0.0.1:{self.mailbox_port}/"

    async def wait_until_it_runs(self) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(START):
            while "Ctrl+C stops it." not in self.told:
                line = await self.process.stdout.readline()
                assert line, f"it ended: {self.told}"
                self.told += line.decode()

    async def end(self, signal_number: int) -> int:
        if self.process.returncode is None:
            self.process.send_signal(signal_number)
        async with asyncio.timeout(START):
            _, code = await asyncio.gather(self.read_on(), self.process.wait())
        return code

    async def read_on(self) -> None:
        """Until its end: a full pipe would hold it up."""
        assert self.process.stdout is not None
        self.told += (await self.process.stdout.read()).decode()


Start = Callable[..., Awaitable[Dev]]


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """For the service, the mailbox and the catcher."""
    with own_ports(3) as ports:
        yield ports


def environment(**settings: str) -> dict[str, str]:
    """This process's, without anybody's settings of the service."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RESETSVC_")}
    return kept | {f"RESETSVC_{name.upper()}": value for name, value in settings.items()}


async def run_dev(folder: Path, ports: list[int], **settings: str) -> asyncio.subprocess.Process:
    port, mailbox_port, smtp_port = (str(port) for port in ports)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "resetsvc", "dev"),
        *("--port", port, "--mailbox-port", mailbox_port, "--smtp-port", smtp_port),
        *("--data-dir", "var"),
        cwd=folder,
        env=environment(**settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@pytest_asyncio.fixture(loop_scope="session")
async def start(tmp_path: Path, ports: list[int]) -> AsyncIterator[Start]:
    """Starts the command, on the same ports and data each time it is called."""
    async with AsyncExitStack() as stack:

        async def start(**settings: str) -> Dev:
            dev = Dev(await run_dev(tmp_path, ports, **settings), tmp_path, *ports)
            stack.push_async_callback(dev.end, signal.SIGKILL)
            await dev.wait_until_it_runs()
            return dev

        yield start


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> Page:
    return await context.new_page()


async def run_as_told(dev: Dev) -> str:
    """The command that it prints when it starts, as somebody would copy it into another terminal."""
    (line,) = (line for line in dev.told.splitlines() if "Other commands" in line)
    process = await asyncio.create_subprocess_shell(
        line.partition("Other commands")[2],
        cwd=dev.folder,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
    return told.decode().strip()


async def verify(dev: Dev, password: str) -> int:
    """`resetsvc accounts verify`: 0 if it is the demo account's password, 1 if not."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "resetsvc", "accounts", "verify", DEMO, "--password-stdin"),
        cwd=dev.folder,
        env=environment(config="var/resetsvc.toml"),  # as it said when it started
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate(password.encode())
    assert process.returncode in (0, 1), told.decode()
    assert b"The password is" in told, told.decode()
    return process.returncode


async def test_from_nothing_to_a_changed_password_in_the_browser(start: Start, page: Page) -> None:
    dev = await start()
    for address in (dev.ask_url, dev.mailbox_url, DEMO):
        assert address in dev.told
    assert await run_as_told(dev) == "No letters."
    assert await verify(dev, DEMO_PASSWORD) == 0

    mailbox = await page.context.new_page()
    await mailbox.goto(dev.mailbox_url)
    await expect(mailbox.get_by_text("No mail yet.")).to_be_visible()
    await page.goto(dev.ask_url)
    await page.get_by_label("Email address").fill(DEMO)
    await page.get_by_role("button", name="Send me a link").click()
    await see_heading(page, "Check your inbox")

    # It comes by itself: nobody loads the mailbox again.
    await mailbox.get_by_role("link", name="Reset your password").click()
    async with page.context.expect_page() as opening:
        await mailbox.frame_locator("iframe").get_by_role("link", name="Choose a new password").click()
    opened = await opening.value
    await see_heading(opened, "Choose a new password")
    await choose_password(opened, NEW_PASSWORD)
    await see_heading(opened, "Your password was changed")
    assert await verify(dev, NEW_PASSWORD) == 0
    assert await verify(dev, DEMO_PASSWORD) == 1
    await mailbox.get_by_role("link", name="Your password was changed").click()
    await expect(
        mailbox.frame_locator("iframe").get_by_role("heading", name="Your password was changed")
    ).to_be_visible()

    # Stopped while a mailbox page is open, which listens for news for ever.
    assert await dev.end(signal.SIGTERM) == 0
    assert "Traceback" not in dev.told


async def test_killed_right_after_the_answer_it_sends_the_mail_after_the_next_start(
    start: Start, page: Page
) -> None:
    dev = await start(limit_per_account="")
    for _ in range(10):  # on a busy machine the kill may be late, some times in a row
        assert ask_and_kill(dev) == b"Email sent"
        await dev.process.wait()
        unsent = not mails_of(dev)
        dev = await start(limit_per_account="")
        if unsent:
            break
    assert unsent, "the mail was always faster than the kill: this shows nothing"

    await page.goto(dev.mailbox_url)
    mail = page.get_by_role("link", name="Reset your password")
    await expect(mail).to_have_count(1, timeout=(LEASE + START) * 1000)
    await mail.click()
    async with page.context.expect_page() as opening:
        await page.frame_locator("iframe").get_by_role("link", name="Choose a new password").click()
    opened = await opening.value
    await choose_password(opened, NEW_PASSWORD)
    await see_heading(opened, "Your password was changed")
    assert await verify(dev, NEW_PASSWORD) == 0


async def test_it_listens_on_this_machine_only_and_keeps_its_key_to_itself(start: Start) -> None:
    dev = await start()
    proc = Path(f"/proc/{dev.process.pid}/net")
    if not proc.is_dir():
        pytest.skip("needs /proc, as Linux has it, to see where a process listens")
    ports = {dev.port, dev.mailbox_port, dev.smtp_port}
    listening = {}
    for table in ("tcp", "tcp6"):
        for line in (proc / table).read_text().splitlines()[1:]:
            host, _, port = line.split()[1].partition(":")
            if line.split()[3] == "0A" and int(port, 16) in ports:
                listening[int(port, 16)] = host
    assert listening == dict.fromkeys(ports, "0100007F")
    assert stat.S_IMODE((dev.folder / "var" / "secret.key").stat().st_mode) == 0o600
    assert await dev.end(signal.SIGINT) == 0


@pytest.mark.parametrize(("which", "option"), [(0, "--port"), (1, "--mailbox-port"), (2, "--smtp-port")])
async def test_a_taken_port_is_named_with_the_option_that_chooses_another(
    tmp_path: Path, ports: list[int], which: int, option: str
) -> None:
    with socket.create_server(("127.0.0.1", ports[which])):
        process = await run_dev(tmp_path, ports)
        async with asyncio.timeout(START):
            told, _ = await process.communicate()
    assert process.returncode == 1
    reason = f"port {ports[which]} on 127.0.0.1 is taken (Address already in use)"
    assert told.decode() == f"resetsvc: {reason}: choose another one with {option}\n"
    assert not (tmp_path / "var").exists()  # it left nothing behind


def ask_and_kill(dev: Dev) -> bytes:
    """Without a turn of the event loop in between: the service has no more than a moment after its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", dev.port, timeout=START)
    try:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/reset-password", f"email={DEMO}", form)
        answer = connection.getresponse()
        told = answer.read()
        os.kill(dev.process.pid, signal.SIGKILL)
        assert answer.status == 200
        return told
    finally:
        connection.close()


def mails_of(dev: Dev) -> list[str]:
    """The Message-IDs of the mails that were caught."""
    caught = sorted((dev.folder / "var" / "mailbox").glob("*.eml"))
    return [str(message_from_bytes(file.read_bytes())["Message-ID"]) for file in caught]
