"""Pictures of an evaluation: bar chart of the accuracies, and the confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.domain import default_settings
from audiosae.evaluation.score_table import percent, ranked, scores_of
from audiosae.views.atoms import new_figure, save_figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.evaluation.folds import Plan

_LONGEST_NAME = 24  # characters of a class name
_LONGEST_HORIZONTAL = 3  # characters: longer names below the matrix are rotated
_CLASSES_WITH_VALUES = 30  # classes up to which the values are written into the matrix
_WHITE_ABOVE = 55  # per cent: black text would be hard to read on the dark blue


@default_settings()
def draw_scores(plan: Plan, results: Sequence[dict[str, Any]], path: Path, title: str) -> None:
    """Draw accuracies as bars with standard errors, the best at the top, and chance as a line."""
    rows = ranked(results)[::-1]  # bars are drawn from below
    figure = new_figure(8, max(2.8, 1.6 + 0.45 * len(rows)))
    ax = figure.subplots()
    values, errors = [[100 * r[key] for r in rows] for key in ("accuracy", "stderr")]
    colours = ["C1" if r["name"] == "model" else "0.65" for r in rows]
    ax.barh(
        range(len(rows)),
        values,
        xerr=errors,
        color=colours,
        error_kw={"ecolor": "0.2", "capsize": 3, "elinewidth": 1},
    )
    for row, (value, error, r) in enumerate(zip(values, errors, map(scores_of, rows), strict=True)):
        ax.text(value + error + 0.8, row, f"{r.accuracy} ± {r.stderr}", va="center", fontsize=9)
    label = f"chance, always the commonest class: {percent(plan.chance)} %"
    ax.axvline(100 * plan.chance, color="C3", ls="--", lw=1.2, label=label)
    ax.set_yticks(range(len(rows)), [f"{r['name']} ({r['features']})" for r in rows])
    ax.set(xlim=(0, 118), xticks=range(0, 101, 10), xlabel=f"accuracy: {plan.noun}s classified correctly (%, ± s.e.)")
    ax.set_ylabel(f"features (values per {plan.noun})")
    ax.set_title(_plain(title), fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower right", frameon=False, fontsize=8)
    save_figure(figure, path)


@default_settings()
def draw_confusion(plan: Plan, confusion: NDArray[np.int64], path: Path, title: str) -> None:
    """Draw the confusion matrix in per cent of each true class; rows add up to 100."""
    count = len(plan.classes)
    share = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = min(24.0, max(4.5, 0.45 * count + 2))
    figure = new_figure(side + 1.2, side)
    ax = figure.subplots()
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=100)
    if count <= _CLASSES_WITH_VALUES:
        for row, column in np.argwhere(confusion):
            value, colour = share[row, column], "white" if share[row, column] > _WHITE_ABOVE else "black"
            ax.text(float(column), float(row), f"{value:.0f}", ha="center", va="center", fontsize=8, color=colour)
    names, size = [_plain(_shortened(name)) for name in plan.classes], 9 if count <= _CLASSES_WITH_VALUES else 5
    rotation = 90 if max(map(len, names)) > _LONGEST_HORIZONTAL else 0
    ax.set_xticks(range(count), names, rotation=rotation, fontsize=size)
    totals = zip(names, confusion.sum(axis=1), strict=True)
    ax.set_yticks(range(count), [f"{name} ({files})" for name, files in totals], fontsize=size)
    ax.set(xlabel="predicted class", ylabel=f"true class (number of {plan.noun}s)")
    ax.set_title(_plain(title), fontsize=10)
    figure.colorbar(image, ax=ax, shrink=0.8, label=f"per cent of the {plan.noun}s of the true class")
    save_figure(figure, path)


def _shortened(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _plain(text: str) -> str:
    """Escape dollar signs, between which matplotlib would set a formula."""
    return text.replace("$", r"\$")
