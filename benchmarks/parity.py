"""GPU results, checked before anything is timed: gradients, steps compared with the CPU, repeatability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiosae.autoencoder.gradient_check import FORMS, TOLERANCE, check_gradients
from audiosae.autoencoder.sae import start
from audiosae.backends import Backend
from audiosae.training.checkpoint import State
from audiosae.training.steps import Steps
from benchmarks.measure import Figure
from benchmarks.steps import PENALTY

if TYPE_CHECKING:
    from collections.abc import Iterator

Shape = tuple[int, int, int]  # batch, inputs, units
_STEPS, _FEW_STEPS, _BATCHES = 200, 20, 10


def figures(backend: Backend, shape: Shape, *, short: bool) -> Iterator[Figure]:
    """Yield the deviations of a GPU's results from those of the CPU and from numerical gradients."""
    checks = check_gradients(backend, forms=FORMS[:1] if short else FORMS)
    worst = max(float(str(check["error"])) for check in checks)
    detail = f"{len(checks)} forms of the autoencoder, |a - b| / |a + b|"
    yield Figure("gradient in float64 against differences of the cost", worst, TOLERANCE, at_least=False, detail=detail)
    count = _FEW_STEPS if short else _STEPS
    first, again, cpu = (take_steps(which, shape, count) for which in (backend, backend, Backend()))
    name = f"{count} steps of {' x '.join(map(str, shape))}"
    error, detail = abs(first.sums[1] / cpu.sums[1] - 1), "relative difference, float32"
    yield Figure(f"{name}: cost beside the CPU's", error, 1e-4, at_least=False, detail=detail)
    cosine = _cosines(first, cpu, shape).min()
    yield Figure(f"{name}: least cosine of a unit's weights with the CPU's", float(cosine), 0.999, at_least=True)
    bytes_changed = int((first.flat.view(np.uint8) != again.flat.view(np.uint8)).sum())
    yield Figure(f"{name} taken again: bytes that differ", bytes_changed, 0, at_least=False)


def take_steps(backend: Backend, shape: Shape, count: int) -> State:
    """Return the state after a number of Adam steps on a few batches in turn."""
    batch, width, hidden = shape
    params = start(hidden, width, seed=0, rho=PENALTY.rho)
    state, rng = State.fresh(params.flat, hidden), np.random.default_rng(0)
    with backend.session():
        state.move(backend.asarray)
        steps = Steps(backend, params.like(state.flat), state, PENALTY)
        batches = [
            backend.asarray(rng.normal(size=(batch, width)).astype(np.float32)) for _ in range(min(count, _BATCHES))
        ]
        for number in range(count):
            steps.take(batches[number % len(batches)], 1e-3)
        steps.read()
        state.move(backend.to_host)
    return state


def _cosines(one: State, other: State, shape: Shape) -> np.ndarray:
    _, width, hidden = shape
    a, b = (state.flat[: hidden * width].reshape(hidden, width).astype(float) for state in (one, other))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / lengths)
