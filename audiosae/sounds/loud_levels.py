"""The levels of a recording that are far above its noise, which are few, and how they are connected.

A level is compared with a bound that no noise floor between two knots exceeds, and only what is above this bound is
measured exactly. The levels of a band with short silences between them are a run, and touching runs are a sound.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from audiosae.sounds.noise_floor import blocks_between_knots, contrast_of, is_blank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.sounds.noise_floor import BandLevels, KnotBlock

    Array = NDArray[np.float32]
    Indices = NDArray[np.int64]

_ROUNDING = 0.01  # dB by which a level may seem lower than a bound, much more than the error of float32


@dataclass(frozen=True)
class LoudLevels:
    """Levels far above the noise in the order of their rows and bands, (levels,) each.

    Attributes
    ----------
    row, band
        Where they are.
    decibels, spreads
        By how much they exceed the median of the noise. The number of spreads is the higher one of level and contrast.
    """

    row: Indices
    band: Indices
    decibels: Array
    spreads: Array

    def only(self, chosen: NDArray[np.bool_] | slice) -> LoudLevels:
        """Return some of the levels."""
        return LoudLevels(*(column[chosen] for column in vars(self).values()))

    @classmethod
    def none(cls) -> LoudLevels:
        """Return no levels."""
        numbers, levels = np.empty(0, np.int64), np.empty(0, np.float32)
        return cls(numbers, numbers, levels, levels)

    @classmethod
    def joined(cls, parts: list[LoudLevels]) -> LoudLevels:
        """Return the levels of consecutive parts of a recording."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    @classmethod
    def between(cls, levels: BandLevels, low: int, high: int, least: float) -> LoudLevels:
        """Return the levels in rows `low` to below `high` that are more than `least` spreads above the noise.

        There are none in rows that are the same in all bands.
        """
        blocks = blocks_between_knots(len(levels.floor.middle), levels.floor.pitch, low, high) if low < high else ()
        return cls.joined([cls.none(), *(_of_block(levels, block, least) for block in blocks)])


def _of_block(levels: BandLevels, block: KnotBlock, least: float) -> LoudLevels:
    floor, bands, knots = levels.floor, levels.bands, [block.left, block.right]
    heard = levels.smooth(block.low, block.high)
    contrast = contrast_of(heard)
    bound = (floor.middle[knots] + np.float32(least) * floor.spread[knots]).min(axis=0) - np.float32(_ROUNDING)
    maybe = heard > bound[:bands]
    maybe |= contrast > bound[bands:]
    maybe[is_blank(heard)] = False
    at = np.flatnonzero(maybe)  # takes a tenth of the time of `nonzero` with two axes
    row, band = np.divmod(at, bands)
    right = block.share[row]
    left = 1 - right

    def above(values: Array, columns: slice) -> tuple[Array, Array]:
        middle, spread = (
            left * part[block.left, columns][band] + right * part[block.right, columns][band]
            for part in (floor.middle, floor.spread)
        )
        decibels = values.reshape(-1)[at] - middle
        return decibels, np.asarray(decibels / spread, np.float32)

    decibels, spreads = above(heard, slice(bands))
    np.maximum(spreads, above(contrast, slice(bands, None))[1], out=spreads)
    return LoudLevels(block.low + row, band, decibels, spreads).only(spreads > least)


@dataclass(frozen=True)
class Runs:
    """Consecutive rows of single bands, in the order of band and row.

    Attributes
    ----------
    first, end
        Place of the first row, and of the one after the last, (runs,). The place of a row is its number plus `width`
        for each band below.
    width
        More than the number of rows.
    """

    first: Indices
    end: Indices
    width: int

    @classmethod
    def of(cls, levels: LoudLevels, gap: int, low: int, high: int) -> tuple[Runs, Indices]:
        """Return the runs of levels in rows `low` to below `high`, and the run of each level.

        Silences of at most `gap` rows do not end a run.
        """
        width = high - low + gap + 2
        order = np.argsort(levels.band.astype(np.uint16), kind="stable")  # sorted by radix
        place = (levels.band * width + (levels.row - low))[order]
        before = np.diff(place, prepend=-gap - 2) > gap + 1
        last = np.append(before[1:], True)[: len(place)]
        run = np.empty(len(place), np.int64)
        run[order] = np.cumsum(before) - 1
        return cls(place[before], place[last] + 1, width), run

    def __len__(self) -> int:
        return len(self.first)

    def without(self, places: Indices) -> Runs:
        """Return what remains of the runs without some places, which ascend."""
        inside = places[self._hold(places)]
        first, end = np.sort(np.append(self.first, inside + 1)), np.sort(np.append(self.end, inside))
        return Runs(first[first < end], end[first < end], self.width)

    def at(self, places: Indices) -> Indices:
        """Return the run of each place; all of them are in runs."""
        return np.searchsorted(self.first, places, "right") - 1

    def _hold(self, places: Indices) -> NDArray[np.bool_]:
        return places < np.append(self.end, 0)[self.at(places)]

    def sounds(self) -> tuple[Indices, int]:
        """Return the number of the sound of each run, from 1, and the number of sounds.

        The runs of a sound touch in time or frequency, also diagonally. Sounds are numbered in the order of their first
        rows, and of the lowest band in it.
        """
        if not len(self):
            return np.empty(0, np.int64), 0
        low = np.searchsorted(self.end, self.first + self.width)  # of the runs of the next band that touch each
        count = np.maximum(np.searchsorted(self.first, self.end + self.width, "right") - low, 0)
        one = np.repeat(np.arange(len(self)), count)
        other = np.arange(len(one)) + np.repeat(low - np.cumsum(count) + count, count)
        band, row = np.divmod(self.first, self.width)
        order = np.lexsort((band, row))
        rank = np.empty(len(self), np.int64)
        rank[order] = np.arange(len(self))
        least = _least_connected(rank, one, other)
        return np.searchsorted(ranks := np.unique(least), least) + 1, len(ranks)


def _least_connected(value: Indices, one: Indices, other: Indices) -> Indices:
    """Return the least value among all nodes that are connected to each node; the values are 0 to below the number."""
    node = np.empty(len(value), np.int64)
    node[value] = np.arange(len(value))
    parent = value.copy()  # the value of a connected node that is not higher
    while True:
        upper = parent[node[parent]]
        lower = upper.copy()
        for here, there in ((one, other), (other, one)):
            np.minimum.at(lower, here, upper[there])
            np.minimum.at(lower, node[parent[here]], upper[there])
        if (lower == parent).all():
            return parent
        parent = lower
