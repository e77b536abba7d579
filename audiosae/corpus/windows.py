"""Windows of the fields of many sources: count them, read them from memory-mapped fields, locate them in sources.

Windows are numbered consecutively over all sources. A chunk is a number of contiguous rows of a field. A slab is as
many chunks as the memory limit allows, in one flat array; an array of indices selects any windows of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from audiosae.corpus.fields import read_field
from audiosae.corpus.ranges import common_ranges
from audiosae.system.many import Made

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record
    from audiosae.domain import Domain

CHUNK_WINDOWS = 4096
DEFAULT_MEMORY = 256 * 2**20
SLAB_BYTES = DEFAULT_MEMORY // 8  # of the slabs that are processed in order
_HELD_OUT_SHARE = 10  # one source in ten
_HELD_OUT_STRIPS = 5  # of one source: the bottom of a picture or the end of a recording differs from the rest
_SPLIT_STREAM = 1 << 32  # separates the random numbers of the split from those of the epochs


@dataclass(frozen=True)
class Chunk:
    """Contiguous rows of one field, with the windows that begin in them.

    Attributes
    ----------
    record
        Index of the record of the source.
    row
        First row in the field.
    starts
        Number of rows in which windows begin.
    columns
        Number of windows that begin in each of those rows.
    first
        Number of the first window.
    """

    record: int
    row: int
    starts: int
    columns: int
    first: int

    @property
    def windows(self) -> int:
        """Number of windows."""
        return self.starts * self.columns


@dataclass(frozen=True)
class Slab:
    """Chunks in memory, with their windows.

    Parameters
    ----------
    flat
        Values of all chunks, concatenated.
    starts
        Index of the beginning of each window in `flat`.
    pitches
        Distance between the contiguous runs of each window.
    run, runs
        Length of the contiguous runs of a window, and their number.
    """

    flat: NDArray[np.float32]
    starts: NDArray[np.int64]
    pitches: NDArray[np.int64]
    run: int
    runs: int

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, index: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Return windows as an array (count, width)."""
        starts, pieces = self.starts[index], sliding_window_view(self.flat, self.run)
        if self.runs == 1:
            return pieces[starts]
        runs = starts[:, None] + self.pitches[index][:, None] * np.arange(self.runs)
        return pieces[runs].reshape(len(starts), -1)


class Corpus:
    """The windows of the usable sources.

    Parameters
    ----------
    domain
        A domain with all options resolved.
    records
        Records of the sources; a skipped source has no windows.
    picked
        Numbers of the windows that belong to the corpus, ascending; None for all.
    """

    domain: Domain
    records: Sequence[Record]
    picked: NDArray[np.int64] | None

    def __init__(self, domain: Domain, records: Sequence[Record], picked: NDArray[np.int64] | None = None) -> None:
        self.domain, self.picked = domain, picked
        self.records = records if isinstance(records, Made) else list(records)

    @cached_property
    def chunks(self) -> list[Chunk]:
        """All chunks, in order."""
        pieces = [(i, *piece) for i, record in enumerate(self.records) for piece in _pieces(self.domain, record)]
        first = accumulate((starts * columns for _, _, starts, columns in pieces), initial=0)
        return [Chunk(*piece, first) for piece, first in zip(pieces, first, strict=False)]

    @property
    def grid(self) -> int:
        """Number of windows of all sources, including those not picked."""
        return self.chunks[-1].first + self.chunks[-1].windows if self.chunks else 0

    def __len__(self) -> int:
        return self.grid if self.picked is None else len(self.picked)

    @property
    def width(self) -> int:
        """Values per window."""
        return prod(self.domain.window)

    def windows_per_record(self) -> list[int]:
        """Return the number of windows of each record, including those not picked."""
        pieces = (_pieces(self.domain, record) for record in self.records)
        return [sum(starts * columns for _, starts, columns in record_pieces) for record_pieces in pieces]

    def windows_left_out(self) -> int:
        """Return the number of windows that touch silent or blank rows, which are outside of the records' ranges."""
        whole = self.part([replace(record, ranges=((0, record.shape[0]),)) for record in self.records if record.shape])
        return sum(whole.windows_per_record()) - sum(self.windows_per_record())

    def windows_per_chunk(self) -> list[int]:
        """Return the number of (picked) windows that begin in each chunk."""
        return [len(self._offsets(chunk)) for chunk in self.chunks]

    def starts_and_pitches(self, first: Mapping[str, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the starts and pitches of all windows (see `Slab`) in an array of whole fields.

        `first` is the index of the beginning of each field in that array, by `Record.field`.
        """
        starts, pitches = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for chunk in self.chunks:
            record, offsets = self.records[chunk.record], self._offsets(chunk)
            row = prod(record.shape[1:])
            starts.append(first[record.field] + chunk.row * row + offsets)
            pitches.append(np.full(len(offsets), row, np.int64))
        return np.concatenate(starts), np.concatenate(pitches)

    def part(self, records: Sequence[Record], picked: NDArray[np.int64] | None = None) -> Self:
        """Return a corpus of other records with the same domain, and the other attributes of a subclass."""
        return type(self)(self.domain, records, picked)

    def sample(self, count: int, seed: int | None = None) -> Self:
        """Return a corpus of at most `count` windows: evenly spaced, or drawn at random with a seed."""
        if count >= len(self):
            return self
        index = (
            np.arange(count, dtype=np.int64) * len(self) // count
            if seed is None
            else np.sort(np.random.default_rng([seed, _SPLIT_STREAM + 1]).choice(len(self), count, replace=False))
        )
        return self.part(self.records, index if self.picked is None else self.picked[index])

    def split(self, seed: int) -> tuple[Self, Self, str]:
        """Return the training part, the held-out part and a description of the split.

        One source in ten is held out, with its copies; with fewer than ten sources, a tenth of each, in strips.
        """
        usable = [r for r, n in zip(self.records, self.windows_per_record(), strict=True) if n]
        contents = list(dict.fromkeys(record.digest or record.path for record in usable))
        if len(contents) < _HELD_OUT_SHARE:
            parts: list[tuple[Record | None, Record | None]] = [_cut(r, self.domain.window[0]) for r in usable]
            description = "a tenth of each source"
        else:
            order = np.random.default_rng([seed, _SPLIT_STREAM]).permutation(len(contents))
            out = {contents[i] for i in order[: len(contents) // _HELD_OUT_SHARE]}
            parts = [(None, r) if (r.digest or r.path) in out else (r, None) for r in usable]
            description = f"{sum(part is None for part, _ in parts)} of {len(usable)} sources"
        training, held_out = zip(*parts, strict=True) if parts else ((), ())
        return self.part([r for r in training if r]), self.part([r for r in held_out if r]), description

    def slabs(self, order: NDArray[np.int64] | None = None, *, memory: int = DEFAULT_MEMORY) -> Iterator[Slab]:
        """Return slabs of about equal size and at most `memory` bytes, with the chunks in the given order."""
        slabs = (self._slab([self.chunks[i] for i in group]) for group in self.groups(order, memory))
        return (slab for slab in slabs if slab is not None)

    def groups(self, order: NDArray[np.int64] | None, memory: int) -> Iterator[NDArray[np.int64]]:
        """Yield the numbers of the chunks of each slab."""
        order = np.arange(len(self.chunks)) if order is None else order
        if len(order):
            ends = np.cumsum([self._bytes(self.chunks[i]) for i in order])
            groups = int(min(max(1, -(-ends[-1] // memory)), len(order)))
            group = np.minimum(ends * groups // max(1, ends[-1]), groups - 1)
            yield from np.split(order, np.searchsorted(group, np.arange(1, groups)))

    def blocks(self, rows: int = CHUNK_WINDOWS) -> Iterator[NDArray[np.float32]]:
        """Yield all windows in order, as arrays (up to `rows`, width)."""
        for slab in self.slabs(memory=SLAB_BYTES):
            yield from (slab.take(slice(first, first + rows)) for first in range(0, len(slab), rows))

    @cached_property
    def _table(self) -> NDArray[np.int64]:
        """Record, first row, columns and first window of every chunk, (chunks, 4)."""
        return np.array([(c.record, c.row, c.columns, c.first) for c in self.chunks], np.int64)

    def locate(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the indices of the records of windows (count,), and their starts in the fields (count, axes)."""
        numbers = self.picked[numbers] if self.picked is not None else np.asarray(numbers)
        chunks = np.searchsorted(self._table[:, 3], numbers, side="right") - 1
        record, first_row, columns, first = self._table[chunks].T
        row, column = np.divmod(numbers - first, columns)
        stride = np.array(self.domain.stride)
        starts = np.stack([row, column, *[0 * row] * len(stride)], axis=1)[:, : len(stride)] * stride
        starts[:, 0] += first_row
        return record, starts

    def _rows(self, chunk: Chunk) -> int:
        return (chunk.starts - 1) * self.domain.stride[0] + self.domain.window[0]

    def _bytes(self, chunk: Chunk) -> int:
        return 4 * self._rows(chunk) * prod(self.records[chunk.record].shape[1:])

    def _slab(self, chunks: list[Chunk]) -> Slab | None:
        flat = np.empty(sum(self._bytes(chunk) for chunk in chunks) // 4, np.float32)
        starts, pitches, size = [], [], 0
        for chunk in chunks:
            record = self.records[chunk.record]
            offsets = self._offsets(chunk)
            if not len(offsets):
                continue
            rows = read_field(record)[chunk.row : chunk.row + self._rows(chunk)].reshape(-1)
            flat[size : size + rows.size] = rows
            starts.append(size + offsets)
            pitches.append(np.full(len(offsets), prod(record.shape[1:]), np.int64))
            size += rows.size
        if not starts:
            return None
        return Slab(flat[:size], np.concatenate(starts), np.concatenate(pitches), *self.runs)

    def _offsets(self, chunk: Chunk) -> NDArray[np.int64]:
        """Return the starts of the (picked) windows of a chunk, as a number of values from its first row."""
        if self.picked is None:
            local = np.arange(chunk.windows, dtype=np.int64)
        else:
            low, high = np.searchsorted(self.picked, [chunk.first, chunk.first + chunk.windows])
            local = self.picked[low:high] - chunk.first
        shape, stride = self.records[chunk.record].shape, self.domain.stride
        row, column = np.divmod(local, chunk.columns)
        step = stride[1] * prod(shape[2:]) if len(shape) > 1 else 0
        return np.asarray(row * (stride[0] * prod(shape[1:])) + column * step, np.int64)

    @cached_property
    def runs(self) -> tuple[int, int]:
        """The length and number of the contiguous runs of a window in memory."""
        window = self.domain.window
        if len(window) == 1 or {record.shape[1:] for record in self.records if record.shape} == {window[1:]}:
            return self.width, 1
        return prod(window[1:]), window[0]


def size_of(record: Record) -> int:
    """Return the number of values in the field of a record."""
    return prod(record.shape)


def windows_in(domain: Domain, rows: int, columns: int = 0) -> int:
    """Return the number of windows of a field; `columns` 0 stands for the width of a window."""
    down = max(0, (rows - domain.window[0]) // domain.stride[0] + 1)
    across = max(0, (columns - domain.window[1]) // domain.stride[1] + 1) if columns else 1
    return down * across


def _pieces(domain: Domain, record: Record) -> Iterator[tuple[int, int, int]]:
    """Yield the chunks of a record as (first row, number of starts, windows per start)."""
    window, stride, shape = domain.window, domain.stride, record.shape
    if record.status != "used" or any(size < need for size, need in zip(shape, window, strict=True)):
        return
    columns = (shape[1] - window[1]) // stride[1] + 1 if len(shape) > 1 else 1
    limit = max(1, CHUNK_WINDOWS // columns)
    for low, high in record.ranges:
        row = -(-low // stride[0]) * stride[0]
        left = (high - window[0] - row) // stride[0] + 1
        while left > 0:
            starts = min(left, limit)
            yield row, starts, columns
            row, left = row + starts * stride[0], left - starts


def _cut(record: Record, need: int) -> tuple[Record | None, Record | None]:
    """Split the rows of a record into nine tenths and one tenth.

    The tenth consists of at most five strips, each at least twice as long as a window (of `need` rows).
    """
    first, last = record.ranges[0][0], record.ranges[-1][1]
    strips = max(1, min(_HELD_OUT_STRIPS, (last - first) // (2 * need * _HELD_OUT_SHARE)))
    edges = [first + (last - first) * i // (strips * _HELD_OUT_SHARE) for i in range(strips * _HELD_OUT_SHARE + 1)]
    held_out = [(edges[i], edges[i + 1]) for i in range(_HELD_OUT_SHARE - 1, len(edges) - 1, _HELD_OUT_SHARE)]
    starts = [first, *(high for _, high in held_out)]
    training = [(low, high) for low, (high, _) in zip(starts, held_out, strict=False)]
    return (
        replace(record, ranges=common_ranges(record.ranges, training)),
        replace(record, ranges=common_ranges(record.ranges, held_out)),
    )
