"""The gallery of the manual: every picture and page that the program draws, made from the sample sounds by the build.

The pictures are in ``docs/generated/gallery``, the pages in ``docs/generated/pages/examples``. They are made again if
the code of the package or this file has changed.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import audiosae
from audiosae.commands.render import render

_KINDS = ("bird", "frog", "cricket", "drum")
_HOURS = (4, 5, 6, 12, 20, 21)
_OPTIONS = {"hidden": 24, "epochs": 12, "batch_size": 512}
_SITE = r"(?P<site>north|south)_"
# Picture: what it shows, and the command that draws it.
_PICTURES = {
    "atoms": ("Atoms: the patterns that the units have learned, the most active first", "train"),
    "history": ("Training curves: cost, unexplained variance and mean activity", "train"),
    "filters": ("Filters: the inputs that six units respond to most", "render --show filter"),
    "tiles": ("Atoms as plain tiles, for a poster", "render --tiles"),
    "timeline": ("Sounds per recorded hour, by date and hour, of all types", "survey"),
    "site": ("The same at one site", "survey --site"),
    "recordings": ("Recordings without dates as coloured lines: similar colours mean similar sounds", "survey"),
    "scores": ("Accuracy of the features and of the baselines, with standard errors", "evaluate"),
    "confusion": ("Confusion matrix: which labels are taken for which", "evaluate"),
    "units": ("The units that tell the labels apart best", "evaluate"),
}
# Page, below examples/: title, what it shows, and the command that writes it.
_PAGES = {
    "survey/index.html": ("Survey", "types, map, grid, listening queue and hours, to correct by ear", "survey"),
    "report.html": ("Report", "each unit with the moments that excite it most, to play", "report"),
    "like.html": ("Search results", "the sounds that are most similar to an example", "find"),
    "evaluation/index.html": ("Evaluation", "accuracies, confusion and the quality of the units", "evaluate"),
    "diff.html": ("Comparison of two models", "which atoms were found again with another seed", "diff"),
}


def write_gallery(docs: Path) -> None:
    """Write the gallery, unless it is up to date."""
    generated, package = docs / "generated", Path(audiosae.__file__).parent
    files = [*sorted(path for path in package.rglob("*") if path.suffix != ".pyc" and path.is_file()), Path(__file__)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    stamp = generated / "gallery.digest"
    if not stamp.exists() or stamp.read_text() != digest:
        for folder in (generated / "gallery", generated / "pages/examples"):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        with TemporaryDirectory() as work:
            _draw(docs.parent / "samples/sounds", Path(work), generated)
        stamp.write_text(digest)
    (generated / "gallery.md").write_text(_page(), encoding="utf-8")


def _draw(samples: Path, work: Path, generated: Path) -> None:
    """Run the commands in `work` on some sample sounds with dates and sites, and copy what they draw."""
    sounds, pages, pictures = work / "sounds", generated / "pages/examples", generated / "gallery"
    for kind in _KINDS:
        (sounds / kind).mkdir(parents=True)
        for number, path in enumerate(sorted((samples / kind).glob("*.flac"))):
            day, hour = divmod(number, len(_HOURS))
            site = "north" if number % 2 else "south"
            shutil.copy(path, sounds / kind / f"{site}_2026060{day + 1}_{_HOURS[hour]:02d}0000.flac")
    run = audiosae.train(sounds, work / "run", **_OPTIONS)
    render(run.folder, work / "run/filters.png", show="filter", units=range(6))
    render(run.folder, work / "run/tiles.png", tiles=True)
    audiosae.survey(run.folder, sounds, work / "survey", site=_SITE, time_zone="UTC", events="csv")
    baselines = "random-weights,mfcc"
    audiosae.evaluate(run.folder, sounds, "folder", baselines=baselines, out=work / "evaluation")
    audiosae.report(run.folder, sounds, pages / "report.html", labels="folder", top=3)
    example = min(sounds.glob("cricket/*.flac"))
    audiosae.find(run.folder, sounds, example, pages / "like.html", count=8)
    audiosae.diff(run.model, audiosae.train(sounds, **_OPTIONS, seed=1).model, pages / "diff.html")
    for name in ("survey", "evaluation"):
        for path in (path for path in (work / name).rglob("*") if path.suffix in {".html", ".png"}):
            (pages / path.relative_to(work)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, pages / path.relative_to(work))
    for path in (path for kind in _KINDS for path in sorted((samples / kind).iterdir())[:5]):
        (work / "some").mkdir(exist_ok=True)
        shutil.copy(path, work / "some")
    audiosae.survey(run.folder, work / "some", work / "undated", when="none", events="csv")
    shutil.copy(work / "undated/recordings.png", work / "survey/recordings.png")  # with one line per recording
    for name in _PICTURES:
        found = next(path for path in work.rglob("*.png") if path.stem == {"site": "north"}.get(name, name))
        shutil.copy(found, pictures / f"{name}.png")


def _page() -> str:
    """Return the page of the gallery, in Markdown."""
    link = '- <a href="../examples/{}">{}</a>: {} (`audiosae {}`)'
    pages = [link.format(path, title, text, command) for path, (title, text, command) in _PAGES.items()]
    pictures = [
        f"## {name.capitalize()}\n\n`audiosae {command}`\n\n![{text}](gallery/{name}.png)\n\n{text}."
        for name, (text, command) in _PICTURES.items()
    ]
    parts = [
        "# Gallery",
        "Everything that the program draws, made from 48 of the sample sounds when this manual was built.",
        "## Pages\n\nEach page is one file that opens offline in any browser.\n\n" + "\n".join(pages),
        *pictures,
    ]
    return "\n\n".join(parts) + "\n"
