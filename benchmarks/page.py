"""The page of a survey with many sounds: its size, the time until it is drawn, and the time that a selection takes.

Recordings are surveyed, and their sounds are repeated, each somewhere else in its recording, until there are enough.
The page is opened several times in Chromium, and about a fifth of the map is selected with a rectangle.

    python -m benchmarks.page MODEL SOURCE... [--sounds 5000] [--repeats 5]

Playwright and Chromium are needed (`pip install -e '.[browser]'`).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.model import as_model
from audiosae.corpus.cache import cache_folder
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import scan
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import EngineCorpus
from audiosae.sounds.events import Events
from audiosae.sounds.find_types import find_types
from audiosae.sounds.results import MapPoints
from audiosae.views.survey_page import write_survey_page
from benchmarks.curation import tab

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
# selects about a fifth of the map; milliseconds until the next picture is on the screen, and what is selected
SELECT = """async () => {
  const map = document.getElementById("map"), box = map.getBoundingClientRect();
  map.setPointerCapture = () => {};
  document.getElementById("drag").value = "rectangle";
  const send = (type, x, y) => map.dispatchEvent(new PointerEvent(type,
    { bubbles: true, clientX: box.left + x, clientY: box.top + y, button: 0, pointerId: 1, isPrimary: true }));
  const start = performance.now();
  send("pointerdown", 2, 2);
  send("pointermove", box.width * 0.45, box.height * 0.45);
  send("pointerup", box.width * 0.45, box.height * 0.45);
  await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn, 0)));
  return [performance.now() - start, document.getElementById("grid-heading").textContent];
}"""


class CpuTime:
    """CPU time that the main thread of a page takes, which other programs hardly change."""

    def __init__(self, opened: Page) -> None:
        self._session, self._last = opened.context.new_cdp_session(opened), 0.0
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent(self) -> float:
        """Return the milliseconds since the last call."""
        metrics = {each["name"]: each["value"] for each in self._session.send("Performance.getMetrics")["metrics"]}
        before, self._last = self._last, 1000 * metrics["TaskDuration"]
        return float(self._last - before)


def write_page(model_path: Path, sources: list[Path], sounds: int, page: Path) -> dict[str, Any]:
    """Write the page of a survey whose sounds are repeated; return its facts."""
    model = as_model(model_path)
    found = scan(sources, model.domain.suffixes, domain="spectrogram")
    records = ingest(model.domain, found, cache=cache_folder(None), workers=2)
    corpus = EngineCorpus(model.domain, records, LocalEngine(), workers=2)
    survey, _ = find_types(model, corpus)
    rng = np.random.default_rng(0)
    rows = np.sort(np.resize(np.arange(len(survey.sounds)), sounds))
    events = Events(**{column.name: getattr(survey.sounds, column.name)[rows] for column in fields(Events)})
    length = events.end - events.start
    last = np.array([record.extent for record in corpus.records])[events.record] - length
    start = np.clip(events.start + rng.uniform(-0.5, 0.5, sounds), 0, np.maximum(last, 0))
    events = replace(events, start=start, end=start + length)
    points = (survey.mapped.points if survey.mapped else np.zeros((len(survey.sounds), 2), np.float32))[rows]
    points += 0.3 * rng.normal(size=points.shape).astype(np.float32) / points.shape[1] ** 0.5
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    repeated = replace(survey, events=events, bouts=events, mapped=MapPoints(np.arange(sounds), points))
    return write_survey_page(repeated, model, corpus, page)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--sounds", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=5)
    options: Any = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page, begin = Path(folder, "index.html"), time.perf_counter()
        facts = write_page(options.model, options.sources, options.sounds, page)
        print(f"page: {facts['bytes'] / 1e6:.1f} MB, {facts['sounds']} sounds, {facts['pictures']} with a picture,")
        print(f"{facts['examples']} can be played; written in {time.perf_counter() - begin:.0f} s with the survey")
        for _ in range(options.repeats):
            with tab(page, viewport={"width": 1400, "height": 900}) as opened:
                cpu = CpuTime(opened)
                print(f"first paint {opened.evaluate(PAINT):.0f} ms", end="")
                cpu.spent()
                for _ in range(2):
                    shown, what = opened.evaluate(SELECT)
                    spent = f"{cpu.spent():.0f} ms of a core"
                    print(f"; {what.split(':')[0]} selected after {shown:.0f} ms ({spent})", end="")
                print(flush=True)


if __name__ == "__main__":
    main()
