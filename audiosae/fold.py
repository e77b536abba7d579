"""Run a step over all the windows of a corpus and add the results; feed whitened windows to a solver.

Everything that reads all the data is one fold of something that adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from audiosae.corpus import CHUNK_WINDOWS, DEFAULT_MEMORY
from audiosae.sae import reconstruct
from audiosae.whiten import Moments, make_whitener, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from audiosae.backends import Backend
    from audiosae.corpus import Corpus
    from audiosae.sae import Params
    from audiosae.whiten import Whitener

    Array = Any

Total = TypeVar("Total")

MOMENT_WINDOWS = 2**16  # evenly spaced over all; more change the eigenvectors less than the sources differ


def fold(step: Callable[[Array], Total], blocks: Iterable[Array]) -> Total:
    """Add up ``step(block)`` over blocks of windows; one block at a time is in memory."""
    return reduce(add, map(step, blocks))


def learn_whitener(corpus: Corpus, **options: Any) -> Whitener:  # noqa: ANN401
    """Learn the whitening of a corpus from at most 65536 of its windows, evenly spaced.

    Parameters
    ----------
    corpus
        The training windows.
    options
        As in `audiosae.whiten.make_whitener`.
    """
    return whitener_of(corpus.sample(MOMENT_WINDOWS).blocks(), **options)


def whitener_of(blocks: Iterable[NDArray[np.floating]], **options: Any) -> Whitener:  # noqa: ANN401
    """Learn the whitening of windows that come in blocks (count, width); `options` as in `learn_whitener`."""
    full = options["kind"] in ("pca", "zca")
    how = {"contrast": options.get("contrast", False), "remove_mean": options.get("remove_mean", False)}
    return make_whitener(fold(lambda block: Moments.of(prepare(block, **how), full=full), blocks), **options)


class Feed:
    """Whitened windows of a corpus, in order or shuffled.

    When they fit the memory they are whitened once and kept; otherwise they are gathered and whitened as they are asked
    for. The numbers are the same.

    Parameters
    ----------
    corpus, whitener, backend
        Where windows come from, what is done to them, where they go.
    dtype
        Of what is fed.
    memory
        Bytes for whitened windows; an eighth for the slabs of fields that windows are gathered from where they do not
        fit: random runs of a few thousand windows, enough to be shuffled together.
    """

    def __init__(
        self, corpus: Corpus, whitener: Whitener, backend: Backend, *, dtype: str = "float32",
        memory: int = DEFAULT_MEMORY,
    ) -> None:  # fmt: skip
        self._corpus, self._whitener, self._backend = corpus, whitener.moved(backend.asarray), backend
        self._dtype, self._memory = np.dtype(dtype), memory
        self._held: Array | None = None
        if len(corpus) and len(corpus) * whitener.seen * self._dtype.itemsize <= memory:
            self._held = self._hold((len(corpus), whitener.seen))

    @classmethod
    def of(cls, held: Array, backend: Backend) -> Feed:
        """Return a feed of windows that are whitened and held already, (count, seen), and belong to no corpus."""
        feed = cls.__new__(cls)
        feed._held, feed._backend = held, backend  # noqa: SLF001 (its own)
        return feed

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._corpus) if self._held is None else len(self._held)

    @property
    def held(self) -> Array | None:
        """All whitened windows (count, seen), when they are kept."""
        return self._held

    def blocks(self, rows: int = CHUNK_WINDOWS) -> Iterator[Array]:
        """Yield all windows in order, whitened, shape (up to `rows`, seen)."""
        if self._held is not None:
            for at in range(0, len(self._held), rows):
                yield self._backend.asarray(self._held[at : at + rows])
            return
        for slab in self._backend.slabs(self._corpus, None, DEFAULT_MEMORY // 8):
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
            held = self._backend.spill(shape, self._dtype)
        at = 0
        for block in self.blocks():
            held[at : at + len(block)] = block if type(held) is type(block) else self._backend.to_host(block)
            at += len(block)
        return held

    def _take(self, slab: Any, index: Array | slice) -> Array:  # noqa: ANN401
        return self._backend.windows(slab, index, self._whitener, self._dtype)


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
        Sum of x, (seen,), and of |x|^2.
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


def score(feed: Feed, params: Params, backend: Backend) -> Scores:
    """Reconstruct every window of a feed."""
    params = params.like(backend.asarray(params.flat))

    def step(x: Array) -> Scores:
        error, activity = reconstruct(backend, params, x)
        total = backend.to_host(x.sum(axis=0, dtype=np.float64))
        squares = float(backend.xp.vdot(x, x))
        return Scores(len(x), 2 * float(error), total, squares, backend.to_host(activity))

    return fold(step, feed.blocks())
