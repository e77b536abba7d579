"""Where work on all the data is done: in this process, or on the workers of a Dask cluster.

The maths does not know. Sources are divided into shards by their order and sizes, every shard's windows come in the
same blocks, what a pass over them gives is added in a fixed tree (`audiosae.engine.shards`): the numbers are the same
to rounding wherever they are computed, and on however many workers.
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

_PORTS = 2**16

__all__ = ["Backend", "Engine", "LocalEngine", "start_engine"]


class Engine(Protocol):
    """Reads sources and makes passes over their windows.

    Attributes
    ----------
    remote
        Whether fields lie with workers and not with this process.
    backend
        For what is computed in this process.
    shards
        Number of the shard of each source that was read.
    """

    name: str
    shards: dict[str, int]
    remote: bool
    backend: Backend

    @property
    def width(self) -> int:
        """Number of workers."""

    def ingest(
        self, domain: Domain, sources: Sequence[Source], *, cache: Path, workers: int,
        done: Callable[[Record], None] = ..., say: Callable[[str], None] = ...,
        interleaved: bool = False,
    ) -> list[Record]:  # fmt: skip
        """Bring the field of every source into a cache; as `audiosae.corpus.ingest.ingest`.

        For `reduce`, workers have shards that follow one another, so that most is added where it was found. With
        `interleaved` every worker has some of each stretch: `map` yields in order, and all are at work.
        """

    def distribute(
        self, corpus: Corpus, whitener: Whitener | None = None, *, dtype: str = "float32", hold: bool = False
    ) -> Any:  # noqa: ANN401
        """Return the shards of a corpus, each where its fields are; for `reduce` and `map`."""

    def reduce(self, step: Callable[..., Any], shards: Any, *shared: Any) -> Any:  # noqa: ANN401
        """Add ``step(backend, shard, *shared)`` over all shards, in a fixed tree.

        Parameters
        ----------
        step
            A function of a module; what it returns adds.
        shared
            Sent to every worker once.
        """

    def map(
        self, step: Callable[..., Any], shards: Any, *shared: Any, jobs: list[tuple[int, Any]] | None = None  # noqa: ANN401
    ) -> Iterator[Iterable[Any]]:  # fmt: skip
        """Yield what ``step(backend, shard, *shared)`` yields, shard by shard in order; a few are under way.

        Parameters
        ----------
        step, shards, shared
            As in `reduce`; the step is a generator, of as much as may lie in memory.
        jobs
            (shard, job) in order of the shards, for ``step(backend, shard, job, *shared)``; else one a shard.
        """

    def blocks(self, shards: Any) -> Iterator[tuple[int, Iterable[Any]]]:  # noqa: ANN401
        """Yield the number and the blocks of each shard, brought to this process; for what fits its memory."""


@contextmanager
def start_engine(
    name: str, *, backend: str = "auto", tf32: bool = False, cache: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Engine]:  # fmt: skip
    """Open what ``--engine`` names.

    Parameters
    ----------
    name
        ``here``, ``local:N`` (a cluster of N processes on this machine) or the address of a Dask scheduler.
    backend, tf32
        As in ``--backend`` and ``--tf32``: of every worker.
    cache
        Folder for fields on every worker; None for the worker's own.

    Raises
    ------
    InputError
        Another name, `distributed` is not installed, or the cluster cannot be used as it is.
    """
    if name == "here":
        chosen, reason = choose(backend, tf32=tf32)
        say(f"backend {reason}{'; --tf32 is for a card' if tf32 and chosen.name == 'numpy' else ''}")
        yield LocalEngine(chosen)
        return
    local = re.fullmatch(r"local:([1-9]\d{0,3})", name)
    address = re.fullmatch(r"(?:tcp|tls|ucx|ws|wss)://[^\s/]+:(\d{1,5})", name)
    if not local and not (address and 0 < int(address[1]) < _PORTS):
        raise InputError(f"--engine {name}: wanted here, local:N (N processes on this machine) or tcp://host:port (the "
                         f"scheduler of a Dask cluster)")  # fmt: skip
    if tf32:
        raise InputError(f"--tf32 --engine {name}: workers do not have it; wanted with --engine here")
    from audiosae.engine.cluster.connection import connected

    with connected(name, int(local[1]) if local else None, backend=backend, cache=cache, say=say) as engine:
        yield engine
