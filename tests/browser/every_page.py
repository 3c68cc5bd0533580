"""A walk through every page in every state, and both mails: for what has to hold on all of them."""

from collections.abc import AsyncIterator

from playwright.async_api import Page, expect

from tests.browser.serving import NEW_PASSWORD, PERSON, OtherSite, ResetService

PAGES = (
    "ask",
    "ask, after an error",
    "check your inbox",
    "new password",
    "new password, while typing",
    "new password, weak",
    "new password, long enough and shown",
    "new password, refused with reasons",
    "done",
    "link no longer works",
    "cancel",
    "cancelled",
    "cancelled and muted",
    "problem",
)
MAILS = ("reset mail", "notice mail")


async def every_page(
    page: Page, service: ResetService, mailbox: OtherSite | None = None
) -> AsyncIterator[str]:
    """Bring one state after the other onto `page`, and give its name.

    mailbox -- where the two mails are shown as well, as HTML
    """
    heading = page.get_by_role("heading", level=1)
    address = page.get_by_label("Email address")
    password = page.get_by_label("New password")
    send = page.get_by_role("button", name="Send me a link")
    change = page.get_by_role("button", name="Change password")

    await page.goto(service.ask_url)
    yield "ask"
    await address.fill("ann.lee")
    await send.click()
    await expect(address).to_have_attribute("aria-invalid", "true")
    yield "ask, after an error"
    await address.fill(PERSON)
    await send.click()
    await expect(heading).to_have_text("Check your inbox")
    yield "check your inbox"

    mail = await service.next_mail()
    if mailbox is not None:
        mailbox.files["reset"] = mail.html
        await page.goto(f"{mailbox.url}/reset")
        yield "reset mail"

    await page.goto(mail.link)
    yield "new password"
    await password.press_sequentially("tidewater1")
    yield "new password, while typing"
    await password.fill("tidewater books 1")
    await expect(page.get_by_text("Strength: weak").first).to_be_visible()
    yield "new password, weak"
    await password.fill("tidewater1")
    await change.click()
    await expect(page.get_by_role("alert")).to_contain_text("This password cannot be used")
    yield "new password, refused with reasons"
    await password.fill(NEW_PASSWORD)
    await page.get_by_role("button", name="Show password").click()
    await expect(page.get_by_text("Strength: strong").first).to_be_visible()
    yield "new password, long enough and shown"

    await page.goto(mail.cancel_link)
    yield "cancel"
    await page.goto(mail.link)
    await password.fill(NEW_PASSWORD)
    await change.click()
    await expect(heading).to_have_text("Your password was changed")
    yield "done"
    notice = await service.next_mail()
    if mailbox is not None:
        mailbox.files["notice"] = notice.html
        await page.goto(f"{mailbox.url}/notice")
        yield "notice mail"
    await page.goto(mail.link)
    yield "link no longer works"

    for tick, name in ((False, "cancelled"), (True, "cancelled and muted")):
        await page.goto(service.ask_url)
        await address.fill(PERSON)
        await send.click()
        await expect(heading).to_have_text("Check your inbox")
        await page.goto((await service.next_mail()).cancel_link)
        await page.get_by_role("checkbox").set_checked(tick)
        await page.get_by_role("button", name="Stop all reset links").click()
        await expect(heading).to_have_text("The reset links were stopped")
        yield name
    await page.goto(f"{service.url}/no/such/page")
    yield "problem"
