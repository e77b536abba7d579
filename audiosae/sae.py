"""The sparse autoencoder: the only maths, blind to the device.

    a = f(W1 x + b1),  x_hat = g(W2^T a + b2)
    J = 1/m sum 1/2 |x_hat - x|^2 + weight_decay/2 (|W1|^2 + |W2|^2) + beta sum_j KL(rho || rho_hat_j)

The letters are those of A. Ng's "Sparse autoencoder" notes (CS294A; UFLDL). rho_hat is the mean activity over all m
windows, so the penalty's pull on a unit is one number, which factors out of the sum over windows:

    sum_i (d_i + pull) f'_i x_i = sum_i d_i f'_i x_i + pull sum_i f'_i x_i

`accumulate` keeps both sums; they add over blocks, files and machines; `finish` applies the pull at the end. A batch
that is all there is knows its rho_hat after the forward pass and saves the sixth matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.backends.cpu import SIGMOID, TANH
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiosae.backends import Backend

    Array = Any

_CLIP = 1e-6  # rho_hat is kept this far from 0 and 1: the KL's slope is infinite there


@dataclass(frozen=True)
class Penalty:
    """What is added to the reconstruction error.

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
        """Refuse what is no penalty."""
        if not 0 < self.rho < 1:
            raise InputError(f"--rho {self.rho:g}: wanted a mean activity between 0 and 1, for instance 0.05")
        if not (self.beta >= 0 and self.weight_decay >= 0):
            raise InputError(f"--beta {self.beta:g} --weight-decay {self.weight_decay:g}: neither can be negative")

    def divergence(self, rho_hat: Array) -> Array:
        """KL(rho || rho_hat) of Bernoulli variables, per unit."""
        rho = self.rho
        return rho * np.log(rho / rho_hat) + (1 - rho) * np.log((1 - rho) / (1 - rho_hat))

    def pull(self, rho_hat: Array, activation: str) -> Array:
        """Return beta dKL/drho_hat times d act / d a, per unit."""
        share = 0.5 if activation == TANH else 1.0
        return share * self.beta * ((1 - self.rho) / (1 - rho_hat) - self.rho / rho_hat)


class Params:
    """W1 and W2 (hidden, width), b1 (hidden,), b2 (width,): views into one flat array, so that a solver sees one."""

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

    def like(self, flat: Array) -> Params:
        """Return the same shape over another flat array."""
        return Params(flat, self.hidden, self.width, activation=self.activation, decoder=self.decoder)


def start(
    hidden: int, width: int, *, seed: int, rho: float, activation: str = SIGMOID, decoder: str = "linear",
    dtype: str = "float32",
) -> Params:  # fmt: skip
    """Return random weights, uniform within sqrt(6 / (hidden + width + 1)) as in the notes, and b1 at activity rho."""
    rng = np.random.default_rng(seed)
    reach = np.sqrt(6 / (hidden + width + 1))
    weights = rng.uniform(-reach, reach, 2 * hidden * width)
    logit = np.log(rho / (1 - rho))
    bias = logit / 2 if activation == TANH else logit  # (tanh(z) + 1) / 2 is sigmoid(2 z)
    flat = np.concatenate([weights, np.full(hidden, bias), np.zeros(width)]).astype(dtype)
    return Params(flat, hidden, width, activation=activation, decoder=decoder)


@dataclass
class Sums:
    """What one pass over windows gives; the Sums of two sets of windows add to those of both.

    Attributes
    ----------
    count
        Windows.
    error
        1/2 sum of |x_hat - x|^2.
    activity
        Sum of act per unit, (hidden,).
    gradient
        Flat like Params: sums of the reconstruction term's gradient, (and of the pull's, where it was known).
    slope_weights, slope_bias
        Sums of f' x and f', (hidden, width) and (hidden,); None where the pull is in the gradient already.
    """

    count: int
    error: Array
    activity: Array
    gradient: Array
    slope_weights: Array | None = None
    slope_bias: Array | None = None

    def __add__(self, other: Sums) -> Sums:
        """Add the sums of two sets of windows."""
        if self.slope_weights is None or self.slope_bias is None or other.slope_weights is None:
            raise ValueError("sums of whole batches hold their own pull and do not add")
        return Sums(
            self.count + other.count,
            self.error + other.error,
            self.activity + other.activity,
            self.gradient + other.gradient,
            self.slope_weights + other.slope_weights,
            self.slope_bias + other.slope_bias,
        )


class _Part:
    """A run of windows on its way forward and back; parts are independent until their activity is added up."""

    def __init__(self, backend: Backend, params: Params, x: Array) -> None:
        self._backend, self._params, self._x = backend, params, x
        self.gradient = params.like(backend.xp.empty_like(params.flat))
        self.slope_weights: Array | None = None
        self.slope_bias: Array | None = None

    def forward(self) -> None:
        """Go to the output, and back to the hidden units but for what needs the pull."""
        backend, params = self._backend, self._params
        self._a = self._x @ params.W1.T
        self.activity = backend.activate(self._a, params.b1, params.activation)
        delta = self._a @ params.W2
        self.error, self.gradient.b2[...] = backend.residual(delta, params.b2, self._x, params.decoder)
        backend.xp.matmul(self._a.T, delta, out=self.gradient.W2)
        self._d = delta @ params.W2.T

    def backward(self, pull: Array | None, *, exact: bool) -> None:
        """Finish the gradient; with `exact`, also sum what a later pull is multiplied with."""
        backend, params = self._backend, self._params
        self.gradient.b1[...] = backend.hidden_delta(self._d, self._a, pull, params.activation)
        backend.xp.matmul(self._d.T, self._x, out=self.gradient.W1)
        if exact:
            self.slope_bias = backend.slope(self._a, params.activation)
            self.slope_weights = self._a.T @ self._x


def accumulate(backend: Backend, params: Params, x: Array, *, whole: Penalty | None = None) -> Sums:
    """Run forward and backward over windows.

    Parameters
    ----------
    backend
        Where the arrays are.
    params
        The autoencoder.
    x
        Windows (count, width).
    whole
        The penalty, when these windows are all there are (a mini-batch): its pull goes into the gradient at once and
        five matrix products do. Without it the sums can be added to others.

    Returns
    -------
    Sums
        For `finish`.
    """
    parts = [_Part(backend, params, x[rows]) for rows in backend.parts(len(x))]
    backend.run([part.forward for part in parts])
    activity = _total([part.activity for part in parts])
    pull = None
    if whole is not None and whole.beta:
        pull = whole.pull(_clipped(backend.xp, activity / len(x)), params.activation).astype(x.dtype)
    backend.run([partial(part.backward, pull, exact=whole is None) for part in parts])
    error, gradient = _total([part.error for part in parts]), _total([part.gradient.flat for part in parts])
    if whole is not None:
        return Sums(len(x), error, activity, gradient)
    slopes = _total([part.slope_weights for part in parts]), _total([part.slope_bias for part in parts])
    return Sums(len(x), error, activity, gradient, *slopes)


def finish(backend: Backend, params: Params, sums: Sums, penalty: Penalty) -> tuple[Cost, Array]:
    """Return the cost and its gradient, flat like the parameters; `sums.gradient` is used up.

    Parameters
    ----------
    backend, params
        As in `accumulate`.
    sums
        Over all windows.
    penalty
        The same that a whole batch was accumulated with.
    """
    rho_hat = _clipped(backend.xp, sums.activity / sums.count)
    gradient = params.like(sums.gradient)
    if sums.slope_weights is not None and sums.slope_bias is not None and penalty.beta:
        pull = penalty.pull(rho_hat, params.activation)
        gradient.W1 += (pull[:, None] * sums.slope_weights).astype(gradient.flat.dtype)
        gradient.b1 += (pull * sums.slope_bias).astype(gradient.flat.dtype)
    gradient.flat /= sums.count
    weights = 2 * params.hidden * params.width
    decay = params.flat[:weights]
    gradient.flat[:weights] += penalty.weight_decay * decay
    squares = float(backend.xp.vdot(decay, decay))
    sparsity = penalty.beta * float(penalty.divergence(rho_hat).sum())
    cost = Cost(float(sums.error) / sums.count, sparsity, penalty.weight_decay / 2 * squares, backend.to_host(rho_hat))
    return cost, gradient.flat


def encode(backend: Backend, params: Params, x: Array) -> Array:
    """Return the codes (count, hidden) of windows (count, width)."""
    a = backend.xp.empty((len(x), params.hidden), params.flat.dtype)

    def part(rows: slice) -> None:
        backend.xp.matmul(x[rows], params.W1.T, out=a[rows])
        backend.activate(a[rows], params.b1, params.activation)

    backend.run([partial(part, rows) for rows in backend.parts(len(x))])
    return a


def reconstruct(backend: Backend, params: Params, x: Array) -> tuple[Array, Array]:
    """Return 1/2 sum of |x_hat - x|^2 and the sums of act per unit of windows (count, width)."""
    found: dict[int, tuple[Array, Array]] = {}

    def part(rows: slice) -> None:
        a = x[rows] @ params.W1.T
        activity = backend.activate(a, params.b1, params.activation)
        found[rows.start] = backend.residual(a @ params.W2, params.b2, x[rows], params.decoder)[0], activity

    backend.run([partial(part, rows) for rows in backend.parts(len(x))])
    errors, activities = zip(*(found[start] for start in sorted(found)), strict=True)
    return _total(errors), _total(activities)


@dataclass(frozen=True)
class Cost:
    """The three terms of J, and rho_hat (hidden,)."""

    reconstruction: float
    sparsity: float
    decay: float
    rho_hat: NDArray[np.float64]

    @property
    def total(self) -> float:
        """J."""
        return self.reconstruction + self.sparsity + self.decay


def _clipped(xp: Any, rho_hat: Array) -> Array:  # noqa: ANN401
    return xp.clip(rho_hat, _CLIP, 1 - _CLIP)


def _total(parts: Sequence[Array]) -> Array:
    """Add parts up in their order, in place of the first."""
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total
