"""Engine that works in this process."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from audiosae.backends import Backend
from audiosae.corpus.ingest import ingest
from audiosae.corpus.windows import Corpus
from audiosae.engine.shards import Shard, ShardTotals, Total, divide, source_key, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Source
    from audiosae.domain import Domain

Shards = list[tuple[int, Shard]]


class LocalEngine:
    """Engine that works in this process, with the same shards as a cluster."""

    name: str = "here"
    remote: bool = False
    n_workers: int = 1

    def __init__(self, backend: Backend | None = None) -> None:
        self.backend: Backend = backend or Backend()
        self.shards: dict[str, int] = {}

    @property
    def arithmetic(self) -> str:
        """Name of what computes; see `Engine`."""
        return self.backend.name

    def ingest(
        self,
        domain: Domain,
        sources: Sequence[Source],
        *,
        cache: Path,
        workers: int,
        done: Callable[[Record], None] = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
        interleaved: bool = False,
        beside: Callable[[], Domain | None] = lambda: None,
        again: Callable[[Sequence[Source], int], bool] = lambda *_: False,
    ) -> Sequence[Record]:
        """Bring the field of every source into the cache; see `audiosae.corpus.ingest.ingest`."""
        records = ingest(domain, sources, cache=cache, workers=workers, done=done, say=say, beside=beside, again=again)
        # sources that are read again, for instance to train on a part of them, are not assigned to other shards
        if not all(source_key(source.path) in self.shards for source in sources):
            windows = None if interleaved else Corpus(domain, records).windows_per_record()
            self.shards = divide(sources, windows, interleaved=interleaved)
        return records

    def distribute(
        self, corpus: Corpus, whitener: Whitener | None = None, *, dtype: str = "float32", cached: bool = False
    ) -> Shards:
        """Return the shards of a corpus."""
        parts = split(corpus, self.shards)
        firsts = accumulate((len(part) for _, part in parts), initial=0)
        return [
            (number, Shard(part, whitener, first=first, dtype=dtype, cached=cached))
            for (number, part), first in zip(parts, firsts, strict=False)
        ]

    def reduce(self, step: Callable[..., Total], shards: Shards, *shared: object) -> Total:
        """Add ``step(backend, shard, *shared)`` over all shards that have windows."""
        totals = ShardTotals()
        with self.backend.session():
            for number, shard in shards:
                if len(shard):
                    totals.add(number, step(self.backend, shard, *shared))
            return totals.total()

    def map(
        self,
        step: Callable[..., Iterable[Any]],
        shards: Shards,
        *shared: object,
        jobs: list[tuple[int, Any]] | None = None,
    ) -> Iterator[Iterable[Any]]:
        """Yield ``step(backend, shard, *shared)`` of every shard, or of every job."""
        by_number = dict(shards)
        with self.backend.session():
            if jobs is None:
                yield from (step(self.backend, shard, *shared) for shard in by_number.values())
            else:
                yield from (step(self.backend, by_number[number], job, *shared) for number, job in jobs)

    def blocks(self, shards: Shards) -> Iterator[tuple[int, Iterable[Any]]]:
        """Yield the number and the blocks of each shard."""
        with self.backend.session():
            yield from ((number, shard.blocks(self.backend)) for number, shard in shards)
