"""A corpus that knows where it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from audiosae.corpus.windows import Corpus
from audiosae.engine.shards import split
from audiosae.system.progress import Progress

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

    What is taken from it (`sample`, `split`, `only`) lies where it does. In another process it is a plain corpus: who
    works there has fields and a backend of their own.

    Parameters
    ----------
    cache, workers
        Folder of this machine for fields, and processes that may decode; for what is read here again.
    """

    engine: Engine
    cache: Path | None
    workers: int

    def __init__(
        self, domain: Domain, records: Sequence[Record], engine: Engine, picked: NDArray[Any] | None = None, *,
        cache: Path | None = None, workers: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(domain, records, picked)
        self.engine, self.cache, self.workers = engine, cache, workers

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as a plain corpus."""
        return Corpus, (self.domain, self.records, self.picked)

    def part(self, records: Sequence[Record], picked: NDArray[Any] | None = None) -> Self:
        """Return windows of these records, at the same place."""
        return type(self)(self.domain, records, self.engine, picked, cache=self.cache, workers=self.workers)

    def only(self, numbers: Iterable[int]) -> Self:
        """Return the windows of the records of these numbers."""
        return self.part([self.records[number] for number in numbers])

    @property
    def used(self) -> list[int]:
        """Numbers of the records that were not skipped."""
        return [number for number, record in enumerate(self.records) if record.status == "used"]

    @property
    def skipped(self) -> list[Record]:
        """Records of the sources that could not be used."""
        return [record for record in self.records if record.status != "used"]

    @property
    def backend(self) -> Backend:
        """For what is computed in this process."""
        return self.engine.backend

    def reduce(self, step: Callable[..., Any], *shared: Any) -> Any:  # noqa: ANN401
        """Add ``step(backend, shard, *shared)`` over all shards; see `Engine.reduce`."""
        return self.engine.reduce(step, self.engine.distribute(self), *shared)

    def map(
        self, step: Callable[..., Any], *shared: Any, jobs: list[tuple[int, Any]] | None = None  # noqa: ANN401
    ) -> Iterator[Iterable[Any]]:  # fmt: skip
        """Yield what ``step(backend, shard, *shared)`` yields, shard by shard; see `Engine.map`."""
        return self.engine.map(step, self.engine.distribute(self), *shared, jobs=jobs)

    def parts(self) -> list[tuple[int, Corpus]]:
        """Return the number and the windows of each shard."""
        return split(self, self.engine.shards)

    def gathered(self) -> Iterator[NDArray[Any]]:
        """Yield all windows in order, brought to this process; for what fits its memory."""
        for _, blocks in self.engine.blocks(self.engine.distribute(self)):
            yield from map(self.backend.to_host, blocks)


def read(
    domain: Domain, sources: Sequence[Source], engine: Engine, *, cache: Path, workers: int,
    progress: Progress | None = None, interleaved: bool = False,
) -> EngineCorpus:  # fmt: skip
    """Bring every source's field to where the engine wants it; a record of each in order, skipped ones among them."""
    progress = progress or Progress()
    progress.stage("reading", len(sources), "files")
    records = engine.ingest(
        domain, sources, cache=cache, workers=workers, interleaved=interleaved, say=progress.say,
        done=lambda _: progress.advance(1),
    )  # fmt: skip
    return EngineCorpus(domain, records, engine, cache=cache, workers=workers)
