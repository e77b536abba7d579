"""HTML page of a report: atom, sound and activity of each unit, and the windows in which it is most active."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.features.activity import ACTIVE
from audiosae.features.matching import ALIKE, atom_cosines
from audiosae.features.stability import read
from audiosae.features.summary import activity_of, summarise
from audiosae.features.unit_statistics import BINS, Gathered, gather
from audiosae.system.files import write_file
from audiosae.system.text import one_line
from audiosae.system.threads import one_blas_thread
from audiosae.views.excerpts import Excerpts, choose_excerpts, with_local_fields
from audiosae.views.page import bars, render_page
from audiosae.views.unit_sides import map_positions, most_similar, show_units, similarity_order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.system.progress import Progress

_LABELS_SHOWN = 4
_MEANINGS = (
    ("mean activity", "mean activation of the unit over all windows of the files on this page, from 0 to 1"),
    ("fires in", f"share of windows in which its activation is above {ACTIVE:g}"),
    (
        "selectivity",
        "0 for a unit that is equally active in all windows, 1 for one that is active in a single window "
        "(lifetime sparseness of Treves and Rolls)",
    ),
    ("activation", "output of the unit for one window"),
    ("times as active", "mean activity in windows with that label, divided by the mean activity in all windows"),
    (
        "most similar units",
        "cosine between the two atoms: 1 for the same pattern, 0 for patterns unrelated to each other",
    ),
)
_MEANINGS_OF_SOUND = (
    ("centroid", "mean frequency of the atom's energy"),
    ("bandwidth", "twice the standard deviation of that energy around the centroid; large if there are two peaks"),
)
_NOTE_BYTES = 512  # reserved for a note on what does not fit
_LOWEST_LIFT = 1.2  # labels with a lower relative activity are not shown: they say little about a unit


@one_blas_thread()
def write_report(
    model: Model,
    corpus: EngineCorpus,
    path: Path,
    *,
    top: int,
    size: int,
    labels: Sequence[str | None] | None = None,
    label_name: str = "label",
    run: Path | None = None,
    progress: Progress,
) -> dict[str, Any]:
    """Write a page that shows every unit of a model and the windows of the sources in which it is most active.

    Parameters
    ----------
    corpus
        The sources, read with the model's domain and encoded where their fields are stored; skipped sources are
        counted. The page does not depend on the number of workers.
    top
        Windows per unit, if they fit.
    size
        Largest size of the page in bytes.
    labels, label_name
        Label of each record, None for a record without one; the name of the labels.
    run
        Folder of the run, whose history is shown.

    Returns
    -------
    dict
        report, bytes, units, windows, windows_left_out (silent or blank), windows_per_unit (shown),
        windows_per_unit_there (available, at most `top`),
        pieces, sources_used, sources_skipped.

    Raises
    ------
    InputError
        All sources are shorter than a window, the units alone exceed `size`, or the page cannot be written.
    """
    skipped = len(corpus.skipped)
    labels = [label and one_line(label) for label in (labels[i] for i in corpus.used)] if labels else None
    corpus = corpus.only(corpus.used)
    if not len(corpus):
        raise InputError(f"all {len(corpus.records)} sources are shorter than a window; use longer sources")
    names = sorted({label for label in labels or () if label})
    used = sum(count > 0 for count in corpus.windows_per_record())
    skipped += len(corpus.records) - used
    number_of = {name: number for number, name in enumerate(names)}
    codes = np.array([number_of.get(label or "", -1) for label in labels], np.int64) if labels else None
    counts = used, skipped, corpus.windows_left_out()
    progress.stage("encoding", len(corpus), "windows")
    gathered = gather(model, corpus, top=top, labels=codes, classes=len(names), done=progress.advance)
    progress.stage("drawing", model.params.hidden, "units")
    drawn = show_units(model, workers=corpus.workers, done=lambda: progress.advance(1))
    first, cosines = next(drawn), atom_cosines(model, model)
    positions = map_positions(cosines)  # while the other processes draw
    view = _view(model, gathered, [first, *drawn], counts, names, cosines=cosines, positions=positions)
    view |= {"label_name": label_name, "about": [about(model, "This model", run)]}
    if run and (stability := read(run, model.params.hidden)):
        for unit, item in enumerate(view["items"]):
            item["facts"].append(("comes back", stability.description(unit)))
        meaning = f"number of trainings with other seeds that have learned the same atom (cosine of {ALIKE:g} or more)"
        view["meanings"] = (("comes back", meaning), *view["meanings"])
    tops = gathered.tops.strongest(corpus, top)
    progress.stage("excerpts", None, "pieces")
    numbers = np.array([number for windows in tops for number, _ in windows], np.int64)
    local = with_local_fields(corpus, [int(i) for i in np.unique(corpus.locate(numbers)[0])])
    excerpts = Excerpts(model.domain, local, labels, workers=corpus.workers)
    shown, pieces = _add_windows(view, size, tops, excerpts, progress, crops=model.unit_crops)
    page = render_page(view)
    write_file(path, page)
    return {
        "report": str(path),
        "bytes": len(page),
        "units": model.params.hidden,
        "windows": len(corpus),
        "windows_left_out": counts[-1],
        "windows_per_unit": shown,
        "windows_per_unit_there": max(map(len, tops)),
        "pieces": pieces,
        "sources_used": used,
        "sources_skipped": skipped,
    }


def _add_windows(
    view: dict[str, Any],
    size: int,
    tops: Sequence[Sequence[tuple[int, float]]],
    excerpts: Excerpts,
    progress: Progress,
    *,
    crops: Sequence[tuple[slice, ...]],
) -> tuple[int, int]:
    """Add as many windows to a page as fit; return the number per unit, and the number of pieces."""
    empty = len(render_page(view))
    if empty > size:
        raise InputError(
            f"--size {size / 2**20:.3g}M: the {len(view['items'])} units without examples need {empty / 2**20:.1f} "
            f"MiB; give a larger size"
        )
    room = size - empty - _NOTE_BYTES
    view["pieces"], chosen = choose_excerpts(tops, excerpts, room, lambda: progress.advance(1), crops=crops)
    for item, windows in zip(view["items"], chosen, strict=True):
        item["windows"] = windows
    shown, available = max(map(len, chosen)), max(map(len, tops))
    if shown < available:
        view["notes"].append(
            f"Each unit shows its {shown} strongest windows, not {available}: more would exceed the maximum size "
            f"of the page ({size / 2**20:.3g} MiB; change it with --size)."
        )
    return shown, len(view["pieces"])


def _view(
    model: Model,
    gathered: Gathered,
    sides: Sequence[dict[str, Any]],
    counts: tuple[int, int, int],
    names: Sequence[str],
    *,
    cosines: NDArray[np.float64],
    positions: tuple[Sequence[tuple[int, int]], int],
) -> dict[str, Any]:
    """Return the variables of the page without the windows.

    `counts` are the numbers of used and skipped sources, and of windows that are left out.
    """
    hidden, kind = model.params.hidden, model.domain.kind
    used, skipped, left_out = counts
    source_word = {"sound": "recording", "picture": "picture"}.get(kind, "source") + "s" * (used != 1)
    notes = [f"Files that could not be used or are shorter than a window: {skipped}."] if skipped else []
    if left_out:
        notes.append(f"Windows that are silent or blank, and left out: {left_out:,}.")
    if len(names) == 1:
        notes.append(f"All files have the label {names[0]!r}: labels cannot be compared.")
    return {
        "title": f"{hidden} units of {model.domain.name}",
        "heading": f"Features of {hidden} units",
        "lead": (
            f"Computed from {used:,} {source_word}, {gathered.usage.count:,} windows. Select a unit to see the pattern "
            f"to which it responds, and the {'sounds' if kind == 'sound' else 'inputs'} for which it is most active."
        ),
        "notes": notes,
        "items": _items(gathered, sides, names, cosines, positions[0]),
        "pieces": [],
        "groups": [],
        "columns": positions[1],
        "bins": BINS,
        "sorts": [
            ("activity", "activity", True),
            ("selectivity", "selectivity", True),
            *((name, name, False) for name in sides[0]["measures"]),
            ("likeness", "similarity", False),
            ("number", "number", False),
        ],
        "colours": model.domain.colours,
        "plays": kind == "sound",
        "meanings": _MEANINGS + (_MEANINGS_OF_SOUND if kind == "sound" else ()),
    }


def _items(
    gathered: Gathered,
    sides: Sequence[dict[str, Any]],
    names: Sequence[str],
    cosines: NDArray[np.float64],
    cells: Sequence[tuple[int, int]],
) -> list[dict[str, Any]]:
    """Return the units as the page stores them."""
    rank = np.argsort(similarity_order(cosines))
    usage, lift = gathered.usage, gathered.lift()
    return [
        {
            "name": f"Unit {unit}",
            "number": unit,
            "group": None,
            "sides": [side],
            "cell": cells[unit],
            "facts": [
                ("mean activity", f"{usage.mean[unit]:.4f}" + (" (dead)" if side["dead"] else "")),
                ("fires in", f"{100 * usage.share[unit]:.1f} % of windows"),
                ("selectivity", f"{usage.lifetime_sparseness[unit]:.3f}"),
                *((name, f"{value:.4g}") for name, value in side["measures"].items()),
            ],
            "histogram": gathered.histogram[unit].tolist(),
            "labels": _labels_with_lift(lift[:, unit], names),
            "alike": most_similar(cosines, unit),
            "windows": [],
            "order": {
                "activity": usage.mean[unit],
                "selectivity": usage.lifetime_sparseness[unit],
                **side["measures"],
                "likeness": int(rank[unit]),
                "number": unit,
            },
        }
        for unit, side in enumerate(sides)
    ]


def _labels_with_lift(lift: NDArray[np.float64], names: Sequence[str]) -> list[tuple[str, float]]:
    """Return the labels for which a unit is more active than on average, and by which factor."""
    order = np.argsort(-lift, kind="stable")[:_LABELS_SHOWN]
    return [(names[i], round(float(lift[i]), 2)) for i in order if lift[i] >= _LOWEST_LIFT]


def about(model: Model, heading: str, run: Path | None) -> dict[str, Any]:
    """Return the section of a page that describes a model as a whole."""
    counts, edges = np.histogram(model.rho_hat, bins=24, range=(0, max(float(model.rho_hat.max()), 1e-9)))
    history = run / "history.png" if run else None
    return {
        "heading": heading,
        "rows": [
            (term or "options of the domain", text)
            for term, text in summarise(model, activity_of(model), read(run, model.params.hidden) if run else None)
        ],
        "options": sorted((str(key), str(value)) for key, value in model.facts["options"].items()),
        "history": base64.b64encode(history.read_bytes()).decode() if history and history.is_file() else None,
        "rho_hat": bars(counts.tolist(), high=float(edges[-1])),
        "rho_hat_most": float(edges[-1]),
        "rho": float(model.facts["options"]["rho"]),
        "dead": np.flatnonzero(model.dead).tolist(),
    }
