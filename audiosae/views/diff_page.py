"""The diff: two models' atoms paired, what both have, what has changed, what has vanished and what has appeared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.features.matching import ALIKE, atom_cosines, match
from audiosae.system.files import write_file
from audiosae.system.threads import one_blas_thread
from audiosae.views.page import render_page
from audiosae.views.unit_sides import by_likeness, map_positions, show_units
from audiosae.views.units_page import about

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.features.matching import Match
    from audiosae.system.progress import Progress

CHANGED = 0.5  # cosine from which a pair that is not alike is still one pattern that has changed
GROUPS = ("alike", "changed", "variant", "vanished", "appeared")


@one_blas_thread()
def write_diff(
    models: tuple[Model, Model], names: tuple[str, str], path: Path, *, runs: tuple[Path | None, Path | None],
    workers: int = 1, progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Write a page that shows the units of two models side by side.

    A pair whose atoms have a cosine of at least 0.8 is alike, of at least 0.5 changed. A unit without a partner is a
    variant where some unit of the other model, which has a better one, is that much like it; else it has vanished from
    the first or appeared in the second.

    Parameters
    ----------
    models, names, runs
        Of one domain, with windows of one shape; what to call them; the folders of their runs.
    workers, progress
        Processes that draw, and who is told; the page does not depend on them.

    Returns
    -------
    dict
        diff, bytes, groups (alike, changed, variant, vanished, appeared: how many of each), match: what
        `Match.to_json` says, and notes: in what the models' inputs differ.

    Raises
    ------
    InputError
        The models cannot be compared; the page cannot be written.
    """
    first, second = models
    if first.domain.name != second.domain.name:
        raise InputError(f"{names[0]} is of {first.domain.name} and {names[1]} of {second.domain.name}: not comparable")
    found = match(first, second)
    progress.stage("drawing", first.params.hidden + second.params.hidden, "units")
    sides = [[*show_units(model, workers=workers, done=lambda: progress.advance(1))] for model in models]
    view = _view(models, names, found, sides)
    counts = {group: sum(item["group"] == group for item in view["items"]) for group in GROUPS}
    told = ", ".join(f"{count} {group}" for group, count in counts.items())
    view["lead"] = (
        f"A is {names[0]}, B is {names[1]}. Of their units, {told}. Alike: a cosine of {ALIKE:g} or more "
        f"between the atoms. Changed: {CHANGED:g} or more. Variant: that much like a unit which has a better "
        f"partner. Vanished from A, appeared in B: the other has nothing like it."
    )
    view["about"] = [about(m, f"{letter}: {n}", r) for letter, m, n, r in zip("AB", models, names, runs, strict=True)]
    page = render_page(view)
    write_file(path, page)
    return {
        "diff": str(path), "bytes": len(page), "groups": counts, "match": found.to_json(), "notes": view["notes"],
    }  # fmt: skip


def _view(
    models: tuple[Model, Model], names: tuple[str, str], found: Match, sides: Sequence[Sequence[dict[str, Any]]]
) -> dict[str, Any]:
    """Return what the page shows of all pairs, placed so that similar ones are neighbours."""
    first, second = models
    pairs = _pairs(found.first, found.second, found.cosine, (first.params.hidden, second.params.hidden))
    cosines = atom_cosines(first, second)
    items = [_item(pair, sides, names, cosines) for pair in pairs]
    like = _likeness(models, pairs, cosines)
    cells, columns = map_positions(like)
    rank = np.argsort(by_likeness(like))
    for number, item in enumerate(items):
        item |= {"cell": cells[number], "number": number}
        item["order"] |= {"likeness": int(rank[number])}
    return {
        "title": f"{names[0]} and {names[1]}", "heading": "What two models share",
        "notes": _differences(first, second), "items": items, "pieces": [], "groups": list(GROUPS), "columns": columns,
        "bins": 0,
        "sorts": [("cosine", "similarity of the pair", True), ("activity", "activity", True),
                  *((name, name, False) for name in sides[0][0]["measures"]),
                  ("likeness", "similar units side by side", False)],
        "colours": first.domain.colours, "label_name": "", "plays": first.domain.kind == "sound", "meanings": (),
    }  # fmt: skip


Pair = tuple[int | None, int | None, float]


def _pairs(
    first: NDArray[np.int64], second: NDArray[np.int64], cosine: NDArray[np.float64], hidden: tuple[int, int]
) -> list[Pair]:
    """Return all units of both models: in pairs, most similar first, then those of the first alone, of the second."""
    kept = cosine >= CHANGED
    pairs: list[Pair] = [
        (int(a), int(b), float(c)) for a, b, c in zip(first[kept], second[kept], cosine[kept], strict=True)
    ]
    left, right = (np.setdiff1d(np.arange(n), u[kept]) for n, u in zip(hidden, (first, second), strict=True))
    return [*pairs, *((int(a), None, 0.0) for a in left), *((None, int(b), 0.0) for b in right)]


def _item(
    pair: Pair, sides: Sequence[Sequence[dict[str, Any]]], names: tuple[str, str], cosines: NDArray[np.float64]
) -> dict[str, Any]:
    """Return a pair, or a unit of one model alone, as the page shows it."""
    a, b, cosine = pair
    shown = [
        side[unit] | {"model": f"{letter}: {name}", "letter": letter}
        for letter, name, unit, side in zip("AB", names, (a, b), sides, strict=True)
        if unit is not None
    ]
    if a is not None and b is not None:
        group, nearest = ("alike" if cosine >= ALIKE else "changed"), cosine
        facts = [("cosine of the atoms", f"{cosine:.3f}")]
    else:
        row = cosines[a] if a is not None else cosines[:, b or 0]
        nearest, other = float(row.max()), int(row.argmax())
        where = "B" if a is not None else "A"
        group = "variant" if nearest >= CHANGED else "vanished" if a is not None else "appeared"
        facts = [(f"nearest in {where}", f"unit {other}, cosine {nearest:.3f}")]
    facts += [(f"mean activity in {side['letter']}", f"{side['rho_hat']:.4f}") for side in shown]
    for name in shown[0]["measures"]:
        facts += [(f"{name} in {side['letter']}", f"{side['measures'][name]:.4g}") for side in shown]
    return {
        "name": " and ".join(f"{side['letter']} {side['unit']}" for side in shown), "group": group, "sides": shown,
        "facts": facts, "histogram": [], "labels": [], "alike": [], "windows": [],
        "order": {"cosine": nearest - 2 * (len(shown) == 1), "activity": shown[0]["rho_hat"], **shown[0]["measures"]},
    }  # fmt: skip


def _likeness(models: tuple[Model, Model], pairs: Sequence[Pair], between: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosines between the pairs, each represented by its unit of the first model where it has one."""
    within = [atom_cosines(model, model) for model in models]
    everything = np.block([[within[0], between], [between.T, within[1]]])
    offset = models[0].params.hidden
    chosen = [a if a is not None else offset + (b or 0) for a, b, _ in pairs]
    return np.asarray(everything[np.ix_(chosen, chosen)])


def _differences(first: Model, second: Model) -> list[str]:
    """Say in which options of the domain two models differ: what a pixel of an atom means depends on them."""
    mine, theirs = (model.facts["domain"]["options"] for model in (first, second))
    differ = [f"{key} is {mine.get(key)} in A and {theirs.get(key)} in B"
              for key in sorted({*mine, *theirs}) if mine.get(key) != theirs.get(key)]  # fmt: skip
    meant = "Cosines compare atoms cell by cell and mean little where the axes are not the same."
    return [f"The inputs are not the same: {'; '.join(differ)}. {meant}"] if differ else []
