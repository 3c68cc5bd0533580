"""J. What a person sees: real Chromium, the page that asks for an address, a relay that takes a second for each reply.

From the click on "Send me a link" to the first paint of the page that confirms it, and INP as the browser itself reports
it (Event Timing API), with a processor that is four times slower (as the DevTools do it). Each sample is a fresh profile;
the page and its connection are there before the click. Chromium may use both cores. Event Timing rounds to 8 ms, and
tells nothing of an event that took less than 16 ms except for the first one, which the click is. Where a page is gone
before it has painted again, there is no INP: how often that was is told.

Beside them a bare page: a form and a heading without a style, answered by a dozen lines in the harness itself. It takes
what this browser on this machine takes for going from one page to another, whatever the server does. resetsvc's page
sends its form by a script of its own, where scripts run; it is measured without that as well. All forms are also sent by a
few lines of the harness that use `fetch`, as a front end of one's own would, and, as a control that INP can be seen to
move, by some that block (a synchronous XMLHttpRequest).
"""

import asyncio
import contextlib
import itertools
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from bench.harness.bench import Bench
from bench.harness.machine import find_cores
from bench.harness.relays import Relay, far_relay, hung_relay
from bench.harness.result import Chart, Goal, Result

LETTER = "J"
TITLE = "In the browser: from the click to the confirmation, and INP"

REPEATS = 9
REPEATS_WAITING = 3  # where a click takes as long as seven replies of the relay
CONTROLS = 2
DELAY = 1.0  # seconds that the relay takes for a reply
SLOWER = 4  # times, the processor
BOUND = 100.0  # ms
_PATIENCE = 30_000  # ms for one page
# Pages that wait side by side, where waiting is most of it: fewer than the contender has threads.
_AT_ONCE = 10
_SCRIPT = Path(__file__).with_suffix(".js").read_text("utf-8")

Way = Literal["page", "plain", "fetch", "blocking"]
WAYS: dict[Way, str] = {
    "page": "the page as it is",
    "plain": "without the page's script",
    "fetch": "sent by fetch, for comparison",
    "blocking": "control: a script that blocks",
}


@dataclass(frozen=True, slots=True)
class Site:
    """A contender that runs. `waits`: its answer waits for the relay, so there is time for few samples only.

    They cannot be taken side by side: Chromium paints what is in front.
    """

    title: str
    ask_url: str
    waits: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """One click, in ms from it. `server`: what the server took of that; `inp` None: the browser reported none."""

    painted: float
    answered: float
    server: float
    inp: float | None


@dataclass(frozen=True, slots=True)
class Seen:
    """All clicks on one form, in ms. The INP figures are over those for which the browser reported one."""

    who: str
    way: Way
    samples: int
    painted_median: float
    painted_max: float
    answered_median: float
    server_median: float
    inp_median: float | None
    inp_max: float | None
    without_inp: int


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    if shutil.which("chromium") is None:
        result.goals += [
            Goal(what, "at most", BOUND, None, "ms", "chromium is missing: apt-get install chromium")
            for what in ("resetsvc: click → confirmation painted", "resetsvc: INP")
        ]
        return result
    with sites(bench) as running:
        figures = asyncio.run(
            measure_in_browser(running, bench.say, repeats=bench.many(REPEATS), controls=bench.many(CONTROLS))
        )
    for seen in figures:
        who = f"{seen.who}, {WAYS[seen.way]}"
        note = (
            f"{seen.samples} clicks; the answer was there after {seen.answered_median:.0f} ms, "
            f"of which the server took {seen.server_median:.0f} ms"
        )
        result.add(who, "click → confirmation painted, median", seen.painted_median, "ms", note)
        result.add(who, "click → confirmation painted, slowest", seen.painted_max, "ms", note)
        if seen.inp_median is not None and seen.inp_max is not None:
            told = f"none reported for {seen.without_inp} of {seen.samples}" if seen.without_inp else ""
            result.add(who, "INP, median", seen.inp_median, "ms", told)
            result.add(who, "INP, worst", seen.inp_max, "ms", told)
    for seen in figures:
        if not seen.who.startswith("resetsvc") or seen.way != "page":
            continue
        who = f"{seen.who}, {WAYS[seen.way]}"
        result.goals += [
            Goal(f"{who}: click → painted, median", "at most", BOUND, seen.painted_median, "ms"),
            Goal(f"{who}: click → painted, slowest", "at most", BOUND, seen.painted_max, "ms"),
            Goal(f"{who}: INP, worst", "at most", BOUND, seen.inp_max, "ms", "the browser reported none"),
        ]
    whose = list(dict.fromkeys(seen.who for seen in figures))
    found = {(seen.who, seen.way): seen for seen in figures}
    for what, name in (
        ("painted_median", "Click → confirmation painted, median"),
        ("inp_median", "INP, median"),
    ):
        series: dict[str, Sequence[float | None]] = {
            WAYS[way]: [getattr(found.get((who, way)), what, None) for who in whose] for way in WAYS
        }
        result.charts.append(Chart("ms", whose, series, logarithmic=True, line=("100 ms", BOUND), title=name))
    result.notes += _lesson(found)
    return result


def _lesson(found: dict[tuple[str, Way], Seen]) -> list[str]:
    """Whether INP moves with the place where the mail is sent."""
    waiting = [seen for (_, way), seen in found.items() if way != "blocking" and seen.painted_median > 1000]
    reported = [seen.inp_max for seen in waiting if seen.inp_max is not None]
    controls = [
        seen.inp_max for (_, way), seen in found.items() if way == "blocking" and seen.inp_max is not None
    ]
    if not reported or not controls:
        return []
    slowest = max(seen.painted_median for seen in waiting)
    bare, scripted = found["bare page", "page"], found["resetsvc", "page"]
    return [
        f"A form whose mail is sent in the request keeps a person waiting for {slowest:,.0f} ms, and its INP is "
        f"{max(reported):.0f} ms at worst all the same: INP ends with the next paint of the page that was clicked, "
        "which does not wait for the answer. So the time until the confirmation moves, and INP does not, "
        f"unless a script blocks the page until the answer is there (up to {max(controls):,.0f} ms in the control).",
        f"Going from one page to another takes this browser, so slowed, {bare.painted_median:.0f} ms even where both are "
        f"bare (the slowest: {bare.painted_max:.0f} ms). Without going to another page, resetsvc's confirmation "
        f"is there after {scripted.painted_median:.0f} ms.",
    ]


@contextlib.contextmanager
def sites(bench: Bench) -> Iterator[list[Site]]:
    """The three contenders at a slow relay, and resetsvc once more at one that hangs."""
    with ExitStack() as stack:
        core = bench.cores.load
        slow = stack.enter_context(far_relay(bench.new_folder("relay"), core, DELAY))
        hung = stack.enter_context(hung_relay(bench.new_folder("relay"), core))

        def start(name: str, relay: Relay, mood: str = "") -> Site:
            contender = bench.contender(name)
            place = bench.new_place(contender, relay)
            stack.enter_context(bench.serving(contender, place, grace=1.0))
            return Site(
                contender.title + mood, place.url + contender.ask_path, name == "flask-mail-in-request"
            )

        yield [
            start("resetsvc", slow),
            start("resetsvc", hung, ", relay hung"),
            start("flask-mail-thread", slow),
            start("flask-mail-in-request", slow),
        ]


async def measure_in_browser(
    running: Sequence[Site], report_progress: Callable[[str], None], *, repeats: int, controls: int
) -> list[Seen]:
    """Click on each site's form, sent in each way."""
    numbers = itertools.count()
    figures = []
    async with _chromium() as browser, _bare_page() as bare:
        # What a browser loads and compiles once is not any contender's.
        await _sample(browser, bare, "page", next(numbers))
        for site in (bare, *running):
            for way, words in WAYS.items():
                if way == "blocking" and "hung" in site.title:
                    continue
                if way == "plain" and not site.title.startswith("resetsvc"):
                    continue  # the others' pages have no script
                report_progress(f"{site.title}: {words}")
                count = {
                    "page": repeats,
                    "plain": (repeats + 1) // 2,
                    "fetch": (repeats + 1) // 2,
                    "blocking": controls,
                }[way]
                if site.waits:
                    count = 1 if way == "blocking" else min(count, REPEATS_WAITING)
                samples = [await _sample(browser, site, way, next(numbers)) for _ in range(count)]
                figures.append(_summary(site, way, samples))
    return figures


@asynccontextmanager
async def _bare_page() -> AsyncIterator[Site]:
    """A form, and a heading as its confirmation: what the browser takes for these is the least that any site can have."""
    form = '<form method="post"><input name="email"><button type="submit">Send me a link</button></form>'

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length else 0)
                body = "<h1>Email sent</h1>" if head.startswith("POST") else form
                page = f"<!doctype html><html lang=en><title>Bare</title>{body}".encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(page), page))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield Site("bare page", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", waits=False)
    finally:
        server.close()


@asynccontextmanager
async def _chromium() -> AsyncIterator[Any]:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        )
        try:
            yield browser
        finally:
            await browser.close()


async def _opened(browser: Any, site: Site, way: Way, number: int) -> Any:
    """The site's page in a profile of its own, with an address in its field: all that is left to do is to click."""
    # Our own policy forbids scripts of others, which this one is.
    context = await browser.new_context(bypass_csp=way in ("fetch", "blocking"))
    context.set_default_timeout(_PATIENCE)
    if way == "plain":
        await context.route("**/static/*.js*", lambda route: route.abort())
    await context.add_init_script(_SCRIPT)
    page = await context.new_page()
    devtools = await context.new_cdp_session(page)
    await devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    await page.goto(site.ask_url)
    await page.fill("input[name=email]", f"user{number:06d}@bench.example")
    if way in ("fetch", "blocking"):
        await page.evaluate("how => benchSendBy(how)", way)
    return page


async def _sample(browser: Any, site: Site, way: Way, number: int) -> Sample:
    """Click as a mouse does, wait for the confirmation, and ask the page what it has seen."""
    page = await _opened(browser, site, way, number)
    button = await page.locator("button[type=submit]").bounding_box()
    await page.mouse.click(button["x"] + button["width"] / 2, button["y"] + button["height"] / 2)
    await page.get_by_role("heading", name=re.compile("inbox|sent")).wait_for()
    seen = await page.evaluate("benchSeen()")
    await page.context.close()
    # INP of a page with one interaction: its longest event. Those without a number are no part of an interaction.
    durations = [
        event["duration"]
        for event in seen["events"]
        if event["page"] == 1 and (event["interaction"] or event["kind"] == "first-input")
    ]
    return Sample(seen["painted"], seen["answered"], seen["server"], max(durations, default=None))


def _summary(site: Site, way: Way, samples: Sequence[Sample]) -> Seen:
    painted = [sample.painted for sample in samples]
    inp = [sample.inp for sample in samples if sample.inp is not None]
    return Seen(
        who=site.title,
        way=way,
        samples=len(samples),
        painted_median=median(painted),
        painted_max=max(painted),
        answered_median=median(sample.answered for sample in samples),
        server_median=median(sample.server for sample in samples),
        inp_median=median(inp) if inp else None,
        inp_max=max(inp) if inp else None,
        without_inp=len(samples) - len(inp),
    )


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        bench = Bench(folder=Path(folder), cores=find_cores(), quick=False, say=print)
        with sites(bench) as running:
            figures = asyncio.run(measure_in_browser(running, bench.say, repeats=REPEATS, controls=CONTROLS))
    print(json.dumps([asdict(seen) for seen in figures], indent=2))


if __name__ == "__main__":
    main()
