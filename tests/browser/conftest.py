"""One browser for all tests of this folder; for each test a service, somebody's webmail, and a browser profile of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.chromium import CHROMIUM, MISSING, Watch, chromium, watch
from tests.browser.serving import OtherSite, ResetService, other_site, reset_service
from tests.support.lacking import lacking

expect.set_options(timeout=30_000)

# The browser's connection belongs to one event loop, so all these tests share it:
# every file here says `pytestmark = pytest.mark.asyncio(loop_scope="session")`.


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        lacking(MISSING)
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def webmail() -> AsyncIterator[OtherSite]:
    """Another origin, which also has the page to sign in on."""
    async with other_site() as site:
        site.files["login"] = "<!doctype html><html lang=en><title>Sign in</title><h1>Sign in</h1>"
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def service(tmp_path: Path, webmail: OtherSite) -> AsyncIterator[ResetService]:
    async with reset_service(tmp_path, login_url=f"{webmail.url}/login") as service:
        yield service


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    async with await browser.new_context() as context:
        context.set_default_timeout(30_000)
        yield context


@pytest.fixture
def seen(context: BrowserContext) -> Watch:
    return watch(context)


@pytest_asyncio.fixture(loop_scope="session")
async def page(
    context: BrowserContext, seen: Watch, service: ResetService, webmail: OtherSite
) -> AsyncIterator[Page]:
    """A page of a fresh profile. Whatever the test does, nothing may be amiss in the console, and nothing foreign loaded."""
    yield await context.new_page()
    assert seen.complaints == []
    assert seen.origins() <= {service.url, webmail.url}
