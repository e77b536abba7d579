"""Ranges of rows."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def common_ranges(ranges: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the ranges of rows that lie both in one of `ranges` and in one of `others`; both are ascending."""
    ends, common = [high for _, high in others], []
    for first, last in ranges:
        at = bisect_right(ends, first)
        while at < len(others) and others[at][0] < last:
            common.append((max(first, others[at][0]), min(last, ends[at])))
            at += 1
    return tuple((low, high) for low, high in common if low < high)
