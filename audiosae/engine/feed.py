"""Whitened windows for a solver, and sums of a function over all windows of a corpus."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.sae import Params, reconstruct
from audiosae.corpus.windows import CHUNK_WINDOWS, DEFAULT_MEMORY, SLAB_BYTES
from audiosae.engine.shards import ShardTotals, added

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.backends import Backend
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.engine.shards import Shard

    Array = Any


class Feed:
    """Whitened windows of a corpus, in order or shuffled.

    When they fit the memory they are whitened once and kept; otherwise they are gathered and whitened as they are asked
    for. The numbers are the same.

    Parameters
    ----------
    corpus, whitener
        Where windows come from, and what is done to them; they go to the backend of the corpus.
    memory
        Bytes for whitened windows, of every worker; an eighth for the slabs of fields that windows are gathered from
        where they do not fit: random runs of a few thousand windows, enough to be shuffled together.
    gathered
        Whether windows that workers have are brought here.
    """

    def __init__(
        self, corpus: EngineCorpus, whitener: Whitener, *, dtype: str = "float32", memory: int = DEFAULT_MEMORY,
        gathered: bool = False,
    ) -> None:  # fmt: skip
        self._corpus, self._engine, self._backend = corpus, corpus.engine, corpus.backend
        self._given, self._dtype, self._memory = whitener, np.dtype(dtype), memory
        self._whitener = self._backend.once(whitener, lambda: whitener.moved(self._backend.asarray))
        self._held: Array | None = None
        self._edges: dict[int, list[int]] = {}
        size = len(corpus) * whitener.n_components * self._dtype.itemsize
        hold = 0 < size <= memory * self._engine.width
        self._shards = self._engine.distribute(corpus, whitener, dtype=dtype, hold=hold and self._engine.remote)
        if hold and (gathered or not self._engine.remote):
            self._held, self._shards = self._hold((len(corpus), whitener.n_components)), None

    @classmethod
    def of(cls, held: Array, backend: Backend) -> Feed:
        """Return a feed of whitened windows in memory, (count, n_components), that belong to no corpus."""
        feed = cls.__new__(cls)
        feed._held, feed._backend = held, backend  # noqa: SLF001 (its own)
        feed._edges = {0: [*range(0, len(held), CHUNK_WINDOWS), len(held)]}  # noqa: SLF001
        return feed

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._corpus) if self._held is None else len(self._held)

    @property
    def in_memory(self) -> Array | None:
        """All whitened windows (count, n_components), when they are kept in this process."""
        return self._held

    def sum_over(self, step: Callable[..., Any], *shared: Any) -> Any:  # noqa: ANN401
        """Add ``step(backend, x, *shared)`` over all blocks of windows x, shape (up to 4096, n_components).

        `step` must be a function of a module, so that it can be pickled.
        """
        shared = tuple(value.on(self._backend) if isinstance(value, Params) else value for value in shared)
        if self._held is None:
            return self._engine.reduce(_sum_shard, self._shards, step, *shared)
        held, backend, totals = self._held, self._backend, ShardTotals()
        with backend.session():
            for number, edges in self._edges.items():
                total = None
                for start, stop in pairwise(edges):
                    total = added(total, step(backend, backend.asarray(held[start:stop]), *shared))
                totals.add(number, total)
            return totals.total()

    def sampled(self, count: int, memory: int) -> Feed:
        """Return this feed, or of more than `count` windows one of that many, evenly spaced."""
        if len(self) <= count:
            return self
        return Feed(self._corpus.sample(count), self._given, dtype=str(self._dtype), memory=memory)

    def blocks(self, rows: int = CHUNK_WINDOWS) -> Iterator[Array]:
        """Yield all windows in order, whitened, shape (up to `rows`, n_components)."""
        if self._held is not None:
            for at in range(0, len(self._held), rows):
                yield self._backend.asarray(self._held[at : at + rows])
            return
        for slab in self._backend.slabs(self._corpus, None, SLAB_BYTES):
            for at in range(0, len(slab), rows):
                yield self._take(slab, slice(at, at + rows))

    def batches(self, size: int, *, seed: int, epoch: int, skip: int = 0) -> Iterator[Array]:
        """Yield the batches of an epoch: near-equal parts of at most `size` windows, shuffled over all sources.

        The order is a function of the seed and the epoch alone. `skip` leaves out that many batches at the start. A
        batch is good until the next is asked for.
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
        """Yield (number of windows, how to take some) of what is shuffled together."""
        if self._held is not None:
            yield len(self._held), partial(self._backend.take, self._held)
            return
        order = rng.permutation(len(self._corpus.chunks))
        for slab in self._backend.slabs(self._corpus, order, self._memory // 8):
            yield len(slab), partial(self._take, slab)

    def _hold(self, shape: tuple[int, int]) -> Array:
        """Whiten all windows where the backend is, or in the computer's memory where that is full."""
        try:
            held = self._backend.xp.empty(shape, self._dtype)
        except MemoryError:
            held = self._backend.host_buffer(shape, self._dtype)
        at = 0
        for number, blocks in self._engine.blocks(self._shards):
            edges = [at]
            for block in blocks:
                held[at : at + len(block)] = self._like(held, block)
                at += len(block)
                edges.append(at)
            if at > edges[0]:
                self._edges[number] = edges
        return held

    def _like(self, held: Array, block: Array) -> Array:
        if type(held) is type(block):
            return block
        return self._backend.to_host(block) if isinstance(held, np.ndarray) else self._backend.asarray(block)

    def _take(self, slab: Any, index: Array | slice) -> Array:  # noqa: ANN401
        return self._backend.windows(slab, index, self._whitener, self._dtype)


def _sum_shard(backend: Backend, shard: Shard, step: Callable[..., Any], *shared: Any) -> Any:  # noqa: ANN401
    """Add ``step(backend, x, *shared)`` over the blocks x of a shard."""
    total = None
    for x in shard.blocks(backend):
        total = added(total, step(backend, x, *shared))
    return total


@dataclass(frozen=True)
class Scores:
    """How well windows are reconstructed and how active the units are on them; adds over windows.

    Attributes
    ----------
    count
        Windows.
    error
        Sum of |x_hat - x|^2, in the whitened space.
    total, squares
        Sum of x, (n_components,), and of |x|^2.
    activity
        Sum of act per unit, (hidden,).
    """

    count: int
    error: float
    total: NDArray[np.float64]
    squares: float
    activity: NDArray[np.float64]

    def __add__(self, other: Scores) -> Scores:
        """Return the scores of both sets of windows."""
        return Scores(
            self.count + other.count,
            self.error + other.error,
            self.total + other.total,
            self.squares + other.squares,
            self.activity + other.activity,
        )

    @property
    def fvu(self) -> float:
        """Fraction of variance unexplained: error over the squared distance from the windows' own mean."""
        return self.error / max(self.squares - float(self.total @ self.total) / self.count, 1e-300)

    @property
    def rho_hat(self) -> NDArray[np.float64]:
        """Mean activity of each unit, (hidden,)."""
        return self.activity / self.count


def score(feed: Feed, params: Params) -> Scores:
    """Reconstruct every window of a feed."""
    found: Scores = feed.sum_over(_scored, params)
    return found


def _scored(backend: Backend, x: Array, params: Params) -> Scores:
    error, activity = reconstruct(backend, params.on(backend), x)
    total = backend.to_host(x.sum(axis=0, dtype=np.float64))
    squares = float(backend.xp.square(x).sum(dtype=np.float64))
    return Scores(len(x), 2 * float(error), total, squares, backend.to_host(activity))
