""" "This was not me": the link that stops what somebody else has asked for."""

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.chromium import Watch
from tests.browser.serving import NEW_PASSWORD, OLD_PASSWORD, PERSON, OtherSite, ResetService
from tests.browser.steps import (
    ask_for_a_link,
    choose_password,
    follow_link,
    read_mail,
    receive_mail,
    see_heading,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

STOP = "Stop all reset links"


async def test_the_owner_stops_all_links_and_the_password_stays(
    page: Page, service: ResetService, webmail: OtherSite
) -> None:
    first, second = await receive_mail(page, service), await receive_mail(page, service)
    await read_mail(page, webmail, second)
    await page.get_by_role("link", name="This was not me").click()
    await see_heading(page, "You did not ask for a new password?")
    await page.get_by_role("button", name=STOP).click()
    await see_heading(page, "The reset links were stopped")
    for mail in (first, second):
        for link in (mail.link, mail.cancel_link):
            await page.goto(link)
            await see_heading(page, "This link no longer works")
    assert await service.accounts.verify(PERSON, OLD_PASSWORD)


async def test_a_page_that_was_open_before_cannot_be_used_after(page: Page, service: ResetService) -> None:
    mail = await follow_link(page, service)
    owner = await page.context.new_page()
    await owner.goto(mail.cancel_link)
    await owner.get_by_role("button", name=STOP).click()
    await see_heading(owner, "The reset links were stopped")
    await choose_password(page, NEW_PASSWORD)
    await see_heading(page, "This link no longer works")
    assert await service.accounts.verify(PERSON, OLD_PASSWORD)


async def test_opening_the_page_stops_nothing(page: Page, service: ResetService, seen: Watch) -> None:
    mail = await receive_mail(page, service)
    await page.goto(mail.cancel_link)
    await see_heading(page, "You did not ask for a new password?")
    assert seen.posts() == [service.ask_url]
    await page.goto(mail.link)
    await see_heading(page, "Choose a new password")


async def test_without_the_tick_another_link_can_be_asked_for(page: Page, service: ResetService) -> None:
    mail = await receive_mail(page, service)
    await page.goto(mail.cancel_link)
    await expect(page.get_by_role("checkbox")).not_to_be_checked()
    await page.get_by_role("button", name=STOP).click()
    await expect(page.get_by_text("Anyone who knows your address can ask for another link")).to_be_visible()
    another = await receive_mail(page, service)
    assert another.recipient == PERSON
    await page.goto(another.link)
    await see_heading(page, "Choose a new password")


async def test_with_the_tick_no_reset_mail_comes_to_this_address(page: Page, service: ResetService) -> None:
    assert await service.accounts.add("bob@example.com", "the one he has forgotten")
    mail = await receive_mail(page, service)
    await page.goto(mail.cancel_link)
    await page.get_by_label("Send no reset emails to this address for 24 hours").check()
    await page.get_by_role("button", name=STOP).click()
    await expect(page.get_by_text("For the next 24 hours, no reset emails are sent")).to_be_visible()
    await ask_for_a_link(page, service, PERSON)
    # Letters go out in the order in which they were asked for: Bob's is the next, so Ann's was not sent.
    await ask_for_a_link(page, service, "bob@example.com")
    assert (await service.next_mail()).recipient == "bob@example.com"


async def test_it_works_with_the_keyboard_and_without_javascript(
    browser: Browser, service: ResetService
) -> None:
    async with await browser.new_context(java_script_enabled=False) as context:
        page = await context.new_page()
        mail = await receive_mail(page, service)
        await page.goto(mail.cancel_link)
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("checkbox")).to_be_focused()
        await page.keyboard.press("Space")
        await expect(page.get_by_role("checkbox")).to_be_checked()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await see_heading(page, "The reset links were stopped")
        await expect(page.get_by_text("For the next 24 hours")).to_be_visible()


async def test_the_page_does_not_say_whose_account_it_is(page: Page, service: ResetService) -> None:
    """A mail that was passed on gives the link away, but not the address on record."""
    mail = await receive_mail(page, service)
    await page.goto(mail.cancel_link)
    assert PERSON not in await page.content()
