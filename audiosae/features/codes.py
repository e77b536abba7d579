"""Codes of sources: per window, or pooled per file. Memory does not grow with the length of a source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from audiosae.corpus.fields import read_field
from audiosae.corpus.windows import CHUNK_WINDOWS
from audiosae.domain import plugin_call
from audiosae.engine import Backend
from audiosae.errors import InputError
from audiosae.features.pooling import DEFAULT_POOL, Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.domain import Domain
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.engine.shards import Shard

    Array = Any  # of a backend's array library
    Encode = Callable[[NDArray[np.float32]], NDArray[Any]]
    Starts = NDArray[np.int64]  # first row, column, ... of each window in its field, (windows, axes)
    Encoded = tuple[Record, Starts, NDArray[Any]]

Origin = TypeVar("Origin")  # of windows: a source, or a part of one
Code = Literal["sqrt", "activation", "share"]
_LEAST_ACTIVITY = 1e-12  # smallest total activity that `shares` divides by
# index of a source, and the range of its positions at which windows begin: first, and one after the last
Piece = tuple[int, int, int]
_PIECE_WINDOWS = 2**16


@dataclass(frozen=True)
class Encoder:
    """Function from windows (count, width) of a field to their codes (count, hidden).

    Attributes
    ----------
    code
        ``activation``: the activations of the units. ``sqrt``: their square roots, for tanh units those of (a + 1) / 2;
        this raises weak activity, which improves classification with sparse codes. ``share``: the square root of each
        unit's share of the total activity of the units with windows of the same length, which does not depend on how
        many units are active.
    backend
        Device that computes the codes; None for NumPy.
    """

    model: Model
    code: Code = "sqrt"
    backend: Backend | None = None

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[Any]:
        """Return the codes of windows."""
        return self.runs([windows])[0]

    def runs(self, runs: Sequence[NDArray[np.float32]]) -> list[NDArray[Any]]:
        """Return the codes of each of several runs of windows; see `Model.codes_of_runs`."""
        backend = self.backend or Backend()
        with backend.turn():
            each = self.model.codes_of_runs(runs, backend, partial(self._transform, backend))
        if self.code == "share":
            for codes in each:
                for own in np.split(codes, np.cumsum(self.model.unit_counts)[:-1], axis=1):
                    shares(own, out=own)
        return each

    def _transform(self, backend: Backend, activations: Array) -> None:
        """Convert activations to the code, in place; shares are computed later, on the host."""
        if self.code != "activation":
            self.model.activity(activations, in_place=True)
        if self.code == "sqrt":
            backend.xp.sqrt(activations, out=activations)


@dataclass(frozen=True)
class FeatureSet:
    """A way to compute features of files.

    Attributes
    ----------
    encode
        Function from windows (count, width) to outputs (count, outputs).
    rows
        Whether `encode` gets rows of the field instead of windows.
    domain
        Domain of the windows; None for the domain of the corpus.
    beside
        Feature sets whose outputs follow.
    """

    encode: Encode
    rows: bool = False
    domain: Domain | None = None
    beside: tuple[FeatureSet, ...] = ()

    @classmethod
    def of(cls, model: Model, code: Code) -> FeatureSet:
        """Return the codes of a model; units of each length of windows see all windows of this length."""
        parts = [cls(Encoder(part, code), domain=part.domain) for part in model.parts()]
        return replace(parts[0], beside=tuple(parts[1:]))

    def pooled(
        self,
        domain: Domain,
        parts: Callable[[Domain], Iterable[Part]],
        backend: Backend,
        *,
        pools: Sequence[str],
        segments: int,
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the pooled features (outputs x pools x segments,) of each of the `parts` of sources for a domain."""
        sets = [(each.domain or domain, each) for each in (self, *self.beside)]
        pooled = (
            pooled_parts(own, parts(own), each.on(backend), pools=pools, segments=segments, rows=each.rows)
            for own, each in sets
        )
        for together in zip(*pooled, strict=True):
            yield np.concatenate([values.reshape(-1) for _, values in together])

    def on(self, backend: Backend) -> Encode:
        """Return `encode` for a backend if it is an `Encoder`; other functions use NumPy."""
        return replace(self.encode, backend=backend) if isinstance(self.encode, Encoder) else self.encode


def classifier_defaults(domain: Domain, *, pooled: bool = True) -> tuple[tuple[str, ...], Code]:
    """Return the pools and the code of features for classifiers.

    Those of pooled features of recordings were the best of several (benchmarks/results/worth.md). Single windows and
    other inputs have those of a survey.
    """
    return ((*DEFAULT_POOL, "change"), "share") if pooled and domain.kind == "sound" else (DEFAULT_POOL, "sqrt")


def shares(activity: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Return the square root of each output's share of the sum of non-negative outputs (count, outputs).

    The result is written to `out` if given, which may be `activity`.
    """
    share = np.divide(activity, np.maximum(activity.sum(axis=1, keepdims=True), _LEAST_ACTIVITY), out=out)
    return np.asarray(np.sqrt(share, out=share))


def window_blocks(
    domain: Domain, record: Record, low: int = 0, high: int | None = None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield the windows of a source in order, at most 4096 at a time.

    The last row of a source that is shorter than a window is repeated to fill one window.

    Parameters
    ----------
    low, high
        Range of the positions along axis 0 at which windows begin, numbered from 0, `high` excluded; by default all.

    Yields
    ------
    array, array
        First row, column, ... of each window, (windows, axes), and the windows, (windows, width).

    Raises
    ------
    InputError
        The field is narrower than a window.
    """
    field, window, stride = read_field(record), domain.window, domain.stride
    if any(size < need for size, need in zip(field.shape[1:], window[1:], strict=True)):
        raise InputError(f"{record.file}: its field of {field.shape} is narrower than a window of {window}")
    if len(field) < window[0]:
        field = np.concatenate([field, np.repeat(field[-1:], window[0] - len(field), axis=0)])
    rows = np.arange(0, len(field) - window[0] + 1, stride[0])[low:high]
    axes = zip(field.shape[1:], window[1:], stride[1:], strict=True)
    inner = [range(0, size - need + 1, step) for size, need, step in axes]
    step = max(1, CHUNK_WINDOWS // int(np.prod([len(columns) for columns in inner])))
    for at in range(0, len(rows), step):
        part = rows[at : at + step]
        piece = np.asarray(field[part[0] : part[-1] + window[0]])
        view = np.lib.stride_tricks.sliding_window_view(piece, window)[tuple(slice(None, None, s) for s in stride)]
        starts = np.stack(np.meshgrid(part, *inner, indexing="ij"), axis=-1).reshape(-1, len(window))
        yield starts, view.reshape(-1, int(np.prod(window)))


def pieces(domain: Domain, records: Sequence[Record]) -> Iterator[list[Piece]]:
    """Divide the windows of sources into lists of pieces of about equal size; long sources are divided between rows."""
    part: list[Piece] = []
    size = 0
    for index, record in enumerate(records):
        rows, *columns = _counts(domain, record)
        each, at = int(np.prod(columns)), 0
        while at < rows:
            high = min(rows, at + max(1, (_PIECE_WINDOWS - size) // each))
            part.append((index, at, high))
            size, at = size + (high - at) * each, high
            if size >= _PIECE_WINDOWS:
                yield part
                part, size = [], 0
    if part:
        yield part


def encoded(domain: Domain, parts: Iterable[tuple[Record, int, int | None]], encode: Encode) -> Iterator[Encoded]:
    """Yield (record, starts, codes) of the windows of parts (record, low, high) of sources; see `window_blocks`."""
    blocks = ((record, *block) for record, low, high in parts for block in window_blocks(domain, record, low, high))
    return _encoded_together(blocks, encode)


def _encoded_together(
    blocks: Iterable[tuple[Origin, Starts, NDArray[np.float32]]], encode: Encode
) -> Iterator[tuple[Origin, Starts, NDArray[Any]]]:
    """Encode short sources together: a matrix product of a few rows takes as long as one of many rows."""
    pending: list[tuple[Origin, Starts, NDArray[np.float32]]] = []
    count = 0
    for block in blocks:
        pending.append(block)
        count += len(block[2])
        if count >= CHUNK_WINDOWS:
            yield from _encoded(pending, encode)
            pending, count = [], 0
    yield from _encoded(pending, encode)


def _encoded(
    pending: list[tuple[Origin, Starts, NDArray[np.float32]]], encode: Encode
) -> Iterator[tuple[Origin, Starts, NDArray[Any]]]:
    if not pending:
        return
    runs = [windows for _, _, windows in pending]
    if isinstance(encode, Encoder):
        each = encode.runs(runs)
    else:
        each = np.split(encode(runs[0] if len(runs) == 1 else np.concatenate(runs)), np.cumsum([*map(len, runs)])[:-1])
    for (origin, starts, _), codes in zip(pending, each, strict=True):
        yield origin, starts, codes


@dataclass(frozen=True, eq=False)
class Part:
    """Part of a source whose codes are pooled together: positions `low` to `high` of its windows, or of its rows."""

    record: Record
    low: int = 0
    high: int | None = None


def pooled_files(
    domain: Domain,
    records: Iterable[Record],
    encode: Encode,
    *,
    pools: Sequence[str],
    segments: int = 1,
    rows: bool = False,
) -> Iterator[tuple[Record, NDArray[np.float32]]]:
    """Yield each source with its pooled codes, (units, pools, segments); see `pooled_parts`."""
    parts = map(Part, records)
    for part, values in pooled_parts(domain, parts, encode, pools=pools, segments=segments, rows=rows):
        yield part.record, values


def pooled_parts(
    domain: Domain,
    parts: Iterable[Part],
    encode: Encode,
    *,
    pools: Sequence[str],
    segments: int = 1,
    rows: bool = False,
) -> Iterator[tuple[Part, NDArray[np.float32]]]:
    """Yield each part with its pooled codes, (units, pools, segments).

    Parameters
    ----------
    rows
        Whether `encode` gets rows of the field instead of windows.
    """
    blocks = ((part, *block) for part in parts for block in _pooled_blocks(domain, part, rows=rows))
    for part, encoded_blocks in groupby(_encoded_together(blocks, encode), itemgetter(0)):
        each = 1 if rows else int(np.prod(_counts(domain, part.record)[1:]))
        pool = Pool(len(_positions(domain, part, rows=rows)) * each, segments, each if "change" in pools else 0)
        for _, _, codes in encoded_blocks:
            pool.add(codes)
        yield part, pool.result(pools)


def _pooled_blocks(domain: Domain, part: Part, *, rows: bool) -> Iterator[tuple[Starts, NDArray[np.float32]]]:
    """Yield the windows, or the rows, of a part that are pooled, in order; see `window_blocks`."""
    positions = _positions(domain, part, rows=rows)
    low, high = int(positions[0]), int(positions[-1]) + 1
    mask, at = np.zeros(high - low, bool), 0
    mask[positions - low] = True
    for starts, values in (_row_blocks if rows else partial(window_blocks, domain))(part.record, low, high):
        chosen = mask[at : at + len(values)] if rows else mask[starts[:, 0] // domain.stride[0] - low]
        at += len(values)
        edges = np.flatnonzero(np.diff(chosen, prepend=False, append=False)).tolist()
        for piece in map(slice, edges[::2], edges[1::2]):  # without a copy of the windows, which overlap in memory
            yield (starts if rows else starts[piece]), values[piece]


def _positions(domain: Domain, part: Part, *, rows: bool) -> NDArray[np.int64]:
    """Return the positions along axis 0 of the windows, or the rows, of a part that are pooled: those with content."""
    count = part.record.shape[0] if rows else _counts(domain, part.record)[0]
    positions = np.arange(*slice(part.low, part.high).indices(count))
    mask = _with_content(domain, part.record, positions, rows=rows)
    return positions if mask is None else positions[mask]


def _with_content(
    domain: Domain, record: Record, positions: NDArray[np.int64], *, rows: bool
) -> NDArray[np.bool_] | None:
    """Return at which positions the windows, or the rows, have content; None if all are pooled."""
    if not record.content:
        return None
    window, stride = (1, 1) if rows else (domain.window[0], domain.stride[0])
    starts, (low, high) = positions * stride, np.array(record.content).T
    piece = np.searchsorted(low, starts, side="right") - 1
    mask = (piece >= 0) & (starts + window <= high[piece])
    return mask if mask.any() else None  # with long steps, no window may be inside a piece


def file_features(
    corpus: EngineCorpus, features: FeatureSet, *, pools: Sequence[str], segments: int = 1
) -> Iterator[NDArray[np.float32]]:
    """Yield the pooled features (outputs x pools x segments,) of each source, computed where its field is stored."""
    spread = isinstance(features.encode, Encoder)  # the functions of baselines cannot be sent to other processes
    yield from chain.from_iterable(corpus.map(_pooled_shard, features, pools, segments, spread=spread))


def _pooled_shard(
    backend: Backend, shard: Shard, features: FeatureSet, pools: Sequence[str], segments: int
) -> Iterator[NDArray[np.float32]]:
    records = shard.corpus.records
    yield from features.pooled(
        shard.corpus.domain, lambda _: map(Part, records), backend, pools=pools, segments=segments
    )


def _row_blocks(record: Record, low: int, high: int) -> Iterator[tuple[Starts, NDArray[np.float32]]]:
    field, none = read_field(record)[low:high], np.empty((0, 1), np.int64)
    yield from ((none, np.asarray(field[at : at + CHUNK_WINDOWS])) for at in range(0, len(field), CHUNK_WINDOWS))


def spans(domain: Domain, record: Record, starts: NDArray[np.int64]) -> list[tuple[tuple[float, ...], ...]]:
    """Return (start, end) of windows in the domain's unit. Each is computed from its index: times do not drift."""
    with plugin_call(domain, "span"):
        located = (domain.span(Path(record.path), tuple(start)) for start in starts.tolist())
        return [(span.start, span.end) for span in located]


def window_count(domain: Domain, record: Record) -> int:
    """Return the number of windows that `window_blocks` yields for a source."""
    return int(np.prod(_counts(domain, record)))


def _counts(domain: Domain, record: Record) -> list[int]:
    """Return the number of windows along each axis of the field."""
    sizes = [max(record.shape[0], domain.window[0]), *record.shape[1:]]
    return [(size - need) // step + 1 for size, need, step in zip(sizes, domain.window, domain.stride, strict=True)]
