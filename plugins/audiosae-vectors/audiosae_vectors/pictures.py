"""Vectors as pictures: folded tiles, and bars with the names of the strongest dimensions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_LABELS = 3
_FEWEST_ROWS = 0.5  # of the square root of the width; a rectangle with fewer rows is too long, so pad instead
_THINNEST = 1 / 150  # width of a bar, as a share of the axis; narrower ones are not visible


def fold(vector: NDArray[Any]) -> NDArray[Any]:
    """Fold a vector (width,) row by row into (rows, columns), columns >= rows, padded with zeros if necessary."""
    root = math.isqrt(len(vector))
    rows = next((r for r in range(root, 0, -1) if len(vector) % r == 0), 1)
    if rows < _FEWEST_ROWS * root:
        rows = root
    columns = -(-len(vector) // rows)
    tile = np.zeros(rows * columns, vector.dtype)
    tile[: len(vector)] = vector
    return tile.reshape(rows, columns)


def draw_bars(vector: NDArray[Any], ax: Axes, *, limit: float, names: Sequence[str]) -> None:
    """Draw a vector (width,) as signed bars within plus and minus `limit`, and name the strongest dimensions.

    The names are at the bars, not at the axis, whose ticks several pictures may share.
    """
    from matplotlib.collections import PolyCollection

    width = len(vector)
    half = max(0.4, width * _THINNEST / 2)
    order = np.argsort(np.abs(vector), kind="stable")  # the strongest are drawn last, over the others
    corners = [[(i - half, 0), (i - half, vector[i]), (i + half, vector[i]), (i + half, 0)] for i in order]
    ax.add_collection(PolyCollection(corners, array=vector[order], cmap="RdBu_r", clim=(-limit, limit)))
    ax.axhline(0, color="0.6", linewidth=0.5)
    margin = 0.5 + max(half, 0.04 * width)
    ax.set(xlim=(-margin, width - 1 + margin), ylim=(-limit, limit), xlabel="dimension")
    for i in _apart(order[::-1], width / (2 * _LABELS)):
        side = -1 if vector[i] > 0 else 1  # write the name on the side of the axis without the bar
        ax.annotate(
            names[i].replace("$", r"\$") if names else str(i),  # no formulas
            (i, 0),
            xytext=(0, 2 * side),
            textcoords="offset points",
            rotation=90,
            fontsize=6,
            ha="center",
            va="top" if side < 0 else "bottom",
        )


def _apart(order: NDArray[np.intp], distance: float) -> list[int]:
    """Return the first few of `order` that are at least `distance` apart, so that their labels do not overlap."""
    shown: list[int] = []
    for i in order:
        if all(abs(int(i) - other) >= distance for other in shown):
            shown.append(int(i))
        if len(shown) == _LABELS:
            break
    return shown
