"""The whole reset as a person does it, and the ways in which it can go wrong on the way."""

import re
from typing import Any

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


async def test_a_person_asks_gets_the_mail_and_sets_a_new_password(
    page: Page, service: ResetService, webmail: OtherSite
) -> None:
    await ask_for_a_link(page, service)
    mail = await service.next_mail()
    assert (mail.recipient, mail.subject) == (PERSON, "Reset your password")

    await read_mail(page, webmail, mail)
    await page.get_by_role("link", name="Choose a new password").click()
    await see_heading(page, "Choose a new password")
    await expect(page.get_by_text(PERSON)).to_be_visible()
    await choose_password(page, NEW_PASSWORD)
    await see_heading(page, "Your password was changed")
    assert await service.accounts.verify(PERSON, NEW_PASSWORD)
    assert not await service.accounts.verify(PERSON, OLD_PASSWORD)

    notice = await service.next_mail()
    assert (notice.recipient, notice.subject) == (PERSON, "Your password was changed")
    await read_mail(page, webmail, notice)
    await page.get_by_role("link", name=service.ask_url).click()
    await see_heading(page, "Reset your password")

    await read_mail(page, webmail, mail)
    await page.get_by_role("link", name="Choose a new password").click()
    await see_heading(page, "This link no longer works")
    await expect(page.get_by_label("New password")).to_have_count(0)


async def test_the_bare_link_in_the_mail_works_as_well_as_the_button(
    page: Page, service: ResetService, webmail: OtherSite
) -> None:
    mail = await receive_mail(page, service)
    await read_mail(page, webmail, mail)
    await page.get_by_role("link", name=mail.link, exact=True).click()
    await see_heading(page, "Choose a new password")


async def test_the_last_page_leads_to_where_one_signs_in(
    page: Page, service: ResetService, webmail: OtherSite
) -> None:
    await follow_link(page, service)
    await choose_password(page, NEW_PASSWORD)
    await page.get_by_role("link", name="Sign in").click()
    await see_heading(page, "Sign in")


async def test_it_works_with_the_keyboard_alone(page: Page, service: ResetService) -> None:
    async def press(*keys: str) -> None:
        for key in keys:
            await page.keyboard.press(key)

    await page.goto(service.ask_url)
    await press("Tab")
    await expect(page.get_by_label("Email address")).to_be_focused()
    await page.keyboard.type(PERSON)
    await press("Tab", "Enter")
    await see_heading(page, "Check your inbox")

    await page.goto((await service.next_mail()).link)
    await press("Tab")
    await expect(page.get_by_label("New password")).to_be_focused()
    await page.keyboard.type("too short")
    await press("Enter")
    # What went wrong has the focus, and leads back to the field.
    await expect(page.get_by_role("alert")).to_be_focused()
    await press("Tab", "Enter")
    await expect(page.get_by_label("New password")).to_be_focused()
    await page.keyboard.type(NEW_PASSWORD)
    await press("Tab", "Space")
    await expect(page.get_by_label("New password")).to_have_attribute("type", "text")
    await press("Tab", "Enter")
    await see_heading(page, "Your password was changed")
    assert await service.accounts.verify(PERSON, NEW_PASSWORD)


async def test_it_works_without_javascript(browser: Browser, service: ResetService) -> None:
    async with await browser.new_context(java_script_enabled=False) as context:
        page = await context.new_page()
        mail = await follow_link(page, service)
        # What only a script can do is not offered.
        await expect(page.get_by_role("button")).to_have_text(["Change password"])
        await choose_password(page, "too short")
        await expect(page.get_by_role("alert")).to_contain_text("Use at least 15 characters.")
        await choose_password(page, NEW_PASSWORD)
        await see_heading(page, "Your password was changed")
        await page.goto(mail.link)
        await see_heading(page, "This link no longer works")
    assert await service.accounts.verify(PERSON, NEW_PASSWORD)


async def test_it_works_on_a_phone(browser: Browser, service: ResetService) -> None:
    phone: dict[str, Any] = {
        "viewport": {"width": 360, "height": 640},
        "device_scale_factor": 3,
        "is_mobile": True,
        "has_touch": True,
    }
    async with await browser.new_context(**phone) as context:
        page = await context.new_page()
        await page.goto(service.ask_url)
        await page.get_by_label("Email address").tap()
        await page.keyboard.type(PERSON)
        await page.get_by_role("button", name="Send me a link").tap()
        await see_heading(page, "Check your inbox")
        await page.goto((await service.next_mail()).link)
        assert await page.evaluate("visualViewport.scale") == 1
        await page.get_by_label("New password").tap()
        await page.keyboard.type(NEW_PASSWORD)
        await page.get_by_role("button", name="Show password").tap()
        await expect(page.get_by_label("New password")).to_have_value(NEW_PASSWORD)
        await page.get_by_role("button", name="Change password").tap()
        await see_heading(page, "Your password was changed")
    assert await service.accounts.verify(PERSON, NEW_PASSWORD)


async def test_what_is_no_address_is_shown_again_and_can_be_put_right(
    page: Page, service: ResetService
) -> None:
    field = page.get_by_label("Email address")
    await page.goto(service.ask_url)
    for typed in ("", "ann.lee", "ann@lee@example.com", "Ann <ann.lee@example.com>"):
        await field.fill(typed)
        async with page.expect_navigation():
            await page.get_by_role("button", name="Send me a link").click()
        await expect(page.get_by_role("alert")).to_have_text("Enter an email address, like name@example.com.")
        await expect(page).to_have_title("Error: Reset your password · Tidewater Books")
        await expect(field).to_have_value(typed)
        await expect(field).to_be_focused()
        await expect(field).to_have_accessible_description("Enter an email address, like name@example.com.")
    await field.fill(PERSON)
    await field.press("Enter")
    await see_heading(page, "Check your inbox")


async def test_markup_in_the_address_field_stays_text(page: Page, service: ResetService) -> None:
    typed = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
    await page.goto(service.ask_url)
    await page.get_by_label("Email address").fill(typed)
    await page.get_by_role("button", name="Send me a link").click()
    await expect(page.get_by_label("Email address")).to_have_value(typed)
    await expect(page.locator("img")).to_have_count(0)


async def test_a_stranger_sees_what_the_owner_sees(page: Page, service: ResetService) -> None:
    await ask_for_a_link(page, service, PERSON)
    for_the_owner = await page.content()
    await ask_for_a_link(page, service, "somebody.else@example.com")
    assert await page.content() == for_the_owner


async def test_a_refused_password_is_refused_with_reasons_and_the_link_goes_on_working(
    page: Page, service: ResetService
) -> None:
    mail = await follow_link(page, service)
    for typed, reason in (
        ("too short", "Use at least 15 characters."),
        ("password12345678", "This is one of the passwords that are tried first."),
        ("aaaaaaaaaaaaaaaaaaaa", "This is a row of the same or neighbouring characters."),
        ("my tidewater books 1", "Your address or the name of this service is in it."),
        ("", "Enter a new password."),
    ):
        # An empty field is held back by the browser: without its own check, the server's answer is seen.
        await page.locator("form").evaluate("form => { form.noValidate = true }")
        async with page.expect_navigation():
            await choose_password(page, typed)
        await expect(page.get_by_role("alert")).to_contain_text(reason)
        await expect(page).to_have_title("Error: Choose a new password · Tidewater Books")
        field = page.get_by_label("New password")
        await expect(field).to_have_value("")  # a password is never sent back
        await expect(field).to_have_accessible_description(re.compile(re.escape(reason)))
        await expect(field).to_have_accessible_description(re.compile("At least 15 characters"))
    assert await service.accounts.verify(PERSON, OLD_PASSWORD)
    await page.goto(mail.link)
    await choose_password(page, "too short")
    await expect(page.get_by_role("alert")).to_be_visible()
    await choose_password(page, NEW_PASSWORD)  # on the same page
    await see_heading(page, "Your password was changed")
    assert await service.accounts.verify(PERSON, NEW_PASSWORD)


async def test_an_empty_password_is_held_back_by_the_browser(
    page: Page, service: ResetService, seen: Watch
) -> None:
    mail = await follow_link(page, service)
    await page.get_by_role("button", name="Change password").click()
    await expect(page.get_by_label("New password")).to_be_focused()
    assert mail.link not in seen.posts()


async def test_a_dead_link_offers_a_new_one(page: Page, service: ResetService) -> None:
    await page.goto(f"{service.url}/reset/cut-short-by-a-mail-program")
    await see_heading(page, "This link no longer works")
    await page.get_by_label("Email address").fill(PERSON)
    await page.get_by_role("button", name="Send me a link").click()
    await see_heading(page, "Check your inbox")
    await page.goto((await service.next_mail()).link)
    await see_heading(page, "Choose a new password")


async def test_the_link_works_in_another_browser(page: Page, browser: Browser, service: ResetService) -> None:
    mail = await receive_mail(page, service)
    async with await browser.new_context() as other_device:
        there = await other_device.new_page()
        await there.goto(mail.link)
        await choose_password(there, NEW_PASSWORD)
        await see_heading(there, "Your password was changed")


async def test_of_two_open_tabs_the_first_wins_and_the_second_is_told(
    page: Page, service: ResetService
) -> None:
    mail = await follow_link(page, service)
    second = await page.context.new_page()
    await second.goto(mail.link)
    await choose_password(page, NEW_PASSWORD)
    await see_heading(page, "Your password was changed")
    await choose_password(second, "another four unrelated words")
    await see_heading(second, "This link no longer works")
    assert await service.accounts.verify(PERSON, NEW_PASSWORD)


async def test_an_older_link_works_until_one_is_used(page: Page, service: ResetService) -> None:
    older = await receive_mail(page, service)
    newer = await receive_mail(page, service)
    await page.goto(older.link)
    await choose_password(page, NEW_PASSWORD)
    await see_heading(page, "Your password was changed")
    await page.goto(newer.link)
    await see_heading(page, "This link no longer works")


async def test_opening_the_link_many_times_uses_nothing_up(page: Page, service: ResetService) -> None:
    mail = await receive_mail(page, service)
    for _ in range(5):
        await page.goto(mail.link)
        await page.goto(mail.cancel_link)
    await page.goto(mail.link)
    await choose_password(page, NEW_PASSWORD)
    await see_heading(page, "Your password was changed")


async def test_where_password_managers_look_is_the_form(page: Page, service: ResetService) -> None:
    await page.goto(f"{service.url}/.well-known/change-password")
    assert page.url == service.ask_url
    await see_heading(page, "Reset your password")
