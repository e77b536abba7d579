"""Ranges of the windows of a corpus, and the choice of windows from them: recordings first, then windows in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ranges = NDArray[np.int64]  # (ranges, 2): first number, and the number after the last; ascending and disjoint


def ranges_of(chosen: NDArray[np.bool_], first: int = 0) -> Ranges:
    """Return the ranges in which an array of truth values is true; its first element has the number `first`."""
    edges = np.flatnonzero(np.diff(chosen.astype(np.int8), prepend=0, append=0))
    return np.asarray(edges.reshape(-1, 2) + first, np.int64)


def others(ranges: Ranges, low: int, high: int) -> Ranges:
    """Return the ranges between `low` and `high` that lie in none of some ranges within them."""
    edges = np.concatenate([[low], ranges.reshape(-1), [high]]).reshape(-1, 2)
    return edges[edges[:, 0] < edges[:, 1]]


def contains(ranges: Ranges, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which numbers lie in one of some ranges."""
    return np.asarray(np.searchsorted(ranges.reshape(-1), numbers, side="right") % 2 == 1)


def total(ranges: Ranges) -> int:
    """Return how many numbers lie in some ranges."""
    return int((ranges[:, 1] - ranges[:, 0]).sum())


def quotas(sizes: Sequence[int], count: int) -> list[int]:
    """Divide a count between groups: as equally as their sizes allow, the rest to the first ones."""
    given, left = [0] * len(sizes), min(count, sum(sizes))
    for place, number in enumerate(order := sorted(range(len(sizes)), key=lambda i: (sizes[i], -i))):
        given[number] = min(sizes[number], left // (len(order) - place))
        left -= given[number]
    return given


def drawn(groups: Sequence[Ranges], count: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return random numbers from each group of ranges, ascending, without repetition; see `quotas`."""
    numbers = []
    for ranges, quota in zip(groups, quotas([total(ranges) for ranges in groups], count), strict=True):
        ends = np.cumsum(ranges[:, 1] - ranges[:, 0])
        chosen = np.sort(rng.choice(int(ends[-1]), quota, replace=False)) if quota else np.empty(0, np.int64)
        place = np.searchsorted(ends, chosen, side="right")
        numbers.append(chosen + (ranges[:, 1] - ends)[place])
    return numbers
