"""CUDA backend: launches of the kernels in kernels.cu, and matrix products by cuBLAS. It contains no formulas."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.backends.cpu import _T, CLIP, Array, Backend, Penalty, Whitener
from audiosae.backends.gpu_fields import Fields
from audiosae.backends.gpu_launch import (
    LANES,
    LINES,
    MOST_GRID,
    NULL,
    THREADS,
    flat_grid,
    kernels,
    matrix_grid,
    pack,
    stripes,
)
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import DTypeLike, NDArray

    from audiosae.backends.gpu_fields import DeviceSlab
    from audiosae.backends.gpu_launch import Kernels
    from audiosae.corpus.windows import Corpus

_DEFAULT_PRODUCTS, _TF32_PRODUCTS = 1, 7  # CuPy's COMPUTE_TYPE_DEFAULT and COMPUTE_TYPE_TF32
_MOST_OWNERS = 8


class GpuBackend(Backend):
    """Operations on arrays in GPU memory, with the interface of `Backend`.

    Parameters
    ----------
    tf32
        Whether cuBLAS may round single-precision factors to TF32 (10 bits), which is faster.
    """

    name: str = "cupy"
    sync_interval: float = 0.5
    xp: Any
    tf32: bool
    launch: Kernels

    def __init__(self, *, tf32: bool = False) -> None:
        import cupy

        super().__init__()
        self.xp, self.tf32 = cupy, tf32
        self.launch = kernels(cupy)
        self._fields = Fields(self)
        self._sessions, self._precision = 0, _DEFAULT_PRODUCTS
        self._made: dict[int, tuple[object, Any]] = {}
        self._turn = RLock()

    def asarray(self, array: NDArray[Any], dtype: DTypeLike | None = None) -> Array:
        """Return an array in GPU memory; NumPy arrays are copied to it."""
        return self.xp.asarray(array, dtype)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Set the precision of matrix products; the last session that ends restores it and frees the GPU memory.

        Sessions can be nested, and those of several threads can overlap: CuPy has one precision per process.
        """
        from cupy import _core

        with self._turn:
            if not self._sessions:
                self._precision = _core.get_compute_type(np.float32)
                _core.set_compute_type(np.float32, _TF32_PRODUCTS if self.tf32 else _DEFAULT_PRODUCTS)
            self._sessions += 1
        try:
            with one_blas_thread():  # for what the CPU computes meanwhile
                yield
        finally:
            with self._turn:
                self._sessions -= 1
                if not self._sessions:
                    _core.set_compute_type(np.float32, self._precision)
                    self._fields.clear()
                    self._made.clear()
                    self.release()

    def keep_fields(self, corpus: Corpus) -> bool:
        """Load the fields of a corpus into GPU memory until the last session ends; return whether they fit."""
        return self._fields.keep_fields(corpus)

    def once(self, owner: object, make: Callable[[], _T]) -> _T:
        """Return what `make` returned for an owner; the results of a few owners are cached during a session."""
        if id(owner) not in self._made:
            if len(self._made) >= _MOST_OWNERS:
                self._made.clear()
            self._made[id(owner)] = owner, make()  # the reference to the owner keeps its id from being reused
        made: _T = self._made[id(owner)][1]
        return made

    def turn(self) -> AbstractContextManager[object]:
        """Return a lock that lets one thread at a time use the backend, as launches share buffers."""
        return self._turn

    def release(self) -> None:
        """Free the memory that is reused between steps, and CuPy's memory pools; fields stay."""
        super().release()
        self.xp.get_default_memory_pool().free_all_blocks()
        self.xp.get_default_pinned_memory_pool().free_all_blocks()

    def parts(self, rows: int, *, least: int = 256) -> list[slice]:  # noqa: ARG002
        """Return one part: a launch processes all rows."""
        return [slice(0, rows)]

    def run(self, calls: Sequence[Callable[[], _T]]) -> list[_T]:
        """Make the calls; the GPU executes their launches in order."""
        return [call() for call in calls]

    def sweep(self, flat: Array, update: Callable[[slice], None]) -> None:
        """Call `update` once, with the whole array."""
        update(slice(0, flat.size))

    def to_host(self, array: Array) -> NDArray[Any]:
        """Copy an array to main memory, after the launches that compute it."""
        return np.asarray(self.xp.asnumpy(array))

    def activate(self, z: Array, bias: Array, kind: str) -> Array:
        """See `Backend.activate`."""
        return self._matrix_sweep("activate", z, (bias,), kind)[0]

    def residual(self, y: Array, bias: Array, x: Array, kind: str) -> tuple[Array, Array]:
        """See `Backend.residual`."""
        return self._matrix_sweep("residual", y, (bias, x), kind, errors=True)[::-1]

    def hidden_delta(self, d: Array, a: Array, kl_gradient: Array | None, kind: str) -> Array:
        """See `Backend.hidden_delta`."""
        return self._matrix_sweep("hidden_delta", d, (a, NULL if kl_gradient is None else kl_gradient), kind)[0]

    def slope(self, a: Array, kind: str) -> Array:
        """See `Backend.slope`."""
        return self._matrix_sweep("slope", a, (), kind)[0]

    def kl_gradient(self, activity: Array, count: int, penalty: Penalty, kind: str, dtype: DTypeLike) -> Array:
        """See `Backend.kl_gradient`."""
        gradient, size = self.xp.empty(len(activity), dtype), np.int32(len(activity))
        arguments = (activity, *map(np.float64, (count, penalty.rho, penalty.beta, CLIP)), gradient, size)
        self.launch("kl_gradient", (gradient.dtype.name, kind), *flat_grid(len(activity), 1), *arguments)
        return gradient

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
        """See `Backend.cost`; `squares` are partial sums."""
        terms = self.xp.empty(3 + len(activity))
        numbers = map(np.float64, (count, penalty.rho, penalty.beta, penalty.weight_decay, CLIP))
        sums = (error, activity, squares, np.int32(squares.size))
        results = (terms, NULL if running_totals is None else running_totals, np.int32(len(activity)))
        self.launch("cost", (), (1,), (4 * THREADS,), *sums, *numbers, *results)
        return terms

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
        """See `Backend.average_gradient`; returns partial sums. Adam's update as `then` is part of the same launch."""
        if isinstance(then, _Adam) and then.arrays[0] is flat and then.arrays[1] is gradient:
            return then.update(slice(0, flat.size), decayed, count, decay)
        squares = self.parameter_sweep("average_gradient", (gradient, flat), decayed, count, decay)
        if then is not None:
            self.sweep(flat, then)
        return squares

    def pace(self, rate: float, step: int, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Array:
        """See `Backend.pace`; returns an array in GPU memory."""
        pace = self.xp.empty(2)
        self.launch("pace", (), (1,), (1,), pace, *map(np.float64, (rate, step, beta1, beta2, epsilon)))
        return pace

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
        """See `Backend.adam`."""
        return _Adam(self, (flat, gradient, first, second), (pace, np.float64(beta1), np.float64(beta2)))

    def unit_rows(self, weights: Array) -> Array:
        """See `Backend.unit_rows`."""
        unit, shape = self.xp.empty_like(weights), (np.int64(weights.shape[0]), np.int32(weights.shape[1]))
        grid = (max(1, min(MOST_GRID, len(weights))),)
        self.launch("unit_rows", (weights.dtype.name,), grid, (THREADS,), weights, unit, *shape)
        return unit

    def slabs(self, corpus: Corpus, order: NDArray[np.int64] | None, memory: int) -> Iterator[DeviceSlab]:
        """Yield the slabs of a corpus in GPU memory: of fields that stay there, else streamed."""
        return self._fields.slabs(corpus, order, memory)

    def windows(self, slab: DeviceSlab, index: Array, whitener: Whitener | None, dtype: DTypeLike) -> Array:
        """See `Backend.windows`; the mean is subtracted while gathering, unless a step of the whitening precedes it."""
        starts, pitches = slab.starts, slab.pitches
        if isinstance(index, slice):
            starts, pitches, index = starts[index], None if pitches is None else pitches[index], None
        centred = not (whitener is None or whitener.contrast or whitener.remove_mean)
        pointers = (starts, pitches, index, whitener.mean if whitener is not None and centred else None)
        windows = self.xp.empty((len(starts if index is None else index), slab.run * slab.runs), dtype)
        self._gather(slab.flat, pointers, windows, slab.run, slab.runs)
        if whitener is None:
            return windows
        return whitener.project(windows) if centred else whitener.apply(windows)

    def host_buffer(self, shape: tuple[int, int], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array in main memory, from which `take` copies rows to the GPU."""
        buffer = np.empty(shape, dtype)
        self.say(f"not enough GPU memory for {buffer.nbytes / 2**20:,.0f} MiB of windows; they are sent batch by batch")
        return buffer

    def take(self, rows: Array, index: Array) -> Array:
        """Return rows (count, width) by their indices, in a new array; rows in main memory are sent."""
        if isinstance(rows, np.ndarray):
            return self.asarray(rows[self.to_host(index)])
        out = self.xp.empty((len(index), rows.shape[1]), rows.dtype)
        self._gather(rows, (None, None, index, None), out, rows.shape[1], 1)
        return out

    def _gather(self, field: Array, pointers: Sequence[Array | None], out: Array, run: int, runs: int) -> None:
        """Write windows (count, run * runs) to `out`; `pointers` are starts, pitches, index and mean of kernels.cu."""
        grid = (max(1, min(MOST_GRID, -(-len(out) // LINES))),)
        arrays = (field, *(NULL if pointer is None else pointer for pointer in pointers), out)
        sizes = (np.int64(len(out)), np.int32(run), np.int32(runs))
        self.launch("gather", (field.dtype.name, out.dtype.name), grid, (LANES, LINES), *arrays, *sizes)

    def _matrix_sweep(
        self, kernel: str, rows: Array, others: tuple[Array, ...], kind: str, *, errors: bool = False
    ) -> tuple[Array, Array | None]:
        """Launch a sweep over (rows, columns) in place; return the column sums, and the sum of the blocks' errors."""
        (count, columns), dtype = rows.shape, rows.dtype
        width = pack([rows, *(a for a in others if a is not NULL)], columns)
        grid, block, stripe = matrix_grid(count, columns, width)
        partial = self.scratch("partial rows", (stripes(count), columns), dtype)
        parts = [self.scratch("partial errors", (grid[0] * grid[1],), np.float64)] if errors else []
        sizes = (np.int64(count), np.int32(columns), stripe)
        self.launch(kernel, (dtype.name, width, kind), grid, block, rows, *others, partial, *parts, *sizes)
        sums, error = self.xp.empty(columns), self.xp.empty(()) if errors else None
        rest = (*parts, np.int32(parts[0].size), error) if errors else (NULL, np.int32(0), NULL)
        totals = (partial, np.int32(len(partial)), np.int32(columns), sums, *rest)
        self.launch("total", (dtype.name,), (max(1, -(-columns // LANES)) + len(parts),), (LANES, LINES), *totals)
        return sums, error

    def parameter_sweep(
        self, kernel: str, arrays: Sequence[Array], decayed: int, count: int, decay: float, *arguments: Array
    ) -> Array:
        """Launch a sweep over parameters in place; return partial sums of the squares of the first `decayed` ones."""
        size, dtype, width = arrays[0].size, arrays[0].dtype, pack(arrays, 0)
        grid, block = flat_grid(size, width)
        squares = self.xp.empty(grid[0])
        numbers = (np.int64(size), np.int64(decayed), np.float64(count), np.float64(decay))
        self.launch(kernel, (dtype.name, width), grid, block, *arrays, *numbers, *arguments, squares)
        return squares


@dataclass(frozen=True)
class _Adam:
    """Adam's update, which `average_gradient` launches together with its own work."""

    backend: GpuBackend
    arrays: tuple[Array, ...]  # flat, gradient, first, second
    arguments: tuple[Array, ...]  # pace, beta1, beta2

    def __call__(self, part: slice) -> None:
        self.update(part, 0, 1, 0.0)

    def update(self, part: slice, decayed: int, count: int, decay: float) -> Array:
        """Update a part; return the partial sums of the squares of its first `decayed` weights."""
        arrays = [array[part] for array in self.arrays]
        return self.backend.parameter_sweep("adam", arrays, decayed, count, decay, *self.arguments)
