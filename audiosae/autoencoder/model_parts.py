"""The parts of a model from the tensors and facts of its file."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.model_schema import FLAGS
from audiosae.autoencoder.sae import Params
from audiosae.autoencoder.whitening import Whitener
from audiosae.system.schema import Mismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.domain import Domain

_ROTATING = ("pca", "zca")  # kinds of whitening that have matrices


def check_sizes(domain: Domain, whitener: Whitener, params: Params) -> None:
    """Raise Mismatch if windows, whitening and weights do not fit together."""
    sizes = prod(domain.window), whitener.n_components
    if len(whitener.parts) != len(domain.crops) or (whitener.parts and sum(whitener.parts) != sizes[1]):
        raise Mismatch(
            "whitening.parts", f"{len(domain.crops)} numbers with sum {sizes[1]}", ", ".join(map(str, whitener.parts))
        )
    if (whitener.width, params.width) != sizes:
        raise Mismatch(
            "the sizes of windows, whitening and weights do not match",
            f"{sizes[0]} values of a window and {sizes[1]} components",
            f"{whitener.width} and {params.width}",
        )


def params_of(tensors: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Params:
    """Return the parameters in the tensors and facts of a model file."""
    W1, W2, b1, b2 = (tensors[f"{part}.{kind}"] for kind in ("weight", "bias") for part in ("encoder", "decoder"))
    flat = np.concatenate([W1.ravel(), W2.ravel(), b1, b2]).astype(W1.dtype, copy=False)
    return Params(flat, *W1.shape, activation=facts["activation"], decoder=facts["decoder"])


def whitener_of(tensors: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Whitener:
    """Return the whitening in the tensors of a model file, with its facts; Mismatch if they do not fit together."""
    forward, backward, spread = (tensors.get(f"whiten.{name}") for name in ("forward", "backward", "spread"))
    wanted = facts["kind"] in _ROTATING
    if {forward is not None, backward is not None} != {wanted} or (spread is not None and not wanted):
        raise Mismatch("whiten.forward", f"the tensors of the whitening {facts['kind']}", "others")
    flags = {key: facts[key] for key in FLAGS}
    return Whitener(
        facts["kind"],
        tensors["whiten.mean"],
        forward,
        backward,
        scale=float(facts["scale"]),
        notes=facts["notes"],
        spread=spread,
        parts=tuple(facts.get("parts", ())),
        **flags,
    )
