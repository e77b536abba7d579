"""The windows in which each unit is most active, at most one per neighbourhood; lists of them can be added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.corpus.windows import Corpus

NONE = np.iinfo(np.int64).max  # stands for no window; sorted after all window numbers


@dataclass(frozen=True)
class Neighbourhoods:
    """Neighbourhoods of windows; only the strongest window of each is shown.

    Two windows are neighbours if they are in the same source, or in copies of it, and their starts differ by less than
    2 * size - 1 on every axis, where size is that of a window. Each source is divided into cells of 2 * size - 1.

    Attributes
    ----------
    reach
        Size of a cell along each axis of the field.
    bins
        Number of cells of each source along each axis, (records, axes).
    offsets
        Number of the first cell of each source, (records,).
    same
        Index of the first copy of each source, or its own, (records,).
    """

    reach: tuple[int, ...]
    bins: NDArray[np.int64]
    offsets: NDArray[np.int64]
    same: NDArray[np.int64]

    @classmethod
    def of(cls, corpus: Corpus) -> Neighbourhoods:
        """Return the neighbourhoods of a corpus."""
        reach = tuple(2 * size - 1 for size in corpus.domain.window)
        shapes = np.array([record.shape or (0,) * len(reach) for record in corpus.records], np.int64)
        bins = -(-shapes // np.array(reach))
        first: dict[str, int] = {}
        same = np.array([first.setdefault(r.digest, i) if r.digest else i for i, r in enumerate(corpus.records)])
        offsets = np.concatenate([[0], np.cumsum(bins.prod(axis=1))[:-1]])
        return cls(reach, bins, offsets[same], same)

    def cells(self, records: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the cell in which each window begins, (windows,)."""
        cell = np.zeros(len(records), np.int64)
        for axis, reach in enumerate(self.reach):
            cell = cell * self.bins[records, axis] + starts[:, axis] // reach
        return self.offsets[records] + cell

    @property
    def crowd(self) -> int:
        """Largest number of cells with neighbours of one window, including its own cell."""
        return int(3 ** ((self.bins > 1).any(axis=0) & (np.array(self.reach) > 1)).sum())


@dataclass(frozen=True)
class TopWindows:
    """For each unit its strongest cells, each with its strongest window, in order; the lower number wins ties.

    A cell is dropped if `keep` cells are stronger. Adding further windows cannot bring it back, so the sum over all
    windows does not depend on the order of the additions.

    Attributes
    ----------
    values
        Codes of the units, (hidden, keep); -inf if there are fewer cells.
    numbers, cells
        Number of each window in the corpus, and of its cell, (hidden, keep).
    """

    values: NDArray[Any]
    numbers: NDArray[np.int64]
    cells: NDArray[np.int64]

    @classmethod
    def of(cls, codes: NDArray[Any], numbers: NDArray[np.int64], cells: NDArray[np.int64], keep: int) -> TopWindows:
        """Return the strongest windows of a block.

        Parameters
        ----------
        codes
            Codes of the windows, (windows, hidden).
        numbers, cells
            Number of each window and of its cell, (windows,).
        keep
            Number of cells per unit.
        """
        order = np.argsort(cells, kind="stable")
        cells, numbers, codes = cells[order], numbers[order], codes[order]
        first = np.flatnonzero(np.concatenate([[True], np.diff(cells) > 0]))
        best = np.maximum.reduceat(codes, first, axis=0)
        reached = codes == best.repeat(np.diff(np.append(first, len(cells))), axis=0)
        number = np.minimum.reduceat(np.where(reached, numbers[:, None], NONE), first, axis=0)
        return _ranked(best.T, number.T, np.broadcast_to(cells[first], best.T.shape), keep)

    def __add__(self, other: TopWindows) -> TopWindows:
        keep = self.values.shape[1]
        values, numbers, cells = (
            np.concatenate(pair, axis=1) for pair in zip(vars(self).values(), vars(other).values(), strict=True)
        )
        both = _ranked(values, numbers, cells, 2 * keep)
        by_cell = np.argsort(both.cells, axis=1, kind="stable")
        again = np.diff(np.take_along_axis(both.cells, by_cell, axis=1), axis=1, prepend=-2) == 0
        beaten = np.zeros_like(again)
        np.put_along_axis(beaten, by_cell, again, axis=1)
        values, numbers = np.where(beaten, -np.inf, both.values), np.where(beaten, NONE, both.numbers)
        return _ranked(values.astype(self.values.dtype), numbers, np.where(beaten, -1, both.cells), keep)

    def strongest(self, corpus: Corpus, count: int) -> list[list[tuple[int, float]]]:
        """Return the number and code of at most `count` windows per unit, without neighbours of stronger windows."""
        neighbourhoods = Neighbourhoods.of(corpus)
        reach, strongest = np.array(neighbourhoods.reach), []
        for values, padded in zip(self.values, self.numbers, strict=True):
            numbers = padded[padded != NONE]
            records, starts = corpus.locate(numbers)
            records = neighbourhoods.same[records]
            shown: list[int] = []
            for i in range(len(numbers)):
                near = (records[shown] == records[i]) & (np.abs(starts[shown] - starts[i]) < reach).all(axis=1)
                if not near.any():
                    shown.append(i)
                if len(shown) == count:
                    break
            strongest.append([(int(numbers[i]), float(values[i])) for i in shown])
        return strongest


def _ranked(values: NDArray[Any], numbers: NDArray[np.int64], cells: NDArray[np.int64], keep: int) -> TopWindows:
    """Sort cells, and truncate or pad them to `keep` per unit."""
    if values.shape[1] > keep:  # sort those only that can be among the strongest, with ties
        least = np.partition(values, -keep, axis=1)[:, -keep, None]
        most = int((values >= least).sum(axis=1).max())
        strongest = np.argpartition(values, -most, axis=1)[:, -most:]
        values, numbers, cells = (np.take_along_axis(part, strongest, axis=1) for part in (values, numbers, cells))
    order = np.lexsort((numbers, -values), axis=1)[:, :keep]
    padding = ((0, 0), (0, keep - order.shape[1]))
    filled = ((values, -np.inf), (numbers, NONE), (cells, -1))
    return TopWindows(
        *(np.pad(np.take_along_axis(part, order, axis=1), padding, constant_values=fill) for part, fill in filled)
    )
