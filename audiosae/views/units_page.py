"""The report: each unit's atom and sound, what it does on sources, and the moments that excite it most."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.sources import printable
from audiosae.errors import InputError
from audiosae.features.activity import ACTIVE
from audiosae.features.matching import ALIKE, atom_cosines
from audiosae.features.stability import read
from audiosae.features.summary import activity_of, summarise
from audiosae.features.unit_statistics import BINS, Gathered, gather
from audiosae.system.files import write_file
from audiosae.system.threads import one_blas_thread
from audiosae.views.excerpts import Excerpts, choose, readable
from audiosae.views.page import bars, render_page
from audiosae.views.unit_sides import by_likeness, map_positions, most_alike, show_units

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.features.stability import UnitStability
    from audiosae.system.progress import Progress

_LABELS_SHOWN = 4
_MEANINGS = (
    ("mean activity", "of the unit over all windows of the files on this page, from 0 to 1"),
    ("fires in", f"windows in which its activity is above {ACTIVE:g}"),
    ("selectivity", "0 for a unit that is equally active in all windows, 1 for one that is active in a single one "
     "(Treves and Rolls's lifetime sparseness)"),
    ("activation", "what the unit gives for one window"),
    ("times as active", "its mean activity in windows with that label, over that in all windows"),
    ("most like it", "the cosine between two atoms: 1 for the same pattern, 0 for none in common"),
)  # fmt: skip
_OF_SOUND = (
    ("centroid", "the mean frequency of the atom's energy"),
    ("bandwidth", "twice the standard deviation of that energy around the centroid; wide where it lies in two places"),
)
_NOTE_BYTES = 512  # for saying that not all had room
_LIFT_SHOWN = 1.2  # a label whose windows excite a unit less than this times the average says nothing


@one_blas_thread()
def write_report(
    model: Model, corpus: EngineCorpus, path: Path, *, top: int, size: int,
    labels: Sequence[str | None] | None = None, label_name: str = "label", run: Path | None = None,
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Write a page that shows every unit of a model and the windows of sources that excite it most.

    Parameters
    ----------
    corpus
        The sources, read with the model's domain, and encoded where they lie; those that were skipped are counted. The
        page does not depend on its workers, which draw.
    top
        Windows per unit, where there is room for them.
    size
        Bytes that the page may have.
    labels, label_name
        One per record, None for one that has none, and what they are called.
    run
        Folder of the run, whose history is shown.

    Returns
    -------
    dict
        report, bytes, units, windows, windows_per_unit (shown), windows_per_unit_there (of those wanted), pieces,
        sources_used, sources_skipped.

    Raises
    ------
    InputError
        No source is as long as a window, there is no room for the units alone, the page cannot be written.
    """
    left_out, labels = len(corpus.skipped), [labels[i] for i in corpus.used] if labels else None
    corpus = corpus.only(corpus.used)
    if not len(corpus):
        raise InputError(f"none of the {len(corpus.records)} sources is as long as a window; nothing to show")
    labels = [label and printable(label) for label in labels] if labels else None
    names = sorted({label for label in labels or () if label})
    used = sum(count > 0 for count in corpus.windows_per_record())
    left_out += len(corpus.records) - used
    place = {name: number for number, name in enumerate(names)}
    codes = np.array([place.get(label or "", -1) for label in labels], np.int64) if labels else None
    progress.stage("encoding", len(corpus), "windows")
    gathered = gather(model, corpus, top=top, labels=codes, classes=len(names), done=progress.advance)
    progress.stage("drawing", model.params.hidden, "units")
    drawn = show_units(model, workers=corpus.workers, done=lambda: progress.advance(1))
    first, cosines = next(drawn), atom_cosines(model, model)
    places = map_positions(cosines)  # while processes draw
    view = _view(model, gathered, [first, *drawn], (used, left_out), names, cosines=cosines, places=places) | {
        "label_name": label_name, "about": [about(model, "This model", run)],
    }  # fmt: skip
    if run and (stability := read(run)):
        _add_stability(view, stability)
    tops = gathered.tops.strongest(corpus, top)
    progress.stage("excerpts", None, "pieces")
    there = readable(corpus, _shown(corpus, tops))
    excerpts = Excerpts(model.domain, there, labels, workers=corpus.workers)
    shown, pieces = _show_windows(view, size, tops, excerpts, progress)
    page = render_page(view)
    write_file(path, page)
    return {
        "report": str(path), "bytes": len(page), "units": model.params.hidden, "windows": len(corpus),
        "windows_per_unit": shown, "windows_per_unit_there": max(map(len, tops)), "pieces": pieces,
        "sources_used": used, "sources_skipped": left_out,
    }  # fmt: skip


def _show_windows(
    view: dict[str, Any], size: int, tops: Sequence[Sequence[tuple[int, float]]], excerpts: Excerpts, progress: Progress
) -> tuple[int, int]:  # fmt: skip
    """Put as many windows on a page as it may have bytes for; return how many a unit has, and how many pieces."""
    empty = len(render_page(view))
    if empty > size:
        raise InputError(f"--size {size / 2**20:.3g}M: the {len(view['items'])} units alone take "
                         f"{empty / 2**20:.1f} MiB; give more")  # fmt: skip
    chosen = choose(tops, excerpts, size - empty - _NOTE_BYTES, lambda: progress.advance(1))
    view["pieces"] = chosen.pieces
    for item, mine in zip(view["items"], chosen.windows, strict=True):
        item["windows"] = mine
    shown, wanted = max(map(len, chosen.windows)), max(map(len, tops))
    if shown < wanted:
        view["notes"].append(f"Each unit shows its {shown} strongest windows, not {wanted}: more would exceed the size "
                             f"that was allowed ({size / 2**20:.3g} MiB; --size gives more).")  # fmt: skip
    return shown, len(chosen.pieces)


def _shown(corpus: EngineCorpus, tops: Sequence[Sequence[tuple[int, float]]]) -> list[int]:
    numbers = np.array([number for top in tops for number, _ in top], np.int64)
    return [int(i) for i in np.unique(corpus.locate(numbers)[0])]


def _view(
    model: Model, gathered: Gathered, sides: Sequence[dict[str, Any]], sources: tuple[int, int], names: Sequence[str],
    *, cosines: NDArray[np.float64], places: tuple[Sequence[tuple[int, int]], int],
) -> dict[str, Any]:  # fmt: skip
    """Return all of the page but the windows."""
    hidden = model.params.hidden
    cells, columns = places
    rank = np.argsort(by_likeness(cosines))
    usage, lift = gathered.usage, gathered.lift()
    items = [
        {
            "name": f"Unit {unit}", "number": unit, "group": None, "sides": [side], "cell": cells[unit],
            "facts": _facts(gathered, unit, side), "histogram": gathered.histogram[unit].tolist(),
            "labels": _goes_with(lift[:, unit], names), "alike": most_alike(cosines, unit), "windows": [],
            "order": {"activity": usage.mean[unit], "selectivity": usage.lifetime_sparseness[unit],
                      **side["measures"], "likeness": int(rank[unit]), "number": unit},
        }
        for unit, side in enumerate(sides)
    ]  # fmt: skip
    used, left_out = sources
    what = {"sound": "recording", "picture": "picture"}.get(model.domain.kind, "source") + "s" * (used != 1)
    notes = [f"Files that could not be used, or are shorter than a window: {left_out}."] if left_out else []
    if len(names) == 1:
        notes.append(f"All have the label {names[0]!r}: no unit goes with one label more than with another.")
    return {
        "title": f"{hidden} units of {model.domain.name}", "heading": f"What {hidden} units have learned",
        "lead": f"From {used:,} {what}, {usage.count:,} windows. Choose a unit to see the pattern it responds to, and "
                f"{'the moments that excite' if model.domain.kind == 'sound' else 'what excites'} it most.",
        "notes": notes, "items": items, "pieces": [], "groups": [], "columns": columns, "bins": BINS,
        "sorts": [("activity", "activity", True), ("selectivity", "selectivity", True),
                  *((name, name, False) for name in sides[0]["measures"]),
                  ("likeness", "similarity", False), ("number", "number", False)],
        "colours": model.domain.colours, "plays": model.domain.kind == "sound",
        "meanings": _MEANINGS + (_OF_SOUND if model.domain.kind == "sound" else ()),
    }  # fmt: skip


def _facts(gathered: Gathered, unit: int, side: dict[str, Any]) -> list[tuple[str, str]]:
    usage = gathered.usage
    return [
        ("mean activity", f"{usage.mean[unit]:.4f}" + (" (dead)" if side["dead"] else "")),
        ("fires in", f"{100 * usage.share[unit]:.1f} % of windows"),
        ("selectivity", f"{usage.lifetime_sparseness[unit]:.3f}"),
        *((name, f"{value:.4g}") for name, value in side["measures"].items()),
    ]


def _add_stability(view: dict[str, Any], stability: UnitStability) -> None:
    """Say of each unit in how many other seeds it comes back."""
    for unit, item in enumerate(view["items"]):
        item["facts"].append(("comes back", stability.description(unit)))
    found = f"training with so many other seeds has found its atom again (a cosine of {ALIKE:g} or more)"
    view["meanings"] = (("comes back", found), *view["meanings"])


def _goes_with(lift: NDArray[np.float64], names: Sequence[str]) -> list[tuple[str, float]]:
    """Return the labels whose windows excite a unit more than others do, with how many times more."""
    order = np.argsort(-lift, kind="stable")[:_LABELS_SHOWN]
    return [(names[i], round(float(lift[i]), 2)) for i in order if lift[i] >= _LIFT_SHOWN]


def about(model: Model, heading: str, run: Path | None) -> dict[str, Any]:
    """Return what the page tells of a model as a whole."""
    told = summarise(model, activity_of(model), read(run) if run else None)
    counts, edges = np.histogram(model.rho_hat, bins=24, range=(0, max(float(model.rho_hat.max()), 1e-9)))
    picture = run / "history.png" if run else None
    there = picture is not None and picture.is_file()
    return {
        "heading": heading, "rows": [(term or "its options", text) for term, text in told],
        "options": sorted((str(key), str(value)) for key, value in model.facts["options"].items()),
        "history": base64.b64encode(picture.read_bytes()).decode() if picture is not None and there else None,
        "rho_hat": bars(counts.tolist(), high=float(edges[-1])), "rho_hat_most": float(edges[-1]),
        "rho": float(model.facts["options"]["rho"]), "dead": np.flatnonzero(model.dead).tolist(),
    }  # fmt: skip
