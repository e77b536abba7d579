"""Curation with the page of a survey: how many sounds are labelled right after 100 answers that are given in a browser.

Labelled clips are planted into noise as in `benchmarks.labels`, a model is trained and the recordings are surveyed with
the defaults. A script opens the page in Chromium, takes each sound that the listening queue proposes, names it as it is
and goes on, all with the page's own controls. It saves labels.csv, and the survey is made again with it. Printed per
draw: the share of the sounds that were never asked about whose label is right, that of the simulated user of
`benchmarks.labels` on the same sounds, and the time per answer.

    python -m benchmarks.curation DATA [--sets kinds-sparse] [--seeds 0,1] [--answers 100] [--hidden 256]

Playwright and Chromium are needed (`pip install -e '.[browser]'`).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import audiosae
from audiosae.sounds.sound_types import load_types
from benchmarks.labels import TRUTH, Sounds, answered, write_truth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from audiosae.autoencoder.model import Model
    from audiosae.sounds.results import Survey

    Key = tuple[str, float, float]

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def tab(page: Path, **how: object) -> Iterator[Page]:
    """Open a page in Chromium; `how` are options of Playwright's context."""
    from playwright.sync_api import sync_playwright

    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_context(**how).new_page()
        opened.goto(page.as_uri())
        yield opened
        browser.close()


def keys(survey: Survey) -> list[Key]:
    """Return file, start and end of each sound."""
    events = survey.sounds
    files = [survey.records[i].file for i in events.record.tolist()]
    times = zip(np.round(events.start, 4).tolist(), np.round(events.end, 4).tolist(), strict=True)
    return [(file, *each) for file, each in zip(files, times, strict=True)]


def truth_of(model: Model, folder: Path) -> tuple[dict[Key, str], Sounds]:
    """Return the true label of each sound that has one, and these sounds as `benchmarks.labels` uses them."""
    with tempfile.TemporaryDirectory() as out:
        survey = audiosae.survey(model, folder, out, labels=folder / TRUTH, events="csv")
        taught = load_types(Path(out), survey.facts["model_digest"]).taught
    answers = taught.answers if taught else ()
    truth = {(each.file, round(each.start, 4), round(each.end, 4)): each.label for each in answers}
    label, recording = (
        np.unique([getattr(each, name) for each in answers], return_inverse=True)[1] for name in ("label", "file")
    )
    points = taught.points if taught else np.empty((0, 0), np.float32)
    return truth, Sounds((points, points), label, recording)


def curate(page: Path, names: dict[int, str], count: int, table: Path) -> tuple[set[int], float]:
    """Answer `count` questions of the listening queue and save labels.csv; return what was asked, and s per answer.

    Parameters
    ----------
    names
        The true label of each sound, by its number in the table; others are skipped.
    """
    asked: set[int] = set()
    with tab(page) as opened:
        opened.locator("#queue-heading").focus()
        begin = time.perf_counter()
        while len(asked) < count:
            number = int(opened.locator("#queued .play").get_attribute("aria-label").split()[-1])
            if number not in names:
                opened.click("#answers [data-answer='']")
                continue
            asked.add(number)
            known = [text.rsplit(" ", 1)[0] for text in opened.locator("#queue-labels button").all_inner_texts()]
            if names[number] in known:
                opened.locator("#queue-labels button").nth(known.index(names[number])).click()
            else:
                opened.fill("#queue-label", names[number])
                opened.keyboard.press("Enter")
        seconds = (time.perf_counter() - begin) / count
        with opened.expect_download() as download:
            opened.click("#save")
        download.value.save_as(table)
    return asked, seconds


def measured(data: Path, name: str, seed: int, hidden: int, count: int) -> tuple[float, list[float], float]:
    """Return the share that the page reaches, those of the simulated user, and the time per answer."""
    set_name, _, density = name.partition("-")
    with tempfile.TemporaryDirectory() as folder:
        sounds, out = Path(folder, "sounds"), Path(folder, "found")
        sounds.mkdir()
        write_truth(data / set_name, density, seed, sounds)
        model = audiosae.train(sounds, hidden=hidden, seed=seed).model
        truth, simulated = truth_of(model, sounds)
        survey = audiosae.survey(model, sounds, out, events="csv")
        numbers = {i: truth[key] for i, key in enumerate(keys(survey), 1) if key in truth}
        asked, seconds = curate(out / "index.html", numbers, count, Path(folder, "labels.csv"))
        again = audiosae.survey(model, sounds, out, events="csv", labels=Path(folder, "labels.csv"))
        names = dict(enumerate([*(again.labels.names if again.labels else ()), ""]))
        given = [names[i] for i in (again.labels.label.tolist() if again.labels else ())]
        right = [given[number - 1] == label for number, label in numbers.items() if number not in asked]
    return float(np.mean(right)), list(answered(simulated.points[0], simulated)), seconds


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="kinds-sparse", help="with commas between")
    parser.add_argument("--seeds", default="0,1", help="with commas between")
    parser.add_argument("--answers", type=int, default=100)
    parser.add_argument("--hidden", type=int, default=256)
    options: Any = parser.parse_args()
    print(f"| set | seed | page, {options.answers} answers | simulated user, 100 answers | s per answer |")
    print("|---|---|---|---|---|")
    for name in options.sets.split(","):
        for seed in map(int, options.seeds.split(",")):
            share, shares, seconds = measured(options.data, name, seed, options.hidden, options.answers)
            print(f"| {name} | {seed} | {share:.3f} | {shares[-1]:.3f} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
