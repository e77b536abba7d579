"""The backend on a CUDA device: launches of kernels.cu, products by cuBLAS, no formula."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.backends import gpu_launch as launch
from audiosae.backends.cpu import CLIP, Backend
from audiosae.backends.gpu_fields import Fields
from audiosae.backends.gpu_launch import NULL, kernels
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from audiosae.backends.gpu_fields import DeviceSlab

    Array = Any

_SYNC_INTERVAL = 0.5
_DEFAULT_PRODUCTS, _TF32_PRODUCTS = 1, 7  # CuPy's COMPUTE_TYPE_DEFAULT and COMPUTE_TYPE_TF32
_MOST_OWNERS = 8


class GpuBackend(Backend):
    """Operations on a card's arrays; what they do is said in `cpu.Backend`.

    Parameters
    ----------
    tf32
        Whether cuBLAS may round single-precision factors to 10 bits, for speed.
    """

    name = "cupy"
    sync_interval = _SYNC_INTERVAL
    tf32: bool
    xp: Any

    def __init__(self, *, tf32: bool = False) -> None:
        import cupy

        super().__init__()
        self.xp, self.tf32 = cupy, tf32
        self._launch, self._fields = kernels(cupy), Fields(cupy, self._tell)
        self._sessions, self._precision = 0, _DEFAULT_PRODUCTS
        self._made: dict[int, tuple[object, Any]] = {}
        self._turn = RLock()

    def _tell(self, line: str) -> None:
        self.say(line)  # whoever listens by then

    def asarray(self, array: NDArray[Any], dtype: Any = None) -> Array:  # noqa: ANN401
        """As the specification, on the card."""
        return self.xp.asarray(array, dtype)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Compute at the precision that was asked for; give the card's memory back at the end of the outermost.

        Sessions nest, and those of several threads overlap: CuPy's precision is one for the process.
        """
        from cupy import _core

        with self._turn:
            if not self._sessions:
                self._precision = _core.get_compute_type(np.float32)
                _core.set_compute_type(np.float32, _TF32_PRODUCTS if self.tf32 else _DEFAULT_PRODUCTS)
            self._sessions += 1
        try:
            with one_blas_thread():  # what is computed on the host meanwhile
                yield
        finally:
            with self._turn:
                self._sessions -= 1
                if not self._sessions:
                    _core.set_compute_type(np.float32, self._precision)
                    self._fields.clear()
                    self._made.clear()
                    self.release()

    def keep_fields(self, corpus: Any) -> bool:  # noqa: ANN401
        """As the specification: on the card until the end of the outermost session."""
        return self._fields.keep(corpus)

    def once(self, owner: object, make: Callable[[], Any]) -> Any:  # noqa: ANN401
        """As the specification, for a few owners at a time."""
        if id(owner) not in self._made:
            if len(self._made) >= _MOST_OWNERS:
                self._made.clear()
            self._made[id(owner)] = owner, make()  # with its owner, lest another one gets the number
        return self._made[id(owner)][1]

    def turn(self) -> AbstractContextManager[Any]:
        """As the specification: one thread at a time, as launches share buffers."""
        return self._turn

    def release(self) -> None:
        """Give back what is kept between steps, and the pool that CuPy keeps of what was freed; fields stay."""
        super().release()
        self.xp.get_default_memory_pool().free_all_blocks()
        self.xp.get_default_pinned_memory_pool().free_all_blocks()

    def parts(self, rows: int, *, least: int = 256) -> list[slice]:  # noqa: ARG002
        """Do not cut: a launch takes all rows."""
        return [slice(0, rows)]

    def run(self, calls: Sequence[Callable[[], None]]) -> None:
        """Make the calls; the card works on them in their order."""
        for call in calls:
            call()

    def sweep(self, flat: Array, update: Callable[[slice], None]) -> None:
        """Do not cut."""
        update(slice(0, flat.size))

    def to_host(self, array: Array) -> NDArray[Any]:
        """Bring an array back; waits for what computes it."""
        return np.asarray(self.xp.asnumpy(array))

    def activate(self, z: Array, bias: Array, kind: str) -> Array:
        """As the specification."""
        return self._matrix_sweep("activate", z, (bias,), kind)[0]

    def residual(self, y: Array, bias: Array, x: Array, kind: str) -> tuple[Array, Array]:
        """As the specification."""
        sums, error = self._matrix_sweep("residual", y, (bias, x), kind, errors=True)
        return error, sums

    def hidden_delta(self, d: Array, a: Array, kl_gradient: Array | None, kind: str) -> Array:
        """As the specification."""
        return self._matrix_sweep("hidden_delta", d, (a, NULL if kl_gradient is None else kl_gradient), kind)[0]

    def slope(self, a: Array, kind: str) -> Array:
        """As the specification."""
        return self._matrix_sweep("slope", a, (), kind)[0]

    def kl_gradient(self, activity: Array, count: int, penalty: Any, kind: str, dtype: Any) -> Array:  # noqa: ANN401
        """As the specification."""
        found = self.xp.empty(len(activity), dtype)
        numbers = map(np.float64, (count, penalty.rho, penalty.beta, CLIP))
        grid, block = launch.flat_grid(len(activity), 1)
        self._launch(
            "kl_gradient", (np.dtype(dtype).name, kind), grid, block, activity, *numbers, found, np.int32(len(activity))
        )
        return found

    def cost(
        self, error: Array, activity: Array, squares: Array, count: int, penalty: Any, *,  # noqa: ANN401
        running_totals: Array | None = None,
    ) -> Array:  # fmt: skip
        """As the specification; `squares` are partial sums."""
        found = self.xp.empty(3 + len(activity))
        numbers = map(np.float64, (count, penalty.rho, penalty.beta, penalty.weight_decay, CLIP))
        self._launch(
            "cost", (), (1,), (4 * launch.THREADS,), error, activity, squares, np.int32(squares.size), *numbers, found,
            NULL if running_totals is None else running_totals, np.int32(len(activity)),
        )  # fmt: skip
        return found

    def average_gradient(
        self, flat: Array, gradient: Array, decayed: int, *, count: int, decay: float,
        then: Callable[[slice], None] | None = None,
    ) -> Array:  # fmt: skip
        """As the specification, but that the sum of squares is returned in parts; with Adam's update one launch."""
        if isinstance(then, _Adam) and then.flat is flat and then.gradient is gradient:
            return then.launch(slice(0, flat.size), decayed, count, decay)
        width = launch.pack((flat, gradient), 0)
        grid, block = launch.flat_grid(flat.size, width)
        squares = self.xp.empty(grid[0])
        numbers = (np.int64(flat.size), np.int64(decayed), np.float64(count), np.float64(decay))
        self._launch("average_gradient", (flat.dtype.name, width), grid, block, gradient, flat, *numbers, squares)
        if then is not None:
            self.sweep(flat, then)
        return squares

    def pace(self, rate: float, step: int, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Array:
        """As the specification, in an array on the GPU."""
        found = self.xp.empty(2)
        numbers = map(np.float64, (rate, step, beta1, beta2, epsilon))
        self._launch("pace", (), (1,), (1,), found, *numbers)
        return found

    def adam(
        self, flat: Array, gradient: Array, first: Array, second: Array, pace: Array, *, beta1: float = 0.9,
        beta2: float = 0.999,
    ) -> Callable[[slice], None]:  # fmt: skip
        """As the specification."""
        return _Adam(self, flat, gradient, first, second, pace, (beta1, beta2))

    def unit_rows(self, weights: Array) -> Array:
        """As the specification."""
        rows, columns = weights.shape
        found = self.xp.empty_like(weights)
        grid, block = (max(1, min(launch.MOST_GRID, rows)),), (launch.THREADS,)
        self._launch("unit_rows", (weights.dtype.name,), grid, block, weights, found, np.int64(rows), np.int32(columns))
        return found

    def slabs(self, corpus: Any, order: NDArray[np.int64] | None, memory: int) -> Iterator[DeviceSlab]:  # noqa: ANN401
        """As the specification: on the card once where they fit, else streamed."""
        return self._fields.slabs(corpus, order, memory)

    def windows(self, slab: DeviceSlab, index: Array, whitener: Any, dtype: Any) -> Array:  # noqa: ANN401
        """As the specification; the mean is subtracted on the way where nothing comes before it."""
        starts, pitches = slab.starts, slab.pitches
        if isinstance(index, slice):
            starts, pitches, index = starts[index], None if pitches is None else pitches[index], None
        plain = whitener is not None and not (whitener.contrast or whitener.remove_mean)
        count = len(starts) if index is None else len(index)
        found = self.xp.empty((count, slab.run * slab.runs), dtype)
        self._gather(slab.flat, (starts, pitches, index, whitener.mean if plain else None), found, slab.run, slab.runs)
        if whitener is None:
            return found
        return whitener.project(found) if plain else whitener.apply(found)

    def host_buffer(self, shape: tuple[int, int], dtype: Any) -> NDArray[Any]:  # noqa: ANN401
        """As the specification: in the computer's memory."""
        held = np.empty(shape, dtype)
        self.say(f"no room on the card for {held.nbytes / 2**20:,.0f} MiB of windows: they are sent batch by batch")
        return held

    def take(self, rows: Array, index: Array) -> Array:
        """As the specification, into a new array; rows that were spilled are sent."""
        if isinstance(rows, np.ndarray):
            return self.asarray(rows[self.to_host(index)])
        found = self.xp.empty((len(index), rows.shape[1]), rows.dtype)
        self._gather(rows, (None, None, index, None), found, rows.shape[1], 1)
        return found

    def _gather(self, field: Array, places: Sequence[Array | None], found: Array, run: int, runs: int) -> None:
        blocks = max(1, min(launch.MOST_GRID, -(-len(found) // launch.LINES)))
        pointers = [NULL if place is None else place for place in places]
        self._launch(
            "gather", (field.dtype.name, found.dtype.name), (blocks,), (launch.LANES, launch.LINES), field, *pointers,
            found, np.int64(len(found)), np.int32(run), np.int32(runs),
        )  # fmt: skip

    def _matrix_sweep(
        self, kernel: str, rows: Array, others: tuple[Array, ...], kind: str, *, errors: bool = False
    ) -> tuple[Array, Array | None]:
        """Launch a sweep in place over (rows, columns); add its partial rows up, and its blocks' errors."""
        (count, columns), dtype = rows.shape, rows.dtype
        width = launch.pack([rows, *(a for a in others if a is not NULL)], columns)
        grid, block, stripe = launch.matrix_grid(count, columns, width)
        partial = self.scratch("partial rows", (launch.stripes(count), columns), dtype)
        parts = [self.scratch("partial errors", (grid[0] * grid[1],), np.dtype(np.float64))] if errors else []
        shape = (np.int64(count), np.int32(columns), stripe)
        self._launch(kernel, (dtype.name, width, kind), grid, block, rows, *others, partial, *parts, *shape)
        sums = self.xp.empty(columns)
        error = self.xp.empty(()) if errors else None
        across = max(1, -(-columns // launch.LANES)) + len(parts)
        last = (*parts, np.int32(parts[0].size), error) if errors else (NULL, np.int32(0), NULL)
        self._launch(
            "total", (dtype.name,), (across,), (launch.LANES, launch.LINES), partial, np.int32(len(partial)),
            np.int32(columns), sums, *last,
        )  # fmt: skip
        return sums, error


@dataclass(frozen=True)
class _Adam:
    """Adam's update, which `average_gradient` launches together with its own work."""

    backend: GpuBackend
    flat: Array
    gradient: Array
    first: Array
    second: Array
    pace: Array
    betas: tuple[float, float]

    def __call__(self, part: slice) -> None:
        """Update a part from its gradient as it is."""
        self.launch(part, 0, 1, 0.0)

    def launch(self, part: slice, decayed: int, count: int, decay: float) -> Array:
        """Update a part; return the partial sums of its first `decayed` squares."""
        arrays = [array[part] for array in (self.flat, self.gradient, self.first, self.second)]
        width = launch.pack(arrays, 0)
        grid, block = launch.flat_grid(arrays[0].size, width)
        squares = self.backend.xp.empty(grid[0])
        numbers = (np.int64(arrays[0].size), np.int64(decayed), np.float64(count), np.float64(decay))
        self.backend._launch(  # noqa: SLF001 (its own)
            "adam", (self.flat.dtype.name, width), grid, block, *arrays, *numbers, self.pace,
            *map(np.float64, self.betas), squares,
        )  # fmt: skip
        return squares
