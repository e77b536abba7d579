"""Draw the pictures of the README and of the manual's first pages again: `python docs/readme_pictures.py`.

Needs Chromium, the extra `browser` and the plugin `audiosae-images`. Takes a minute or two.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from PIL import Image

import audiosae
from audiosae.commands.render import render

if TYPE_CHECKING:
    from playwright.sync_api import Page

DOCS = Path(__file__).resolve().parent
_MARKED = 3  # sounds


def main() -> None:
    """Draw atoms.png, edges.png and survey.png."""
    with TemporaryDirectory() as work:
        folder, samples = Path(work), DOCS.parent / "samples"
        run = audiosae.train(samples / "sounds", folder / "run")
        shutil.copy(folder / "run/atoms.png", DOCS / "atoms.png")
        edges = audiosae.train(samples / "pictures", domain="images", hidden=100)
        render(edges.model, folder / "edges.png", tiles=True)
        shutil.copy(folder / "edges.png", DOCS / "edges.png")
        audiosae.survey(run.model, samples / "sounds", folder / "found")
        _photograph(folder / "found/index.html", DOCS / "survey.png")


def _photograph(page: Path, picture: Path) -> None:
    """Write a picture of the map and the grid of a survey, with one type shown and some of its sounds marked."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1250, "height": 1110})
        tab.goto(page.as_uri())
        _select(tab)
        photograph = Image.open(io.BytesIO(tab.screenshot()))
        photograph.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(picture, optimize=True)
        browser.close()


def _select(tab: Page) -> None:
    tab.get_by_role("button", name="type 1 ").first.click()
    for number in range(_MARKED):
        tab.locator("#grid canvas, #grid img").nth(2 * number).click(modifiers=["Shift"] if number else [])
    tab.locator("#grid-heading").evaluate("node => scrollBy(0, node.getBoundingClientRect().top - 60)")
    tab.mouse.move(5, 5)
    tab.wait_for_timeout(1000)  # spectrograms are drawn when they come into view


if __name__ == "__main__":
    main()
