"""NumPy backend, which is also the specification of every backend.

Besides matrix products, a backend consists of sweeps: operations in place on whole matrices or parameter vectors. A
sweep over a matrix also returns its column sums, in float64. Rows are processed in blocks that stay in the L2 cache
between operations.
"""

from __future__ import annotations

import math
import os
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from audiosae.system.threads import Threads, one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType

    from numpy.typing import DTypeLike, NDArray

    from audiosae.corpus.windows import Corpus

Array = Any  # an array of the backend's module
Slab = Any  # `corpus.windows.Slab`, or `gpu_fields.DeviceSlab` in GPU memory
Penalty = Any  # `autoencoder.sae.Penalty`, of a layer above
Whitener = Any  # `autoencoder.whitening.Whitener`, of a layer above
_T = TypeVar("_T")

_BLOCK_BYTES = 2**20  # a core's L2 cache; threads share Python's lock between operations, so smaller blocks are slower
_BLOCK_ROWS = 512  # single precision is exact enough for sums over at most this many rows
_SWEEP_PART = 2**17  # parameters per part of a sweep; less work is not worth a thread
_MOST_PARTS = 16
THREADS = "AUDIOSAE_THREADS"  # environment variable: number of threads; a cluster worker sets it to its cores
SIGMOID, TANH, LINEAR = "sigmoid", "tanh", "linear"
CLIP = 1e-6  # rho_hat is clipped to [CLIP, 1 - CLIP]: the slope of the KL divergence is infinite at 0 and 1


class Backend:
    """Arrays of a module `xp`, and the operations on them: NumPy in this process's memory.

    Attributes
    ----------
    xp
        The array module.
    sync_interval
        Seconds between two reads of the running totals of training steps; a read waits for the steps to finish.
    batch_parts
        Number of parts in which a batch is processed; raised when memory runs out.
    say
        Called with one line when the backend falls back to a slower method, for instance after running out of memory.
    """

    name: str = "numpy"
    xp: ModuleType = np
    sync_interval: float = 0.0
    batch_parts: int = 1

    def __init__(self) -> None:
        self._scratch: dict[str, Array] = {}
        self.say: Callable[[str], None] = lambda _: None

    def to_host(self, array: Array) -> NDArray[Any]:
        """Return an array as a NumPy array."""
        return np.asarray(array)

    def scratch(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an uninitialised array; the next call with the same name reuses its memory.

        Otherwise, arrays of a batch's size would be returned to the system as soon as they are freed, and mapping their
        pages again takes longer than a sweep.
        """
        buffer, size = self._scratch.get(name), math.prod(shape)
        if buffer is None or buffer.size < size or buffer.dtype != dtype:
            buffer = self._scratch[name] = self.xp.empty(size, dtype)
        return buffer[:size].reshape(shape)

    def once(self, owner: object, make: Callable[[], _T]) -> _T:  # noqa: ARG002
        """Return the result of `make` for an owner; the GPU backend caches it during a session."""
        return make()

    def turn(self) -> AbstractContextManager[object]:
        """Return a context in which a thread may use the backend; with NumPy, all threads may at the same time."""
        return nullcontext()

    def release(self) -> None:
        """Free the memory that is reused between steps."""
        self._scratch.clear()

    def host_buffer(self, shape: tuple[int, int], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array for windows that do not fit in the memory of `xp`; `take` accepts it.

        Raises
        ------
        MemoryError
            The backend has no other memory.
        """
        raise MemoryError(f"not enough memory for {shape[0]} windows of {shape[1]} numbers ({dtype})")

    def keep_fields(self, corpus: Corpus) -> bool:  # noqa: ARG002
        """Load the fields of a corpus into the backend's memory for a session; return whether they fit.

        NumPy has nothing to do: the fields are memory-mapped files of the cache.
        """
        return True

    def slabs(self, corpus: Corpus, order: NDArray[np.int64] | None, memory: int) -> Iterator[Slab]:
        """Yield the slabs of a corpus as `Corpus.slabs` does, in a form that `windows` accepts."""
        return corpus.slabs(order, memory=memory)

    def take(self, rows: Array, index: Array) -> Array:
        """Return rows (count, width) by their indices, in an array that the next call reuses."""
        out = self.scratch("batch", (len(index), *rows.shape[1:]), rows.dtype)
        return self.xp.take(rows, index, axis=0, out=out, mode="clip")  # mode "raise" would make a copy

    def asarray(self, array: NDArray[Any], dtype: DTypeLike | None = None) -> Array:
        """Return an array in row-major order at an aligned address; a copy if necessary.

        Arrays that were received from another process can begin at any byte. NumPy multiplies unaligned arrays with
        other routines, whose results are rounded differently.
        """
        return np.require(array, dtype, ["C", "A"])

    @contextmanager
    def session(self) -> Iterator[None]:
        """Reserve the cores for the threads of `run`: BLAS uses one thread per call."""
        with one_blas_thread():
            yield

    def parts(self, rows: int, *, least: int = 256) -> list[slice]:
        """Divide rows into parts of at least `least` rows for `run`.

        The parts depend on the number of rows only, so that sums do not depend on the number of cores.
        """
        return _slices(rows, max(1, min(_MOST_PARTS, rows // least)))

    def run(self, calls: Sequence[Callable[[], _T]]) -> list[_T]:
        """Make independent calls, in parallel on the cores; return their results in order."""
        with one_blas_thread():
            if len(calls) == 1:
                return [_ignore_underflow(calls[0])]
            return list(_threads(os.getpid()).map(_ignore_underflow, calls))

    def windows(self, slab: Slab, index: Array, whitener: Whitener | None, dtype: DTypeLike) -> Array:
        """Return windows of a slab, whitened, (count, n_components); without a whitener as they are, (count, width)."""
        if whitener is None:
            return slab.take(index).astype(dtype, copy=False)
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(slab)))
        aligned = whitener.moved(self.asarray)
        components = np.empty((len(index), aligned.n_components), dtype)

        def part(rows: slice) -> None:
            components[rows] = aligned.apply(self.asarray(slab.take(index[rows]), dtype))

        self.run([partial(part, rows) for rows in self.parts(len(index))])
        return components

    def activate(self, z: Array, bias: Array, kind: str) -> Array:
        """Replace z = x W1^T (rows, hidden) by f(z + bias); return the sums of act over rows.

        act is the activation scaled to (0, 1): a for sigmoid, (a + 1) / 2 for tanh.
        """
        xp, total = self.xp, 0
        for block in self._blocks(z):
            if kind == TANH:
                block += bias
                xp.tanh(block, out=block)
            else:
                self._sigmoid(block, -bias)
            total = total + self._column_sums(block)
        return total if kind == SIGMOID else (total + len(z)) / 2

    def residual(self, y: Array, bias: Array, x: Array, kind: str) -> tuple[Array, Array]:
        """Replace y = a W2 (rows, width) by the output's delta; return (1/2 sum of squares, column sums).

        The delta is d(1/2 |g(y + bias) - x|^2) / d(y + bias), g linear or sigmoid.
        """
        xp, error, total = self.xp, 0.0, 0
        for block, target in zip(self._blocks(y), self._blocks(x), strict=True):
            if kind == SIGMOID:
                self._sigmoid(block, -bias)
                slope = block * (1 - block)
                block -= target
            else:
                block += bias
                block -= target
            error = error + xp.vdot(block, block).astype(xp.float64) / 2
            if kind == SIGMOID:
                block *= slope
            total = total + self._column_sums(block)
        return error, total

    def hidden_delta(self, d: Array, a: Array, kl_gradient: Array | None, kind: str) -> Array:
        """Replace d = delta_out W2^T (rows, hidden) by (d + kl_gradient) f'(a); return its sums over rows."""
        total = 0
        for block, active in zip(self._blocks(d), self._blocks(a), strict=True):
            if kl_gradient is not None:
                block += kl_gradient
            block *= self._slope(active, kind)
            total = total + self._column_sums(block)
        return total

    def slope(self, a: Array, kind: str) -> Array:
        """Replace activations (rows, hidden) by f'; return the sums over rows."""
        total = 0
        for block in self._blocks(a):
            block[...] = self._slope(block, kind)
            total = total + self._column_sums(block)
        return total

    def kl_gradient(self, activity: Array, count: int, penalty: Penalty, kind: str, dtype: DTypeLike) -> Array:
        """Return the sparsity term's gradient on each unit's activation; `activity` sums act over `count` windows."""
        return penalty.kl_gradient(self._rho_hat(activity, count), kind).astype(dtype)

    def cost(
        self,
        error: Array,
        activity: Array,
        squares: Array,
        count: int,
        penalty: Penalty,
        *,
        running_totals: Array | None = None,
    ) -> Array:
        """Return the terms of the cost (reconstruction, sparsity, decay) and rho_hat, (3 + hidden,), float64.

        Parameters
        ----------
        error
            1/2 sum of squared reconstruction errors of `count` windows.
        activity
            Sums of act per unit, (hidden,).
        squares
            Sum of the squared weights, as returned by `average_gradient`.
        running_totals
            (4 + hidden,), increased by the count and by count times: the sum of the terms, reconstruction, sparsity,
            rho_hat.
        """
        rho_hat = self._rho_hat(activity, count)
        sparsity = penalty.beta * penalty.divergence(rho_hat).sum()
        terms = [error / count, sparsity, penalty.weight_decay / 2 * float(squares)]
        if running_totals is not None:
            running_totals += count * np.concatenate([[1, sum(terms)], terms[:2], rho_hat])
        return np.concatenate([terms, rho_hat])

    def average_gradient(
        self,
        flat: Array,
        gradient: Array,
        decayed: int,
        *,
        count: int,
        decay: float,
        then: Callable[[slice], None] | None = None,
    ) -> Array:
        """Divide a summed gradient by `count` in place, and add the decay of the first `decayed` weights.

        `then` is called for each part of the gradient that is finished. Returns the sum of squares of the first
        `decayed` weights before the call, for `cost`.
        """
        weights = flat[:decayed]
        squares = self.xp.vdot(weights, weights)

        def average(part: slice) -> None:
            mean, decaying = gradient[part], weights[part]
            mean /= count
            mean[: len(decaying)] += decay * decaying
            if then is not None:
                then(part)

        self.sweep(flat, average)
        return squares

    def pace(self, rate: float, step: int, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Array:
        """Return length and epsilon of Adam's step number `step`, both corrected for moments that start at zero."""
        correction = (1 - beta2**step) ** 0.5
        return rate * correction / (1 - beta1**step), epsilon * correction

    def adam(
        self,
        flat: Array,
        gradient: Array,
        first: Array,
        second: Array,
        pace: Array,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
    ) -> Callable[[slice], None]:
        """Return Adam's update of a part of the parameters and both moments, for `average_gradient` or `sweep`.

        Kingma and Ba 2015, algorithm 1. The update works in place and overwrites `gradient`.
        """
        xp, (length, epsilon) = self.xp, pace

        def update(part: slice) -> None:
            g, m, v = gradient[part], first[part], second[part]
            m *= beta1
            m += (1 - beta1) * g
            v *= beta2
            g *= g
            g *= 1 - beta2
            v += g
            xp.sqrt(v, out=g)
            g += epsilon
            xp.divide(m, g, out=g)
            g *= length
            flat[part] -= g

        return update

    def sweep(self, flat: Array, update: Callable[[slice], None]) -> None:
        """Call ``update(part)`` for all parts of a flat array, for elementwise operations."""
        size = max(1, _BLOCK_BYTES // flat.itemsize)

        def blocks(part: slice) -> None:
            for at in range(part.start, part.stop, size):
                update(slice(at, min(part.stop, at + size)))

        parts = _slices(flat.size, min(_MOST_PARTS, max(1, flat.size // _SWEEP_PART)))
        self.run([partial(blocks, part) for part in parts])

    def unit_rows(self, weights: Array) -> Array:
        """Return the rows (hidden, width) divided by their Euclidean norms; rows of zeros stay zero."""
        norms = self.xp.sqrt(self.xp.square(weights).sum(axis=1, keepdims=True))
        return weights / self.xp.where(norms > 0, norms, 1)

    def _rho_hat(self, activity: Array, count: int) -> Array:
        return self.xp.clip(activity / count, CLIP, 1 - CLIP)

    def _sigmoid(self, block: Array, below: Array) -> None:
        """Replace z by 1 / (1 + exp(below - z)); `below` is the negated bias."""
        self.xp.subtract(below, block, out=block)
        with np.errstate(over="ignore"):  # exp may overflow to infinity: 1 / (1 + inf) is 0, which is correct
            self.xp.exp(block, out=block)
        block += 1
        self.xp.divide(1, block, out=block)

    def _slope(self, a: Array, kind: str) -> Array:
        """Return f' as a function of the activation: a (1 - a) for sigmoid, 1 - a^2 for tanh."""
        if kind == TANH:
            return 1 - a * a
        slope = 1 - a
        slope *= a
        return slope

    def _column_sums(self, block: Array) -> Array:
        """Return the sums over the rows of a block in float64, added by a matrix product in the block's precision."""
        return (self.xp.ones(len(block), block.dtype) @ block).astype(self.xp.float64)

    def _blocks(self, rows: Array) -> Iterator[Array]:
        count = min(_BLOCK_ROWS, max(1, _BLOCK_BYTES // max(1, rows[:1].nbytes)))
        for at in range(0, len(rows), count):
            yield rows[at : at + count]


def _slices(size: int, count: int) -> list[slice]:
    """Divide `size` items into `count` contiguous slices of nearly equal length."""
    return [slice(low, high) for low, high in pairwise(size * i // count for i in range(count + 1))]


def _ignore_underflow(call: Callable[[], _T]) -> _T:
    """Make a call in which tiny numbers may round to zero, whatever `np.seterr` says."""
    with np.errstate(under="ignore"):
        return call()


@cache
def _threads(process: int) -> Threads:
    """Return the thread pool of a process; a forked child needs its own."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = int(os.environ.get(THREADS) or cores or 1)
    return Threads(count, thread_name_prefix=f"audiosae-{process}").start_all()
