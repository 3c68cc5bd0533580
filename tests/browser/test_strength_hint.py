"""The word on how hard a new password would be to guess: there when it helps, quiet otherwise, and never in the way."""

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from playwright.async_api import Browser, Page, Route, expect

from resetsvc.web.pages import STATIC
from tests.browser.chromium import Watch, watch
from tests.browser.serving import NEW_PASSWORD, PERSON, ResetService, reset_service
from tests.browser.steps import ask_for_a_link, choose_password, follow_link, see_heading
from tests.rules.source import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="session")

WEAK = "tidewater books 1"
ESTIMATOR = "/static/vendor/zxcvbn.js"


def loads_of_the_estimator(seen: Watch) -> int:
    return sum(ESTIMATOR in url for _, url in seen.requests)


async def estimator_loaded(page: Page) -> None:
    """Go into the field, and wait until what that loads is there."""
    await page.get_by_label("New password").focus()
    await page.evaluate(
        """() => new Promise((done) => {
            if (typeof estimateStrength === "function") return done();
            document.querySelector("script[src*=zxcvbn]").addEventListener("load", done);
        })"""
    )


async def test_it_says_a_word_and_why(page: Page, service: ResetService) -> None:
    await follow_link(page, service)
    field = page.get_by_label("New password")
    word, reason = page.locator("#strength-word"), page.locator("#strength-reason")
    told: Mapping[str, tuple[str, str]] = {
        "aaaaaaaaaaaaaaaa": ("weak", "Saying the same thing again adds little."),
        "abcabcabcabcabcabc": ("weak", "Saying the same thing again adds little."),
        "abcdefghijklmnop": ("weak", "Rows of neighbouring keys or letters are tried early."),
        "17.03.1985aaaaa": ("fair", "Dates and years are tried early."),
        "gwendolyn12345678": ("weak", "Names are tried early."),
        "password1234567": ("weak", "Many people use a password much like this one."),
        "monkeydragonbaseball": ("weak", "Another unrelated word would help."),
        "ann.lee@example.com!": ("weak", "Your address or the name of this service is in it."),
        "four tidewater books in a row": ("weak", "Your address or the name of this service is in it."),
        "qwertyuiop asdf": ("fair", "Many people use a password much like this one."),
        "jennifer michael": ("good", ""),
        NEW_PASSWORD: ("strong", ""),
        "Zq8#kP0vL2mX9rTd": ("strong", ""),
    }
    for password, (strength, why) in told.items():
        await field.fill(password)
        await expect(word, password).to_have_text(f"Strength: {strength}")
        await expect(word).to_be_visible()
        await expect(reason, password).to_have_text(why)


async def test_the_address_and_the_products_name_count_as_known(
    page: Page, service: ResetService, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same password is called otherwise where its words are nobody's name."""
    passwords = {"tidewaterbooks ann.lee": "weak", "bookstidewater1": "good"}  # whole names, and parts of one
    await follow_link(page, service)
    for password, strength in passwords.items():
        await page.get_by_label("New password").fill(password)
        await expect(page.locator("#strength-word")).to_have_text(f"Strength: {strength}")
    async with (
        reset_service(tmp_path_factory.mktemp("other"), product_name="Elsewhere") as other,
        await browser.new_context() as context,
    ):
        assert await other.accounts.add("bob@example.com", "the one he has forgotten")
        other_page = await context.new_page()
        await ask_for_a_link(other_page, other, "bob@example.com")
        await other_page.goto((await other.next_mail()).link)
        for password in passwords:
            await other_page.get_by_label("New password").fill("")
            await expect(other_page.locator("#strength")).to_be_hidden()
            await other_page.get_by_label("New password").fill(password)
            await expect(other_page.locator("#strength")).to_be_visible()
            await expect(other_page.locator("#strength-word")).to_have_text("Strength: strong")


async def test_a_products_name_with_quotation_marks_is_known_too(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with (
        reset_service(tmp_path_factory.mktemp("quotes"), product_name='The "Xylo" & <Phon>') as service,
        await browser.new_context() as context,
    ):
        seen = watch(context)
        page = await context.new_page()
        await follow_link(page, service)
        await page.get_by_label("New password").fill('the "xylo" & <phon>')
        await expect(page.locator("#strength-word")).to_have_text("Strength: weak")
        assert seen.complaints == []


async def test_it_keeps_quiet_until_the_length_is_right(page: Page, service: ResetService) -> None:
    await follow_link(page, service)
    field, hint = page.get_by_label("New password"), page.locator("#strength")
    await field.fill(WEAK)
    await expect(hint).to_be_visible()
    await field.fill(WEAK[:14])
    await expect(hint).to_be_hidden()  # what is missing is told by the length
    await field.fill("x" * 1024)
    await expect(hint).to_be_visible()
    await field.fill("x" * 1025)
    await expect(hint).to_be_hidden()
    await field.fill("\U0001f511" * 15)
    await expect(hint).to_be_visible()
    await field.fill("")
    await expect(hint).to_be_hidden()


async def test_it_is_loaded_only_once_somebody_means_to_type(
    page: Page, service: ResetService, seen: Watch
) -> None:
    await follow_link(page, service)
    await page.wait_for_load_state("networkidle")
    assert loads_of_the_estimator(seen) == 0
    async with page.expect_response(lambda response: ESTIMATOR in response.url) as loaded:
        await page.get_by_label("New password").focus()
    response = await loaded.value
    assert response.status == 200
    assert "immutable" in (await response.all_headers())["cache-control"]
    assert len(await response.body()) < 200_000  # a phone loads it
    await page.get_by_label("New password").blur()
    await page.get_by_label("New password").focus()
    await page.get_by_label("New password").fill(WEAK)
    await expect(page.locator("#strength")).to_be_visible()
    assert loads_of_the_estimator(seen) == 1


async def test_a_password_manager_that_fills_in_without_the_focus_is_answered_too(
    page: Page, service: ResetService
) -> None:
    await follow_link(page, service)
    await page.get_by_label("New password").evaluate(
        """(field) => { field.value = "password1234567"; field.dispatchEvent(new Event("input")); }"""
    )
    await expect(page.locator("#strength-word")).to_have_text("Strength: weak")


async def test_no_other_page_loads_it(page: Page, service: ResetService, seen: Watch) -> None:
    await ask_for_a_link(page, service)
    mail = await service.next_mail()
    await page.goto(mail.cancel_link)
    assert not [url for _, url in seen.requests if "strength" in url or "vendor" in url]


async def test_it_informs_and_does_not_decide(page: Page, service: ResetService) -> None:
    """A weak password that keeps to the rules is sent, and the server takes it."""
    await follow_link(page, service)
    password = "monkeydragonbaseball"
    await page.get_by_label("New password").fill(password)
    await expect(page.locator("#strength-word")).to_have_text("Strength: weak")
    await page.get_by_role("button", name="Change password").click()
    await see_heading(page, "Your password was changed")
    assert await service.accounts.verify(PERSON, password)


async def test_a_refused_password_is_judged_anew(page: Page, service: ResetService) -> None:
    await follow_link(page, service)
    await choose_password(page, WEAK)
    await expect(page.get_by_role("alert")).to_contain_text("This password cannot be used")
    await page.get_by_label("New password").fill(NEW_PASSWORD)
    await expect(page.locator("#strength-word")).to_have_text("Strength: strong")


@pytest.mark.parametrize("fault", ["missing", "broken", "never"])
async def test_without_the_estimator_the_page_works(
    browser: Browser, service: ResetService, fault: str
) -> None:
    async def answer(route: Route) -> None:
        if fault == "missing":
            await route.abort()
        elif fault == "broken":
            await route.fulfill(body="this is { no script", content_type="text/javascript")
        # never: no answer at all

    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.route(f"**{ESTIMATOR}*", answer)
        await follow_link(page, service)
        async with page.expect_request(f"**{ESTIMATOR}*"):
            await page.get_by_label("New password").focus()
        await page.get_by_label("New password").fill(NEW_PASSWORD)
        await expect(page.locator("#length-text")).to_have_text("Long enough")
        await expect(page.locator("#strength")).to_be_hidden()
        await page.get_by_role("button", name="Change password").click()
        await see_heading(page, "Your password was changed")
        await page.unroute_all(behavior="ignoreErrors")
    assert await service.accounts.verify(PERSON, NEW_PASSWORD)


async def test_without_scripts_nothing_of_it_is_seen(browser: Browser, service: ResetService) -> None:
    async with await browser.new_context(java_script_enabled=False) as context:
        page = await context.new_page()
        await follow_link(page, service)
        await expect(page.locator("#strength")).to_be_hidden()
        await choose_password(page, NEW_PASSWORD)
        await see_heading(page, "Your password was changed")


async def test_a_screen_reader_is_told_once_the_typing_pauses(page: Page, service: ResetService) -> None:
    """Not with every key, and in a place of its own, so that it does not cut off what is said of the length."""
    await page.clock.install(time=datetime(2026, 11, 24, 9, 0, tzinfo=UTC))
    await follow_link(page, service)
    field, said = page.get_by_label("New password"), page.locator("#strength-announcement")
    await expect(said).to_have_attribute("aria-live", "polite")
    await estimator_loaded(page)
    # From here on by hand, however slow we are.
    await page.clock.pause_at(datetime(2026, 11, 24, 10, 0, tzinfo=UTC))
    await said.evaluate(
        """(said) => {
            window.told = [];
            new MutationObserver(() => window.told.push(said.textContent)).observe(said, { childList: true });
        }"""
    )
    for letter in "password12345678":
        await field.press_sequentially(letter)
        await page.clock.run_for(100)
    assert await page.evaluate("window.told") == []
    await page.clock.run_for(300)
    await expect(page.locator("#strength-word")).to_have_text("Strength: weak")
    await page.clock.run_for(1000)
    assert await page.evaluate("window.told") == []
    await page.clock.run_for(1500)
    once = ["Strength: weak. Many people use a password much like this one."]
    assert await page.evaluate("window.told") == once
    await field.press_sequentially("9")  # changes nothing about it
    await page.clock.run_for(5000)
    assert await page.evaluate("window.told") == once
    await field.fill(NEW_PASSWORD)
    await page.clock.run_for(5000)
    assert await page.evaluate("window.told") == [*once, "Strength: strong."]


async def test_it_is_told_by_more_than_colour(browser: Browser, service: ResetService) -> None:
    """By the word, and by how many steps are filled: also where the system chooses the colours."""
    for forced in ("none", "active"):
        async with await browser.new_context(forced_colors=forced) as context:
            page = await context.new_page()
            await follow_link(page, service)
            for password, steps in (
                ("password1234567", 1),
                ("qwertyuiop asdf", 2),
                ("jennifer michael", 3),
                (NEW_PASSWORD, 4),
            ):
                await page.get_by_label("New password").fill(password)
                score = {1: "[01]", 2: "2", 3: "3", 4: "4"}[steps]
                await expect(page.locator("#strength")).to_have_attribute("data-score", re.compile(score))
                colours = await page.locator(".strength-steps i").evaluate_all(
                    "steps => steps.map((step) => getComputedStyle(step).backgroundColor)"
                )
                assert len(colours) == 4
                assert len(set(colours[:steps])) == 1, (forced, password)
                assert not set(colours[:steps]) & set(colours[steps:]), (forced, password)


async def test_hostile_input_takes_no_time(page: Page, service: ResetService) -> None:
    """Only the beginning is judged, with few of the ways to read digits as letters: typing stays smooth."""
    await follow_link(page, service)
    await estimator_loaded(page)
    await page.evaluate(
        """() => {
            const estimate = globalThis.estimateStrength;
            window.judged = [];
            globalThis.estimateStrength = (password, known) => {
                const began = performance.now();
                const found = estimate(password, known);
                window.judged.push([[...password].length, performance.now() - began]);
                return found;
            };
        }"""
    )
    patterns = ("4@3$!10|", "a1", "\U0001f600", "p4ssw0rd", "iloveyou 4@3$tidewatr qwertyasdf ")
    for number, pattern in enumerate(patterns):
        await page.get_by_label("New password").fill((pattern * 1024)[:1000])
        async with asyncio.timeout(10):
            while len(await page.evaluate("window.judged")) <= number:
                await page.wait_for_timeout(20)
    judged = await page.evaluate("window.judged")
    assert [length for length, _ in judged] == [64] * len(patterns)
    assert max(milliseconds for _, milliseconds in judged) < 1000  # 35 where the machine is idle


async def test_the_estimator_is_made_as_documented() -> None:
    text = (STATIC / "vendor" / "zxcvbn.js").read_text("utf-8")
    assert "l33tMaxSubstitutions:8}" in text  # with 100, its default, an estimate takes up to a second
    assert not re.search(r"\beval\(|\bFunction\(|\bimport\(|https?://", text)  # nothing that the page forbids
    told = (STATIC / "vendor" / "LICENSE.txt").read_text("utf-8")
    documented = (ROOT / "docs" / "discussion" / "choices.md").read_text("utf-8")
    for package in re.findall(r"(@zxcvbn-ts/[\w-]+)@([\d.]+)", documented):
        assert " ".join(package) in told
