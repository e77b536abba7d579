"""Codes of sources: per window, or pooled per file, in bounded memory whatever the length of a source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.corpus.entries import read_field
from audiosae.corpus.windows import CHUNK_WINDOWS
from audiosae.domain import plugin_call
from audiosae.engine import Backend
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.domain import Domain
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.engine.shards import Shard

    Array = Any  # where a backend is
    Encode = Callable[[NDArray[np.float32]], NDArray[Any]]
    Starts = NDArray[np.int64]  # where windows begin in a field, (windows, axes)
    Windows = tuple[Record, Starts, NDArray[np.float32]]
    Encoded = tuple[Record, Starts, NDArray[Any]]

Code = Literal["sqrt", "activation", "share"]
POOLS = ("max", "mean", "std", "change")
DEFAULT_POOL = ("mean", "max", "std")
_CHANGE = "change"
_POOLED_ROWS = 256
_LEAST_ACTIVITY = 1e-12  # of all units together
Piece = tuple[
    int, int, int
]  # number of a source, the first of its rows at which windows begin, and the one after the last
_PIECE_WINDOWS = 2**16


@dataclass(frozen=True)
class Encoder:
    """The map from windows (count, width) of the field to codes (count, hidden).

    Attributes
    ----------
    code
        ``activation`` is what the units give; ``sqrt`` its square root (of (a + 1) / 2 for tanh units), which keeps
        weak activity from vanishing beside strong: with sparse codes it classifies better. ``share`` is the square root
        of a unit's share of the activity of all units: what a window is made of, whether many units fire or few.
    backend
        Where codes are computed; None for NumPy.
    """

    model: Model
    code: Code = "sqrt"
    backend: Backend | None = None

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[Any]:
        """Return the codes of windows."""
        backend = self.backend or Backend()
        with backend.turn():  # on the host windows may overlap in memory: whitening makes rows of them
            seen = windows if backend.xp is np else backend.asarray(windows)
            found = backend.to_host(self.model.codes(seen, backend, partial(self._coded, backend)))
        return shares(found) if self.code == "share" else found

    def _coded(self, backend: Backend, activations: Array) -> None:
        """Turn activations into the code where they are; shares come later, on the host."""
        if self.code != "activation":
            self.model.activity(activations, in_place=True)
        if self.code == "sqrt":
            backend.xp.sqrt(activations, out=activations)


@dataclass(frozen=True)
class FeatureSet:
    """How a file becomes codes: `encode` maps windows (count, width), or with `rows` rows of the field, to outputs."""

    encode: Encode
    rows: bool = False

    def on(self, backend: Backend) -> Encode:
        """Return the map where the backend is: a model's; what else there is stays with NumPy."""
        return replace(self.encode, backend=backend) if isinstance(self.encode, Encoder) else self.encode


def shares(activity: NDArray[Any]) -> NDArray[Any]:
    """Return the square root of each output's share in the sum of outputs (count, outputs) that are not negative."""
    return np.asarray(np.sqrt(activity / np.maximum(activity.sum(axis=1, keepdims=True), _LEAST_ACTIVITY)))


def window_blocks(
    domain: Domain, record: Record, low: int = 0, high: int | None = None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield (starts, windows) of a source's windows in order, at most 4096 at a time.

    Of the rows at which windows begin, those from number `low` to below `high` are meant; all, unless they are given.
    A source shorter than a window gives the one window that repeating its last row fills.
    """
    field, window, stride = read_field(record), domain.window, domain.stride
    if any(size < need for size, need in zip(field.shape[1:], window[1:], strict=True)):
        raise InputError(f"{record.file}: its field of {field.shape} is narrower than a window of {window}")
    if len(field) < window[0]:
        field = np.concatenate([field, np.repeat(field[-1:], window[0] - len(field), axis=0)])
    rows = np.arange(0, len(field) - window[0] + 1, stride[0])[low:high]
    sizes = zip(field.shape[1:], window[1:], stride[1:], strict=True)
    inner = [range(0, size - need + 1, step) for size, need, step in sizes]
    columns = int(np.prod([len(places) for places in inner]))
    width = int(np.prod(window))
    for at in range(0, len(rows), max(1, CHUNK_WINDOWS // columns)):
        part = rows[at : at + max(1, CHUNK_WINDOWS // columns)]
        piece = np.asarray(field[part[0] : part[-1] + window[0]])
        view = np.lib.stride_tricks.sliding_window_view(piece, window)[tuple(slice(None, None, s) for s in stride)]
        starts = np.stack(np.meshgrid(part, *inner, indexing="ij"), axis=-1).reshape(-1, len(window))
        yield starts, view.reshape(-1, width)


@dataclass
class Pool:
    """What is added up over the windows of a file, per segment: for mean, standard deviation, maximum and change.

    Squares are of differences from the mean of a few hundred windows, in the codes' own precision, and these are put
    together in double precision (Chan, Golub and LeVeque 1979).

    Attributes
    ----------
    windows
        Of the file, known from the start.
    segments
        Equal parts in time; with fewer windows than segments they overlap.
    lag
        How many windows later the next in time comes: one, or as many as lie side by side. 0: nobody asks for `change`,
        the mean absolute difference of the codes of two windows of a segment that follow each other (0 if it has one).
    """

    windows: int
    segments: int
    lag: int = 0
    _seen: int = 0
    _sums: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]] | None = None
    _changes: NDArray[Any] | None = None
    _latest: NDArray[Any] | None = None  # codes that those to come are compared with

    def add(self, codes: NDArray[Any]) -> None:
        """Add the codes (count, units) of the file's next windows."""
        if self._sums is None:
            zeros = np.zeros((self.segments, codes.shape[1]))
            self._sums = (np.zeros(self.segments), zeros, zeros.copy(), np.full_like(zeros, -np.inf))
        if self.lag:
            self._add_changes(codes)
        counts, means, squares, largest = self._sums
        for segment, (low, high) in enumerate(self._bounds()):
            part = codes[max(0, low - self._seen) : max(0, high - self._seen)]
            for at in range(0, len(part), _POOLED_ROWS):  # stays in a core's cache
                block = part[at : at + _POOLED_ROWS]
                ones, count = np.ones(len(block), block.dtype), counts[segment]
                mean = ones @ block / block.dtype.type(len(block))
                apart = block - mean
                np.square(apart, out=apart)
                share = len(block) / (count + len(block))
                step = mean - means[segment]
                means[segment] += share * step
                squares[segment] += ones @ apart + share * count * np.square(step)
                np.maximum(largest[segment], block.max(axis=0), out=largest[segment])
                counts[segment] += len(block)
        self._seen += len(codes)

    def _add_changes(self, codes: NDArray[Any]) -> None:
        if self._changes is None or self._latest is None:
            self._changes, self._latest = np.zeros((self.segments, codes.shape[1])), codes[:0]
        joined = np.concatenate([self._latest, codes])
        later = self._seen - len(self._latest) + self.lag  # number of the first window with one before it
        changes = np.abs(joined[self.lag :] - joined[: -self.lag])
        for segment, (low, high) in enumerate(self._bounds()):
            part = changes[max(0, low + self.lag - later) : max(0, high - later)]
            self._changes[segment] += part.sum(axis=0, dtype=np.float64)
        self._latest = joined[-self.lag :]

    def result(self, pools: Sequence[str]) -> NDArray[np.float32]:
        """Return the pooled codes, (units, pools, segments)."""
        if self._sums is None:
            raise InputError("nothing was pooled")
        counts, means, squares, largest = self._sums
        found = {"mean": means, "max": largest, "std": np.sqrt(squares / counts[:, None])}
        if self._changes is not None:
            found[_CHANGE] = self._changes / np.maximum(counts[:, None] - self.lag, 1)
        return np.stack([found[pool] for pool in pools]).transpose(2, 0, 1).astype(np.float32)

    def _bounds(self) -> list[tuple[int, int]]:
        n, s = self.windows, self.segments
        return [(i * n // s, max(-(-(i + 1) * n // s), i * n // s + 1)) for i in range(s)]


def pieces(domain: Domain, records: Sequence[Record]) -> Iterator[list[Piece]]:
    """Cut the windows of sources into about equal parts, long sources between rows at which windows begin."""
    piece: list[Piece] = []
    size = 0
    for index, record in enumerate(records):
        rows, *columns = _counts(domain, record)
        each, at = int(np.prod(columns)), 0
        while at < rows:
            high = min(rows, at + max(1, (_PIECE_WINDOWS - size) // each))
            piece.append((index, at, high))
            size, at = size + (high - at) * each, high
            if size >= _PIECE_WINDOWS:
                yield piece
                piece, size = [], 0
    if piece:
        yield piece


def encoded(domain: Domain, parts: Iterable[tuple[Record, int, int | None]], encode: Encode) -> Iterator[Encoded]:
    """Yield (record, starts, codes) of the windows of parts of sources (see `window_blocks`) in order."""
    blocks = ((record, *block) for record, low, high in parts for block in window_blocks(domain, record, low, high))
    return _encoded_together(blocks, encode)


def _encoded_together(blocks: Iterable[Windows], encode: Encode) -> Iterator[Encoded]:
    """Encode short sources together: a matrix product of a few rows costs as much as one of many."""
    held: list[Windows] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block[2])
        if count >= CHUNK_WINDOWS:
            yield from _encoded(held, encode)
            held, count = [], 0
    yield from _encoded(held, encode)


def _encoded(held: list[Windows], encode: Encode) -> Iterator[Encoded]:
    blocks = [windows for _, _, windows in held]
    codes = encode(np.concatenate(blocks) if len(blocks) > 1 else blocks[0]) if held else np.empty(0)
    at = 0
    for record, starts, windows in held:
        yield record, starts, codes[at : at + len(windows)]
        at += len(windows)


def pooled_files(
    domain: Domain, records: Iterable[Record], encode: Encode, *, pools: Sequence[str], segments: int = 1,
    rows: bool = False,
) -> Iterator[tuple[Record, NDArray[np.float32]]]:  # fmt: skip
    """Yield each source with its pooled codes, (units, pools, segments); of `rows` of its field, or of its windows."""
    blocks = (
        (record, *block)
        for record in records
        for block in (_row_blocks(record) if rows else window_blocks(domain, record))
    )
    current, pool = None, Pool(0, segments)
    for record, _, codes in _encoded_together(blocks, encode):
        if record is not current:
            if current is not None:
                yield current, pool.result(pools)
            current = record
            columns = [] if rows else _counts(domain, record)[1:]
            lag = int(np.prod(columns)) if _CHANGE in pools else 0
            pool = Pool(record.shape[0] if rows else window_count(domain, record), segments, lag)
        pool.add(codes)
    if current is not None:
        yield current, pool.result(pools)


def file_features(
    corpus: EngineCorpus, features: FeatureSet, *, pools: Sequence[str], segments: int = 1
) -> Iterator[NDArray[np.float32]]:  # fmt: skip
    """Yield the pooled features (outputs x pools x segments,) of each source, computed where its field is stored."""
    for part in corpus.map(_pooled_shard, features, pools, segments):
        yield from part


def _pooled_shard(
    backend: Backend, shard: Shard, features: FeatureSet, pools: Sequence[str], segments: int,
) -> Iterator[NDArray[np.float32]]:  # fmt: skip
    part, (encode, rows) = shard.corpus, (features.on(backend), features.rows)
    for _, values in pooled_files(part.domain, part.records, encode, pools=pools, segments=segments, rows=rows):
        yield values.reshape(-1)


def _row_blocks(record: Record) -> Iterator[tuple[Starts, NDArray[np.float32]]]:
    field = read_field(record)
    none = np.empty((0, 1), np.int64)
    yield from ((none, np.asarray(field[at : at + CHUNK_WINDOWS])) for at in range(0, len(field), CHUNK_WINDOWS))


def check_pools(text: str | Sequence[str], segments: int) -> tuple[str, ...]:
    """Return the pools of a comma list in a stable order; refuse unknown ones."""
    names = [name.strip() for name in text.split(",")] if isinstance(text, str) else list(text)
    wrong = [name for name in names if name not in POOLS]
    if wrong or not names:
        raise InputError(f"--pool {','.join(names)}: wanted some of {', '.join(POOLS)}, with commas between")
    if segments < 1:
        raise InputError(f"--segments {segments}: wanted at least 1")
    return tuple(sorted(set(names)))


def unit_names(count: int) -> list[str]:
    """Return the units' names, of equal length so that they sort as numbers do."""
    digits = max(3, len(str(count - 1)))
    return [f"u{unit:0{digits}d}" for unit in range(count)]


def pooled_names(count: int, pools: Sequence[str], segments: int) -> list[str]:
    """Return the names of pooled features, in the order of one file of `pooled_files` flattened."""
    tails = [""] if segments == 1 else [f"_{i + 1:0{len(str(segments))}d}" for i in range(segments)]
    return [f"{unit}_{pool}{tail}" for unit in unit_names(count) for pool in pools for tail in tails]


def spans(domain: Domain, record: Record, starts: NDArray[np.int64]) -> list[tuple[tuple[float, ...], ...]]:
    """Return (start, end) of windows in the domain's unit; each computed from its index, so that times do not drift."""
    with plugin_call(domain, "span"):
        found = [domain.span(Path(record.path), tuple(start)) for start in starts.tolist()]
    return [(span.start, span.end) for span in found]


def window_count(domain: Domain, record: Record) -> int:
    """Return the number of windows that `window_blocks` yields for a source."""
    return int(np.prod(_counts(domain, record)))


def _counts(domain: Domain, record: Record) -> list[int]:
    """Return at how many places along each axis of the field a window begins."""
    sizes = [max(record.shape[0], domain.window[0]), *record.shape[1:]]
    return [(size - need) // step + 1 for size, need, step in zip(sizes, domain.window, domain.stride, strict=True)]
