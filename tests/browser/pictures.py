"""The pictures of the README, made by the real service and the real browser: `python -m tests.browser.pictures`.

Two contact sheets in light and dark, docs/images/pages.png and docs/images/mails.png. With a folder as the argument,
every page and mail at two widths goes there instead, to be looked at one by one.
"""

import asyncio
import base64
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from playwright.async_api import Browser, ViewportSize

from resetsvc.logs import set_up_logging
from resetsvc.testing import make_settings
from tests.browser.chromium import CHROMIUM, MISSING, chromium
from tests.browser.every_page import MAILS, every_page
from tests.browser.serving import other_site, reset_service

IMAGES = Path(__file__).parents[2] / "docs" / "images"
PUBLIC_URL = "https://accounts.tidewater.example"
LARGEST = 400_000  # bytes of a sheet: a README must not be heavy

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")

# What stands in the sheet, in its order, and what is written below it.
PAGES_SHEET = {
    "ask": "Ask",
    "check your inbox": "Check your inbox",
    "new password, weak": "Choose a new password",
    "new password, refused with reasons": "Refused, with reasons",
    "done": "Done",
    "cancel": "This was not me",
}
MAILS_SHEET = {"reset mail": "Reset your password", "notice mail": "Your password was changed"}

STYLE = """
  * { box-sizing: border-box; }
  body { margin: 0; width: max-content; font: 500 14px/1.4 system-ui, sans-serif; }
  section { display: grid; grid-template-columns: repeat(var(--columns), var(--width)); gap: 24px; padding: 28px 28px 22px; }
  .light { background: #e9e6dd; color: #3b4846; }
  .dark { background: #070b0a; color: #a9b7b2; }
  figure { margin: 0; }
  img { display: block; width: var(--width); border-radius: 12px; border: 1px solid; }
  .light img { border-color: #d3cfc3; }
  .dark img { border-color: #26322f; }
  figcaption { padding: 8px 2px 0; }
"""


@dataclass(frozen=True, slots=True)
class Picture:
    name: str
    scheme: Scheme
    png: bytes


async def take(browser: Browser, scheme: Scheme, size: ViewportSize, *, whole: bool) -> list[Picture]:
    """Every page and both mails. whole: also what lies below the window's lower edge."""
    pictures = []
    with TemporaryDirectory() as folder:
        async with (
            other_site() as mailbox,
            reset_service(Path(folder), login_url=f"{PUBLIC_URL}/login", limit_per_account="") as service,
            await browser.new_context(
                viewport=size, color_scheme=scheme, reduced_motion="reduce", device_scale_factor=1
            ) as context,
        ):
            page = await context.new_page()
            async for name in every_page(page, service, mailbox):
                if name in MAILS:  # as it looks in production: the link does not name a loopback port
                    await page.set_content((await page.content()).replace(service.url, PUBLIC_URL))
                png = await page.screenshot(full_page=whole, caret="hide")
                pictures.append(Picture(name, scheme, png))
    return pictures


async def sheet(
    browser: Browser, pictures: list[Picture], captions: dict[str, str], *, columns: int, width: int
) -> bytes:
    """A contact sheet of some of the pictures, laid out and photographed by the browser itself."""
    sections = []
    for scheme in SCHEMES:
        taken = {picture.name: picture.png for picture in pictures if picture.scheme == scheme}
        figures = "".join(
            f'<figure><img src="data:image/png;base64,{base64.b64encode(taken[name]).decode()}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
            for name, caption in captions.items()
        )
        sections.append(f'<section class="{scheme}">{figures}</section>')
    style = f"<style>:root {{ --columns: {columns}; --width: {width}px }}{STYLE}</style>"
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    await page.set_content(f"<!doctype html><title>Sheet</title>{style}{''.join(sections)}")
    png = await page.locator("body").screenshot()
    await page.close()
    return png


async def make_sheets() -> None:
    async with chromium() as browser:
        pages: list[Picture] = []
        mails: list[Picture] = []
        for scheme in SCHEMES:
            taken = await take(browser, scheme, {"width": 440, "height": 700}, whole=False)
            pages += [picture for picture in taken if picture.name not in MAILS]
            mails += [picture for picture in taken if picture.name in MAILS]
        IMAGES.mkdir(parents=True, exist_ok=True)
        for file, png in (
            ("pages.png", await sheet(browser, pages, PAGES_SHEET, columns=3, width=270)),
            ("mails.png", await sheet(browser, mails, MAILS_SHEET, columns=2, width=410)),
        ):
            if len(png) > LARGEST:
                raise SystemExit(f"{file} would have {len(png):,} bytes, more than {LARGEST:,}")
            (IMAGES / file).write_bytes(png)
            print(f"docs/images/{file}: {len(png):,} bytes")  # noqa: T201 -- the script's own output


async def make_single_pictures(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sizes: tuple[ViewportSize, ...] = ({"width": 1280, "height": 800}, {"width": 360, "height": 740})
    async with chromium() as browser:
        for scheme in SCHEMES:
            for size in sizes:
                for picture in await take(browser, scheme, size, whole=True):
                    name = picture.name.replace(", ", "-").replace(" ", "-")
                    (folder / f"{name}.{scheme}.{size['width']}.png").write_bytes(picture.png)


def main() -> None:
    if CHROMIUM is None:
        raise SystemExit(MISSING)
    with TemporaryDirectory() as folder:
        set_up_logging(make_settings(Path(folder), log_level="error"))
    asyncio.run(make_single_pictures(Path(sys.argv[1])) if len(sys.argv) > 1 else make_sheets())


if __name__ == "__main__":
    main()
