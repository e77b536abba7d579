"""Work in this process."""

from __future__ import annotations

from functools import reduce
from itertools import accumulate
from operator import add
from typing import TYPE_CHECKING, Any

from audiosae.backends import Backend
from audiosae.corpus.ingest import ingest
from audiosae.corpus.windows import Corpus
from audiosae.engine.shards import Run, Shard, divide, source_key, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Source
    from audiosae.domain import Domain

Placed = list[tuple[int, Shard]]
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

    def place(
        self, corpus: Corpus, whitener: Whitener | None = None, *, dtype: str = "float32", hold: bool = False
    ) -> Placed:
        """Return the shards of a corpus."""
        parts = split(corpus, self.shards)
        firsts = accumulate((len(part) for _, part in parts), initial=0)
        return [
            (number, Shard(part, whitener, first=first, dtype=dtype, hold=hold))
            for (number, part), first in zip(parts, firsts, strict=False)
        ]

    def reduce(self, step: Callable[..., Any], placed: Placed, *shared: Any) -> Any:  # noqa: ANN401
        """Add ``step(backend, shard, *shared)`` over all shards that have windows."""
        with self.backend.session():
            return add_in_tree((number, step(self.backend, shard, *shared)) for number, shard in placed if len(shard))

    def map(
        self, step: Callable[..., Any], placed: Placed, *shared: Any, jobs: Jobs | None = None  # noqa: ANN401
    ) -> Iterator[Any]:  # fmt: skip
        """Yield ``step(backend, shard, *shared)`` of every shard, or of every job."""
        by_number = dict(placed)
        with self.backend.session():
            if jobs is None:
                yield from (step(self.backend, shard, *shared) for shard in by_number.values())
            else:
                yield from (step(self.backend, by_number[number], job, *shared) for number, job in jobs)

    def blocks(self, placed: Placed) -> Iterator[tuple[int, Iterable[Any]]]:
        """Yield each shard's number and blocks."""
        with self.backend.session():
            yield from ((number, shard.blocks(self.backend)) for number, shard in placed)


def add_in_tree(totals: Iterator[tuple[int, Any]]) -> Any:  # noqa: ANN401
    """Add totals of ascending shards; shards that are not there count for nothing."""
    return run_of(totals).total()


def run_of(totals: Iterator[tuple[int, Any]], first: int = 0, stop: int = 0) -> Run:
    """Return the run of shards from `first` to below `stop`, or as many as there are totals."""

    def gapless() -> Iterator[Run]:
        after = first
        for number, total in totals:
            yield from (Run.of(gap, None) for gap in range(after, number))
            yield Run.of(number, total)
            after = number + 1
        yield from (Run.of(gap, None) for gap in range(after, stop))

    return reduce(add, gapless(), Run())
