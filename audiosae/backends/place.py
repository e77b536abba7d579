"""Where a backend's arrays are, and how windows come there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

Array = Any  # an array of the backend's module


class Place:
    """The memory that a backend works in: the computer's own, unless a subclass says otherwise.

    Attributes
    ----------
    name
        As in ``--backend``.
    xp
        The array module.
    read_every
        Seconds between two looks at the costs of steps; a look waits for the steps to be done.
    batch_parts
        In how many parts a batch is worked through; more when memory ran out.
    recording
        Whether what is done now is recorded, to be done later.
    say
        Is told what is done otherwise than usual.
    """

    name = "numpy"
    xp: Any = np
    read_every = 0.0

    def __init__(self) -> None:
        self._scratch: dict[str, Array] = {}
        self.batch_parts, self.recording = 1, False
        self.say: Callable[[str], None] = lambda _: None

    def asarray(self, array: NDArray[Any], dtype: Any = None) -> Array:  # noqa: ANN401
        """Bring an array to the device."""
        return self.xp.asarray(array, dtype)

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

    def repeated(self, step: Callable[[Array], None], size: int) -> Callable[[Array], None]:  # noqa: ARG002
        """Return a step that is taken many times on windows (count, width); a backend may record and replay it.

        `size` is the number of parameters, by which the work of a step is told.
        """
        return step

    def release(self) -> None:
        """Give back the memory that is kept between steps."""
        self._scratch.clear()

    def spill(self, shape: tuple[int, int], dtype: Any) -> NDArray[Any]:  # noqa: ANN401
        """Return an array for windows where there was no room for one of `xp`; `take` takes from it."""
        raise MemoryError(f"no room for {shape[0]} windows of {shape[1]} numbers ({dtype})")

    def slabs(self, corpus: Any, order: NDArray[np.int64] | None, memory: int) -> Iterator[Any]:  # noqa: ANN401
        """Yield a `Corpus`'s slabs, as its own `slabs`, where `windows` can take from them."""
        return corpus.slabs(order, memory=memory)  # type: ignore[no-any-return]

    def take(self, rows: Array, index: Array) -> Array:
        """Gather rows (count, width) by their numbers, into an array that the next call uses again."""
        out = self.scratch("batch", (len(index), *rows.shape[1:]), rows.dtype)
        taken: Array = self.xp.take(rows, index, axis=0, out=out, mode="clip")  # "raise" goes by way of a copy
        return taken
