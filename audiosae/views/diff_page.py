"""HTML page that compares two models: pairs of similar atoms, changed ones, and units that vanished or appeared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.features.matching import ALIKE, atom_cosines, match
from audiosae.system.files import write_file
from audiosae.system.threads import one_blas_thread
from audiosae.views.page import render_page
from audiosae.views.unit_sides import map_positions, show_units, similarity_order
from audiosae.views.units_page import about

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.features.matching import Match
    from audiosae.system.progress import Progress

CHANGED = 0.5  # least cosine of a pair; from `ALIKE` on it is alike, below that it is changed
GROUPS = ("alike", "changed", "variant", "vanished", "appeared")
Pair = tuple[int | None, int | None, float]


@one_blas_thread()
def write_diff(
    models: tuple[Model, Model],
    names: tuple[str, str],
    path: Path,
    *,
    runs: tuple[Path | None, Path | None],
    workers: int = 1,
    progress: Progress,
) -> dict[str, Any]:
    """Write a page that shows the units of two models side by side.

    A pair is alike if the cosine of its atoms is at least 0.8, and changed if it is at least 0.5. A unit without a
    partner is a variant if its cosine with some unit of the other model, which has a better partner, is at least 0.5;
    otherwise it has vanished (unit of the first model) or appeared (unit of the second model).

    Parameters
    ----------
    models, names, runs
        Models of one domain with windows of one shape; their names; the folders of their runs.
    workers, progress
        Number of processes that draw, and the receiver of progress; the page does not depend on them.

    Returns
    -------
    dict
        diff, bytes, groups (number of alike, changed, variant, vanished and appeared), match (of `Match.to_json`), and
        notes: differences between the inputs of the models.

    Raises
    ------
    InputError
        The models cannot be compared; the page cannot be written.
    """
    first, second = models
    if first.domain.name != second.domain.name:
        raise InputError(
            f"{names[0]} has the domain {first.domain.name} and {names[1]} has {second.domain.name}; wanted models of "
            "the same domain"
        )
    matched = match(first, second)
    progress.stage("drawing", first.params.hidden + second.params.hidden, "units")
    sides = [[*show_units(model, workers=workers, done=lambda: progress.advance(1))] for model in models]
    view = _view(models, names, matched, sides)
    counts = {group: sum(item["group"] == group for item in view["items"]) for group in GROUPS}
    view["lead"] = (
        f"A is {names[0]}, B is {names[1]}. Units: {', '.join(f'{count} {group}' for group, count in counts.items())}. "
        f"Alike: the cosine of the two atoms is {ALIKE:g} or more. Changed: {CHANGED:g} or more. Variant: {CHANGED:g} "
        f"or more with a unit that has a better partner. Vanished (only in A) and appeared (only in B): below "
        f"{CHANGED:g} with every unit of the other model."
    )
    view["about"] = [about(m, f"{letter}: {n}", r) for letter, m, n, r in zip("AB", models, names, runs, strict=True)]
    page = render_page(view)
    write_file(path, page)
    return {
        "diff": str(path),
        "bytes": len(page),
        "groups": counts,
        "match": matched.to_json(),
        "notes": view["notes"],
    }


def _view(
    models: tuple[Model, Model], names: tuple[str, str], matched: Match, sides: Sequence[Sequence[dict[str, Any]]]
) -> dict[str, Any]:
    """Return the variables of the page, with similar pairs as neighbours on the map."""
    first, second = models
    pairs = _pairs(matched, (first.params.hidden, second.params.hidden))
    between = atom_cosines(first, second)
    within = [atom_cosines(model, model) for model in models]
    everything = np.block([[within[0], between], [between.T, within[1]]])
    # A pair is represented by its unit of the first model, if it has one.
    chosen = [a if a is not None else first.params.hidden + (b or 0) for a, b, _ in pairs]
    cosines = np.asarray(everything[np.ix_(chosen, chosen)])
    cells, columns = map_positions(cosines)
    rank = np.argsort(similarity_order(cosines))
    items = [_item(pair, sides, names, between) for pair in pairs]
    for number, item in enumerate(items):
        item |= {"cell": cells[number], "number": number}
        item["order"] |= {"likeness": int(rank[number])}
    return {
        "title": f"{names[0]} and {names[1]}",
        "heading": "Comparison of two models",
        "notes": _differences(first, second),
        "items": items,
        "pieces": [],
        "groups": list(GROUPS),
        "columns": columns,
        "bins": 0,
        "sorts": [
            ("cosine", "similarity of the pair", True),
            ("activity", "activity", True),
            *((name, name, False) for name in sides[0][0]["measures"]),
            ("likeness", "similar units side by side", False),
        ],
        "colours": first.domain.colours,
        "label_name": "",
        "plays": first.domain.kind == "sound",
        "meanings": (),
    }


def _pairs(matched: Match, hidden: tuple[int, int]) -> list[Pair]:
    """Return all units of both models: pairs, most similar first, then the unpaired of the first, of the second."""
    paired = matched.cosine >= CHANGED
    units, cosines = [matched.first[paired], matched.second[paired]], matched.cosine[paired]
    pairs: list[Pair] = [(int(a), int(b), float(c)) for a, b, c in zip(*units, cosines, strict=True)]
    left, right = (np.setdiff1d(np.arange(n), own) for n, own in zip(hidden, units, strict=True))
    return [*pairs, *((int(a), None, 0.0) for a in left), *((None, int(b), 0.0) for b in right)]


def _item(
    pair: Pair, sides: Sequence[Sequence[dict[str, Any]]], names: tuple[str, str], cosines: NDArray[np.float64]
) -> dict[str, Any]:
    """Return a pair, or an unpaired unit, as the page stores it."""
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
        row, other_model, alone = (cosines[a], "B", "vanished") if a is not None else (cosines[:, b], "A", "appeared")
        nearest = float(row.max())
        group = "variant" if nearest >= CHANGED else alone
        facts = [(f"nearest in {other_model}", f"unit {int(row.argmax())}, cosine {nearest:.3f}")]
    facts += [(f"mean activity in {side['letter']}", f"{side['rho_hat']:.4f}") for side in shown]
    for name in shown[0]["measures"]:
        facts += [(f"{name} in {side['letter']}", f"{side['measures'][name]:.4g}") for side in shown]
    return {
        "name": " and ".join(f"{side['letter']} {side['unit']}" for side in shown),
        "group": group,
        "sides": shown,
        "facts": facts,
        "histogram": [],
        "labels": [],
        "alike": [],
        "windows": [],
        "order": {"cosine": nearest - 2 * (len(shown) == 1), "activity": shown[0]["rho_hat"], **shown[0]["measures"]},
    }


def _differences(first: Model, second: Model) -> list[str]:
    """Return a note on the domain options in which two models differ, which determine what a pixel of an atom means."""
    a, b = (model.facts["domain"]["options"] for model in (first, second))
    different = [
        f"{key} is {a.get(key)} in A and {b.get(key)} in B" for key in sorted({*a, *b}) if a.get(key) != b.get(key)
    ]
    note = (
        f"The inputs of the models differ: {'; '.join(different)}. "
        "Cosines compare atoms pixel by pixel and mean little if the axes differ."
    )
    return [note] if different else []
