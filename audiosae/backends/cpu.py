"""The specification of a backend, written on an array module, and the NumPy fallback that it is.

Besides matrix products, the sweeps between them are the whole backend. Each works in place and returns the column sums
that the same sweep gives for free; sums are float64. Rows are worked through in blocks that stay in the L2 cache
between steps.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

Array = Any  # an array of the backend's module

_BLOCK_BYTES = 2**20  # a core's L2 cache; threads take turns at Python between operations, so smaller is slower
_BLOCK_ROWS = 512  # of fewer rows the sums need no more than single precision
_SWEEP_PART = 2**17  # numbers that are worth another thread
_MOST_PARTS = 16
THREADS = "AUDIOSAE_THREADS"  # in the environment: as many as a cluster's worker was given of its machine's cores
SIGMOID, TANH, LINEAR = "sigmoid", "tanh", "linear"
CLIP = 1e-6  # rho_hat is kept this far from 0 and 1: the KL's slope is infinite there


class Backend:
    """Arrays of a module `xp`, and the operations on them: NumPy in this process's memory.

    Attributes
    ----------
    xp
        The array module.
    sync_interval
        Seconds between two reads of the steps' running totals; a read waits for the steps to be done.
    batch_parts
        In how many parts a batch is worked through; more when memory ran out.
    say
        Is told what is done otherwise than usual.
    """

    name: str = "numpy"
    xp: Any = np
    sync_interval: float = 0.0
    batch_parts: int

    def __init__(self) -> None:
        self._scratch: dict[str, Array] = {}
        self.batch_parts = 1
        self.say: Callable[[str], None] = lambda _: None

    def to_host(self, array: Array) -> NDArray[Any]:
        """Bring an array back."""
        return np.asarray(array)

    def scratch(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:  # noqa: ANN401
        """Return an array whose content is left from the last call with the same name; one step uses it at a time.

        Arrays of a batch's size are given back to the system when they are freed, and its pages cost more than a sweep.
        """
        held = self._scratch.get(name)
        size = math.prod(shape)
        if held is None or held.size < size or held.dtype != dtype:
            held = self._scratch[name] = self.xp.empty(size, dtype)
        return held[:size].reshape(shape)

    def once(self, owner: object, make: Callable[[], Any]) -> Any:  # noqa: ANN401, ARG002
        """Return what is made for an owner; a backend with a memory of its own keeps it for the session."""
        return make()

    def turn(self) -> AbstractContextManager[Any]:
        """Return what a thread enters while it uses the backend for a while beside others: here all may at once."""
        return nullcontext()

    def release(self) -> None:
        """Give back the memory that is kept between steps."""
        self._scratch.clear()

    def host_buffer(self, shape: tuple[int, int], dtype: Any) -> NDArray[Any]:  # noqa: ANN401
        """Return an array for windows where there was no room for one of `xp`; `take` takes from it."""
        raise MemoryError(f"no room for {shape[0]} windows of {shape[1]} numbers ({dtype})")

    def keep_fields(self, corpus: Any) -> bool:  # noqa: ANN401, ARG002
        """Have the fields of a `Corpus` where they are worked on, for all of a session; say whether they fit there.

        Here they are where they are: mapped into memory from the cache.
        """
        return True

    def slabs(self, corpus: Any, order: NDArray[np.int64] | None, memory: int) -> Iterator[Any]:  # noqa: ANN401
        """Yield a `Corpus`'s slabs, as its own `slabs`, where `windows` can take from them."""
        return corpus.slabs(order, memory=memory)  # type: ignore[no-any-return]

    def take(self, rows: Array, index: Array) -> Array:
        """Gather rows (count, width) by their numbers, into an array that the next call uses again."""
        out = self.scratch("batch", (len(index), *rows.shape[1:]), rows.dtype)
        taken: Array = self.xp.take(rows, index, axis=0, out=out, mode="clip")  # "raise" goes by way of a copy
        return taken

    def asarray(self, array: NDArray[Any], dtype: Any = None) -> Array:  # noqa: ANN401
        """Return an array row by row in memory, at an address that its numbers may have; a copy where it is not.

        Arrays that travelled lie at any byte. A product with such an array goes another way in NumPy, and rounds
        otherwise, than with the same numbers in their usual place.
        """
        return np.require(array, dtype, ["C", "A"])

    @contextmanager
    def session(self) -> Iterator[None]:
        """Give the cores to `run`'s threads: within, BLAS uses one thread a call."""
        with one_blas_thread():
            yield

    def parts(self, rows: int, *, least: int = 256) -> list[slice]:
        """Cut rows into runs of `least` or more for `run`.

        By their number alone, so that sums do not depend on the number of cores.
        """
        count = max(1, min(_MOST_PARTS, rows // least))
        edges = [rows * i // count for i in range(count + 1)]
        return [slice(low, high) for low, high in pairwise(edges)]

    def run(self, calls: Sequence[Callable[[], None]]) -> None:
        """Make independent calls, side by side where there are cores."""
        with one_blas_thread():
            if len(calls) == 1:
                _quietly(calls[0])
            else:
                list(_threads(os.getpid()).map(_quietly, calls))

    def windows(self, slab: Any, index: Array, whitener: Any, dtype: Any) -> Array:  # noqa: ANN401
        """Return windows of a slab, whitened, (count, n_components); as they are where there is no whitener."""
        windows = slab.take(index).astype(dtype, copy=False)
        return windows if whitener is None else self.whitened(windows, whitener)

    def whitened(self, windows: NDArray[Any], whitener: Any) -> NDArray[Any]:  # noqa: ANN401
        """Whiten windows (count, width) in this process's memory, parts of the rows side by side."""
        windows, whitener = Backend.asarray(self, windows), whitener.moved(partial(Backend.asarray, self))
        found = np.empty((len(windows), whitener.n_components), windows.dtype)

        def part(rows: slice) -> None:
            found[rows] = whitener.apply(windows[rows])

        self.run([partial(part, rows) for rows in Backend.parts(self, len(windows))])
        return found

    def activate(self, z: Array, bias: Array, kind: str) -> Array:
        """Turn z = x W1^T (rows, hidden) in place into f(z + bias); return the sums of act over rows.

        act is the activation brought to (0, 1): a for sigmoid, (a + 1) / 2 for tanh.
        """
        xp, total = self.xp, 0
        below = -bias
        for block in self._blocks(z):
            if kind == TANH:
                block += bias
                xp.tanh(block, out=block)
            else:
                self._sigmoid(block, below)
            total = total + self._column_sums(block)
        return total if kind == SIGMOID else (total + len(z)) / 2

    def residual(self, y: Array, bias: Array, x: Array, kind: str) -> tuple[Array, Array]:
        """Turn y = a W2 (rows, width) in place into the output's delta; return (1/2 sum of squares, column sums).

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
        """Turn d = delta_out W2^T (rows, hidden) in place into (d + kl_gradient) f'(a); return its sums over rows."""
        total = 0
        for block, active in zip(self._blocks(d), self._blocks(a), strict=True):
            if kl_gradient is not None:
                block += kl_gradient
            block *= self._slope(active, kind)
            total = total + self._column_sums(block)
        return total

    def slope(self, a: Array, kind: str) -> Array:
        """Turn activations (rows, hidden) in place into f'; return the sums over rows."""
        total = 0
        for block in self._blocks(a):
            block[...] = self._slope(block, kind)
            total = total + self._column_sums(block)
        return total

    def kl_gradient(self, activity: Array, count: int, penalty: Any, kind: str, dtype: Any) -> Array:  # noqa: ANN401
        """Return what a `Penalty` adds to each unit's delta, from the sums of act over all `count` windows."""
        return penalty.kl_gradient(self._rho_hat(activity, count), kind).astype(dtype)

    def cost(
        self, error: Array, activity: Array, squares: Array, count: int, penalty: Any, *,  # noqa: ANN401
        running_totals: Array | None = None,
    ) -> Array:  # fmt: skip
        """Return reconstruction, sparsity and decay terms and rho_hat, (3 + hidden,), float64.

        `squares` is what `average_gradient` returned. `running_totals` (4 + hidden,) takes up the count, and each
        times the count: the sum of the terms, reconstruction, sparsity, rho_hat.
        """
        rho_hat = self._rho_hat(activity, count)
        found = self.xp.empty(3 + len(rho_hat))
        found[0], found[1] = error / count, penalty.beta * penalty.divergence(rho_hat).sum()
        found[2], found[3:] = penalty.weight_decay / 2 * float(squares), rho_hat
        if running_totals is not None:
            running_totals[0] += count
            running_totals[1] += count * (found[0] + found[1] + found[2])
            running_totals[2:4] += count * found[:2]
            running_totals[4:] += count * rho_hat
        return found

    def average_gradient(
        self, flat: Array, gradient: Array, decayed: int, *, count: int, decay: float,
        then: Callable[[slice], None] | None = None,
    ) -> Array:  # fmt: skip
        """Turn a gradient summed over `count` windows in place into the mean's, with the decay of the first weights.

        `then` is called for each part that is done. Returns the sum of squares of the first `decayed` weights as they
        were before, for `cost`.
        """
        weights = flat[:decayed]
        squares = self.xp.vdot(weights, weights)

        def average_gradient(part: slice) -> None:
            found, held = gradient[part], weights[part]
            found /= count
            found[: len(held)] += decay * held
            if then is not None:
                then(part)

        self.sweep(flat, average_gradient)
        return squares

    def pace(self, rate: float, step: int, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Array:
        """Return the length of Adam's step of a number, and epsilon, both with the moments' start at zero corrected."""
        correction = (1 - beta2**step) ** 0.5
        return rate * correction / (1 - beta1**step), epsilon * correction

    def adam(
        self, flat: Array, gradient: Array, first: Array, second: Array, pace: Array, *, beta1: float = 0.9,
        beta2: float = 0.999,
    ) -> Callable[[slice], None]:  # fmt: skip
        """Return the update of a part of the parameters and both moments in place; `gradient` is used up.

        Kingma and Ba 2015, algorithm 1. Pass it to `average_gradient` or `sweep`.
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
        """Call ``update(part)`` for every part of a flat array that is worked through element by element."""
        size = max(1, _BLOCK_BYTES // flat.itemsize)
        count = min(_MOST_PARTS, max(1, flat.size // _SWEEP_PART))
        edges = [flat.size * i // count for i in range(count + 1)]

        def run(low: int, high: int) -> None:
            for at in range(low, high, size):
                update(slice(at, min(high, at + size)))

        self.run([partial(run, low, high) for low, high in pairwise(edges)])

    def unit_rows(self, weights: Array) -> Array:
        """Return the rows (hidden, width) divided by their Euclidean norms; rows of zeros stay."""
        norms = self.xp.sqrt(self.xp.square(weights).sum(axis=1, keepdims=True))
        return weights / self.xp.where(norms > 0, norms, 1)

    def _rho_hat(self, activity: Array, count: int) -> Array:
        return self.xp.clip(activity / count, CLIP, 1 - CLIP)

    def _sigmoid(self, block: Array, below: Array) -> None:
        """Turn z in place into 1 / (1 + exp(below - z)), `below` being the bias negated."""
        xp = self.xp
        xp.subtract(below, block, out=block)
        with np.errstate(over="ignore"):  # exp(-z) may be infinite: 1 / (1 + inf) is the 0 that is meant
            xp.exp(block, out=block)
        block += 1
        xp.divide(1, block, out=block)

    def _slope(self, a: Array, kind: str) -> Array:
        """Return f' written in the activation: a (1 - a) for sigmoid, 1 - a^2 for tanh."""
        if kind == TANH:
            return 1 - a * a
        slope = 1 - a
        slope *= a
        return slope

    def _column_sums(self, block: Array) -> Array:
        """Sum a block over its few rows, by a matrix product in its own precision, and return float64."""
        return (self.xp.ones(len(block), block.dtype) @ block).astype(self.xp.float64)

    def _blocks(self, rows: Array) -> Iterator[Array]:
        count = min(_BLOCK_ROWS, max(1, _BLOCK_BYTES // max(1, rows[:1].nbytes)))
        for at in range(0, len(rows), count):
            yield rows[at : at + count]


def _quietly(call: Callable[[], None]) -> None:
    """Make a call in which small numbers may become zero: that is what is meant, whatever `np.seterr` says."""
    with np.errstate(under="ignore"):
        call()


@cache
def _threads(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 (of each process: a forked child has no threads)
    if os.environ.get(THREADS):
        return ThreadPoolExecutor(int(os.environ[THREADS]), thread_name_prefix="audiosae")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ThreadPoolExecutor(cores or 1, thread_name_prefix="audiosae")
