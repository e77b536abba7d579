"""Small steps recorded as CUDA graphs: one launch where there were twenty."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Array = Any

_MOST_GRAPHS = 8  # an epoch's batches have two sizes, and those of another slab two others


class Replay:
    """A step that is recorded at its second call with windows of a shape, and replayed from then on.

    A recorded step works on the addresses that it was recorded with: its windows are copied to one place, what it
    allocates comes from a pool of its own, and what it found allocated is kept. The first call is not recorded: in it
    kernels are loaded and buffers find their sizes.

    Parameters
    ----------
    xp
        CuPy.
    step
        Works on windows (count, width) without waiting for the card.
    found
        Returns the buffers that the step finds allocated.
    """

    def __init__(self, xp: Any, step: Callable[[Array], None], found: Callable[[], list[Array]]) -> None:  # noqa: ANN401
        self._xp, self._step, self._found = xp, step, found
        self._stream, self._pool = xp.cuda.Stream(non_blocking=True), xp.cuda.MemoryPool()
        self._windows: dict[tuple[int, ...], Array] = {}
        self._graphs: dict[tuple[int, ...], tuple[Any, list[Array]]] = {}

    def __call__(self, x: Array) -> None:
        """Take the step."""
        held = self._windows.get(x.shape)
        if held is None:
            if len(self._windows) < _MOST_GRAPHS:
                self._windows[x.shape] = self._xp.empty_like(x)
            self._step(x)
            return
        held[...] = x
        if x.shape not in self._graphs:
            self._graphs[x.shape] = self._record(held), self._found()
        self._graphs[x.shape][0].launch()

    def _record(self, x: Array) -> Any:  # noqa: ANN401
        with self._stream, self._xp.cuda.using_allocator(self._pool.malloc):
            self._stream.begin_capture()
            try:
                self._step(x)
            except BaseException:
                with contextlib.suppress(RuntimeError):  # what is half recorded is worth nothing
                    self._stream.end_capture()
                raise
            return self._stream.end_capture()
