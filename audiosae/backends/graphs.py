"""CUDA graphs of small training steps: one launch where there were twenty."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from audiosae.backends.gpu import GpuBackend

    Array = Any

_MOST_GRAPHS = 8  # an epoch's batches have two sizes, and those of another slab two others


class Replay:
    """A step that is recorded at its second call with windows of a shape, and replayed from then on.

    A recorded step works on the addresses that it was recorded with: its windows are copied to one place, what it
    allocates comes from a pool of its own, and what it found allocated is kept. The first call is not recorded: in it
    kernels are loaded and buffers find their sizes. Where there is no memory for that pool, steps are not recorded; nor
    where CuPy refuses: up to version 14 it takes no product of cuBLAS into a recording (cupy issue 6290), although
    cuBLAS itself could be recorded.

    Parameters
    ----------
    step
        Works on windows (count, width) without waiting for the card.
    """

    def __init__(self, backend: GpuBackend, step: Callable[[Array], None]) -> None:
        self._backend, self._xp, self._step = backend, backend.xp, step
        self._stream, self._pool = self._xp.cuda.Stream(non_blocking=True), self._xp.cuda.MemoryPool()
        self._windows: dict[tuple[int, ...], Array] = {}
        self._graphs: dict[tuple[int, ...], tuple[Any, list[Array]] | None] = {}

    def __call__(self, x: Array) -> None:
        """Take the step."""
        held = self._windows.get(x.shape)
        if held is None:
            if len(self._windows) < _MOST_GRAPHS:
                self._windows[x.shape] = self._xp.empty_like(x)
            self._step(x)
            return
        if x.shape not in self._graphs:
            try:
                self._graphs[x.shape] = self._record(held), self._backend.buffers()
            except (MemoryError, NotImplementedError) as error:
                self._graphs[x.shape] = None
                self._backend.say(f"steps are not recorded: {error}")
        recorded = self._graphs[x.shape]
        if recorded is None:
            self._step(x)
        else:
            held[...] = x
            recorded[0].launch()

    def _record(self, x: Array) -> Any:  # noqa: ANN401
        with self._stream, self._xp.cuda.using_allocator(self._pool.malloc), self._backend.while_recording():
            self._stream.begin_capture()
            try:
                self._step(x)
            except BaseException:
                with contextlib.suppress(RuntimeError):  # what is half recorded is worth nothing
                    self._stream.end_capture()
                raise
            return self._stream.end_capture()
