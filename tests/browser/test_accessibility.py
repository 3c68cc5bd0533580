"""Every page in every state, for people who see, hear and move differently: WCAG 2.2 AA as far as a machine can tell."""

from dataclasses import dataclass
from typing import Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # it ships no types
from playwright.async_api import Browser, Page, expect

from tests.browser.every_page import MAILS, PAGES, every_page
from tests.browser.serving import ResetService, other_site, reset_service
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


@dataclass
class Look:
    """What there is to see of one page in one state."""

    name: str
    title: str
    language: str | None
    violations: list[tuple[str, list[str]]]
    undecided: set[str]
    width: int
    too_wide: list[str]
    small_targets: list[str]


async def look_at(page: Page, name: str) -> Look:
    found = (await Axe().run(page, options=OPTIONS)).response
    return Look(
        name=name,
        title=await page.title(),
        language=await page.locator("html").get_attribute("lang"),
        violations=[
            (rule["id"], [node["html"] for node in rule["nodes"]])
            for rule in found["violations"]
            if name not in MAILS or rule["id"] not in NOT_FOR_MAILS
        ],
        undecided={rule["id"] for rule in found["incomplete"]},
        width=await page.evaluate("document.documentElement.scrollWidth"),
        too_wide=await page.evaluate(TOO_WIDE),
        small_targets=await page.evaluate(SMALL_TARGETS),
    )


Looks = dict[str, list[Look]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def looks(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Looks:
    """All pages and mails, once in light on a large screen and once in dark on a small one."""
    looks: Looks = {}
    screens: tuple[tuple[Literal["light", "dark"], int], ...] = (("light", 1280), ("dark", 320))
    for scheme, width in screens:
        async with (
            other_site() as webmail,
            reset_service(tmp_path_factory.mktemp("looks"), login_url=webmail.url) as service,
            await browser.new_context(
                color_scheme=scheme, reduced_motion="reduce", viewport={"width": width, "height": 640}
            ) as context,
        ):
            page = await context.new_page()
            looks[scheme] = [await look_at(page, name) async for name in every_page(page, service, webmail)]
    return looks


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_fault_on_any_page(looks: Looks, scheme: str) -> None:
    assert sorted(look.name for look in looks[scheme]) == sorted({*PAGES, *MAILS})
    assert {look.name: look.violations for look in looks[scheme] if look.violations} == {}
    # It cannot tell the contrast on a gradient; the next test can.
    undecided = set[str]().union(*(look.undecided for look in looks[scheme]))
    assert undecided <= {"color-contrast"}


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


async def test_no_page_scrolls_sideways_at_320_pixels(looks: Looks) -> None:
    """WCAG 1.4.10: as wide as a small phone, or a large screen at 400 %."""
    assert {look.name: look.too_wide for look in looks["dark"] if look.width > 320 or look.too_wide} == {}


async def test_what_can_be_touched_is_large_enough(looks: Looks) -> None:
    """WCAG 2.5.8. In mails, links stand in lines of text."""
    for scheme in looks:
        found = {look.name: look.small_targets for look in looks[scheme] if look.name not in MAILS}
        assert {name: targets for name, targets in found.items() if targets} == {}


async def test_every_page_says_its_language_and_its_title(looks: Looks) -> None:
    assert {look.language for look in looks["light"]} == {"en"}
    pages = [look for look in looks["light"] if look.name not in MAILS]
    for look in pages:
        subject, _, product = look.title.partition(" · ")
        assert subject.strip(), look
        assert product == "Tidewater Books", look
    # What went wrong is said first: a screen reader reads the title before the page (WCAG 3.3.1).
    assert {look.name for look in pages if look.title.startswith("Error: ")} == {
        "ask, after an error",
        "new password, refused with reasons",
        "new password, long enough and shown",
    }


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
