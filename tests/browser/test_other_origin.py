"""`examples/other_origin`: a plain front end on an origin of its own, and what any other origin gets."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # it ships no types
from playwright.async_api import BrowserContext, Page, expect

from resetsvc.store.connection import Connection
from tests.browser.chromium import Watch
from tests.browser.serving import (
    NEW_PASSWORD,
    OLD_PASSWORD,
    PERSON,
    OtherSite,
    ResetService,
    other_site,
    reset_service,
)
from tests.browser.steps import see_heading

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXAMPLE = Path(__file__).parents[2] / "examples" / "other_origin"
WRITTEN_IN_THE_EXAMPLE = "http://127.0.0.1:8000"
ACCEPTED = "If there is an account for that address, an email with a link is on its way."

RESET_URLS = {"fragment": "/reset.html#{token}", "query": "/reset.html?token={token}"}


@dataclass
class Stage:
    """The service, the front end that it allows, and a stranger's copy of that front end."""

    service: ResetService
    front: OtherSite
    stranger: OtherSite


@pytest_asyncio.fixture(loop_scope="session")
async def stage(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    where = RESET_URLS[getattr(request, "param", "fragment")]
    async with (
        other_site() as front,
        other_site() as stranger,
        reset_service(tmp_path, cors_origins=(front.url,), reset_url=front.url + where) as service,
    ):
        for file in EXAMPLE.iterdir():
            text = file.read_text("utf-8").replace(WRITTEN_IN_THE_EXAMPLE, service.url)
            front.files[file.name] = stranger.files[file.name] = text
        yield Stage(service, front, stranger)


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext, stage: Stage) -> Page:
    return await context.new_page()


async def ask(page: Page, site: OtherSite) -> None:
    await page.goto(f"{site.url}/")
    await page.get_by_label("Email address").fill(PERSON)
    await page.get_by_role("button", name="Send me a link").click()


async def letters_stored(service: ResetService) -> int:
    async def count(connection: Connection) -> int:
        row = await connection.fetch_one("SELECT count(*) AS letters FROM letters")
        assert row is not None
        return int(row["letters"])

    return await service.parts.store.read(count)


@pytest.mark.parametrize("stage", RESET_URLS, indirect=True)
async def test_a_front_end_on_another_origin_does_a_whole_reset(
    page: Page, stage: Stage, seen: Watch
) -> None:
    await ask(page, stage.front)
    await expect(page.get_by_role("status")).to_have_text(ACCEPTED)
    mail = await stage.service.next_mail()
    assert mail.link.startswith(f"{stage.front.url}/reset.html")

    await page.goto(mail.link)
    await expect(page.get_by_text("At least 15 characters")).to_be_visible()
    assert page.url == f"{stage.front.url}/reset.html"
    await page.get_by_label("New password").fill("too short")
    await page.get_by_role("button", name="Change password").click()
    await expect(page.get_by_role("alert")).to_have_text("Use at least 15 characters.")
    assert await stage.service.accounts.verify(PERSON, OLD_PASSWORD)
    await page.get_by_label("New password").fill(NEW_PASSWORD)
    await page.get_by_role("button", name="Change password").click()
    await expect(page.get_by_role("status")).to_contain_text("Your password was changed.")
    assert await stage.service.accounts.verify(PERSON, NEW_PASSWORD)
    assert (await stage.service.next_mail()).subject == "Your password was changed"

    await page.goto("about:blank")
    await page.goto(mail.link)
    await expect(page.get_by_role("status")).to_contain_text("This link no longer works.")
    await page.get_by_role("link", name="Ask for a new link").click()
    await see_heading(page, "Forgot your password?")
    assert seen.origins() - {"null://", "://"} <= {stage.front.url, stage.service.url}
    assert not [complaint for complaint in seen.complaints if "Content Security Policy" in complaint]


async def test_the_token_in_the_fragment_reaches_no_other_server(page: Page, stage: Stage) -> None:
    await ask(page, stage.front)
    mail = await stage.service.next_mail()
    await page.goto(mail.link)
    await expect(page.get_by_label("New password")).to_be_visible()
    assert len(stage.front.visits_to("/reset.html")) == 1
    assert mail.token not in str(stage.front.visits)


async def test_an_origin_that_is_not_allowed_gets_nothing(page: Page, stage: Stage, seen: Watch) -> None:
    await ask(page, stage.stranger)
    await expect(page.get_by_role("status")).to_contain_text("The service cannot be reached.")
    assert any("blocked by CORS policy" in complaint for complaint in seen.complaints)
    assert await letters_stored(stage.service) == 0  # the browser asked before it sent anything


async def test_an_origin_that_is_not_allowed_cannot_read_what_it_may_send(page: Page, stage: Stage) -> None:
    """A plain form can be sent by any page, and always could: but its answer stays unread."""
    await page.goto(f"{stage.stranger.url}/README.md")
    answer = await page.evaluate(
        """async (url) => {
            const body = new URLSearchParams({ email: "ann.lee@example.com" });
            try { return (await fetch(url, { method: "POST", body })).status; }
            catch (error) { return error.name; }
        }""",
        stage.service.ask_url,
    )
    assert answer == "TypeError"


@pytest.mark.parametrize("allowed", [False, True])
async def test_a_form_on_another_site_asks_for_nothing(page: Page, tmp_path: Path, allowed: bool) -> None:
    """Unless it is a front end of ours: then without JavaScript, too. `localhost` and 127.0.0.1 are two sites."""
    async with other_site() as elsewhere:
        url = elsewhere.url.replace("127.0.0.1", "localhost")
        async with reset_service(tmp_path / "sites", cors_origins=(url,) if allowed else ()) as service:
            elsewhere.files["form.html"] = (
                f'<form method="post" action="{service.ask_url}">'
                f'<input name="email" value="{PERSON}"><button>Go</button></form>'
            )
            await page.goto(f"{url}/form.html")
            await page.get_by_role("button", name="Go").click()
            await see_heading(page, "Check your inbox" if allowed else "Not allowed")
            assert await letters_stored(service) == (1 if allowed else 0)


async def test_no_origin_can_change_a_password_that_it_is_not_allowed_to(page: Page, stage: Stage) -> None:
    await ask(page, stage.front)
    token = (await stage.service.next_mail()).token
    await page.goto(f"{stage.stranger.url}/reset.html#{token}")
    await expect(page.get_by_role("status")).to_contain_text("The service cannot be reached.")
    await expect(page.get_by_label("New password")).to_be_hidden()
    assert await stage.service.accounts.verify(PERSON, OLD_PASSWORD)


async def test_what_is_no_address_is_said_at_the_field(page: Page, stage: Stage) -> None:
    await page.goto(f"{stage.front.url}/")
    await page.get_by_label("Email address").fill("ann.lee")
    await page.get_by_role("button", name="Send me a link").click()
    await expect(page.get_by_role("alert")).to_have_text("Enter an email address, like name@example.com.")
    await expect(page.get_by_label("Email address")).to_be_focused()
    await page.get_by_label("Email address").fill(PERSON)
    await page.get_by_role("button", name="Send me a link").click()
    await expect(page.get_by_role("status")).to_have_text(ACCEPTED)


async def test_the_front_end_can_ask_without_javascript(stage: Stage, context: BrowserContext) -> None:
    assert context.browser is not None
    async with await context.browser.new_context(java_script_enabled=False) as plain:
        page = await plain.new_page()
        await ask(page, stage.front)
        await see_heading(page, "Check your inbox")
    assert (await stage.service.next_mail()).recipient == PERSON


async def test_the_front_end_has_no_accessibility_fault(page: Page, stage: Stage) -> None:
    await ask(page, stage.front)
    await expect(page.get_by_role("status")).to_have_text(ACCEPTED)
    mail = await stage.service.next_mail()
    for url in (f"{stage.front.url}/", mail.link):
        await page.goto(url)
        await expect(page.get_by_role("button").first).to_be_visible()
        found = await Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
