"""Work in this process."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from audiosae.backends import Backend
from audiosae.corpus.ingest import ingest
from audiosae.corpus.windows import Corpus
from audiosae.engine.shards import Shard, ShardTotals, divide, source_key, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Source
    from audiosae.domain import Domain

Shards = list[tuple[int, Shard]]
Jobs = list[tuple[int, Any]]


class LocalEngine:
    """Work in this process; its shards are those of a cluster."""

    name: str = "here"
    remote: bool = False
    backend: Backend
    shards: dict[str, int]

    def __init__(self, backend: Backend | None = None) -> None:
        self.backend, self.shards = backend or Backend(), {}

    @property
    def width(self) -> int:
        """One."""
        return 1

    def ingest(
        self, domain: Domain, sources: Sequence[Source], *, cache: Path, workers: int,
        done: Callable[[Record], None] = lambda _: None, say: Callable[[str], None] = lambda _: None,
        interleaved: bool = False,
    ) -> list[Record]:  # fmt: skip
        """See `audiosae.corpus.ingest.ingest`."""
        records = ingest(domain, sources, cache=cache, workers=workers, done=done, say=say)
        if not all(source_key(source.path) in self.shards for source in sources):  # of some of them, learned from anew
            windows = None if interleaved else Corpus(domain, records).windows_per_record()
            self.shards = divide(sources, windows, interleaved=interleaved)
        return records

    def distribute(
        self, corpus: Corpus, whitener: Whitener | None = None, *, dtype: str = "float32", hold: bool = False
    ) -> Shards:
        """Return the shards of a corpus."""
        parts = split(corpus, self.shards)
        firsts = accumulate((len(part) for _, part in parts), initial=0)
        return [
            (number, Shard(part, whitener, first=first, dtype=dtype, hold=hold))
            for (number, part), first in zip(parts, firsts, strict=False)
        ]

    def reduce(self, step: Callable[..., Any], shards: Shards, *shared: Any) -> Any:  # noqa: ANN401
        """Add ``step(backend, shard, *shared)`` over all shards that have windows."""
        totals = ShardTotals()
        with self.backend.session():
            for number, shard in shards:
                if len(shard):
                    totals.add(number, step(self.backend, shard, *shared))
            return totals.total()

    def map(
        self, step: Callable[..., Any], shards: Shards, *shared: Any, jobs: Jobs | None = None  # noqa: ANN401
    ) -> Iterator[Any]:  # fmt: skip
        """Yield ``step(backend, shard, *shared)`` of every shard, or of every job."""
        by_number = dict(shards)
        with self.backend.session():
            if jobs is None:
                yield from (step(self.backend, shard, *shared) for shard in by_number.values())
            else:
                yield from (step(self.backend, by_number[number], job, *shared) for number, job in jobs)

    def blocks(self, shards: Shards) -> Iterator[tuple[int, Iterable[Any]]]:
        """Yield each shard's number and blocks."""
        with self.backend.session():
            yield from ((number, shard.blocks(self.backend)) for number, shard in shards)
