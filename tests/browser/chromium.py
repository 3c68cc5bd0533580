"""Real Chromium, as the system has it: where it is, how it is started, and what a page of ours must never do in it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, async_playwright

CHROMIUM = shutil.which("chromium")
MISSING = "needs a real browser: install the Debian package chromium"

_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_OPTIONS)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Watch:
    """What the pages of a browser context ask for and complain about."""

    requests: list[tuple[str, str]] = field(default_factory=list)
    """(method, address) of every request that the browser made."""
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings of the console (a breach of the content security policy is one), and uncaught exceptions."""

    def origins(self) -> set[str]:
        return {"{0.scheme}://{0.netloc}".format(urlsplit(url)) for _, url in self.requests}

    def posts(self) -> list[str]:
        return [url for method, url in self.requests if method == "POST"]


def watch(context: BrowserContext) -> Watch:
    seen = Watch()

    def note(message: ConsoleMessage) -> None:
        # That a page comes with 400, 410 or 422 is meant; Chromium writes it to the console all the same.
        refused = message.text.startswith("Failed to load resource: the server responded with a status of 4")
        if message.type in ("error", "warning") and not (refused and "/reset" in message.location["url"]):
            seen.complaints.append(f"{message.type}: {message.text} ({message.location['url']})")

    context.on("request", lambda request: seen.requests.append((request.method, request.url)))
    context.on("console", note)
    context.on("weberror", lambda error: seen.complaints.append(f"exception: {error.error}"))
    return seen
