"""What a person does on the pages, by the names that they can see."""

from playwright.async_api import Page, expect

from resetsvc.testing import CaughtMail
from tests.browser.serving import PERSON, OtherSite, ResetService


async def see_heading(page: Page, heading: str) -> None:
    await expect(page.get_by_role("heading", level=1)).to_have_text(heading)


async def ask_for_a_link(page: Page, service: ResetService, address: str = PERSON) -> None:
    """From the first page to "Check your inbox"."""
    await page.goto(service.ask_url)
    await page.get_by_label("Email address").fill(address)
    await page.get_by_role("button", name="Send me a link").click()
    await see_heading(page, "Check your inbox")


async def receive_mail(page: Page, service: ResetService) -> CaughtMail:
    """Ask, and wait for the mail at the relay."""
    await ask_for_a_link(page, service)
    return await service.next_mail()


async def read_mail(page: Page, webmail: OtherSite, mail: CaughtMail) -> None:
    """Look at the mail's HTML on another site, as in somebody's webmail."""
    webmail.files["mail"] = mail.html
    await page.goto(f"{webmail.url}/mail")


async def follow_link(page: Page, service: ResetService) -> CaughtMail:
    """Ask, and open the link of the mail."""
    mail = await receive_mail(page, service)
    await page.goto(mail.link)
    await see_heading(page, "Choose a new password")
    return mail


async def choose_password(page: Page, password: str) -> None:
    await page.get_by_label("New password").fill(password)
    await page.get_by_role("button", name="Change password").click()
