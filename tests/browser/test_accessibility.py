"""Every page in every state, for people who see, hear and move differently: WCAG 2.2 AA as far as a machine can tell."""

from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # it ships no types
from playwright.async_api import Browser, Page, expect

from tests.browser.every_page import MAILS, PAGES, every_page
from tests.browser.serving import OtherSite, ResetService
from tests.browser.steps import choose_password, follow_link, receive_mail

pytestmark = pytest.mark.asyncio(loop_scope="session")

# All of axe's rules, the best practices as well; "incomplete" is what it could not decide.
OPTIONS = {"resultTypes": ["violations", "incomplete"]}

# A mail is shown by a mail program, which brings landmarks and the like itself.
NOT_FOR_MAILS = {"region", "landmark-one-main"}

# WCAG 2.2 2.5.8: 24 CSS pixels, but for links inside of a sentence.
SMALL_TARGETS = """() => [...document.querySelectorAll("a, button, input, label")]
    .filter((target) => target.checkVisibility() && !target.closest("p, li"))
    .map((target) => [target.outerHTML, target.getBoundingClientRect()])
    .filter(([, box]) => box.width < 24 || box.height < 24)
    .map(([html]) => html)"""

TOO_WIDE = """() => [...document.querySelectorAll("body *")]
    .filter((part) => part.getBoundingClientRect().right > document.documentElement.clientWidth)
    .map((part) => part.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_fault_on_any_page(
    browser: Browser, service: ResetService, webmail: OtherSite, scheme: Literal["light", "dark"]
) -> None:
    faults = []
    names = []
    async with await browser.new_context(color_scheme=scheme, reduced_motion="reduce") as context:
        page = await context.new_page()
        async for name in every_page(page, service, webmail):
            names.append(name)
            result = (await Axe().run(page, options=OPTIONS)).response
            for rule in result["violations"]:
                if name not in MAILS or rule["id"] not in NOT_FOR_MAILS:
                    faults.append((name, rule["id"], [node["html"] for node in rule["nodes"]]))
            # It cannot tell the contrast on a gradient; the test below can.
            undecided = {rule["id"] for rule in result["incomplete"]} - {"color-contrast"}
            assert not undecided, (name, undecided)
    assert sorted(names) == sorted({*PAGES, *MAILS})
    assert faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_on_the_gradient_has_contrast(
    browser: Browser, service: ResetService, scheme: Literal["light", "dark"]
) -> None:
    """Against both ends of the gradient, which axe leaves undecided (WCAG 1.4.3: at least 4.5)."""
    async with await browser.new_context(color_scheme=scheme) as context:
        page = await context.new_page()
        await page.goto(service.ask_url)
        colours = await page.evaluate(
            """() => {
                const style = getComputedStyle(document.documentElement);
                const backgrounds = ["--page", "--glow"].map((name) => style.getPropertyValue(name).trim());
                const texts = [".masthead-name", ".foot a"].map((part) =>
                    getComputedStyle(document.querySelector(part)).color);
                return { backgrounds, texts };
            }"""
        )
    for background in colours["backgrounds"]:
        for text in colours["texts"]:
            assert _contrast(_rgb(text), _rgb(background)) >= 4.5, (text, background)


async def test_no_page_scrolls_sideways_at_320_pixels(
    browser: Browser, service: ResetService, webmail: OtherSite
) -> None:
    """WCAG 1.4.10: as wide as a small phone, or a large screen at 400 %. Targets are large enough there, too."""
    too_wide = {}
    small = {}
    async with await browser.new_context(viewport={"width": 320, "height": 640}) as context:
        page = await context.new_page()
        async for name in every_page(page, service, webmail):
            if await page.evaluate("document.documentElement.scrollWidth") > 320:
                too_wide[name] = await page.evaluate(TOO_WIDE)
            if name not in MAILS and (found := await page.evaluate(SMALL_TARGETS)):
                small[name] = found
    assert too_wide == {}
    assert small == {}


async def test_a_long_address_and_text_twice_as_large_fit_a_phone(
    browser: Browser, service: ResetService
) -> None:
    """WCAG 1.4.4: text can be enlarged to 200 % without loss."""
    address = f"{'a-very-long-name.' * 3}x@{'a-very-long-host-name-without-end.' * 3}example"
    assert await service.accounts.add(address, "the one she has forgotten")
    async with await browser.new_context(viewport={"width": 360, "height": 640}) as context:
        page = await context.new_page()
        await page.goto(service.ask_url)
        await page.get_by_label("Email address").fill(address)
        await page.get_by_label("Email address").press("Enter")
        await page.goto((await service.next_mail()).link)
        await expect(page.get_by_text(address)).to_be_visible()
        await choose_password(page, "too short")
        await page.get_by_label("New password").fill("x" * 2000)
        for size in ("100%", "200%"):
            await page.locator("html").evaluate("(html, size) => { html.style.fontSize = size }", size)
            assert await page.evaluate("document.documentElement.scrollWidth") <= 360, await page.evaluate(
                TOO_WIDE
            )


async def test_the_focus_goes_through_the_page_in_reading_order(page: Page, service: ResetService) -> None:
    async def walk() -> list[str]:
        stops: list[str] = []
        while True:
            await page.keyboard.press("Tab")
            stop = await page.evaluate(
                """() => {
                    const here = document.activeElement;
                    if (here === document.body) return "";
                    const outline = getComputedStyle(here);
                    const seen = outline.outlineStyle !== "none" && parseFloat(outline.outlineWidth) >= 2;
                    return (here.labels?.[0] || here).innerText + (seen ? "" : " (focus not seen)");
                }"""
            )
            if not stop or stop in stops:
                return stops
            stops.append(stop)

    await page.goto(service.ask_url)
    assert await walk() == ["Email address", "Send me a link", "Back to sign in"]
    mail = await receive_mail(page, service)
    assert await walk() == ["Ask for another link", "Back to sign in"]
    await page.goto(mail.link)
    assert await walk() == ["New password", "Show", "Change password", "Back to sign in"]
    await page.goto(mail.cancel_link)
    assert await walk() == [
        "Send no reset emails to this address for 24 hours",
        "Stop all reset links",
        "Back to sign in",
    ]


async def test_every_page_says_its_language_its_title_and_one_heading(
    page: Page, service: ResetService
) -> None:
    titles = {}
    async for name in every_page(page, service):
        await expect(page.locator("html")).to_have_attribute("lang", "en")
        await expect(page.get_by_role("main")).to_have_count(1)
        await expect(page.get_by_role("heading", level=1)).to_have_count(1)
        titles[name] = await page.title()
    assert all(title.endswith(" · Tidewater Books") and title[0] != " " for title in titles.values())
    # What went wrong is said first: a screen reader reads the title before the page (WCAG 3.3.1).
    wrong = {name for name, title in titles.items() if title.startswith("Error: ")}
    assert wrong == {
        "ask, after an error",
        "new password, refused with reasons",
        "new password, long enough and shown",
    }


async def test_with_forced_colours_everything_is_still_there(browser: Browser, service: ResetService) -> None:
    """The system's own high-contrast colours: a button without a border would be lost."""
    async with await browser.new_context(forced_colors="active") as context:
        page = await context.new_page()
        await follow_link(page, service)
        await page.get_by_label("New password").fill("ten chars!")
        for part in ("#submit", "#reveal", "#password"):
            width = await page.locator(part).evaluate("part => getComputedStyle(part).borderTopWidth")
            assert width != "0px", part
        fill = await page.locator("#length-bar").evaluate("bar => getComputedStyle(bar).backgroundColor")
        track = await page.locator(".length-track").evaluate("bar => getComputedStyle(bar).backgroundColor")
        assert fill != track


def _rgb(colour: str) -> tuple[float, ...]:
    if colour.startswith("#"):
        return tuple(int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return tuple(float(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))


def _contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(rgb: tuple[float, ...]) -> float:
    """Relative luminance as WCAG defines it."""
    linear = [
        part / 255 / 12.92 if part / 255 <= 0.04045 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in rgb
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
