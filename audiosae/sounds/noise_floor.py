"""The running noise floor of each band: what a level must rise above to be heard.

There are two views of a level: itself, and how it stands out from the bands about it, which a gust of wind does not
change. Around each knot, a few seconds apart, two low quantiles of a minute of either give the middle and the spread of
the noise as if it were normal; then levels that stand out from it are left out, and two quantiles of the others are
taken, several times. Sounds that fill half of that minute hardly move them, an unsteady noise has a wide spread, and
rain that goes on becomes the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

KNOT_SECONDS = 5.0
REACH_SECONDS = 30.0  # to each side of a knot
SMOOTH_SECONDS = 0.03
BANDS_ABOUT = 0.2  # of all bands, to each side of one
LEAST_SPREAD = 1.0  # dB: digital silence has none
SHORT_SECONDS = 10.0  # a recording shorter than this is short: too short to measure its noise
SHORT_DEPTH = 30.0  # dB below the loudest level of a short recording: its noise floor
SHORT_QUIET, SHORT_ABOVE = 0.2, 6.0  # quantile of its levels that may be noise; dB from it up to the floor
SHORT_LEAST_DEPTH = 8.0  # dB below its loudest level: all above that is sound, however steady
SHORT_SHOWN = 45.0  # dB below its loudest level that belong to its sound: overtones tell instruments apart
_SAMPLES = 1200  # levels that the quantiles of a knot are taken from
_FIRST, _LATER = (0.05, 0.2), (0.25, 0.6)  # quantiles of all levels, and of those that are taken for noise
_FIRST_GAP, _LATER_GAP, _LATER_UPPER = 0.80323, 0.92784, 0.25335  # of a normal distribution: between them; the upper
TONE = 20.0  # dB over the bands about it: what goes on and stands out so far is a sound and no noise
_LEAST_HEARD = 0.02  # of the levels around a knot must not be blank to tell its noise
_NOISE, _ROUNDS = 3.75, 5  # spreads above the middle up to which a level is taken for noise; how often it is looked at


@dataclass(frozen=True)
class BandLevels:
    """The levels of a recording, (rows, bands) in dB over time, memory-mapped, of any length; and their noise."""

    field: Array
    seconds_per_row: float
    all_sound: bool = False  # whether all of a short recording is taken for sound

    @property
    def bands(self) -> int:
        """Number of bands."""
        return int(self.field.shape[1])

    @cached_property
    def floor(self) -> NoiseFloor:
        """The running noise floor."""
        return noise_floor(self)

    @property
    def width(self) -> int:
        """Odd number of rows that a level is the mean of, about 30 ms."""
        return max(1, 2 * round((SMOOTH_SECONDS / self.seconds_per_row - 1) / 2) + 1)

    def views(self, low: int, high: int, step: int = 1) -> Array:
        """Return rows `low` to below `high`, every `step`-th, as (rows, 2 x bands): levels, then contrasts."""
        levels = self._smooth(low, high)[::step]
        return np.concatenate([levels, _contrast(levels)], axis=1)

    def cleaned(self, low: int, high: int) -> Array:
        """Return by how much rows `low` to below `high` stand above the noise, (rows, bands) in dB, at least 0."""
        floor = self.loudest - SHORT_SHOWN if self.is_short_recording else self.floor.at(low, high)[0][:, : self.bands]
        return np.asarray(np.maximum(self.field[low:high] - floor, 0), np.float32)

    @cached_property
    def loudest(self) -> float:
        """The loudest level of the recording."""
        return float(self._smooth(0, len(self.field)).max())

    @property
    def is_short_recording(self) -> bool:
        """Whether the recording is under ten seconds: too short to distinguish noise from sound."""
        return len(self.field) * self.seconds_per_row < SHORT_SECONDS

    def _smooth(self, low: int, high: int) -> Array:
        """Return the mean of `width` rows about each; the ends of the field are repeated."""
        half = self.width // 2
        first, last = max(0, low - half), min(len(self.field), high + half)
        rows = np.pad(self.field[first:last], ((half - (low - first), half - (last - high)), (0, 0)), mode="edge")
        total = rows[: high - low].copy()
        for shift in range(1, self.width):
            total += rows[shift : shift + high - low]
        return np.asarray(total / np.float32(self.width))


def _about(bands: int) -> int:
    """Return how many bands to each side of one are those about it."""
    return max(1, round(BANDS_ABOUT * bands))


def _contrast(levels: Array) -> Array:
    """Return levels minus the mean of the bands about them."""
    count = levels.shape[1]
    about = _about(count)
    total = np.cumsum(np.pad(levels, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    low, high = np.maximum(np.arange(count) - about, 0), np.minimum(np.arange(count) + about + 1, count)
    return np.asarray(levels - ((total[:, high] - total[:, low]) / (high - low)).astype(np.float32))


@dataclass(frozen=True)
class NoiseFloor:
    """Middle and spread of the noise in each view and band, in dB.

    Attributes
    ----------
    middle, spread
        At the knots, (knots, 2 x bands).
    pitch
        Rows of the field between knots; the first lies half of that in.
    """

    middle: Array
    spread: Array
    pitch: int

    def at(self, low: int, high: int) -> tuple[Array, Array]:
        """Return middle and spread of rows `low` to below `high`, with straight lines between knots."""
        place = np.clip((np.arange(low, high) - self.pitch / 2) / self.pitch, 0, len(self.middle) - 1)
        left = np.minimum(place.astype(int), max(0, len(self.middle) - 2))
        right = np.minimum(left + 1, len(self.middle) - 1)
        share = (place - left).astype(np.float32)[:, None]
        middle, spread = ((1 - share) * part[left] + share * part[right] for part in (self.middle, self.spread))
        return middle, spread


def noise_floor(levels: BandLevels) -> NoiseFloor:
    """Measure the noise floor of a recording, reading it once in order, the rows of one knot at a time."""
    pitch = max(1, round(KNOT_SECONDS / levels.seconds_per_row))
    reach = round(REACH_SECONDS / KNOT_SECONDS)
    step = max(1, pitch * (2 * reach + 1) // _SAMPLES)
    rows = len(levels.field)
    if levels.is_short_recording:
        return _floor_of_short(levels, pitch)
    knots = -(-rows // pitch)
    held: dict[int, Array] = {}
    found: list[Array | None] = []
    for knot in range(knots):
        for number in range(max(held, default=-1) + 1, min(knots, knot + reach + 1)):
            held[number] = levels.views(number * pitch, min(rows, (number + 1) * pitch), step)
        held.pop(knot - reach - 1, None)
        about = np.concatenate(list(held.values()))
        heard = about[~is_blank(about[:, : levels.bands])]
        found.append(_noise_of(heard) if len(heard) >= _LEAST_HEARD * len(about) else None)
    if not any(noise is not None for noise in found):
        found = [_noise_of(levels.views(0, min(rows, pitch)))] * knots
    middle, spread = np.stack(_filled(found), axis=1)
    steady = slice(levels.bands + _about(levels.bands), None)  # the lowest bands stand out by the slope of all noise
    middle[:, steady] = np.minimum(middle[:, steady], TONE)
    return NoiseFloor(middle, np.maximum(spread, np.float32(LEAST_SPREAD)), pitch)


def is_blank(levels: Array) -> NDArray[np.bool_]:
    """Return which rows of levels (rows, bands) hold nothing at all: the same in all bands, as digital zeros are."""
    if levels.shape[1] == 1:
        return np.zeros(len(levels), bool)
    return np.asarray(np.ptp(levels, axis=1) == 0)


def _filled(found: list[Array | None]) -> list[Array]:
    """Return the noise at each knot; where it is not known, that of the nearest knot where it is."""
    known = np.flatnonzero([noise is not None for noise in found])
    nearest = known[np.abs(known[:, None] - np.arange(len(found))).argmin(axis=0)]
    return [noise for i in nearest if (noise := found[i]) is not None]


def _noise_of(levels: Array) -> Array:
    """Return middle and spread of the noise in each column of levels, (2, columns), whatever stands out from it.

    In noise alone the result is that of all levels: few of them are as much as `_NOISE` spreads above the middle.
    """
    ordered = np.sort(np.ascontiguousarray(levels.T), axis=1)
    lower, upper = _quantiles(ordered, np.full(len(ordered), ordered.shape[1]), _FIRST)
    middle, spread = upper, (upper - lower) / np.float32(_FIRST_GAP)
    for _ in range(_ROUNDS):
        top = middle + np.float32(_NOISE) * np.maximum(spread, np.float32(LEAST_SPREAD / 2))
        lower, upper = _quantiles(ordered, (ordered <= top[:, None]).sum(axis=1), _LATER)
        spread = (upper - lower) / np.float32(_LATER_GAP)
        middle = upper - np.float32(_LATER_UPPER) * spread
    return np.stack([middle, spread])


def _quantiles(ordered: Array, count: NDArray[np.int64], wanted: tuple[float, float]) -> tuple[Array, Array]:
    """Return two quantiles of the first `count` values of each row, (rows,) each."""
    rows = np.arange(len(ordered))
    lower, upper = (ordered[rows, np.round(share * (count - 1)).astype(int)] for share in wanted)
    return lower, upper


def _floor_of_short(levels: BandLevels, pitch: int) -> NoiseFloor:
    """Return one noise floor for all of a short recording; contrasts are ignored.

    It is a fixed depth below the loudest level. Unless all of the recording is taken for sound, it is above the levels
    of its quietest part. Levels that are nearly as loud as the loudest are not noise.
    """
    bands = levels.bands
    heard = levels.views(0, len(levels.field))[:, :bands]
    quiet = np.quantile(heard, SHORT_QUIET, axis=0) + SHORT_ABOVE if not levels.all_sound else np.full(bands, -np.inf)
    middle = np.full((1, 2 * bands), np.finfo(np.float32).max / 4, np.float32)
    middle[0, :bands] = np.clip(quiet, levels.loudest - SHORT_DEPTH, levels.loudest - SHORT_LEAST_DEPTH)
    return NoiseFloor(middle, np.full_like(middle, LEAST_SPREAD), pitch)
