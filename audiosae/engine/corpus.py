"""A corpus with the engine that has its fields."""

from __future__ import annotations

from array import array
from dataclasses import replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Self

from audiosae.corpus.windows import Corpus
from audiosae.engine.shards import Total, split
from audiosae.engine.spread import is_worthwhile, spread_over_processes
from audiosae.system.many import Made
from audiosae.system.progress import Progress
from audiosae.system.spelling import spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.backends import Backend
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Source
    from audiosae.domain import Domain
    from audiosae.engine import Engine


class EngineCorpus(Corpus):
    """The windows of sources, and the engine that has their fields.

    Parts of it (`sample`, `split`, `only`) have the same engine. It is pickled as a plain `Corpus`: the receiving
    process has its own fields and backend.

    Parameters
    ----------
    cache
        Folder of this machine for the fields of sources that are read again here.
    workers
        Number of processes that decode these sources.
    """

    def __init__(
        self,
        domain: Domain,
        records: Sequence[Record],
        engine: Engine,
        picked: NDArray[Any] | None = None,
        *,
        cache: Path | None = None,
        workers: int = 1,
    ) -> None:
        super().__init__(domain, records, picked)
        self.engine: Engine = engine
        self.cache: Path | None = cache
        self.workers: int = workers

    def __reduce__(self) -> tuple[Any, ...]:
        return Corpus, (self.domain, self.records, self.picked)

    def part(self, records: Sequence[Record], picked: NDArray[Any] | None = None) -> Self:
        """Return the windows of other records, with the same engine."""
        return type(self)(self.domain, records, self.engine, picked, cache=self.cache, workers=self.workers)

    def seen_by(self, domain: Domain) -> Self:
        """Return all windows of a domain with the same fields but other windows."""
        return type(self)(domain, self.records, self.engine, cache=self.cache, workers=self.workers)

    def only(self, numbers: Iterable[int]) -> Self:
        """Return the windows of the records of these numbers."""
        chosen = numbers if isinstance(numbers, range) else array("L", numbers)
        return self.part(Made(self.records.__getitem__, chosen))

    @cached_property
    def used(self) -> Sequence[int]:
        """Numbers of the records that were not skipped."""
        numbers = [number for number, record in enumerate(self.records) if record.status == "used"]
        return numbers if len(numbers) < len(self.records) else range(len(numbers))

    @property
    def skipped(self) -> list[Record]:
        """Records of the sources that could not be used, with options as the caller spells them."""
        skipped = (record for record in self.records if record.status != "used")
        return [replace(record, reason=spelled(record.reason)) for record in skipped]

    @property
    def backend(self) -> Backend:
        """Backend of this process."""
        return self.engine.backend

    def reduce(self, step: Callable[..., Total], *shared: object) -> Total:
        """Add ``step(backend, shard, *shared)`` over all shards; see `Engine.reduce`."""
        return self.engine.reduce(step, self.engine.distribute(self), *shared)

    def map(
        self,
        step: Callable[..., Iterable[Any]],
        *shared: object,
        jobs: list[tuple[int, Any]] | None = None,
        spread: bool = False,
    ) -> Iterator[Iterable[Any]]:
        """Yield the results of ``step(backend, shard, *shared)``, shard by shard; see `Engine.map`.

        With `spread`, several processes of this machine make a long pass. The results of a few shards must be small.
        """
        shards = self.engine.distribute(self)
        if spread and not self.engine.remote:
            own = dict(shards)
            calls = [(own[n], (job,)) for n, job in jobs] if jobs is not None else [(s, ()) for s in own.values()]
            if is_worthwhile([shard for shard, _ in calls], self.workers, self.backend, step):
                return spread_over_processes(step, calls, shared, self.workers)
        return self.engine.map(step, shards, *shared, jobs=jobs)

    def jobs(self, items: Sequence[Any]) -> list[tuple[int, Sequence[Any]]]:
        """Return the number of each shard with the items of its records, for `map`; one item per record."""
        parts = self.parts()
        ends = accumulate((len(part.records) for _, part in parts), initial=0)
        return [(number, items[low:high]) for (number, _), (low, high) in zip(parts, pairwise(ends), strict=True)]

    def parts(self) -> list[tuple[int, Corpus]]:
        """Return the number and the windows of each shard."""
        return split(self, self.engine.shards)

    def gathered(self) -> Iterator[NDArray[Any]]:
        """Yield all windows in order, in blocks (count, width), copied to this process. They must fit its memory."""
        for _, blocks in self.engine.blocks(self.engine.distribute(self)):
            yield from map(self.backend.to_host, blocks)


def read(
    domain: Domain,
    sources: Sequence[Source],
    engine: Engine,
    *,
    cache: Path,
    workers: int,
    progress: Progress | None = None,
    interleaved: bool = False,
    stage: str = "reading",
    beside: Callable[[], Domain | None] = lambda: None,
    again: Callable[[Sequence[Source], int], bool] = lambda *_: False,
) -> EngineCorpus:
    """Decode all sources into the caches of an engine; the corpus has a record of each, also of skipped ones.

    `beside` and `again` are those of `audiosae.corpus.ingest.ingest`; other machines do not use them.
    """
    progress = progress or Progress()
    progress.stage(stage, len(sources), "files")
    records = engine.ingest(
        domain,
        sources,
        cache=cache,
        workers=workers,
        interleaved=interleaved,
        say=progress.say,
        done=lambda _: progress.advance(1),
        beside=beside,
        again=again,
    )
    return EngineCorpus(domain, records, engine, cache=cache, workers=workers)
