"""The token is a password for half an hour: it leaves the address bar and goes nowhere else."""

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.chromium import Watch
from tests.browser.every_page import every_page
from tests.browser.serving import NEW_PASSWORD, OtherSite, ResetService
from tests.browser.steps import choose_password, follow_link, read_mail, receive_mail, see_heading

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_token_leaves_the_address_bar_and_stays_out_of_it(
    page: Page, service: ResetService
) -> None:
    mail = await follow_link(page, service)
    assert page.url == service.ask_url
    await choose_password(page, "too short")
    await expect(page.get_by_role("alert")).to_be_visible()
    assert page.url == service.ask_url
    await choose_password(page, NEW_PASSWORD)
    await see_heading(page, "Your password was changed")
    assert page.url == service.ask_url
    assert mail.token not in await page.content()


async def test_the_token_of_the_cancel_page_leaves_the_address_bar(page: Page, service: ResetService) -> None:
    mail = await receive_mail(page, service)
    await page.goto(mail.cancel_link)
    assert page.url == service.ask_url
    await page.get_by_role("button", name="Stop all reset links").click()
    await see_heading(page, "The reset links were stopped")
    assert page.url == service.ask_url
    assert mail.token not in await page.content()


async def test_the_history_does_not_hold_the_token(page: Page, service: ResetService) -> None:
    mail = await follow_link(page, service)
    await choose_password(page, NEW_PASSWORD)
    await see_heading(page, "Your password was changed")
    visited = [page.url]
    for _ in range(3):
        await page.go_back()
        visited.append(page.url)
    assert set(visited) == {service.ask_url}, visited
    await see_heading(page, "Reset your password")
    entries = await (await page.context.new_cdp_session(page)).send("Page.getNavigationHistory")
    assert len(entries["entries"]) >= 4
    assert not [entry for entry in entries["entries"] if mail.token in entry["url"]]


async def test_going_back_from_the_last_page_shows_no_form_for_a_password(
    page: Page, service: ResetService
) -> None:
    await follow_link(page, service)
    await choose_password(page, NEW_PASSWORD)
    await see_heading(page, "Your password was changed")
    await page.go_back()
    await see_heading(page, "Reset your password")


async def test_the_way_out_tells_the_next_site_nothing(
    page: Page, service: ResetService, webmail: OtherSite
) -> None:
    for leave_from in ("new password", "cancel", "done"):
        mail = await receive_mail(page, service)
        await page.goto(mail.cancel_link if leave_from == "cancel" else mail.link)
        if leave_from == "done":
            await choose_password(page, NEW_PASSWORD)
            await see_heading(page, "Your password was changed")
        webmail.visits.clear()
        await page.get_by_role("link", name="ign in").click()  # "Back to sign in" or "Sign in"
        await see_heading(page, "Sign in")
        (visit,) = webmail.visits_to("/login")
        assert "referer" not in {name.lower() for name in visit.headers}, leave_from
        assert await page.evaluate("document.referrer") == ""
        assert mail.token not in str(webmail.visits)


async def test_without_javascript_the_way_out_tells_the_next_site_nothing(
    browser: Browser, service: ResetService, webmail: OtherSite
) -> None:
    async with await browser.new_context(java_script_enabled=False) as context:
        page = await context.new_page()
        mail = await follow_link(page, service)
        assert page.url == mail.link  # nobody is there to take it out
        await page.get_by_role("link", name="Back to sign in").click()
        await see_heading(page, "Sign in")
        (visit,) = webmail.visits_to("/login")
        assert "referer" not in {name.lower() for name in visit.headers}


async def test_the_page_that_led_here_keeps_no_hold_on_the_window(
    page: Page, service: ResetService, webmail: OtherSite
) -> None:
    """A webmail that opens links in a new window could otherwise send that window elsewhere later."""
    mail = await receive_mail(page, service)
    await read_mail(page, webmail, mail)
    async with page.context.expect_page() as opening:
        await page.evaluate("link => { window.opened = window.open(link) }", mail.link)
    opened = await opening.value
    await see_heading(opened, "Choose a new password")
    assert await opened.evaluate("window.opener === null")
    assert await page.evaluate("window.opened.closed")  # to its opener it looks closed


async def test_no_page_can_be_framed(
    page: Page, service: ResetService, webmail: OtherSite, seen: Watch
) -> None:
    mail = await receive_mail(page, service)
    for link in (service.ask_url, mail.link, mail.cancel_link):
        webmail.files["frame"] = f'<!doctype html><title>Trap</title><iframe src="{link}"></iframe>'
        await page.goto(f"{webmail.url}/frame")
        await expect(page.locator("iframe")).to_be_visible()
        text = await page.frames[1].evaluate("document.body ? document.body.innerText : ''")
        assert "password" not in text
    assert len([complaint for complaint in seen.complaints if "frame-ancestors" in complaint]) == 3
    seen.complaints.clear()  # they were meant


async def test_no_page_asks_another_origin_for_anything_or_breaks_its_own_policy(
    page: Page, service: ResetService, seen: Watch
) -> None:
    names = [name async for name in every_page(page, service)]
    assert len(names) > 10
    assert seen.origins() == {service.url}
    assert seen.complaints == [
        f"error: Failed to load resource: the server responded with a status of 404 () ({service.url}/no/such/page)"
    ]
    seen.complaints.clear()  # a page that is not there was meant


async def test_nothing_is_left_in_the_browser(page: Page, service: ResetService) -> None:
    await follow_link(page, service)
    await choose_password(page, NEW_PASSWORD)
    await see_heading(page, "Your password was changed")
    assert await page.context.cookies() == []
    assert await page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert await page.evaluate("history.state") is None
