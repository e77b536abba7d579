"""Levels of a whole recording, (frames, bands) in dB: digital zeros, dynamic range, mean level and silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROWS_AT_ONCE = 2**16
_BLANK = -99.99  # dB; the level of digital zeros is -100 dB, but for rounding


def blank_frames(field: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Return which frames are digital zeros: those at the lowest level in all bands; None if there are none."""
    parts = [
        # most recordings have no level so low, which is quicker to find than the loudest of each frame
        field[rows].max(axis=1) <= _BLANK if field[rows].min() <= _BLANK else np.zeros(len(field[rows]), bool)
        for rows in _blocks(field)
    ]
    blank = np.concatenate(parts)
    return blank if blank.any() else None


def finish(
    field: NDArray[np.float32], top_db: float, *, mean: bool, silence: float, frames: int
) -> list[tuple[int, int]]:
    """Limit the levels, subtract their mean, in place, and return the row ranges that are not silent.

    Digital zeros do not count for the mean level, so that it is the same with and without them.

    Parameters
    ----------
    field
        Levels in dB, (frames, bands).
    top_db
        Dynamic range in dB below the loudest level; 0 is off.
    mean
        Whether to subtract the mean level.
    silence
        Frames this many dB below the loudest frame are silent; 0 is off.
    frames
        Length of a window: a range has all windows that touch a frame that is not silent.
    """
    blocks, blank = _blocks(field), blank_frames(field)
    if top_db:
        floor = max(field[rows].max() for rows in blocks) - np.float32(top_db)
        for rows in blocks:
            np.maximum(field[rows], floor, out=field[rows])
    if mean:
        total, count = 0.0, 0
        for rows in blocks:  # one part in memory at a time
            part = field[rows] if blank is None or blank.all() else field[rows][~blank[rows]]
            total, count = total + float(part.sum(dtype=np.float64)), count + part.size
        level = np.float32(total / count)
        for rows in blocks:
            field[rows] -= level
    if not silence:
        return [(0, len(field))]
    loudness = np.concatenate([field[rows].max(axis=1) for rows in blocks])
    return _ranges(loudness >= loudness.max() - silence, frames)


def _blocks(field: NDArray[np.float32]) -> list[slice]:
    return [slice(at, at + _ROWS_AT_ONCE) for at in range(0, len(field), _ROWS_AT_ONCE)]


def _ranges(loud: NDArray[np.bool_], margin: int) -> list[tuple[int, int]]:
    """Return disjoint row ranges whose windows of `margin` rows are those that touch a loud row."""
    rows = np.flatnonzero(loud)
    apart = np.diff(rows) > margin
    first, last = rows[np.concatenate([[True], apart])], rows[np.concatenate([apart, [True]])]
    starts, stops = np.maximum(first - margin + 1, 0), np.minimum(last + margin, len(loud))
    return list(zip(starts.tolist(), stops.tolist(), strict=True))
