"""Gradient check: the analytic gradient against finite differences of the cost, for all forms of the autoencoder."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.sae import Penalty, accumulate, finish, start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.sae import Params
    from audiosae.backends import Backend
    from audiosae.backends.cpu import Array
    from audiosae.domain import Json

TOLERANCE = 1e-7
SHARD_TOLERANCE = 1e-12
FORMS = tuple(product(("sigmoid", "tanh"), ("linear", "sigmoid"), (0.0, 3.0), (0.0, 1e-4)))
_HIDDEN, _WIDTH, _WINDOWS = 7, 9, 60
_STEP = 1e-4  # of a stencil of fourth order: truncation error 1e-16, rounding error 1e-12


def check_gradients(
    backend: Backend, *, seed: int = 0, forms: Sequence[tuple[str, str, float, float]] | None = None
) -> list[dict[str, Json]]:
    """Compare gradients in float64.

    Parameters
    ----------
    backend
        Backend that computes the analytic gradient and the cost.
    seed
        Random seed of weights and windows.
    forms
        (activation, decoder, beta, weight_decay) of the autoencoders; None for all of `FORMS`.

    Returns
    -------
    list of dict
        One per form: `error` (analytic against numerical) and `shards` (the sum over two different shards against the
        whole), both as |a - b| / |a + b|.
    """
    return [_check(backend, seed, form) for form in forms or FORMS]


def _check(backend: Backend, seed: int, form: tuple[str, str, float, float]) -> dict[str, Json]:
    activation, decoder, beta, decay = form
    rng, penalty = np.random.default_rng(seed), Penalty(0.1, beta, decay)
    params = start(_HIDDEN, _WIDTH, seed=seed, rho=0.1, activation=activation, decoder=decoder, dtype="float64")
    params = params.like(params.flat + 0.3 * rng.normal(size=params.flat.size)).on(backend)
    x = backend.asarray(rng.uniform(0.1, 0.9, (_WINDOWS, _WIDTH)))
    _, whole = finish(backend, params, accumulate(backend, params, x, whole=penalty), penalty)
    order = np.argsort(backend.to_host(x[:, 0]), kind="stable")  # small values in one shard, large ones in the other
    low, high = map(backend.asarray, (order[:17], order[17:]))
    sums = accumulate(backend, params, backend.take(x, low)) + accumulate(backend, params, backend.take(x, high))
    _, sharded = finish(backend, params, sums, penalty)
    return {
        "backend": backend.name,
        "activation": activation,
        "decoder": decoder,
        "beta": beta,
        "weight_decay": decay,
        "error": _relative(backend.to_host(whole), _numerical(backend, params, x, penalty)),
        "shards": _relative(backend.to_host(whole), backend.to_host(sharded)),
    }


def _numerical(backend: Backend, params: Params, x: Array, penalty: Penalty) -> NDArray[Any]:
    """Return the numerical gradient, (8 (J(+h) - J(-h)) - (J(+2h) - J(-2h))) / 12 h."""

    def cost(index: int, step: float) -> float:
        flat = params.flat.copy()
        flat[index] += step
        moved = params.like(flat)
        return finish(backend, moved, accumulate(backend, moved, x, whole=penalty), penalty)[0].total

    def slope(i: int, h: float) -> float:
        return (8 * (cost(i, h) - cost(i, -h)) - (cost(i, 2 * h) - cost(i, -2 * h))) / (12 * h)

    return np.array([slope(i, _STEP) for i in range(params.flat.size)])


def _relative(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(a + b)), 1e-300)
