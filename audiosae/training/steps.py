"""Adam steps without waiting for the device until their totals are read; batches that do not fit are divided."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.sae import Params, Penalty, Sums, accumulate, finish_async

if TYPE_CHECKING:
    from audiosae.backends import Backend
    from audiosae.training.checkpoint import State

    Array = Any


class Steps:
    """Adam steps on the parameters of a state.

    The totals of the steps (the state's sums and activity) stay on the device until they are read. `params` is a view
    of the state's flat array.
    """

    def __init__(self, backend: Backend, params: Params, state: State, penalty: Penalty) -> None:
        self._backend, self._params, self._state, self._penalty = backend, params, state, penalty
        self._running_totals = backend.asarray(np.concatenate([state.sums, state.activity]))

    def begin(self) -> None:
        """Start from the state's sums and activity."""
        self._running_totals[...] = self._backend.asarray(np.concatenate([self._state.sums, self._state.activity]))

    def read(self) -> None:
        """Update the state's sums and activity; waits for the steps."""
        totals = self._backend.to_host(self._running_totals)
        self._state.sums, self._state.activity = totals[:4].tolist(), totals[4:].copy()

    def take(self, x: Array, rate: float) -> None:
        """Take a step on windows (count, width)."""
        backend, state = self._backend, self._state
        state.step += 1
        pace = backend.pace(rate, state.step)
        out = backend.scratch("gradient", state.flat.shape, state.flat.dtype)
        sums = summed(backend, self._params, x, whole=self._penalty, out=out)
        update = backend.adam(state.flat, sums.gradient, state.first, state.second, pace)
        finish_async(backend, self._params, sums, self._penalty, then=update, running_totals=self._running_totals)
        state.batch += 1


def summed(
    backend: Backend, params: Params, x: Array, *, whole: Penalty | None = None, out: Array | None = None
) -> Sums:
    """Call `accumulate`, for parts of the windows if the memory of the device is too small for all at once.

    The sums of the parts are added; the result is the same up to rounding, and needs one more matrix product.
    """
    while True:
        try:
            if backend.batch_parts == 1:
                return accumulate(backend, params, x, whole=whole, out=out)
            count = min(len(x), backend.batch_parts)
            return reduce(add, (accumulate(backend, params, part) for part in backend.xp.array_split(x, count)))
        except MemoryError:
            if backend.batch_parts >= len(x):
                raise
            backend.batch_parts *= 2
            backend.release()
            backend.say(
                f"not enough memory for a whole batch; it is processed in {backend.batch_parts} parts (same sums)"
            )
