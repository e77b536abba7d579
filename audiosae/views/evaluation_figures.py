"""Pictures of scores and of the confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.domain import default_settings
from audiosae.views.atoms import new_figure, save_figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.evaluation.folds import Plan


_NAME_SHOWN = 24  # characters
_VALUES_SHOWN = 30  # classes up to which a confusion matrix has numbers in it


@default_settings()
def draw_scores(plan: Plan, results: Sequence[dict[str, Any]], path: Path, title: str) -> None:
    """Draw accuracies as bars with standard errors, the best on top, and chance as a line."""
    ranked = sorted(results, key=lambda result: result["accuracy"])
    figure = new_figure(8, max(2.8, 1.6 + 0.45 * len(ranked)))
    ax = figure.subplots()
    values, errors = [[100 * r[key] for r in ranked] for key in ("accuracy", "stderr")]
    colours = ["C1" if r["name"] == "model" else "0.65" for r in ranked]
    places = range(len(ranked))
    ax.barh(places, values, xerr=errors, color=colours, error_kw={"ecolor": "0.2", "capsize": 3, "elinewidth": 1})
    for place, value, error in zip(places, values, errors, strict=True):
        ax.text(value + error + 0.8, place, f"{value:.1f} ± {error:.1f}", va="center", fontsize=9)
    chance = 100 * plan.chance
    ax.axvline(chance, color="C3", ls="--", lw=1.2, label=f"chance, always the commonest class: {chance:.1f} %")
    ax.set_yticks(places, [f"{r['name']} ({r['features']})" for r in ranked])
    ax.set(xlim=(0, 118), xticks=range(0, 101, 10), xlabel="accuracy: clips classified right, per cent (± s.e.)")
    ax.set_ylabel("features (numbers a clip)")
    ax.set_title(_plain(title), fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower right", frameon=False, fontsize=8)
    save_figure(figure, path)


@default_settings()
def draw_confusion(plan: Plan, confusion: NDArray[np.int64], path: Path, title: str) -> None:
    """Draw the confusion matrix in per cent of each true class; rows add to 100."""
    count = len(plan.classes)
    share = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = min(24.0, max(4.5, 0.45 * count + 2))
    figure = new_figure(side + 1.2, side)
    ax = figure.subplots()
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=100)
    if count <= _VALUES_SHOWN:
        for row, column in np.argwhere(confusion):
            colour = "white" if share[row, column] > 55 else "black"  # noqa: PLR2004 (readable on the blue below)
            place = (float(column), float(row))
            ax.text(*place, f"{share[row, column]:.0f}", ha="center", va="center", fontsize=8, color=colour)
    names, size = [_plain(_shortened(name)) for name in plan.classes], 9 if count <= _VALUES_SHOWN else 5
    counted = [f"{name} ({clips})" for name, clips in zip(names, confusion.sum(axis=1), strict=True)]
    ax.set_xticks(range(count), names, rotation=90 if max(map(len, names)) > 3 else 0, fontsize=size)  # noqa: PLR2004
    ax.set_yticks(range(count), counted, fontsize=size)
    ax.set(xlabel="predicted class", ylabel="true class (number of clips)")
    ax.set_title(_plain(title), fontsize=10)
    figure.colorbar(image, ax=ax, shrink=0.8, label="per cent of the row's clips")
    save_figure(figure, path)


def _shortened(name: str) -> str:
    """Leave room for the matrix beside its names."""
    name = " ".join(name.split())
    return name if len(name) <= _NAME_SHOWN else name[: _NAME_SHOWN - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _plain(text: str) -> str:
    """Keep matplotlib from reading what lies between two dollars as a formula."""
    return text.replace("$", r"\$")
