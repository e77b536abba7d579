"""How sources are divided into shards: by their order and sizes alone, never by who works on them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.windows import Corpus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Source


FEWEST, MOST = 16, 1024
_SHARD_BYTES = 2**23  # of files: minutes of sound, some ten thousand windows
_FILE_BYTES = 4096  # that an empty file counts for


def place_of(path: os.PathLike[str] | str) -> str:
    """Return what a source is known by on every machine: its absolute path."""
    return os.path.abspath(path)  # noqa: PTH100 (pathlib's follows links, or keeps "..")


def divide(
    sources: Sequence[Source], windows: Sequence[int] | None = None, *, interleaved: bool = False
) -> dict[str, int]:
    """Return the shard of each source: runs of sources with about equal bytes, at least 8 MiB where there are many.

    Parameters
    ----------
    windows
        Of each, once they are known: those without any do not weigh, so that broken files do not change what is learned
        from the others.
    interleaved
        As many shards as there are bytes for: what is done with them does not add up.
    """
    sizes = [size_of(s) if windows is None or windows[i] else 0 for i, s in enumerate(sources)]
    whole = max(1, sum(sizes))
    most = len(sizes) if interleaved else MOST
    count = min(sum(size > 0 for size in sizes), max(FEWEST, min(most, whole // _SHARD_BYTES)))
    found, before, now, last = {}, 0, 0, 0
    for source, size in zip(sources, sizes, strict=True):
        if size and before * count // whole != now:
            now, last = before * count // whole, last + 1
        found[place_of(source.path)] = last
        before += size
    return found


def split(corpus: Corpus, shards: Mapping[str, int]) -> list[tuple[int, Corpus]]:
    """Cut a corpus by shards; all of it is shard 0 where a source has none."""
    numbers = [shards.get(place_of(record.path), -1) for record in corpus.records] if shards else []
    if min(numbers, default=-1) < 0:
        return [(0, corpus)]
    edges = [0, *(i for i in range(1, len(numbers)) if numbers[i] != numbers[i - 1]), len(numbers)]
    parts = _cut(corpus, edges)
    return [(numbers[low], part) for low, part in zip(edges, parts, strict=False)]


def over(corpus: Corpus, records: Sequence[Record]) -> Corpus:
    """Return the same windows of the same records, whose fields lie elsewhere."""
    return Corpus(corpus.domain, records, corpus.picked)


def _cut(corpus: Corpus, edges: Sequence[int]) -> Iterator[Corpus]:
    """Cut between records: yield a corpus for each two neighbouring `edges`."""
    first = np.cumsum([0, *corpus.windows_per_record()])
    for low, high in pairwise(edges):
        mine = None
        if corpus.picked is not None:
            start, stop = np.searchsorted(corpus.picked, [first[low], first[high]])
            mine = corpus.picked[start:stop] - first[low]
        yield Corpus(corpus.domain, corpus.records[low:high], mine)


def size_of(source: Source) -> int:
    """Return the bytes that a source weighs when work is divided."""
    try:
        return os.stat(source.path).st_size + _FILE_BYTES  # noqa: PTH116
    except OSError:
        return _FILE_BYTES


@dataclass(frozen=True)
class Run:
    """Totals of consecutive shards, added as far as the tree allows; runs that meet add.

    A node of the tree holds 2^k shards and begins at a multiple of 2^k. The nodes of a run are the largest that lie
    within it, so the sum of two runs does not depend on how the shards were divided between them: rounding is that of
    the tree, on one machine and on many.

    Attributes
    ----------
    nodes
        (first shard, number of shards, total), in order and without gaps; the total is None where there is nothing.
    """

    nodes: tuple[tuple[int, int, Any], ...] = ()

    @classmethod
    def of(cls, shard: int, total: Any) -> Run:  # noqa: ANN401
        """Return the run of one shard."""
        return cls(((shard, 1, total),))

    def __add__(self, other: Run) -> Run:
        """Return the run of both; `other` begins where this one ends."""
        nodes = list(self.nodes)
        for first, count, total in other.nodes:
            while nodes and nodes[-1][1] == count and nodes[-1][0] % (2 * count) == 0:
                before, _, left = nodes.pop()
                first, count, total = before, 2 * count, _added(left, total)
            nodes.append((first, count, total))
        return Run(tuple(nodes))

    def total(self) -> Any:  # noqa: ANN401
        """Return the sum of all shards, those after the last counting for nothing."""
        found = None
        for _, _, total in reversed(self.nodes):
            found = _added(total, found)
        return found


def _added(left: Any, right: Any) -> Any:  # noqa: ANN401
    if left is None or right is None:
        return right if left is None else left
    return left + right
