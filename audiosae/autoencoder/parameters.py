"""Parameters (weights and biases), their initialisation, and the penalty (KL sparsity, weight decay)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.backends.cpu import SIGMOID, TANH
from audiosae.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.backends import Backend

    Array = Any


@dataclass(frozen=True)
class Penalty:
    """The sparsity and weight decay terms of the cost.

    Attributes
    ----------
    rho
        Mean activity that each unit is held to, in (0, 1).
    beta
        Weight of the KL term; 0 for the plain autoencoder.
    weight_decay
        Weight of the squared weights (lambda in the notes); biases are free.
    """

    rho: float = 0.05
    beta: float = 3.0
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if not 0 < self.rho < 1:
            raise InputError(f"--rho {self.rho:g}: wanted a mean activity between 0 and 1, for instance 0.05")
        if not (self.beta >= 0 and self.weight_decay >= 0):
            raise InputError(f"--beta {self.beta:g} --weight-decay {self.weight_decay:g}: neither can be negative")

    def divergence(self, rho_hat: Array) -> Array:
        """KL(rho || rho_hat) of Bernoulli variables, per unit."""
        rho = self.rho
        return rho * np.log(rho / rho_hat) + (1 - rho) * np.log((1 - rho) / (1 - rho_hat))

    def kl_gradient(self, rho_hat: Array, activation: str) -> Array:
        """Return d(beta KL) / d activation, per unit: beta dKL/drho_hat times d act / d a."""
        share = 0.5 if activation == TANH else 1.0
        return share * self.beta * ((1 - self.rho) / (1 - rho_hat) - self.rho / rho_hat)


class Params:
    """W1 and W2 (hidden, width), b1 (hidden,), b2 (width,): views into one flat array, so that a solver sees one."""

    flat: Array
    hidden: int
    width: int
    activation: str
    decoder: str
    W1: Array
    W2: Array
    b1: Array
    b2: Array

    def __init__(
        self, flat: Array, hidden: int, width: int, *, activation: str = SIGMOID, decoder: str = "linear"
    ) -> None:
        size = hidden * width
        self.flat, self.hidden, self.width = flat, hidden, width
        self.activation, self.decoder = activation, decoder
        self.W1 = flat[:size].reshape(hidden, width)
        self.W2 = flat[size : 2 * size].reshape(hidden, width)
        self.b1 = flat[2 * size : 2 * size + hidden]
        self.b2 = flat[2 * size + hidden :]

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as one array."""
        kinds = (self.activation, self.decoder)
        return _arrived, (self.flat, self.hidden, self.width, *kinds)

    def on(self, backend: Backend) -> Params:
        """Return the same parameters on a backend's device."""
        return self.like(backend.asarray(self.flat))

    def like(self, flat: Array) -> Params:
        """Return the same shape over another flat array."""
        return Params(flat, self.hidden, self.width, activation=self.activation, decoder=self.decoder)


def _arrived(flat: Array, hidden: int, width: int, activation: str, decoder: str) -> Params:
    return Params(flat, hidden, width, activation=activation, decoder=decoder)


def start(
    hidden: int, width: int, *, seed: int, rho: float, activation: str = SIGMOID, decoder: str = "linear",
    dtype: str = "float32", spread: NDArray[np.floating] | None = None,
) -> Params:  # fmt: skip
    """Return random weights, uniform within sqrt(6 / (hidden + width + 1)) as in the notes, and b1 at activity rho.

    Parameters
    ----------
    rho
        Mean activity to begin at.
    spread
        (width,), standard deviation of each input. Weights begin in proportion: what is noise in weak inputs would stay
        in the atoms for ever, as hardly any gradient reaches it.
    """
    rng = np.random.default_rng(seed)
    reach = np.sqrt(6 / (hidden + width + 1))
    weights = rng.uniform(-reach, reach, 2 * hidden * width)
    if spread is not None:
        weights = (weights.reshape(-1, width) * spread).ravel()
    logit = np.log(rho / (1 - rho))
    bias = logit / 2 if activation == TANH else logit  # (tanh(z) + 1) / 2 is sigmoid(2 z)
    flat = np.concatenate([weights, np.full(hidden, bias), np.zeros(width)]).astype(dtype)
    return Params(flat, hidden, width, activation=activation, decoder=decoder)
