"""Which frames of a recording stand out from its background noise: quick and rough, to choose what to learn from.

The background of each band is measured in each minute by two low quantiles, as if it was normally distributed, so that
sounds that fill half of the minute have little effect. `audiosae.sounds` finds where sounds begin and end.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_MINUTE, _SHORT = 60.0, 10.0  # s: whose background is measured together; too short to distinguish noise from sound
_DEPTH = 30.0  # dB below the loudest level of a short recording from which a frame stands out
_SMOOTH = 0.03  # s
_QUANTILES, _BETWEEN, _TO_MEDIAN = (0.1, 0.35), 0.89623, 0.38532  # of a standard normal distribution
_LEAST_SPREAD = 1.0  # dB
_BANDS = 3  # whose largest excesses are averaged
_EXCESS = 3.5  # spreads above the median
_SAMPLES = 1500  # frames from which the quantiles of a minute are taken


def stands_out(levels: Array, seconds_per_row: float) -> NDArray[np.bool_]:
    """Return which frames stand out, (rows,).

    Parameters
    ----------
    levels
        In dB, (rows, bands); memory-mapped, of any length.
    """
    rows = len(levels)
    if rows * seconds_per_row < _SHORT:
        loudest = np.asarray(levels).max(axis=1)
        return np.asarray(loudest >= loudest.max(initial=-np.inf) - _DEPTH)
    count = max(1, round(rows * seconds_per_row / _MINUTE))
    edges = [rows * number // count for number in range(count + 1)]
    half = round((_SMOOTH / seconds_per_row - 1) / 2)
    parts = []
    for low, high in pairwise(edges):
        first, last = max(0, low - half), min(rows, high + half)
        parts.append(_excess(np.asarray(levels[first:last]), 2 * half + 1)[low - first : high - first] > _EXCESS)
    return np.concatenate(parts)


def _excess(levels: Array, width: int) -> Array:
    """Return how far the largest bands of each frame are above the noise, in spreads of the noise, (rows,)."""
    padded = np.pad(levels, ((width // 2, width // 2), (0, 0)), mode="edge")
    smooth = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0).mean(axis=2) if width > 1 else levels
    lower, upper = np.quantile(smooth[:: max(1, len(smooth) // _SAMPLES)], _QUANTILES, axis=0)
    spread = (upper - lower) / _BETWEEN
    middle = upper + _TO_MEDIAN * spread
    above = (smooth - middle.astype(np.float32)) / np.maximum(spread, _LEAST_SPREAD).astype(np.float32)
    most = min(_BANDS, above.shape[1])
    return np.asarray(np.partition(above, -most, axis=1)[:, -most:].mean(axis=1), np.float32)
