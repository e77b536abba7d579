"""What a cluster's workers do: read sources, make passes over their shards. Nothing here runs in the client."""

from __future__ import annotations

import multiprocessing
import os
import threading
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.backends import choose
from audiosae.backends.cpu import THREADS
from audiosae.corpus.ingest import ingest
from audiosae.engine.shards import Shard, ShardTotals
from audiosae.errors import AudiosaeError
from audiosae.system.threads import one_blas_thread_for_good

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.backends import Backend
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Source
    from audiosae.corpus.windows import Corpus
    from audiosae.domain import Domain

Shards = list[tuple[int, Shard]]
Part = tuple[int, "Corpus", int]  # a shard's number, its windows, and the number of the first in the corpus
_own = threading.local()
_reading = threading.Lock()  # the decoders of a worker are as many as its threads already


def describe(backend: str) -> tuple[str, str]:
    """Return the name of the backend that this worker chooses and why, or "" and what is wrong."""
    try:
        chosen, reason = choose(backend)
    except AudiosaeError as error:
        return "", str(error)
    return chosen.name, reason


def version_of(package: str) -> str:
    """Return the version of a package on this worker, or "" where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def unseen(paths: Sequence[str]) -> list[str]:
    """Return the paths that are not there for this worker."""
    return [path for path in paths if not os.path.lexists(path)]


class Storage:
    """The folder for fields on whichever worker asks: `given`, or AUDIOSAE_CACHE there, or the worker's own folder.

    Dask removes a worker's own folder when the worker ends.
    """

    def __init__(self, given: Path | None) -> None:
        self._given = given

    def __call__(self) -> Path:
        """Return the folder."""
        from distributed import get_worker

        _may_have_children()
        if self._given is not None:
            return self._given
        shared = os.environ.get("AUDIOSAE_CACHE")
        return Path(shared) if shared else Path(get_worker().local_directory) / "audiosae"


def read(domain: Domain, sources: Sequence[Source], storage: Storage) -> tuple[str, list[Record], list[str]]:
    """Bring sources into this worker's cache; return its address, their records, and the paths that are not there."""
    from distributed import get_worker

    me = get_worker()
    missing = unseen([os.fspath(source.path) for source in sources if not source.fault])
    with _reading:
        records = ingest(domain, sources, cache=storage(), workers=me.state.nthreads)
    return str(me.address), records, missing


def make_shards(
    parts: Sequence[Part], storage: Storage, dtype: str, hold: bool, whitener: Whitener | None  # noqa: FBT001
) -> Shards:  # fmt: skip
    """Return shards that stay with this worker."""
    kept: dict[str, Any] = {"dtype": dtype, "hold": hold, "cache": storage}
    return [(number, Shard(part, whitener, first=first, **kept)) for number, part, first in parts]


def reduce_shards(
    step: Callable[..., Any], shards: Shards, bounds: tuple[int, int], backend: str, *shared: Any  # noqa: ANN401
) -> ShardTotals:  # fmt: skip
    """Return the totals of all shards from the first of `bounds` to the second, exclusive.

    Shards that are missing or have no windows have no total.
    """
    own, (first, stop) = _backend(backend), bounds
    totals = ShardTotals(first)
    for number, shard in shards:
        if len(shard):
            totals.add(number, _hosted(own, step(own, shard, *shared)))
    totals.fill(stop)
    return totals


def map_shards(
    step: Callable[..., Any], shards: Shards, which: Sequence[tuple[Any, ...]], backend: str, *shared: Any  # noqa: ANN401
) -> list[list[Any]]:  # fmt: skip
    """Return what ``step(backend, shard, *job, *shared)`` yields, for each (shard, *job) of `which`."""
    own, by_number = _backend(backend), dict(shards)
    return [list(step(own, by_number[number], *job, *shared)) for number, *job in which]


def blocks_of(backend: Backend, shard: Shard) -> Iterator[Any]:
    """Yield all blocks of a shard, to be sent."""
    return map(backend.to_host, shard.blocks(backend))


def joined(left: ShardTotals, right: ShardTotals) -> ShardTotals:
    """Return the totals of both."""
    return left + right


def itself(value: Any) -> Any:  # noqa: ANN401
    """Return what is given."""
    return value


def _backend(name: str) -> Backend:
    """Return this thread's backend: Dask runs as many steps at once as a worker has threads, each with one thread."""
    from distributed import get_worker

    found: Backend | None = getattr(_own, "backend", None)
    if found is None:
        os.environ[THREADS] = str(get_worker().state.nthreads)
        one_blas_thread_for_good()
        found = _own.backend = choose(name)[0]
    return found


def _hosted(backend: Backend, total: Any) -> Any:  # noqa: ANN401
    """Bring the arrays of a total from the device."""
    import numpy as np

    if backend.xp is np or not hasattr(total, "__dataclass_fields__"):
        return total
    arrays = {key: value for key, value in vars(total).items() if isinstance(value, backend.xp.ndarray)}
    return replace(total, **{key: backend.to_host(value) for key, value in arrays.items()})


def _may_have_children() -> None:
    """Let this process start decoders: Dask's workers are daemons, which Python keeps from having children.

    Decoders end by themselves with the process that started them (`audiosae.system.processes`).
    """
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined] # noqa: SLF001
