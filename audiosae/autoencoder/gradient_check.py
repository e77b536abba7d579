"""Gradient check: the analytic gradient against finite differences of the cost, for every form of the autoencoder."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.sae import Penalty, accumulate, finish, start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.autoencoder.sae import Params
    from audiosae.backends import Backend
    from audiosae.domain import Json

TOLERANCE = 1e-7
SHARD_TOLERANCE = 1e-12
_HIDDEN, _WIDTH, _WINDOWS = 7, 9, 60
_STEP = 1e-4  # with a stencil of fourth order: truncation 1e-16, rounding 1e-12


FORMS = tuple(product(("sigmoid", "tanh"), ("linear", "sigmoid"), (0.0, 3.0), (0.0, 1e-4)))


def check_gradients(
    backend: Backend, *, seed: int = 0, forms: Sequence[tuple[str, str, float, float]] | None = None
) -> list[dict[str, Json]]:  # fmt: skip
    """Compare gradients in float64.

    Parameters
    ----------
    forms
        (activation, decoder, beta, weight_decay) of the autoencoders; all of `FORMS` if none are given.

    Returns
    -------
    list of dict
        One per form: `error` (analytic against numerical) and `shards` (the sum
        over unlike shards against the whole), both as |a - b| / |a + b|.
    """
    found: list[dict[str, Json]] = []
    for activation, decoder, beta, decay in forms or FORMS:
        penalty = Penalty(0.1, beta, decay)
        params, x = _problem(activation, decoder, seed, backend)
        _, whole = finish(backend, params, accumulate(backend, params, x, whole=penalty), penalty)
        order = np.argsort(backend.to_host(x[:, 0]), kind="stable")  # unlike shards: small values first
        low, high = map(backend.asarray, (order[:17], order[17:]))
        parts = accumulate(backend, params, backend.take(x, low)) + accumulate(backend, params, backend.take(x, high))
        _, sharded = finish(backend, params, parts, penalty)
        numerical = _numerical(backend, params, x, penalty)
        found.append({
            "backend": backend.name, "activation": activation, "decoder": decoder, "beta": beta, "weight_decay": decay,
            "error": _relative(backend.to_host(whole), numerical),
            "shards": _relative(backend.to_host(whole), backend.to_host(sharded)),
        })  # fmt: skip
    return found


def _problem(activation: str, decoder: str, seed: int, backend: Backend) -> tuple[Params, Any]:
    rng = np.random.default_rng(seed)
    params = start(_HIDDEN, _WIDTH, seed=seed, rho=0.1, activation=activation, decoder=decoder, dtype="float64")
    flat = params.flat + 0.3 * rng.normal(size=params.flat.size)
    return params.like(backend.asarray(flat)), backend.asarray(rng.uniform(0.1, 0.9, (_WINDOWS, _WIDTH)))


def _numerical(backend: Backend, params: Params, x: Any, penalty: Penalty) -> np.ndarray[Any, Any]:  # noqa: ANN401
    """Return the numerical gradient, by (8 (J(+h) - J(-h)) - (J(+2h) - J(-2h))) / 12 h."""

    def cost(index: int, step: float) -> float:
        flat = params.flat.copy()
        flat[index] += step
        moved = params.like(flat)
        return finish(backend, moved, accumulate(backend, moved, x, whole=penalty), penalty)[0].total

    h = _STEP
    return np.array(
        [
            (8 * (cost(i, h) - cost(i, -h)) - (cost(i, 2 * h) - cost(i, -2 * h))) / (12 * h)
            for i in range(params.flat.size)
        ]
    )


def _relative(a: Any, b: Any) -> float:  # noqa: ANN401
    return float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(a + b)), 1e-300)
