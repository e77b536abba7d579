"""Broadband level of a recording: the mean square over all frequency bins of power divided by noise floor, in dB.

The noise floor of each bin is measured at knots some seconds apart. The middle and the spread of the level in noise are
measured, too, so that a threshold can follow them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audiosae.sounds.noise_floor import FAST_SORT, filled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

KNOT_SECONDS, _REACH = 5.0, 3  # between knots of the noise; knots on each side of which the levels are used
_FLOOR_ROWS = 100  # rows between two knots from which the noise floor is measured, each the mean of `_MEANS` frames
_MEANS, _FLOOR_QUANTILE = 4, 0.1
_LEAST_ROWS = 8  # for a noise floor
LEAST_PITCH = _MEANS * _LEAST_ROWS  # frames between knots
_NO_NOISE = 10.0  # ratio of the median power to a low quantile; with less, there is no noise beside the sound
_FLAT_LEVEL = 40.0  # dB; a higher median level is relative to the fixed floor of a recording without noise
_CONTINUOUS = 0.5  # share of the time between two knots: with shorter parts between digital zeros there is no noise
_LEAST_OF_MEDIAN, _LEAST_OF_LARGEST = 1e-3, 1e-9  # of the median floor, of the largest power: least floor of a bin
# shares of the values: the lowest; in the first and in later shortest intervals
_LOW_SHARE, _FIRST_SHARE, _SHARE = 0.3, 0.15, 0.3
_ROUNDS, _NOISE = 6, 3.0  # repetitions; spreads above the middle up to which a level may be noise
_LEAST_SPREAD, _NORMAL = 0.1, 0.6745  # dB; median of half a standard normal distribution
_NOISE_VALUES = 4000  # at most, around a knot


@dataclass(frozen=True)
class BroadbandLevel:
    """Level of a recording in dB, and the middle and spread of its noise at knots that are `pitch` frames apart.

    Attributes
    ----------
    level
        (frames,); minus infinity for digital zeros.
    noise
        (knots, 2).
    floor
        Power of the noise floor of all bins in dB, NaN where it is not known, (knots,).
    """

    level: NDArray[np.float16]
    noise: NDArray[np.float64]
    pitch: int
    floor: Array

    def at(self, first: int, last: int) -> tuple[Array, Array]:
        """Return the level above the middle of the noise, and its spread, of frames `first` to below `last`."""
        knots = (np.arange(len(self.noise)) + 0.5) * self.pitch
        middle, spread = (np.interp(np.arange(first, last), knots, part) for part in self.noise.T)
        return (self.level[first:last] - middle).astype(np.float32), spread.astype(np.float32)


def broadband_level(parts: Sequence[NDArray[np.float16]], floors: Sequence[Array | None], pitch: int) -> BroadbandLevel:
    """Return the broadband level of a recording with its noise, from the results of `whitened_levels`.

    The segments have `pitch` frames.
    """
    level = np.concatenate(parts) if parts else np.empty(0, np.float16)
    knots = -(-len(level) // pitch)
    heard = np.isfinite(level)
    near = [slice(max(0, (knot - _REACH) * pitch), (knot + _REACH + 1) * pitch) for knot in range(knots)]
    noise = [_noise_of(level[own] if heard[own].all() else level[own][heard[own]]) for own in near]
    known = any(each is not None for each in noise)
    power = np.array([np.nan if floor is None else float(floor.sum(dtype=np.float64)) for floor in floors])
    with np.errstate(divide="ignore"):
        decibels = (10 * np.log10(power)).astype(np.float32)
    return BroadbandLevel(level, np.array(filled(noise) if known else [(0.0, np.inf)], np.float64), pitch, decibels)


def whitened_levels(segments: Iterable[Array], floors: list[Array | None]) -> Iterator[NDArray[np.float16]]:
    """Yield the level in each segment: 5 log10 of the mean square over all bins of power divided by noise floor.

    The noise floor is measured at the middle of each segment, from its neighbours, and interpolated linearly.

    Parameters
    ----------
    segments
        Power of the frames of a recording, (frames, bins), in segments of equal length but for the last.
    floors
        Receives the noise floor of each segment, (bins,), None where it is not known.
    """
    pending: deque[Array] = deque()  # segments without a level, then those that only served for their floor
    samples: deque[_Sample] = deque(maxlen=2 * _REACH + 1)
    count = done = 0

    def floor() -> Array | None:
        return _floor_near(list(samples)[max(0, len(floors) - (count - len(samples)) - _REACH) :])

    for segment in segments:
        pending.append(segment)
        samples.append(_Sample.of(segment, samples[-1].rows if samples else None))
        count += 1
        if count > _REACH:
            floors.append(floor())
        if len(floors) > done + 1:
            yield _level_of(pending.popleft(), floors, done)
            done += 1
    while len(floors) < count:
        floors.append(floor())
    while pending:
        yield _level_of(pending.popleft(), floors, done)
        done += 1


class _Sample(NamedTuple):
    """Means of a few consecutive frames of a segment, without digital zeros, (rows, bins).

    `pair` has the lowest of them and of those of the segment before: enough for the noise floor around them. `largest`
    is the largest mean, and `is_gated` that of `_is_gated`.
    """

    rows: Array
    pair: Array
    largest: float
    is_gated: bool

    @classmethod
    def of(cls, segment: Array, before: Array | None) -> _Sample:
        width = min(_MEANS, len(segment))
        count = len(segment) // width
        step = max(1, count // _FLOOR_ROWS)
        chosen = segment[: count * width].reshape(count, width, -1)[::step]
        rows = chosen[:, 0].copy()
        for i in range(1, width):
            rows += chosen[:, i]
        rows /= np.float32(width)
        heard = _heard(rows)
        rows = rows if heard.all() else rows[heard]
        pair = rows if before is None else np.concatenate([before, rows])
        most = max(len(chosen), 0 if before is None else len(before))
        # the last segment may be shorter, and have more rows
        lowest = 1 + int(_FLOOR_QUANTILE * (2 * _REACH * most + 2 * _FLOOR_ROWS))
        return cls(rows, _lowest(pair, lowest), float(rows.max(initial=0)), _is_gated(_heard(segment)))


def _lowest(rows: Array, count: int) -> Array:
    """Return the lowest values of each bin, (count, bins) in any order; all if there are fewer."""
    return rows if len(rows) <= count else np.partition(rows, count - 1, axis=0)[:count]


def _floor_near(samples: Sequence[_Sample]) -> Array | None:
    """Return the noise floor of each bin in consecutive segments; see `_floor_of`."""
    if all(sample.is_gated for sample in samples):
        return _floor_of(np.concatenate([sample.rows for sample in samples]), gated=True)
    parts = [sample.pair for sample in samples[1::2]] + [samples[-1].rows] * (len(samples) % 2)
    count, largest = sum(len(sample.rows) for sample in samples), max(sample.largest for sample in samples)
    return _low_quantile(np.concatenate(parts), count, largest)


def _heard(rows: Array) -> NDArray[np.bool_]:
    """Return which rows of power are not digital zeros."""
    heard = rows[:, 0] > 0  # is enough for almost all of them
    unclear = np.flatnonzero(~heard)
    heard[unclear] = rows[unclear].any(axis=1)
    return heard


def _is_gated(heard: NDArray[np.bool_]) -> bool:
    """Return whether digital zeros leave only short parts of some frames, as a noise gate or an editor does."""
    if heard.all():
        return False
    edges = np.flatnonzero(np.diff(heard, prepend=False, append=False)).reshape(-1, 2)
    return int(np.diff(edges, axis=1).max(initial=0)) < _CONTINUOUS * len(heard)


def _floor_of(rows: Array, *, gated: bool) -> Array | None:
    """Return the noise floor of each bin; None if there are too few rows.

    If digital zeros replace all noise, it is a fixed depth below the largest power.
    """
    if gated and len(rows):
        total = rows.sum(axis=1)
        if np.median(total) < _NO_NOISE * np.quantile(total, _FLOOR_QUANTILE):
            return np.full(rows.shape[1], _LEAST_OF_LARGEST * float(rows.max()), np.float32)
    return _low_quantile(rows, len(rows), float(rows.max(initial=0)))


def _low_quantile(lowest: Array, count: int, largest: float) -> Array | None:
    """Return the low quantile of `count` rows from those that have the lowest values; None for too few rows."""
    if count < _LEAST_ROWS:
        return None
    rank = int(_FLOOR_QUANTILE * (count - 1))
    if len(lowest) > FAST_SORT:
        parts = np.array_split(lowest, -(-len(lowest) // FAST_SORT))
        lowest = np.concatenate([_lowest(part, rank + 1) for part in parts])
    floor = np.partition(lowest, rank, axis=0)[rank]
    least = max(_LEAST_OF_MEDIAN * float(np.median(floor)), _LEAST_OF_LARGEST * largest)
    return np.asarray(np.maximum(floor, least))


def _level_of(segment: Array, floors: list[Array | None], number: int) -> NDArray[np.float16]:
    near = [floors[i] for i in (number - 1, number, number + 1) if 0 <= i < len(floors)]
    known = [each for each in near if each is not None]
    own = floors[number]
    if not known:
        return np.full(len(segment), -np.inf, np.float16)
    own = known[0] if own is None else own
    before, after = (
        floors[i] if 0 <= i < len(floors) and floors[i] is not None else own for i in (number - 1, number + 1)
    )
    weight = np.abs((np.arange(len(segment), dtype=np.float32) + 0.5) / len(segment) - 0.5)
    half = len(segment) // 2
    square = np.empty(len(segment), np.float32)
    for rows, other in ((slice(0, half), before), (slice(half, None), after)):
        # the whitened power is segment / own * (1 + weight * change): its square is a polynomial of the weight
        change = own / np.asarray(other) - 1
        power = segment[rows] * (1 / own)
        power *= power
        constant, linear, quadratic = (power @ np.stack([np.ones_like(own), 2 * change, change**2], axis=1)).T
        square[rows] = constant + weight[rows] * (linear + weight[rows] * quadratic)
    square /= segment.shape[1]
    with np.errstate(divide="ignore"):
        return (5 * np.log10(square)).astype(np.float16)


def _noise_of(level: NDArray[np.float16]) -> tuple[float, float] | None:
    """Return middle and spread of the noise in levels that may be sound for most of the time; None for too few.

    The middle is that of the shortest interval with a share of the values, at first among the lowest ones. Values far
    above it are left out, and this is repeated. The spread is measured below the middle, where there is no sound.
    """
    values = np.sort(level[:: max(1, len(level) // _NOISE_VALUES)].astype(np.float32))
    if len(values) and values[len(values) // 2] > _FLAT_LEVEL:
        return 0.0, _LEAST_SPREAD
    if len(values) < LEAST_PITCH:
        return None
    exact = values.astype(np.float64)  # in which they are compared
    middle = _densest(values[: int(_LOW_SHARE * len(values))], int(_FIRST_SHARE * len(values)))
    for _ in range(_ROUNDS):
        below = int(exact.searchsorted(middle))
        spread = max(_LEAST_SPREAD, float(middle - values[below // 2]) / _NORMAL) if below else _LEAST_SPREAD
        noise = values[: exact.searchsorted(middle + _NOISE * spread, "right")]
        middle = _densest(noise, int(_SHARE * len(noise)))
    return middle, spread


def _densest(values: Array, count: int) -> float:
    """Return the middle of the shortest interval that holds `count` of some sorted values."""
    count = min(max(2, count), len(values))
    at = int((values[count - 1 :] - values[: len(values) - count + 1]).argmin())
    return float(values[at] + values[at + count - 1]) / 2
