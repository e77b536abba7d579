"""Whitening and weights of the units as one matrix."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.autoencoder.sae import Params
    from audiosae.autoencoder.whitening import Whitener


@one_blas_thread()
def weights_on_windows(whitener: Whitener, params: Params) -> NDArray[np.float64]:
    """Return the weights of units on the values of a window less the mean, (hidden, width), for linear whitening."""
    rows = params.W1.astype(np.float64)
    rows = rows if whitener.forward is None else rows @ whitener.forward.T.astype(np.float64)
    return np.asarray(rows / whitener.scale)


def direct_operations(whitener: Whitener, hidden: int) -> int:
    """Return the multiplications per window of one product, or of the whitening and the units if these are fewer."""
    one = whitener.width * hidden
    return one if whitener.forward is None else min(one, (whitener.width + hidden) * whitener.n_components)


def for_encoding(whitener: Whitener, params: Params) -> tuple[Whitener, Params]:
    """Return whitener and parameters for encoding; their matrices are multiplied into one if that saves operations."""
    one = whitener.width * params.hidden
    if whitener.forward is None or whitener.squash or direct_operations(whitener, params.hidden) < one:
        return whitener, params
    rows = weights_on_windows(whitener, params)
    unused = np.zeros_like(rows), params.b1, np.zeros(whitener.width)  # W2 and b2 are not used for encoding
    flat = np.concatenate([part.ravel() for part in (rows, *unused)]).astype(params.flat.dtype)
    return replace(whitener, forward=None, scale=1.0), replace(params, flat=flat, width=whitener.width)
