"""Running noise floor of each frequency band of a recording: median and spread of the background noise.

The noise is measured twice: of the levels, and of their contrast to the neighbouring bands, which a gust of wind does
not change. At knots five seconds apart, two low quantiles of the surrounding minute give the median and the spread of
the noise, as if it were normally distributed. Then levels far above it are excluded, and two quantiles of the others
are taken; this is repeated several times. Sounds that fill half of the minute have little effect, unsteady noise has a
large spread, and continuous rain becomes part of the noise floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.recordings.spectrogram import Spectrogram

    Array = NDArray[np.float32]
    Indices = NDArray[np.int64]

Value = TypeVar("Value")

KNOT_SECONDS = 5.0
REACH_SECONDS = 30.0  # of the levels on each side of a knot that are used
SMOOTH_SECONDS = 0.03
NEIGHBOURS = 0.2  # share of all bands that are neighbours of a band, on each side
LEAST_SPREAD = 1.0  # dB; that of digital silence would be 0
SHORT_SECONDS = 10.0  # a shorter recording is short: too short to distinguish noise from sound
SHORT_DEPTH = 30.0  # dB from the noise floor of a short recording up to its loudest level
SHORT_QUIET, SHORT_ABOVE = 0.2, 6.0  # quantile of its levels that may be noise; dB from there up to the noise floor
SHORT_LEAST_DEPTH = 8.0  # dB below its loudest level; every level above is sound, however steady
SHORT_SHOWN = 45.0  # dB below its loudest level that belong to its sound: overtones distinguish instruments
FAST_SORT = 512  # values; NumPy (AVX-512) needs two to four times as long for each of more values
QUIET_ROWS = 20  # rows without events from which a background is measured
_SAMPLES = 1200  # rows from which the quantiles at a knot are taken
_FIRST, _LATER = np.array([[[0.05], [0.2]], [[0.25], [0.6]]])  # quantiles of all levels, and of those that may be noise
# standard normal distribution: distance between the quantiles _FIRST, and between _LATER; upper quantile of _LATER
_FIRST_GAP, _LATER_GAP, _LATER_UPPER = 0.80323, 0.92784, 0.25335
TONE = 20.0  # dB of contrast; a steady tone with more is a sound, not noise
_LEAST_USED = 0.02  # share of the rows around a knot that must not be blank
_NEARLY = 0.95  # share of the levels that were noise, of which most often all are noise in the next round
_NOISE, _ROUNDS = 3.75, 5  # spreads above the median up to which a level may be noise; number of repetitions


def seconds_per_row(domain: Spectrogram) -> float:
    """Return the time between two frames."""
    return domain.hop_length / domain.sample_rate


@dataclass(frozen=True)
class Stretch:
    """Location of an event in a field.

    Attributes
    ----------
    start, end
        First row, and the row after the last.
    low, high
        First and last band.
    peak
        Strongest level above the median of the noise, dB.
    """

    start: int
    end: int
    low: int
    high: int
    peak: float


@dataclass(frozen=True)
class BandLevels:
    """Levels of a recording and their noise floor.

    Attributes
    ----------
    field
        Levels in dB, (rows, bands); memory-mapped, of any length.
    all_sound
        Whether the whole of a short recording counts as sound.
    events
        Start and end (s) of the events, (events, 2): the rest of a short recording is its background.
    known
        `middle`, if it was measured before.
    """

    field: Array
    seconds_per_row: float
    all_sound: bool = False
    events: NDArray[np.float64] | None = None
    known: Array | None = None

    @property
    def bands(self) -> int:
        """Number of bands."""
        return int(self.field.shape[1])

    @cached_property
    def floor(self) -> NoiseFloor:
        """The running noise floor."""
        return noise_floor(self)

    @cached_property
    def middle(self) -> Array:
        """Median of the noise of the levels at the knots of the noise floor, (knots, bands)."""
        return self.floor.middle[:, : self.bands] if self.known is None else self.known

    @property
    def pitch(self) -> int:
        """Rows between knots of the noise floor."""
        return max(1, round(KNOT_SECONDS / self.seconds_per_row))

    def stretch(self, start: float, end: float, low: float, high: float, peak: float) -> Stretch:
        """Return the location of an event between two times in seconds; it has at least one row."""
        last = len(self.field)
        first = min(max(0, int(start / self.seconds_per_row)), last - 1)
        return Stretch(
            first, min(last, max(first + 1, int(np.ceil(end / self.seconds_per_row - 1e-6)))), int(low), int(high), peak
        )

    def views(self, low: int, high: int, step: int = 1) -> Array:
        """Return rows `low` to below `high`, every `step`-th, as (rows, 2 x bands): levels, then contrasts."""
        levels = self.smooth(low, high, step)
        return np.concatenate([levels, contrast_of(levels)], axis=1)

    def cleaned(self, low: int, high: int) -> Array:
        """Return by how much rows `low` to below `high` exceed the noise, (rows, bands) in dB, at least 0."""
        floor = self._short_floor if self.is_short_recording else between_knots(self.middle, self.pitch, low, high)
        return np.asarray(np.maximum(self.field[low:high] - floor, 0), np.float32)

    @cached_property
    def _short_floor(self) -> Array:
        """Noise floor of each band of a short recording: its background, but at most a fixed depth below its peak."""
        lowest = np.full(self.bands, self.loudest - SHORT_SHOWN, np.float32)
        quiet = self.quiet_rows(np.empty((0, 2)) if self.events is None else self.events)
        if self.events is None or quiet.sum() < QUIET_ROWS:
            return lowest
        return np.maximum(np.median(self.field[quiet], axis=0).astype(np.float32), lowest)

    def quiet_rows(self, spans: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which rows are at least a row away from any of some spans of time (s), (rows,)."""
        rows = len(self.field)
        edges = np.zeros(rows + 2, np.int32)
        first = np.clip((spans[:, 0] / self.seconds_per_row).astype(int) - 1, 0, rows)
        last = np.clip(np.ceil(spans[:, 1] / self.seconds_per_row).astype(int) + 1, first, rows + 1)
        np.add.at(edges, first, 1)
        np.add.at(edges, last, -1)
        return np.asarray(np.cumsum(edges[:rows]) == 0)

    @cached_property
    def loudest(self) -> float:
        """The loudest level of the recording."""
        return float(self.smooth(0, len(self.field)).max())

    @property
    def is_short_recording(self) -> bool:
        """Whether the recording is under ten seconds, which is too short to distinguish noise from sound."""
        return len(self.field) * self.seconds_per_row < SHORT_SECONDS

    def smooth(self, low: int, high: int, step: int = 1) -> Array:
        """Return rows `low` to below `high`, every `step`-th, as means of neighbouring rows, (rows, bands)."""
        half = max(0, round((SMOOTH_SECONDS / self.seconds_per_row - 1) / 2))
        first, last = max(0, low - half), min(len(self.field), high + half)
        rows = self.field[first:last]
        if last - first < high - low + 2 * half:
            rows = np.pad(rows, ((half - (low - first), half - (last - high)), (0, 0)), mode="edge")
        total = rows[: high - low : step].copy()
        for shift in range(1, 2 * half + 1):
            total += rows[shift : shift + high - low : step]
        total /= np.float32(2 * half + 1)
        return total


def _neighbours(bands: int) -> int:
    return max(1, round(NEIGHBOURS * bands))


def contrast_of(levels: Array) -> Array:
    """Return the distances (dB) of levels, (rows, bands), to the means of the neighbouring bands."""
    rows, bands = levels.shape
    reach, band = _neighbours(bands), np.arange(bands)
    # cumulative, constant beyond the bands, and by band: sums along rows take three times as long
    total, by_band = np.empty((reach + 1 + bands + reach, rows), np.float32), np.ascontiguousarray(levels.T)
    total[: reach + 1] = 0
    for i, own in enumerate(by_band, reach + 1):
        np.add(total[i - 1], own, out=total[i])
    total[reach + 1 + bands :] = total[reach + bands]
    neighbours = total[2 * reach + 1 :] - total[: -2 * reach - 1]
    count = np.minimum(band + reach + 1, bands) - np.maximum(band - reach, 0).astype(np.float32)
    neighbours /= count[:, None]
    np.subtract(by_band, neighbours, out=neighbours)
    return np.ascontiguousarray(neighbours.T)


def _sides(levels: Array) -> Array:
    """Return the higher one of the mean levels of the bands below and above each band.

    A tone stands out on both sides; the last band of noise, beside bands that are empty, does not.
    """
    reach, bands = _neighbours(levels.shape[1]), np.arange(levels.shape[1])
    total = np.cumsum(np.pad(levels, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    low, high = np.maximum(bands - reach, 0), np.minimum(bands + reach + 1, len(bands))
    below = np.where(bands > low, (total[:, bands] - total[:, low]) / np.maximum(bands - low, 1), -np.inf)
    above = np.where(
        high > bands + 1, (total[:, high] - total[:, bands + 1]) / np.maximum(high - bands - 1, 1), -np.inf
    )
    return np.asarray(np.maximum(below, above), np.float32)


@dataclass(frozen=True)
class NoiseFloor:
    """Median and spread of the noise of levels and contrasts, in dB.

    Attributes
    ----------
    middle, spread
        Median and spread at the knots, (knots, 2 x bands).
    pitch
        Rows of the field between knots; the first knot is at half of that.
    """

    middle: Array
    spread: Array
    pitch: int


class KnotBlock(NamedTuple):
    """Rows `low` to below `high` between the knots `left` and `right`; `share` is the weight of the right one."""

    low: int
    high: int
    left: int
    right: int
    share: Array


def blocks_between_knots(knots: int, pitch: int, low: int, high: int) -> Iterator[KnotBlock]:
    """Yield rows `low` to below `high` in blocks between the same two of some knots."""
    knot = np.clip((np.arange(low, high) - pitch / 2) / pitch, 0, knots - 1)
    left = np.minimum(knot.astype(int), max(0, knots - 2))
    share = (knot - left).astype(np.float32)
    for first, last in pairwise([0, *(np.flatnonzero(np.diff(left)) + 1).tolist(), high - low]):
        at = int(left[first])
        yield KnotBlock(low + first, low + last, at, min(at + 1, knots - 1), share[first:last])


def between_knots(values: Array, pitch: int, low: int, high: int) -> Array:
    """Return values at knots, (knots, bands), interpolated linearly in rows `low` to below `high`."""
    between = np.empty((high - low, values.shape[1]), np.float32)
    for block in blocks_between_knots(len(values), pitch, low, high):
        share = block.share[:, None]
        own = between[block.low - low : block.high - low]
        np.multiply(1 - share, values[block.left], out=own)
        own += share * values[block.right]
    return between


def noise_floor(levels: BandLevels) -> NoiseFloor:
    """Measure the noise floor of a recording; its levels are read once, in order, the rows of one knot at a time."""
    pitch = levels.pitch
    if levels.is_short_recording:
        return _floor_of_short(levels, pitch)
    rows, reach = len(levels.field), round(REACH_SECONDS / KNOT_SECONDS)
    knots, step = -(-rows // pitch), max(1, pitch * (2 * reach + 1) // _SAMPLES)
    cached: dict[int, Array] = {}  # levels around the current knot, (2 x bands, rows), without blank rows
    sampled: dict[int, int] = {}  # rows, with blank ones
    noise: list[Array | None] = []
    for knot in range(knots):
        for number in range(max(cached, default=-1) + 1, min(knots, knot + reach + 1)):
            views = levels.views(number * pitch, min(rows, (number + 1) * pitch), step)
            sampled[number] = len(views)
            cached[number] = np.ascontiguousarray(views[~is_blank(views[:, : levels.bands])].T)
        cached.pop(knot - reach - 1, None)
        around = np.concatenate(list(cached.values()), axis=1)
        enough = around.shape[1] >= _LEAST_USED * sum(sampled[number] for number in cached)
        noise.append(_noise_of(around) if enough else None)
    if all(each is None for each in noise):
        noise = [_noise_of(levels.views(0, min(rows, pitch)).T)] * knots
    middle, spread = np.stack(filled(noise), axis=1)
    tone = middle[:, : levels.bands] - _sides(middle[:, : levels.bands]) > TONE
    # the lowest bands are left out: they always have contrast, because all noise falls off with frequency
    tone[:, : _neighbours(levels.bands)] = False
    contrasts = middle[:, levels.bands :]
    contrasts[tone] = np.minimum(contrasts[tone], TONE)
    return NoiseFloor(middle, np.maximum(spread, np.float32(LEAST_SPREAD)), pitch)


def is_blank(levels: Array) -> NDArray[np.bool_]:
    """Return which rows of levels (rows, bands) are the same in all bands, as digital zeros are."""
    blank = (levels[:, 0] == levels[:, -1]) & (levels.shape[1] > 1)  # excludes almost all rows that are not
    maybe = np.flatnonzero(blank)
    blank[maybe] = np.ptp(levels[maybe], axis=1) == 0
    return np.asarray(blank)


def filled(values: Sequence[Value | None]) -> list[Value]:
    """Return values at knots; a missing one is that of the nearest knot that has one."""
    knots = np.arange(len(values))
    known = np.flatnonzero([each is not None for each in values])
    after = np.searchsorted(known, knots)
    left, right = known[np.maximum(after - 1, 0)], known[np.minimum(after, len(known) - 1)]
    nearest = np.where(np.abs(knots - left) <= np.abs(right - knots), left, right)
    return [each for i in nearest if (each := values[i]) is not None]


def _noise_of(levels: Array) -> Array:
    """Return median and spread of the noise in each row of levels, (2, rows), despite louder sounds.

    In noise alone, few levels are more than `_NOISE` spreads above the median, and the result is that of all levels. It
    is the mean over interleaved parts of the levels, which are faster to sort and as exact as all of them together.
    """
    parts = -(-levels.shape[1] // FAST_SORT)
    count = levels.shape[1] // parts
    ordered = np.sort(levels[:, : count * parts].reshape(-1, count, parts).swapaxes(1, 2).reshape(-1, count), axis=1)
    first = np.arange(0, ordered.size, count)
    lower, upper = _quantiles(ordered, first, np.full(len(ordered), count), _FIRST)
    middle, spread, below = upper, (upper - lower) / np.float32(_FIRST_GAP), 0
    for _ in range(_ROUNDS):
        top = middle + np.float32(_NOISE) * np.maximum(spread, np.float32(LEAST_SPREAD / 2))
        if (ordered[:, below] > top).any():  # most often, the values that are not above in any row need no search
            below = 0
        above = ordered[:, below:] > top[:, None]
        used = below + np.where(above[:, -1], above.argmax(axis=1), count - below)
        lower, upper = _quantiles(ordered, first, used, _LATER)
        spread, below = (upper - lower) / np.float32(_LATER_GAP), int(_NEARLY * used.min())
        middle = upper - np.float32(_LATER_UPPER) * spread
    return np.asarray(np.stack([middle, spread]).reshape(2, -1, parts).mean(axis=2))


def _quantiles(ordered: Array, first: Indices, count: Indices, shares: NDArray[np.float64]) -> Array:
    """Return two quantiles of the first `count` values of each row, (2, rows); `first` is where a row begins."""
    return np.asarray(ordered.reshape(-1)[first + np.rint(shares * (count - 1)).astype(int)])


def _floor_of_short(levels: BandLevels, pitch: int) -> NoiseFloor:
    """Return one noise floor for the whole of a short recording; contrasts are ignored.

    It is a fixed depth below the loudest level. Unless the whole recording counts as sound, it is also above the levels
    of the quietest part. Levels that are nearly as loud as the loudest are never noise.
    """
    bands = levels.bands
    heard = levels.views(0, len(levels.field))[:, :bands]
    quiet = np.quantile(heard, SHORT_QUIET, axis=0) + SHORT_ABOVE if not levels.all_sound else np.full(bands, -np.inf)
    middle = np.full((1, 2 * bands), np.finfo(np.float32).max / 4, np.float32)
    middle[0, :bands] = np.clip(quiet, levels.loudest - SHORT_DEPTH, levels.loudest - SHORT_LEAST_DEPTH)
    return NoiseFloor(middle, np.full_like(middle, LEAST_SPREAD), pitch)
