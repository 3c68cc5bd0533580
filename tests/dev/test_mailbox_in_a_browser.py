"""The page in real Chromium: it updates by itself, the mail's link opens, nothing remote loads, and axe finds no fault."""

import shutil
from collections.abc import AsyncIterator

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # it ships no types
from playwright.async_api import Page, async_playwright, expect

from resetsvc.dev.caught_mails import CaughtMails
from tests.dev.conftest import Send, Served, a_mail
from tests.support.lacking import lacking

CHROMIUM = shutil.which("chromium")


@pytest.fixture
async def page(served: Served) -> AsyncIterator[Page]:
    if CHROMIUM is None:
        lacking("needs a real browser: install the Debian package chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = await browser.new_page(base_url=served.url)
        await page.goto("/")
        yield page
        await browser.close()


async def test_a_mail_appears_opens_and_leads_to_its_link(
    page: Page, served: Served, store: CaughtMails, send: Send
) -> None:
    loaded: list[str] = []
    page.context.on("response", lambda response: loaded.append(response.url))
    link = f"{served.url}/healthz"  # something that answers
    remote = f'<img src="{served.url}/remote.png"><link rel="stylesheet" href="{served.url}/remote.css">'
    await expect(page.get_by_text("0 mails")).to_be_visible()
    await send(
        a_mail(
            "Hello",
            html=f'<!doctype html><title>x</title>{remote}<script>top.x = 1</script><a href="{link}">Go</a>',
        )
    )
    await expect(page.get_by_text("1 mail", exact=True)).to_be_visible()
    await expect(page.get_by_text("Choose a mail")).to_be_visible()

    await page.get_by_role("link", name="Hello").click()
    async with page.context.expect_page() as opened:
        await page.frame_locator("iframe").get_by_role("link", name="Go").click()
    await (await opened.value).wait_for_url(link)
    assert not [url for url in loaded if "remote" in url]

    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Delete all").click()
    await expect(page.get_by_text("What to do")).to_be_visible()


async def test_the_arrow_keys_walk_the_list(page: Page, store: CaughtMails, send: Send) -> None:
    await send(a_mail("Older"))
    await send(a_mail("Newer"))
    await expect(page.get_by_text("2 mails")).to_be_visible()
    await page.get_by_role("link", name="Newer").focus()
    await page.keyboard.press("ArrowDown")
    await send(a_mail("Newest"))  # the list is made anew: the focus stays
    await expect(page.get_by_text("3 mails")).to_be_visible()
    await expect(page.get_by_role("link", name="Older")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Older")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_fault(page: Page, store: CaughtMails, send: Send, scheme: str) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    assert (await Axe().run(page)).violations_count == 0
    await send(a_mail())
    mail = store.newest_first()[0]
    for view in ("html", "text", "source", "headers"):
        await page.goto(f"/mails/{mail.id}?view={view}")
        result = await Axe().run(page)
        assert result.violations_count == 0, result.generate_report()
