"""Executes passes over all windows, in this process or on the workers of a Dask cluster.

Sources are divided into shards by their order and sizes. The windows of a shard come in the same blocks everywhere, and
the results of shards are added in a fixed tree (`audiosae.engine.shards`). So the numbers are the same, up to rounding,
for any engine and any number of workers.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from audiosae.backends import Backend, choose
from audiosae.engine.here import LocalEngine
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Source
    from audiosae.corpus.windows import Corpus
    from audiosae.domain import Domain
    from audiosae.engine.shards import Total

    Shards = Any  # what `Engine.distribute` returns; each engine has its own type

_PORTS = 2**16

__all__ = ["Backend", "Engine", "LocalEngine", "start_engine"]


class Engine(Protocol):
    """Reads sources and makes passes over their windows.

    Attributes
    ----------
    name
        As in ``--engine``.
    shards
        Number of the shard of each source that was read, by `audiosae.engine.shards.source_key`.
    remote
        Whether the fields are stored by workers instead of this process.
    backend
        Backend of this process.
    """

    name: str
    shards: dict[str, int]
    remote: bool
    backend: Backend

    @property
    def arithmetic(self) -> str:
        """Name of what computes: results of engines with the same name have the same bits on this machine."""

    @property
    def n_workers(self) -> int:
        """Number of workers."""

    def ingest(
        self,
        domain: Domain,
        sources: Sequence[Source],
        *,
        cache: Path,
        workers: int,
        done: Callable[[Record], None] = ...,
        say: Callable[[str], None] = ...,
        interleaved: bool = False,
        beside: Callable[[], Domain | None] = ...,
        again: Callable[[Sequence[Source], int], bool] = ...,
    ) -> Sequence[Record]:
        """Bring the field of every source into a cache; parameters as in `audiosae.corpus.ingest.ingest`.

        An engine of other machines does not use `beside` and `again`.

        Each worker gets consecutive shards, so that `reduce` adds most results on the worker that computed them. With
        `interleaved`, shards are distributed round-robin, so that all workers are busy while `map` yields in order.
        """

    def distribute(
        self, corpus: Corpus, whitener: Whitener | None = None, *, dtype: str = "float32", cached: bool = False
    ) -> Shards:
        """Return the shards of a corpus for `reduce`, `map` and `blocks`, each with the worker that has its fields.

        With `cached`, whitened windows stay in memory after the first pass.
        """

    def reduce(self, step: Callable[..., Total], shards: Shards, *shared: object) -> Total:
        """Add ``step(backend, shard, *shared)`` over all shards, in a fixed tree.

        Parameters
        ----------
        step
            A function of a module, so that it can be pickled. Its results can be added.
        shared
            Sent to every worker once.
        """

    def map(
        self,
        step: Callable[..., Iterable[Any]],
        shards: Shards,
        *shared: object,
        jobs: list[tuple[int, Any]] | None = None,
    ) -> Iterator[Iterable[Any]]:
        """Yield the results of ``step(backend, shard, *shared)``, shard by shard in order.

        Parameters
        ----------
        step, shards, shared
            As in `reduce`, but the step is a generator. The results of a few shards are in memory at the same time.
        jobs
            (shard, job) in the order of the shards, for ``step(backend, shard, job, *shared)``; None for one call per
            shard.
        """

    def blocks(self, shards: Shards) -> Iterator[tuple[int, Iterable[Any]]]:
        """Yield the number and the blocks of each shard, copied to this process. They must fit into its memory."""


@contextmanager
def start_engine(
    name: str,
    *,
    backend: str = "auto",
    tf32: bool = False,
    cache: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Engine]:
    """Start the engine that ``--engine`` names.

    Parameters
    ----------
    name
        ``here``, ``local:N`` (a cluster of N processes on this machine) or the address of a Dask scheduler.
    backend, tf32
        As in ``--backend`` and ``--tf32``; the backend is that of every worker.
    cache
        Folder for fields on every worker; None for the worker's own folder.

    Raises
    ------
    InputError
        The name has none of these forms, `distributed` is not installed, or ``--tf32`` was given for a cluster.
    EngineError
        The cluster does not answer, or its workers do not fit this machine.
    """
    if name == "here":
        chosen, reason = choose(backend, tf32=tf32)
        say(f"backend {reason}{'; --tf32 works on GPUs only' if tf32 and chosen.name == 'numpy' else ''}")
        yield LocalEngine(chosen)
        return
    local = re.fullmatch(r"local:([1-9]\d{0,3})", name)
    address = re.fullmatch(r"(?:tcp|tls|ucx|ws|wss)://[^\s/]+:(\d{1,5})", name)
    if not local and not (address and 0 < int(address[1]) < _PORTS):
        raise InputError(
            f"--engine {name}: wanted here, local:N (N processes on this machine) or tcp://host:port (the scheduler of "
            f"a Dask cluster)"
        )
    if tf32:
        raise InputError(f"--tf32 --engine {name}: --tf32 works with --engine here only; leave it out")
    from audiosae.engine.cluster.connection import connected

    with connected(name, int(local[1]) if local else None, backend=backend, cache=cache, say=say) as engine:
        yield engine
