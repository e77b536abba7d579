"""The windows of one shard, and how sources are divided into shards.

Sources are divided by their order and sizes alone. The division does not depend on the number of workers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import Source
from audiosae.corpus.windows import CHUNK_WINDOWS, SLAB_BYTES, Corpus
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.backends import Backend
    from audiosae.corpus.journal import Record

Array = Any
Total = Any  # a result of a pass over windows; it can be added
MIN_SHARDS, MAX_SHARDS = 16, 1024
_SHARD_BYTES = 2**23  # size of the files: minutes of sound, some ten thousand windows
_FILE_BYTES = 4096  # added to the size of each file, so that an empty file counts


def source_key(path: os.PathLike[str] | str) -> str:
    """Return the key of a source, the same on every machine: its absolute path."""
    return os.path.abspath(path)  # noqa: PTH100 (Path.resolve follows links, Path.absolute keeps "..")


def divide(
    sources: Sequence[Source], windows: Sequence[int] | None = None, *, interleaved: bool = False
) -> dict[str, int]:
    """Return the shard of each source. A shard is a series of sources; shards have about the same number of bytes.

    With more than 128 MiB of sources, a shard has at least 8 MiB on average.

    Parameters
    ----------
    windows
        Number of windows of each source, if known. Sources without windows have no weight, so that broken files do not
        change what is learned from the others.
    interleaved
        Allow more than 1024 shards, for passes whose results are not added.
    """
    sizes = [size_of(s) if windows is None or windows[i] else 0 for i, s in enumerate(sources)]
    total = max(1, sum(sizes))
    most = min(len(sizes) if interleaved else MAX_SHARDS, total // _SHARD_BYTES)
    count = min(sum(size > 0 for size in sizes), max(MIN_SHARDS, most))
    shards, before, share, shard = {}, 0, 0, 0
    for source, size in zip(sources, sizes, strict=True):
        if size and before * count // total != share:
            share, shard = before * count // total, shard + 1
        shards[source_key(source.path)] = shard
        before += size
    return shards


def split(corpus: Corpus, shards: Mapping[str, int]) -> list[tuple[int, Corpus]]:
    """Split a corpus by shards. If a source has no shard, the whole corpus is shard 0."""
    numbers = [shards.get(source_key(record.path), -1) for record in corpus.records] if shards else []
    if min(numbers, default=-1) < 0:
        return [(0, corpus)]
    edges = [0, *(i for i in range(1, len(numbers)) if numbers[i] != numbers[i - 1]), len(numbers)]
    parts, picked, first = [], None, np.cumsum([0, *corpus.windows_per_record()])
    for low, high in pairwise(edges):
        if corpus.picked is not None:
            start, stop = np.searchsorted(corpus.picked, [first[low], first[high]])
            picked = corpus.picked[start:stop] - first[low]
        parts.append((numbers[low], Corpus(corpus.domain, corpus.records[low:high], picked)))
    return parts


def size_of(source: Source) -> int:
    """Return the size of a source in bytes, its weight when sources are divided into shards."""
    try:
        return source.path.stat().st_size + _FILE_BYTES
    except OSError:
        return _FILE_BYTES


class Shard:
    """Windows of a shard, in the same blocks on every machine.

    Its caches are not pickled: whitened windows, and records of fields on this machine.

    Parameters
    ----------
    first
        Number of the first window of the shard in the whole corpus.
    cached
        Whether to cache the whitened windows in memory for the next pass.
    cache_folder
        Returns the cache of this machine or worker. Fields that are not in it are decoded again into it. None to decode
        nothing again.
    """

    def __init__(
        self,
        corpus: Corpus,
        whitener: Whitener | None = None,
        *,
        first: int = 0,
        dtype: str = "float32",
        cached: bool = False,
        cache_folder: Callable[[], Path] | None = None,
    ) -> None:
        self.first = first
        self._corpus, self._whitener, self._dtype = corpus, whitener, dtype
        self._cached, self._cache_folder = cached, cache_folder
        self._readable: Corpus | None = None
        self._blocks: list[Array] | None = None

    def __len__(self) -> int:
        return len(self._corpus)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_readable": None, "_blocks": None}

    @property
    def corpus(self) -> Corpus:
        """The windows, with fields that can be read on this machine."""
        if self._readable is None:
            corpus = self._corpus
            if self._cache_folder and not _are_in(folder := self._cache_folder(), corpus.records):
                corpus = Corpus(corpus.domain, read_again(corpus, folder), corpus.picked)
            self._readable = corpus
        return self._readable

    def blocks(self, backend: Backend) -> Iterator[Array]:
        """Yield all windows in order, whitened, in blocks of at most 4096."""
        whitener = self._whitener
        if self._blocks is not None:
            yield from self._blocks
        elif whitener is None:
            yield from self.windows(backend)
        else:
            blocks, whitener = [], backend.once(whitener, partial(whitener.moved, backend.asarray))
            for slab in backend.slabs(self.corpus, None, SLAB_BYTES):
                for start in range(0, len(slab), CHUNK_WINDOWS):
                    x = backend.windows(slab, slice(start, start + CHUNK_WINDOWS), whitener, self._dtype)
                    if self._cached:
                        blocks.append(x)
                    yield x
            self._blocks = blocks if self._cached else None

    def windows(self, backend: Backend) -> Iterator[Array]:
        """Yield all windows in order, not whitened, as arrays of the backend, shape (up to 4096, width)."""
        for slab in backend.slabs(self.corpus, None, SLAB_BYTES):
            for start in range(0, len(slab), CHUNK_WINDOWS):
                yield backend.windows(slab, slice(start, start + CHUNK_WINDOWS), None, np.float32)


def _are_in(folder: Path, records: Sequence[Record]) -> bool:
    """Return whether the fields of records are in a folder.

    Fields in another folder may exist, but another worker on the same machine owns it, and it vanishes with its owner.
    """
    fields = [Path(record.field) for record in records if record.status == "used"]
    return all(field.is_relative_to(folder) and field.exists() for field in fields)


def read_again(corpus: Corpus, cache: Path, *, workers: int = 1) -> list[Record]:
    """Decode the sources of a corpus on this machine. Return their records with the new field files."""
    sources = [Source(record.file, record.path, stretches=record.stretches) for record in corpus.records]
    records = ingest(corpus.domain, sources, cache=cache, workers=workers)
    for before, now in zip(corpus.records, records, strict=True):
        if before.status == "used" and before.digest != now.digest:
            raise InputError(
                f"{before.path} differs from the start of the run: it was changed, or machines have different files "
                f"under this path; run again"
            )
    return [replace(before, field=now.field) for before, now in zip(corpus.records, records, strict=True)]


@dataclass
class ShardTotals:
    """Totals of consecutive shards, added in a fixed binary tree.

    A node of the tree has 2^k shards and begins at a multiple of 2^k. Only the two halves of a node are added. So the
    order of the additions, and the rounding, do not depend on how the shards are divided between workers.

    Attributes
    ----------
    first
        Number of the first shard.
    nodes
        (first shard, number of shards, total) of each node that is complete, in order and without gaps. The total is
        None if no shard of the node has one.
    """

    first: int = 0
    nodes: list[tuple[int, int, Total]] = field(default_factory=list)

    @property
    def stop(self) -> int:
        """Number after that of the last shard."""
        return sum(self.nodes[-1][:2]) if self.nodes else self.first

    def add(self, shard: int, total: Total) -> None:
        """Add the total of a shard, at or after `stop`. Shards before it that were not added have no total."""
        self.fill(shard)
        self._append(shard, 1, total)

    def fill(self, stop: int) -> None:
        """Extend up to shard `stop`, exclusive, by shards without a total."""
        for shard in range(self.stop, stop):
            self._append(shard, 1, None)

    def __add__(self, other: ShardTotals) -> ShardTotals:
        """Return the totals of both; `other` begins at the `stop` of this one."""
        joined = ShardTotals(self.first, list(self.nodes))
        for node in other.nodes:
            joined._append(*node)
        return joined

    def total(self) -> Total:
        """Return the sum of all totals, None if there are none."""
        return reduce(lambda right, left: added(left, right), (total for _, _, total in reversed(self.nodes)), None)

    def _append(self, first: int, count: int, total: Total) -> None:
        """Append a node; add it to the node before it while the two are halves of a larger one."""
        while self.nodes and self.nodes[-1][1] == count and self.nodes[-1][0] % (2 * count) == 0:
            first, _, left = self.nodes.pop()
            count, total = 2 * count, added(left, total)
        self.nodes.append((first, count, total))


def added(left: Total, right: Total) -> Total:
    """Return the sum of two totals; None stands for no total."""
    if left is None or right is None:
        return right if left is None else left
    return left + right
