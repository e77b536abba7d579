"""Whitened windows for a solver, and sums of a function over all windows of a corpus."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from audiosae.autoencoder.sae import Params, reconstruct
from audiosae.corpus.windows import CHUNK_WINDOWS, DEFAULT_MEMORY, SLAB_BYTES, Slab
from audiosae.engine.shards import Array, Shard, ShardTotals, Total, added

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.backends import Backend
    from audiosae.engine.corpus import EngineCorpus


class Feed:
    """Whitened windows of a corpus, in order or shuffled.

    If they fit into memory, they are whitened once and cached. Otherwise they are gathered and whitened in every pass.
    The numbers are the same.

    Parameters
    ----------
    corpus, whitener
        The windows and their preprocessing; windows go to the backend of the corpus.
    memory
        Bytes for whitened windows on every worker. If they do not fit, an eighth is used for slabs of fields: chunks in
        random order, whose windows (some thousand) are shuffled together.
    collect
        Whether cached windows of workers are copied to this process.

    Attributes
    ----------
    in_memory
        All whitened windows (count, n_components), if they are cached in this process, else None.
    """

    def __init__(
        self,
        corpus: EngineCorpus,
        whitener: Whitener,
        *,
        dtype: str = "float32",
        memory: int = DEFAULT_MEMORY,
        collect: bool = False,
    ) -> None:
        self._corpus, self._engine, self._backend = corpus, corpus.engine, corpus.backend
        self._whitener, self._dtype, self._memory = whitener, np.dtype(dtype), memory
        self._backend_whitener = self._backend.once(whitener, lambda: whitener.moved(self._backend.asarray))
        self.in_memory: Array | None = None
        self._edges: dict[int, list[int]] = {}  # first rows of the blocks of each shard, in `in_memory`
        fits = 0 < len(corpus) * whitener.n_components * self._dtype.itemsize <= memory * self._engine.n_workers
        self._shards = self._engine.distribute(corpus, whitener, dtype=dtype, cached=fits and self._engine.remote)
        if fits and (collect or not self._engine.remote):
            self.in_memory, self._shards = self._whitened((len(corpus), whitener.n_components)), None

    @classmethod
    def of(cls, windows: Array, backend: Backend) -> Feed:
        """Return a feed of whitened windows in memory, (count, n_components), without a corpus."""
        feed = cls.__new__(cls)
        edges = [*range(0, len(windows), CHUNK_WINDOWS), len(windows)]
        vars(feed).update(in_memory=windows, _backend=backend, _edges={0: edges})
        return feed

    def __len__(self) -> int:
        return len(self._corpus) if self.in_memory is None else len(self.in_memory)

    def sum_over(self, step: Callable[..., Total], *shared: object) -> Total:
        """Add ``step(backend, x, *shared)`` over all blocks of windows x, shape (up to 4096, n_components).

        `step` must be a function of a module, so that it can be pickled.
        """
        shared = tuple(value.on(self._backend) if isinstance(value, Params) else value for value in shared)
        if self.in_memory is None:
            return self._engine.reduce(_sum_shard, self._shards, step, *shared)
        windows, backend, totals = self.in_memory, self._backend, ShardTotals()
        with backend.session():
            for number, edges in self._edges.items():
                total = None
                for start, stop in pairwise(edges):
                    total = added(total, step(backend, backend.asarray(windows[start:stop]), *shared))
                totals.add(number, total)
            return totals.total()

    def sampled(self, count: int, memory: int) -> Feed:
        """Return a feed of at most `count` windows, evenly spaced over those of this feed."""
        if len(self) <= count:
            return self
        return Feed(self._corpus.sample(count), self._whitener, dtype=str(self._dtype), memory=memory)

    def blocks(self, rows: int = CHUNK_WINDOWS) -> Iterator[Array]:
        """Yield all windows in order, whitened, shape (up to `rows`, n_components)."""
        if self.in_memory is not None:
            for start in range(0, len(self.in_memory), rows):
                yield self._backend.asarray(self.in_memory[start : start + rows])
            return
        for slab in self._backend.slabs(self._corpus, None, SLAB_BYTES):
            for start in range(0, len(slab), rows):
                yield self._take(slab, slice(start, start + rows))

    def batches(self, size: int, *, seed: int, epoch: int, skip: int = 0) -> Iterator[Array]:
        """Yield the batches of an epoch: parts of almost equal size, at most `size` windows, shuffled over all sources.

        The order depends on the seed and the epoch only. The first `skip` batches are left out. A batch is valid until
        the next one is requested, which reuses its memory.
        """
        rng = np.random.default_rng([seed, epoch])
        number = 0
        for count, take in self._shuffled(rng):
            order = self._backend.asarray(rng.permutation(count))
            for part in self._backend.xp.array_split(order, max(1, -(-count // size))):
                number += 1
                if number > skip:
                    yield take(part)

    def _shuffled(self, rng: np.random.Generator) -> Iterator[tuple[int, Callable[[Array], Array]]]:
        """Yield (count, function that takes windows by their numbers) of windows that are shuffled together."""
        if self.in_memory is not None:
            yield len(self.in_memory), partial(self._backend.take, self.in_memory)
            return
        order = rng.permutation(len(self._corpus.chunks))
        for slab in self._backend.slabs(self._corpus, order, self._memory // 8):
            yield len(slab), partial(self._take, slab)

    def _whitened(self, shape: tuple[int, int]) -> Array:
        """Return all windows, whitened, in the backend's memory, or in host memory if the device is full."""
        try:
            windows = self._backend.xp.empty(shape, self._dtype)
        except MemoryError:
            windows = self._backend.host_buffer(shape, self._dtype)
        move = self._backend.to_host if isinstance(windows, np.ndarray) else self._backend.asarray
        stop = 0
        for number, blocks in self._engine.blocks(self._shards):
            edges = [stop]
            for block in blocks:
                stop += len(block)
                windows[edges[-1] : stop] = move(block)
                edges.append(stop)
            if stop > edges[0]:
                self._edges[number] = edges
        return windows

    def _take(self, slab: Slab, index: Array | slice) -> Array:
        return self._backend.windows(slab, index, self._backend_whitener, self._dtype)


def _sum_shard(backend: Backend, shard: Shard, step: Callable[..., Total], *shared: object) -> Total:
    total = None
    for x in shard.blocks(backend):
        total = added(total, step(backend, x, *shared))
    return total


@dataclass(frozen=True)
class Scores:
    """Sums over windows of the reconstruction error and of the units' activity.

    Attributes
    ----------
    count
        Number of windows.
    error
        Sum of |x_hat - x|^2, in the whitened space.
    total, squares
        Sum of x, (n_components,), and of |x|^2.
    activity
        Sum of the activity of each unit, (hidden,).
    """

    count: int
    error: float
    total: NDArray[np.float64]
    squares: float
    activity: NDArray[np.float64]

    def __add__(self, other: Scores) -> Scores:
        return Scores(
            self.count + other.count,
            self.error + other.error,
            self.total + other.total,
            self.squares + other.squares,
            self.activity + other.activity,
        )

    @property
    def fvu(self) -> float:
        """Fraction of variance unexplained: error over the summed squared distance from the windows' mean."""
        return self.error / max(self.squares - float(self.total @ self.total) / self.count, 1e-300)

    @property
    def rho_hat(self) -> NDArray[np.float64]:
        """Mean activity of each unit, (hidden,)."""
        return self.activity / self.count


def score(feed: Feed, params: Params) -> Scores:
    """Reconstruct all windows of a feed and return their scores."""
    scores: Scores = feed.sum_over(_scored, params)
    return scores


def _scored(backend: Backend, x: Array, params: Params) -> Scores:
    error, activity = reconstruct(backend, params.on(backend), x)
    return Scores(
        count=len(x),
        error=2 * float(error),
        total=backend.to_host(x.sum(axis=0, dtype=np.float64)),
        squares=float(backend.xp.square(x).sum(dtype=np.float64)),
        activity=backend.to_host(activity),
    )
