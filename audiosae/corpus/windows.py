"""Windows of the fields of many sources: counted, gathered from memory-mapped fields, located in their sources.

Windows are numbered through all sources in order. They are read in chunks, runs of rows that lie together on disk; a
slab is as many chunks as fit the memory that is allowed, in one flat array from which any of its windows is one index.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from audiosae.corpus.entries import read_field

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record
    from audiosae.domain import Domain

CHUNK_WINDOWS = 4096
DEFAULT_MEMORY = 256 * 2**20
SLAB_BYTES = DEFAULT_MEMORY // 8  # of the slabs that are worked through in order
_HELD_OUT_SHARE = 10  # one source in ten
_HELD_OUT_STRIPS = 5  # of one source: the bottom of a picture, or the end of a recording, is unlike the rest
_SPLIT_STREAM = 1 << 32  # keeps the split's random numbers apart from those of the epochs


@dataclass(frozen=True)
class Chunk:
    """A run of rows of one field and the windows that begin in it.

    Attributes
    ----------
    record
        Index of the source's record.
    row
        First row of the field.
    starts
        Number of rows at which windows begin.
    columns
        Number of windows that begin at each of those rows.
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


class Slab:
    """Chunks in memory, and the windows in them.

    Parameters
    ----------
    flat
        Numbers of all chunks, one after the other.
    starts
        Where each window begins in `flat`.
    pitches
        Distance between a window's runs, per window.
    run, runs
        Length of the pieces of a window that lie together, and their number.
    """

    flat: NDArray[np.float32]
    starts: NDArray[np.int64]
    pitches: NDArray[np.int64]
    run: int
    runs: int

    def __init__(
        self, flat: NDArray[np.float32], starts: NDArray[np.int64], pitches: NDArray[np.int64], run: int, runs: int
    ) -> None:
        self._pieces = np.lib.stride_tricks.sliding_window_view(flat, run)
        self.flat, self.starts, self.pitches, self.run, self.runs = flat, starts, pitches, run, runs

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.starts)

    def take(self, index: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Return windows of shape (count, width), gathered."""
        starts = self.starts[index]
        if self.runs == 1:
            return self._pieces[starts]
        at = starts[:, None] + self.pitches[index][:, None] * np.arange(self.runs)
        return self._pieces[at].reshape(len(starts), -1)


class Corpus:
    """The windows of the sources that can be used.

    Parameters
    ----------
    domain
        With no option left open.
    records
        Of the sources; skipped ones and ones without a window count for nothing.
    picked
        Ascending numbers of the windows that are meant; None for all.
    """

    domain: Domain
    records: list[Record]
    picked: NDArray[np.int64] | None

    def __init__(self, domain: Domain, records: Sequence[Record], picked: NDArray[np.int64] | None = None) -> None:
        self.domain, self.records, self.picked = domain, list(records), picked

    @cached_property
    def chunks(self) -> list[Chunk]:
        """Every chunk, in order."""
        found, first = [], 0
        for index, record in enumerate(self.records):
            for row, starts, columns in _pieces(self.domain, record):
                found.append(Chunk(index, row, starts, columns, first))
                first += starts * columns
        return found

    @property
    def grid(self) -> int:
        """Number of windows of all sources, picked or not."""
        return self.chunks[-1].first + self.chunks[-1].windows if self.chunks else 0

    def __len__(self) -> int:
        """Return the number of windows."""
        return self.grid if self.picked is None else len(self.picked)

    @property
    def width(self) -> int:
        """Values per window."""
        return int(np.prod(self.domain.window))

    def windows_per_record(self) -> list[int]:
        """Return how many windows each record has, picked or not."""
        counts = [0] * len(self.records)
        for chunk in self.chunks:
            counts[chunk.record] += chunk.windows
        return counts

    def windows_per_chunk(self) -> list[int]:
        """Return how many (picked) windows begin in each chunk."""
        return [len(self._offsets(chunk)) for chunk in self.chunks]

    def places_in(self, first: Mapping[str, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where all windows begin, and the distance between their runs, in an array of whole fields.

        `first` says where each record's field begins in it.
        """
        starts, pitches = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for chunk in self.chunks:
            record, offsets = self.records[chunk.record], self._offsets(chunk)
            row = int(np.prod(record.shape[1:]))
            starts.append(first[record.field] + chunk.row * row + offsets)
            pitches.append(np.full(len(offsets), row, np.int64))
        return np.concatenate(starts), np.concatenate(pitches)

    def part(self, records: Sequence[Record], picked: NDArray[np.int64] | None = None) -> Self:
        """Return windows of these records: of the same domain, and whatever else this corpus knows."""
        return type(self)(self.domain, records, picked)

    def sample(self, count: int, seed: int | None = None) -> Self:
        """Return at most `count` windows: evenly spaced, or drawn at random with a seed."""
        if count >= len(self):
            return self
        if seed is None:
            index = np.arange(count, dtype=np.int64) * len(self) // count
        else:
            index = np.sort(np.random.default_rng([seed, _SPLIT_STREAM + 1]).choice(len(self), count, replace=False))
        return self.part(self.records, index if self.picked is None else self.picked[index])

    def split(self, seed: int) -> tuple[Self, Self, str]:
        """Hold out one source in ten, or with fewer than ten a tenth of each, in strips; say which."""
        usable = [r for r, n in zip(self.records, self.windows_per_record(), strict=True) if n]
        if len(usable) < _HELD_OUT_SHARE:
            need = self.domain.window[0]
            parts: list[tuple[Record | None, Record | None]] = [_cut(record, need) for record in usable]
            how = "a tenth of each source"
        else:
            order = np.random.default_rng([seed, _SPLIT_STREAM]).permutation(len(usable))
            out = set(order[: len(usable) // _HELD_OUT_SHARE].tolist())
            parts = [(None, r) if i in out else (r, None) for i, r in enumerate(usable)]
            how = f"{len(out)} of {len(usable)} sources"
        kept, held = zip(*parts, strict=True) if parts else ((), ())
        return self.part([r for r in kept if r]), self.part([r for r in held if r]), how

    def slabs(self, order: NDArray[np.int64] | None = None, *, memory: int = DEFAULT_MEMORY) -> Iterator[Slab]:
        """Yield slabs of about equal size, of at most `memory` bytes, with the chunks in the order given."""
        for group in self.groups(order, memory):
            slab = self._slab([self.chunks[i] for i in group])
            if slab is not None:
                yield slab

    def groups(self, order: NDArray[np.int64] | None, memory: int) -> Iterator[NDArray[np.int64]]:
        """Yield the numbers of the chunks that `slabs` puts together."""
        if order is None:
            order = np.arange(len(self.chunks))
        sizes = np.array([self._bytes(self.chunks[i]) for i in order])
        groups = int(min(max(1, -(-sizes.sum() // memory)), max(1, len(order)))) if len(order) else 0
        group = np.minimum(np.cumsum(sizes) * groups // max(1, sizes.sum()), groups - 1) if groups else sizes
        if groups:
            yield from np.split(order, np.searchsorted(group, np.arange(1, groups)))

    def blocks(self, rows: int = CHUNK_WINDOWS) -> Iterator[NDArray[np.float32]]:
        """Yield all windows in order, shape (up to `rows`, width)."""
        for slab in self.slabs(memory=SLAB_BYTES):
            for at in range(0, len(slab), rows):
                yield slab.take(slice(at, at + rows))

    @cached_property
    def _table(self) -> NDArray[np.int64]:
        """Record, first row, columns and first window of every chunk, (chunks, 4)."""
        return np.array([(c.record, c.row, c.columns, c.first) for c in self.chunks], np.int64)

    def places(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the indices of the windows' records (count,) and where in their fields they begin (count, axes)."""
        numbers = self.picked[numbers] if self.picked is not None else np.asarray(numbers)
        at = np.searchsorted(self._table[:, 3], numbers, side="right") - 1
        record, first_row, columns, first = self._table[at].T
        row, column = np.divmod(numbers - first, columns)
        stride = np.array(self.domain.stride)
        starts = np.stack([row, column, *[0 * row] * len(stride)], axis=1)[:, : len(stride)] * stride
        starts[:, 0] += first_row
        return record, starts

    def locate(self, number: int) -> tuple[Record, tuple[int, ...]]:
        """Return the source of a window and where in its field it begins."""
        record, starts = self.places(np.array([number]))
        return self.records[record[0]], tuple(starts[0].tolist())

    def _rows(self, chunk: Chunk) -> int:
        return (chunk.starts - 1) * self.domain.stride[0] + self.domain.window[0]

    def _bytes(self, chunk: Chunk) -> int:
        return 4 * self._rows(chunk) * int(np.prod(self.records[chunk.record].shape[1:]))

    def _slab(self, chunks: list[Chunk]) -> Slab | None:
        """Read chunks into one array."""
        flat = np.empty(sum(self._bytes(chunk) for chunk in chunks) // 4, np.float32)
        starts, pitches, at = [], [], 0
        for chunk in chunks:
            record = self.records[chunk.record]
            offsets = self._offsets(chunk)
            if not len(offsets):
                continue
            rows = read_field(record)[chunk.row : chunk.row + self._rows(chunk)].reshape(-1)
            flat[at : at + rows.size] = rows
            starts.append(at + offsets)
            pitches.append(np.full(len(offsets), int(np.prod(record.shape[1:])), np.int64))
            at += rows.size
        if not starts:
            return None
        return Slab(flat[:at], np.concatenate(starts), np.concatenate(pitches), *self.runs)

    def _offsets(self, chunk: Chunk) -> NDArray[np.int64]:
        """Return where the chunk's (picked) windows begin, counted in numbers from its first row."""
        if self.picked is None:
            local = np.arange(chunk.windows, dtype=np.int64)
        else:
            low, high = np.searchsorted(self.picked, [chunk.first, chunk.first + chunk.windows])
            local = self.picked[low:high] - chunk.first
        shape, stride = self.records[chunk.record].shape, self.domain.stride
        row, column = np.divmod(local, chunk.columns)
        step = stride[1] * int(np.prod(shape[2:])) if len(shape) > 1 else 0
        offsets: NDArray[np.int64] = row * (stride[0] * int(np.prod(shape[1:]))) + column * step
        return offsets

    @cached_property
    def runs(self) -> tuple[int, int]:
        """The length and number of the pieces of a window that lie together in memory."""
        window = self.domain.window
        if len(window) == 1 or {record.shape[1:] for record in self.records if record.shape} == {window[1:]}:
            return self.width, 1
        return int(np.prod(window[1:])), window[0]


def size_of(record: Record) -> int:
    """Return how many numbers a record's field holds."""
    return int(np.prod(record.shape))


def _pieces(domain: Domain, record: Record) -> Iterator[tuple[int, int, int]]:
    """Yield (first row, row starts, columns) of a record's chunks."""
    window, stride, shape = domain.window, domain.stride, record.shape
    if record.status != "used" or any(size < need for size, need in zip(shape, window, strict=True)):
        return
    columns = (shape[1] - window[1]) // stride[1] + 1 if len(shape) > 1 else 1
    most = max(1, CHUNK_WINDOWS // columns)
    for low, high in record.ranges:
        row = -(-low // stride[0]) * stride[0]
        left = (high - window[0] - row) // stride[0] + 1
        while left > 0:
            starts = min(left, most)
            yield row, starts, columns
            row, left = row + starts * stride[0], left - starts


def _cut(record: Record, need: int) -> tuple[Record | None, Record | None]:
    """Cut a record's rows into nine tenths and a tenth, in at most five strips of two windows (`need` rows) or more."""
    first, last = record.ranges[0][0], record.ranges[-1][1]
    strips = max(1, min(_HELD_OUT_STRIPS, (last - first) // (2 * need * _HELD_OUT_SHARE)))
    edges = [first + (last - first) * i // (strips * _HELD_OUT_SHARE) for i in range(strips * _HELD_OUT_SHARE + 1)]
    held = [(edges[i], edges[i + 1]) for i in range(_HELD_OUT_SHARE - 1, len(edges) - 1, _HELD_OUT_SHARE)]
    starts = [first, *(high for _, high in held)]
    kept = [(low, high) for low, (high, _) in zip(starts, held, strict=False)]
    return replace(record, ranges=_inside(record, kept)), replace(record, ranges=_inside(record, held))


def _inside(record: Record, parts: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return what a record's ranges and some parts have in common."""
    common = [(max(a, low), min(b, high)) for a, b in record.ranges for low, high in parts]
    return tuple((low, high) for low, high in common if low < high)
