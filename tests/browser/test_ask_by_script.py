"""The page that asks sends its form by a script: a person sees the same as without one, and sooner."""

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from resetsvc.store.connection import Connection
from tests.browser.chromium import Watch
from tests.browser.serving import PERSON, ResetService
from tests.browser.steps import ask_for_a_link, follow_link, see_heading

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOCUSED = "() => document.activeElement.tagName + ' ' + document.activeElement.textContent.trim()"


async def letters_stored(service: ResetService) -> int:
    async def count(connection: Connection) -> int:
        row = await connection.fetch_one("SELECT count(*) AS letters FROM letters")
        assert row is not None
        return int(row["letters"])

    return await service.parts.store.read(count)


async def ask_and_stay(page: Page, service: ResetService) -> None:
    """Ask, and see that the page was never left."""
    await page.goto(service.ask_url)
    await page.evaluate("window.still_here = true")
    await page.get_by_label("Email address").fill(PERSON)
    await page.get_by_role("button", name="Send me a link").click()
    await see_heading(page, "Check your inbox")
    assert await page.evaluate("window.still_here") is True


async def test_the_confirmation_takes_the_place_of_the_form(page: Page, service: ResetService) -> None:
    await ask_and_stay(page, service)
    assert await page.title() == "Check your inbox · Tidewater Books"
    assert await page.evaluate(FOCUSED) == "H1 Check your inbox"  # so that it is read out
    assert await letters_stored(service) == 1


async def test_back_leads_to_the_form_and_loading_again_sends_nothing(
    page: Page, service: ResetService
) -> None:
    await ask_and_stay(page, service)
    await page.reload()
    await see_heading(page, "Reset your password")
    await ask_and_stay(page, service)
    await page.go_back()
    await see_heading(page, "Reset your password")
    await expect(page.get_by_label("Email address")).to_be_editable()
    assert await letters_stored(service) == 2


async def test_what_is_wrong_is_said_at_the_field_and_the_form_works_on(
    page: Page, service: ResetService
) -> None:
    await page.goto(service.ask_url)
    await page.get_by_label("Email address").fill("ann.lee")
    await page.get_by_role("button", name="Send me a link").click()
    await expect(page.get_by_role("alert")).to_have_text("Enter an email address, like name@example.com.")
    await expect(page.get_by_label("Email address")).to_be_focused()
    await expect(page.get_by_label("Email address")).to_have_value("ann.lee")
    assert (await page.title()).startswith("Error: ")
    await page.get_by_label("Email address").fill(PERSON)
    await page.get_by_role("button", name="Send me a link").click()
    await see_heading(page, "Check your inbox")


async def test_a_link_that_is_dead_offers_another_in_the_same_way(page: Page, service: ResetService) -> None:
    mail = await follow_link(page, service)
    await page.goto(mail.link[:-3] + "xxx")
    await see_heading(page, "This link no longer works")
    await page.get_by_label("Email address").fill(PERSON)
    await page.get_by_role("button", name="Send me a link").click()
    await see_heading(page, "Check your inbox")
    assert page.url == service.ask_url
    await page.go_back()
    await see_heading(page, "This link no longer works")


async def test_a_second_click_sends_nothing_more(page: Page, service: ResetService) -> None:
    sent = 0

    async def hold(route: Route) -> None:
        nonlocal sent
        sent += 1
        await clicked_again.wait()
        await route.continue_()

    clicked_again = asyncio.Event()
    await page.goto(service.ask_url)
    await page.route("**/reset-password", hold)
    await page.get_by_label("Email address").fill(PERSON)
    button = page.get_by_role("button", name="Send me a link")
    await button.click()
    await button.click()
    clicked_again.set()
    await see_heading(page, "Check your inbox")
    assert sent == 1


async def test_where_the_script_cannot_send_the_browser_does(
    page: Page, service: ResetService, seen: Watch
) -> None:
    async def fail_for_scripts(route: Route) -> None:
        if route.request.resource_type == "fetch":
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/reset-password", fail_for_scripts)
    await ask_for_a_link(page, service)
    (complaint,) = seen.complaints  # what was aborted
    assert "ERR_FAILED" in complaint
    seen.complaints.clear()
    assert await letters_stored(service) == 1


async def test_an_answer_that_is_no_page_of_ours_is_shown_and_not_asked_for_twice(
    page: Page, service: ResetService
) -> None:
    """Somebody's own template, without the frame that ours have."""

    answered = 0

    async def answer(route: Route) -> None:
        nonlocal answered
        answered += 1
        await route.fulfill(
            body="<!doctype html><title>Done</title><h1>Look into your mail</h1>", content_type="text/html"
        )

    await page.goto(service.ask_url)
    await page.route("**/reset-password", answer)
    await page.get_by_label("Email address").fill(PERSON)
    await page.get_by_role("button", name="Send me a link").click()
    await see_heading(page, "Look into your mail")
    assert await page.title() == "Done"
    assert answered == 1
