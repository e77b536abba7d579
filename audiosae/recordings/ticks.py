"""Ticks of an axis of bands: round frequencies, with room between their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_HERTZ = (50, 100, 200, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000)
_LABELS = 8  # at most, over the whole axis


def of(frequencies: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[str]]:
    """Return where, in bands, ticks stand on an axis of bands with these centre frequencies in Hz, and their labels."""
    bands = np.arange(len(frequencies))
    hertz = [tick for tick in _HERTZ if frequencies[0] <= tick <= frequencies[-1]]
    kept = _apart(hertz, np.interp(hertz, frequencies, bands), len(frequencies) / _LABELS)
    return np.interp(kept, frequencies, bands), [_hertz(tick) for tick in kept]


def _apart(ticks: Sequence[int], places: NDArray[np.float64], distance: float) -> list[int]:
    """Return the ticks, from the highest, that leave room for their labels; whole kilohertz and hundreds come first."""
    kept: list[tuple[float, int]] = []
    for tick, place in sorted(zip(ticks, places, strict=True), key=lambda t: (-_roundness(t[0]), -t[0])):
        if all(abs(place - other) >= distance for other, _ in kept):
            kept.append((float(place), tick))
    return sorted(tick for _, tick in kept)


def _roundness(tick: int) -> int:
    return next((rank for rank, step in ((2, 1000), (1, 500)) if tick % step == 0), 0)


def _hertz(tick: float) -> str:
    return f"{tick / 1000:g}k" if tick >= 1000 else f"{tick:g}"  # noqa: PLR2004
