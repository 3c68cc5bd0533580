"""What the page for the new password does for a person, and for the password manager of one."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.chromium import Watch
from tests.browser.serving import NEW_PASSWORD, PERSON, ResetService
from tests.browser.steps import choose_password, follow_link, see_heading

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_password_can_be_pasted(page: Page, service: ResetService) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.url)
    await follow_link(page, service)
    await page.evaluate("text => navigator.clipboard.writeText(text)", NEW_PASSWORD)
    await page.get_by_label("New password").focus()
    await page.keyboard.press("Control+V")
    await expect(page.get_by_label("New password")).to_have_value(NEW_PASSWORD)
    await page.keyboard.press("Enter")
    await see_heading(page, "Your password was changed")
    assert await service.accounts.verify(PERSON, NEW_PASSWORD)


async def test_the_button_shows_and_hides_what_is_typed(page: Page, service: ResetService) -> None:
    await follow_link(page, service)
    field = page.get_by_label("New password")
    await field.fill(NEW_PASSWORD)
    await expect(field).to_have_attribute("type", "password")
    await page.get_by_role("button", name="Show password").click()
    await expect(field).to_have_attribute("type", "text")
    await expect(page.get_by_role("status")).to_have_text("Your password is visible.")
    await page.get_by_role("button", name="Hide password").click()
    await expect(field).to_have_attribute("type", "password")
    await expect(field).to_have_value(NEW_PASSWORD)


async def test_a_shown_password_is_hidden_before_it_is_sent(page: Page, service: ResetService) -> None:
    """A browser keeps what was typed into a text field, for its suggestions."""
    await follow_link(page, service)
    await page.get_by_label("New password").fill(NEW_PASSWORD)
    await page.get_by_role("button", name="Show password").click()
    await page.evaluate(
        """() => document.forms[0].addEventListener("submit", (event) => {
            event.preventDefault();
            document.title = "sent as " + document.getElementById("password").type;
        })"""
    )
    await page.get_by_role("button", name="Change password").click()
    await expect(page).to_have_title("sent as password")


async def test_the_length_is_told_while_typing_as_the_server_counts_it(
    page: Page, service: ResetService
) -> None:
    await follow_link(page, service)
    counter = page.locator("#length-text")
    await expect(counter).to_be_hidden()
    for typed, told in (
        ("ten chars!", "10 of at least 15 characters"),
        ("🔑" * 14, "14 of at least 15 characters"),  # two UTF-16 units each
        ("🔑" * 15, "Long enough"),
        ("e\u0301" * 14, "14 of at least 15 characters"),  # an accent of its own: one character after NFC
        ("fifteen chars !", "Long enough"),
        ("x" * 1024, "Long enough"),
        ("x" * 1025, "Too long: 1025 of at most 1024 characters"),
    ):
        await page.get_by_label("New password").fill(typed)
        await expect(counter).to_have_text(told)
        await page.get_by_label("New password").fill("")
        await expect(counter).to_be_hidden()


async def test_a_screen_reader_is_told_when_it_becomes_long_enough(page: Page, service: ResetService) -> None:
    await follow_link(page, service)
    field, status = page.get_by_label("New password"), page.get_by_role("status")
    await field.press_sequentially("fourteen chars")
    await expect(status).to_have_text("14 of at least 15 characters")  # once the typing pauses
    await field.press_sequentially("!")
    await expect(status).to_have_text("Long enough")


async def test_a_password_manager_finds_its_way(page: Page, service: ResetService) -> None:
    await follow_link(page, service)
    form = page.locator("form")
    username = form.locator("input[autocomplete=username]")
    await expect(username).to_have_value(PERSON)
    await expect(username).to_be_hidden()
    assert await username.evaluate("field => field.form.id") == "new-password"
    password = form.locator("input[autocomplete=new-password]")
    assert await password.count() == 1
    await expect(password).to_have_attribute("type", "password")
    assert await password.get_attribute("maxlength") is None  # a longer one is refused, not cut in silence
    await page.goto(service.ask_url)
    await expect(page.get_by_label("Email address")).to_have_attribute("autocomplete", "email")


async def test_while_it_is_being_changed_nothing_is_sent_a_second_time(
    page: Page, service: ResetService
) -> None:
    """The first would use the link up, and the second, whose answer is shown, would say that it no longer works."""
    await follow_link(page, service)
    await page.get_by_label("New password").fill(NEW_PASSWORD)
    # As on a slow network: the form is sent, and the page stays while the answer is awaited.
    await page.evaluate(
        """() => {
            window.held = [];
            document.addEventListener("submit", (event) => {
                window.held.push(event.defaultPrevented);
                event.preventDefault();
            });
        }"""
    )
    await page.get_by_role("button", name="Change password").click()
    busy = page.get_by_role("button", name="Changing your password…")
    await expect(busy).to_have_attribute("aria-disabled", "true")
    await expect(page.get_by_role("status")).to_have_text("Changing your password…")
    await page.locator("#submit").dispatch_event("click")
    await page.get_by_label("New password").press("Enter")
    assert await page.evaluate("window.held") == [False, True, True]


async def test_two_quick_clicks_change_the_password(page: Page, service: ResetService, seen: Watch) -> None:
    mail = await follow_link(page, service)
    await page.get_by_label("New password").fill(NEW_PASSWORD)
    await page.get_by_role("button", name="Change password").dblclick()
    await see_heading(page, "Your password was changed")
    assert seen.posts().count(mail.link) == 1


async def test_a_very_long_password_is_taken_whole(page: Page, service: ResetService) -> None:
    password = "".join(f"{number:x} " for number in range(500))[:1000]
    await follow_link(page, service)
    await choose_password(page, password)
    await see_heading(page, "Your password was changed")
    assert await service.accounts.verify(PERSON, password)
    assert not await service.accounts.verify(PERSON, password[:-1])


async def test_an_address_with_markup_in_it_stays_text(page: Page, service: ResetService) -> None:
    address = "o'brien&b={x}@example.com"
    assert await service.accounts.add(address, "the one he has forgotten")
    await page.goto(service.ask_url)
    await page.get_by_label("Email address").fill(address)
    await page.get_by_label("Email address").press("Enter")
    await see_heading(page, "Check your inbox")
    await page.goto((await service.next_mail()).link)
    await expect(page.locator("strong")).to_have_text(address)
    await expect(page.locator("input[name=username]")).to_have_value(address)
