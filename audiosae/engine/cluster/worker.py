"""Functions that run on the workers of a cluster: read sources, make passes over shards."""

from __future__ import annotations

import multiprocessing
import os
import threading
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.backends import choose
from audiosae.backends.cpu import THREADS
from audiosae.corpus.ingest import ingest
from audiosae.engine.shards import Shard, ShardTotals, Total
from audiosae.errors import AudiosaeError
from audiosae.system.threads import one_blas_thread_for_good

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.backends import Backend
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Source
    from audiosae.corpus.windows import Corpus
    from audiosae.domain import Domain

Shards = list[tuple[int, Shard]]
Part = tuple[int, "Corpus", int]  # number of a shard, its windows, and the number of the first of them in the corpus
# Set by Dask, so that workers return memory to the system after each use, so that decoding takes 1.6 times as long
TRIMMING = "MALLOC_TRIM_THRESHOLD_"
_of_thread = threading.local()
_reading = threading.Lock()  # one call at a time: it starts a decoder for each thread of the worker


def describe(backend: str) -> tuple[str, str]:
    """Return the name of the backend that this worker chooses and the reason, or "" and an error message."""
    try:
        chosen, reason = choose(backend)
    except AudiosaeError as error:
        return "", str(error)
    return chosen.name, reason


def version_of(package: str) -> str:
    """Return the version of a package on this worker, or "" if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def missing_paths(paths: Sequence[str]) -> list[str]:
    """Return the paths that do not exist on this worker."""
    return [path for path in paths if not os.path.lexists(path)]


def cache_folder(chosen: Path | None) -> Path:
    """Return the folder for fields on this worker: `chosen`, else AUDIOSAE_CACHE, else the worker's own folder.

    Dask removes a worker's own folder when the worker ends.
    """
    from distributed import get_worker

    # Dask's workers are daemons, which may not start processes. Decoders end with the process that started them.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined] # noqa: SLF001
    os.environ.pop(TRIMMING, None)  # for the decoders
    return Path(chosen or os.environ.get("AUDIOSAE_CACHE") or Path(get_worker().local_directory, "audiosae"))


@dataclass(frozen=True)
class SourcesRead:
    """What a worker returns after it has read sources.

    Attributes
    ----------
    address
        Address of the worker.
    records
        Record of each source.
    missing
        Paths that do not exist on the worker.
    damaged
        Names of the sources whose fields in its cache were damaged.
    messages
        Other messages.
    """

    address: str
    records: Sequence[Record]
    missing: list[str]
    damaged: list[str]
    messages: list[str]


def read(domain: Domain, sources: Sequence[Source], folder: Callable[[], Path]) -> SourcesRead:
    """Decode sources into the cache of this worker."""
    from distributed import get_worker

    worker = get_worker()
    damaged: list[str] = []
    messages: list[str] = []
    with _reading:
        records = ingest(
            domain,
            sources,
            cache=folder(),
            workers=worker.state.nthreads,
            say=messages.append,
            damaged=damaged,
        )
    missing = missing_paths([source.location for source in sources if not source.fault])
    return SourcesRead(str(worker.address), records, missing, damaged, messages)


def make_shards(parts: Sequence[Part], whitener: Whitener | None, options: dict[str, Any]) -> Shards:
    """Return shards that stay on this worker; the options are those of `Shard`."""
    return [(number, Shard(part, whitener, first=first, **options)) for number, part, first in parts]


def reduce_shards(
    step: Callable[..., Total], shards: Shards, bounds: tuple[int, int], backend: str, *shared: object
) -> ShardTotals:
    """Return the totals of all shards from the first of `bounds` to the second, exclusive.

    Shards that are missing or have no windows have no total.
    """
    chosen, (first, stop) = _backend(backend), bounds
    totals = ShardTotals(first)
    for number, shard in shards:
        if len(shard):
            totals.add(number, _to_host(chosen, step(chosen, shard, *shared)))
    totals.fill(stop)
    return totals


def map_shards(
    step: Callable[..., Iterable[Any]], shards: Shards, jobs: Sequence[tuple[Any, ...]], backend: str, *shared: object
) -> list[list[Any]]:
    """Return the results of ``step(backend, shard, *job, *shared)`` for each (shard number, *job) of `jobs`."""
    chosen, by_number = _backend(backend), dict(shards)
    return [list(step(chosen, by_number[number], *job, *shared)) for number, *job in jobs]


def blocks_of(backend: Backend, shard: Shard) -> Iterator[Any]:
    """Yield all blocks of a shard, in host memory."""
    return map(backend.to_host, shard.blocks(backend))


def identity(value: object) -> object:
    """Return the argument."""
    return value


def _backend(name: str) -> Backend:
    """Return the backend of this thread: Dask runs a step in each thread of a worker, and each step uses one thread."""
    from distributed import get_worker

    if not hasattr(_of_thread, "backend"):
        os.environ[THREADS] = str(get_worker().state.nthreads)
        one_blas_thread_for_good()
        _of_thread.backend = choose(name)[0]
    backend: Backend = _of_thread.backend
    return backend


def _to_host(backend: Backend, total: Total) -> Total:
    import numpy as np

    if backend.xp is np or not hasattr(total, "__dataclass_fields__"):
        return total
    arrays = (key for key, value in vars(total).items() if isinstance(value, backend.xp.ndarray))
    return replace(total, **{key: backend.to_host(getattr(total, key)) for key in arrays})
