"""Picture of the training history: cost, unexplained variance and mean activity over the epochs."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from audiosae.domain import default_settings
from audiosae.views.atoms import new_figure, save_figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audiosae.training.history import Row

_POINTS_MARKED = 8  # below this number of epochs a line alone does not show where its points are


@default_settings()
def draw_history(rows: Sequence[Row], path: Path, *, rho: float) -> None:
    """Draw cost, unexplained held-out variance and mean activity over the epochs into a .png, .svg or .pdf."""
    figure = new_figure(10, 3.2)
    cost, fvu, activity = figure.subplots(1, 3)
    label = "epoch (dotted: short windows)" if len(_by_length(rows)) > 1 else "epoch"
    mark = "o" if len(rows) < _POINTS_MARKED else ""
    named = ("cost", "reconstruction", "sparsity", "mean rho_hat")
    for part, line, names in zip(_by_length(rows), "-:", (named, [None] * len(named)), strict=False):
        epochs, style = [row.epoch for row in part], mark + line
        cost.plot(epochs, [row.cost for row in part], style, color="C0", label=names[0])
        cost.plot(epochs, [row.reconstruction for row in part], style, color="C1", label=names[1])
        cost.plot(epochs, [max(row.sparsity, 1e-12) for row in part], style, color="C2", label=names[2])
        fvu.plot(epochs, [row.fvu for row in part], style, color="C3", clip_on=False)
        activity.plot(epochs, [row.rho_hat_mean for row in part], style, color="C4", label=names[3])
    lowest = 0.5 * min(*(row.reconstruction for row in rows), max(1e-3, rows[-1].sparsity))
    cost.set(yscale="log", title="cost on training windows", xlabel=label, ylim=(max(1e-6, lowest), None))
    if all(math.isnan(row.fvu) for row in rows):
        fvu.text(0.5, 0.5, "no held-out windows:\ntoo few windows", ha="center", transform=fvu.transAxes)
    fvu.set(ylim=(0, None), title="variance unexplained, held-out (whitened)", xlabel=label)
    activity.axhline(rho, color="0.5", ls="--", label=f"rho = {rho:g}")
    activity.set(ylim=(0, None), title="mean activity of the units", xlabel=label)
    cost.legend(frameon=False)
    activity.legend(frameon=False)
    save_figure(figure, path)


def _by_length(rows: Sequence[Row]) -> list[Sequence[Row]]:
    """Return the rows of each length of windows: with a new length, the epochs begin again."""
    again = [at for at in range(1, len(rows)) if rows[at].epoch <= rows[at - 1].epoch]
    edges = [0, *again, len(rows)]
    return [rows[low:high] for low, high in pairwise(edges)]
