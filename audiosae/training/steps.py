"""Asynchronous Adam steps: no device synchronisation until totals are read. Large batches in parts."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.sae import accumulate, finish_async

if TYPE_CHECKING:
    from audiosae.autoencoder.sae import Params, Penalty, Sums
    from audiosae.backends import Backend
    from audiosae.training.checkpoint import State

    Array = Any


class Steps:
    """Steps of Adam on the parameters of a state.

    What they add up (the state's sums and activity) stays where it is computed until it is read. `params`
    lie over the state's flat array.
    """

    def __init__(self, backend: Backend, params: Params, state: State, penalty: Penalty) -> None:
        self._backend, self._params, self._state, self._penalty = backend, params, state, penalty
        self._running_totals = backend.asarray(self._told())

    def begin(self) -> None:
        """Go on from the state's sums and activity."""
        self._running_totals[...] = self._backend.asarray(self._told())

    def read(self) -> None:
        """Bring the state's sums and activity up to date; waits for the steps."""
        found = self._backend.to_host(self._running_totals)
        self._state.sums, self._state.activity = found[:4].tolist(), found[4:].copy()

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

    def _told(self) -> np.ndarray[Any, Any]:
        return np.concatenate([self._state.sums, self._state.activity])


def summed(
    backend: Backend, params: Params, x: Array, *, whole: Penalty | None = None, out: Array | None = None
) -> Sums:
    """Do what `accumulate` does, in parts where the device's memory is too small for all windows at once.

    Sums of parts add: the result is the same to rounding, for a sixth product. Parameters as in `accumulate`.
    """
    while True:
        try:
            if backend.batch_parts == 1:
                return accumulate(backend, params, x, whole=whole, out=out)
            parts = backend.xp.array_split(x, min(len(x), backend.batch_parts))
            return reduce(add, (accumulate(backend, params, part) for part in parts))
        except MemoryError:
            if backend.batch_parts >= len(x):
                raise
            backend.batch_parts *= 2
            backend.release()
            backend.say(f"out of memory: batches are worked through in {backend.batch_parts} parts (the same sums)")
