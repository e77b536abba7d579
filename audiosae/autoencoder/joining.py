"""Join models of several lengths of windows into one, whose units see their parts of the longest window."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.model import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiosae.domain import Domain


def join(domain: Domain, models: Sequence[Model]) -> Model:
    """Return one model for the windows of a domain, from a model for each of its crops; `Model.parts` is the inverse.

    Weights between the units of a model and the components of another are zero. Facts are those of the last model,
    whose windows are whole; only the fraction of variance unexplained is the mean over the components of all models.
    """
    whole, sizes = models[-1], [model.params.width for model in models]
    values = np.arange(prod(domain.window)).reshape(domain.window)
    weights = [
        _moved(model, whole.whitener.mean[values[crop].ravel()])
        for model, crop in zip(models, domain.crops, strict=True)
    ]
    W1, W2, b1, b2 = zip(*weights, strict=True)
    flat = np.concatenate([_diagonal(W1).ravel(), _diagonal(W2).ravel(), *b1, *b2])
    params = replace(whole.params, flat=flat, hidden=sum(map(len, b1)), width=sum(sizes))
    forward = np.zeros((len(whole.whitener.mean), sum(sizes)), np.float32)
    backward, at = np.zeros_like(forward.T), 0
    for model, crop in zip(models, domain.crops, strict=True):
        w, chosen, columns = model.whitener, values[crop].ravel(), slice(at, at := at + model.params.width)
        forward[chosen, columns] = np.asarray(w.forward) / np.float32(w.scale)
        backward[columns, chosen] = np.asarray(w.backward) * np.float32(w.scale)
    spreads = [model.whitener.spread for model in models if model.whitener.spread is not None]
    whitener = replace(
        whole.whitener,
        forward=forward,
        backward=backward,
        scale=1.0,
        notes=whole.whitener.notes | {"kept_dimensions": float(sum(sizes))},
        spread=np.concatenate(spreads) if spreads else None,
        parts=tuple(sizes),
    )
    shares = {name: float(np.average([m.facts[name] for m in models], weights=sizes)) for name in ("fvu", "fvu_train")}
    facts = whole.facts | shares | {"options": whole.facts["options"] | {"hidden": params.hidden}}
    return Model.create(domain, whitener, params, np.concatenate([model.rho_hat for model in models]), facts)


def _moved(model: Model, mean: NDArray[np.float32]) -> tuple[NDArray[Any], ...]:
    """Return weights and biases for windows from which another mean has been subtracted; the codes are the same."""
    p, w = model.params, model.whitener
    shift = w.project(w.mean.astype(np.float64) - mean)
    return p.W1, p.W2, (p.b1 - p.W1 @ shift).astype(p.b1.dtype), (p.b2 + shift).astype(p.b2.dtype)


def _diagonal(blocks: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return a matrix with these blocks on its diagonal."""
    rows, columns = (np.cumsum([0, *(block.shape[axis] for block in blocks)]) for axis in (0, 1))
    matrix = np.zeros((rows[-1], columns[-1]), blocks[0].dtype)
    for number, block in enumerate(blocks):
        matrix[rows[number] : rows[number + 1], columns[number] : columns[number + 1]] = block
    return matrix
