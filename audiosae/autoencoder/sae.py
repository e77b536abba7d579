"""The sparse autoencoder: forward pass, cost and gradient, on any backend.

    a = f(W1 x + b1),  x_hat = g(W2^T a + b2)
    J = 1/m sum 1/2 |x_hat - x|^2 + weight_decay/2 (|W1|^2 + |W2|^2) + beta sum_j KL(rho || rho_hat_j)

The letters are those of A. Ng's "Sparse autoencoder" notes (CS294A; UFLDL). The activity of a unit, `act`, is its
activation scaled to (0, 1). rho_hat is the mean activity over all m windows, so the KL term's gradient with respect to
a unit's activation (`kl_gradient`) is one number, which factors out of the sum over windows:

    sum_i (d_i + kl_gradient) f'_i x_i = sum_i d_i f'_i x_i + kl_gradient sum_i f'_i x_i

`accumulate` returns both sums, which add over blocks, files and machines; `finish` applies `kl_gradient` at the end. In
a step on a mini-batch, rho_hat is the mean over this batch and known after the forward pass; this saves the sixth
matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import iadd
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.backends.cpu import LINEAR, SIGMOID, TANH, Array
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from audiosae.backends import Backend

ENCODED_ROWS = 1024  # per thread when encoding; matrix products of fewer rows are slower
_LEAST_UNITS, _MOST_UNITS = 64, 256  # bounds of the minimum number of units per thread in products for the gradient


@dataclass(frozen=True)
class Penalty:
    """The sparsity and weight decay terms of the cost.

    Attributes
    ----------
    rho
        Target of each unit's mean activity, in (0, 1).
    beta
        Weight of the KL term; 0 for the plain autoencoder.
    weight_decay
        Weight of the squared weights (lambda in the notes); biases are not penalised.
    """

    rho: float = 0.05
    beta: float = 3.0
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        if not 0 < self.rho < 1:
            raise InputError(f"--rho {self.rho:g}: wanted a mean activity between 0 and 1, for instance 0.05")
        if not (self.beta >= 0 and self.weight_decay >= 0):
            raise InputError(f"--beta {self.beta:g} --weight-decay {self.weight_decay:g}: wanted numbers of at least 0")

    def divergence(self, rho_hat: Array) -> Array:
        """Return KL(rho || rho_hat) of Bernoulli variables, per unit."""
        rho = self.rho
        return rho * np.log(rho / rho_hat) + (1 - rho) * np.log((1 - rho) / (1 - rho_hat))

    def kl_gradient(self, rho_hat: Array, activation: str) -> Array:
        """Return d(beta KL) / d activation, per unit: beta dKL/drho_hat times d act / d a."""
        return (0.5 if activation == TANH else 1.0) * self.beta * ((1 - self.rho) / (1 - rho_hat) - self.rho / rho_hat)


@dataclass(eq=False, repr=False)
class Params:
    """Weights and biases of an autoencoder, views into one flat array that a solver can change as a whole.

    Attributes
    ----------
    flat
        W1, W2, b1 and b2, concatenated.
    hidden, width
        Number of units and of inputs.
    activation, decoder
        Activation functions of the units (``sigmoid`` or ``tanh``) and of the output (``linear`` or ``sigmoid``).
    W1, W2
        (hidden, width).
    b1, b2
        (hidden,) and (width,).
    """

    flat: Array
    hidden: int
    width: int
    activation: str = field(default=SIGMOID, kw_only=True)
    decoder: str = field(default=LINEAR, kw_only=True)
    W1: Array = field(init=False)
    W2: Array = field(init=False)
    b1: Array = field(init=False)
    b2: Array = field(init=False)

    def __post_init__(self) -> None:
        size = self.hidden * self.width
        self.W1 = self.flat[:size].reshape(self.hidden, self.width)
        self.W2 = self.flat[size : 2 * size].reshape(self.hidden, self.width)
        self.b1 = self.flat[2 * size : 2 * size + self.hidden]
        self.b2 = self.flat[2 * size + self.hidden :]

    def __reduce__(self) -> tuple[Any, ...]:
        make = partial(Params, activation=self.activation, decoder=self.decoder)
        return make, (self.flat, self.hidden, self.width)  # pickles the flat array only, not its views

    def on(self, backend: Backend) -> Params:
        """Return the same parameters on a backend's device."""
        return self.like(backend.asarray(self.flat))

    def like(self, flat: Array) -> Params:
        """Return parameters of the same shape and kind with other values."""
        return replace(self, flat=flat)


def start(
    hidden: int,
    width: int,
    *,
    seed: int,
    rho: float,
    activation: str = SIGMOID,
    decoder: str = LINEAR,
    dtype: str = "float32",
    spread: NDArray[np.floating] | None = None,
) -> Params:
    """Return initial parameters: weights uniform within sqrt(6 / (hidden + width + 1)) as in the notes, b1 from rho.

    Parameters
    ----------
    rho
        Initial mean activity of the units, for inputs near zero.
    spread
        (width,), standard deviation of each input, to which its initial weights are proportional. Otherwise the initial
        noise in the weights of weak inputs would remain in the atoms, as their gradients are almost zero.
    """
    rng = np.random.default_rng(seed)
    reach = np.sqrt(6 / (hidden + width + 1))
    weights = rng.uniform(-reach, reach, 2 * hidden * width)
    if spread is not None:
        weights = (weights.reshape(-1, width) * spread).ravel()
    bias = np.log(rho / (1 - rho)) / (2 if activation == TANH else 1)  # (tanh(z) + 1) / 2 is sigmoid(2 z)
    flat = np.concatenate([weights, np.full(hidden, bias), np.zeros(width)])
    return Params(flat.astype(dtype), hidden, width, activation=activation, decoder=decoder)


@dataclass
class Sums:
    """Cost and gradient sums of one pass over windows; the Sums of two sets of windows can be added.

    Attributes
    ----------
    count
        Number of windows.
    error
        1/2 sum of |x_hat - x|^2.
    activity
        Sum of act per unit, (hidden,).
    gradient
        Flat like Params: sum of the reconstruction term's gradient, and of the KL term's if rho_hat was known.
    slope_weights, slope_bias
        Sums of f' x and f', (hidden, width) and (hidden,); None if the gradient includes the KL term.
    """

    count: int
    error: Array
    activity: Array
    gradient: Array
    slope_weights: Array | None = None
    slope_bias: Array | None = None

    def __add__(self, other: Sums) -> Sums:
        if self.slope_weights is None or self.slope_bias is None or other.slope_weights is None:
            raise ValueError("sums of whole batches include the KL term of their own rho_hat and do not add")
        return Sums(
            self.count + other.count,
            self.error + other.error,
            self.activity + other.activity,
            self.gradient + other.gradient,
            self.slope_weights + other.slope_weights,
            self.slope_bias + other.slope_bias,
        )


class _Pass:
    """Forward and backward pass of one batch, divided between threads by windows, then by units (gradient rows)."""

    def __init__(self, backend: Backend, params: Params, x: Array, out: Array | None) -> None:
        self._backend, self._params, self._x = backend, params, x
        least = min(_MOST_UNITS, max(_LEAST_UNITS, params.hidden // 2))  # at least two threads, large products
        self._rows, self._units = backend.parts(len(x)), backend.parts(params.hidden, least=least)
        self._a = backend.scratch("activations", (len(x), params.hidden), x.dtype)
        self._d = backend.scratch("hidden delta", (len(x), params.hidden), x.dtype)
        self._delta = backend.scratch("output delta", (len(x), params.width), x.dtype)
        self.gradient = params.like(backend.xp.empty_like(params.flat) if out is None else out)

    def forward(self) -> tuple[Array, Array]:
        """Forward pass, and backward pass to the hidden units without the KL term; return error and activity."""
        errors, activities, sums = zip(*self._run(self._forward, self._rows), strict=True)
        self.gradient.b2[...] = reduce(iadd, sums)
        return reduce(iadd, errors), reduce(iadd, activities)

    def backward(self, kl_gradient: Array | None) -> None:
        """Backward pass from the hidden units; completes the gradient."""
        kind = self._params.activation

        def delta(rows: slice) -> Array:
            return self._backend.hidden_delta(self._d[rows], self._a[rows], kl_gradient, kind)

        self._multiply(self._a, self._delta, self.gradient.W2)
        self.gradient.b1[...] = reduce(iadd, self._run(delta, self._rows))
        self._multiply(self._d, self._x, self.gradient.W1)

    def slopes(self) -> tuple[Array, Array]:
        """Return the sums of f' x and f', the factors of `kl_gradient`; the activations are overwritten."""
        weights = self._backend.xp.empty_like(self.gradient.W1)

        def slope(rows: slice) -> Array:
            return self._backend.slope(self._a[rows], self._params.activation)

        sums = reduce(iadd, self._run(slope, self._rows))
        self._multiply(self._a, self._x, weights)
        return weights, sums

    def _forward(self, rows: slice) -> tuple[Array, Array, Array]:
        backend, params, x = self._backend, self._params, self._x[rows]
        a, delta = self._a[rows], self._delta[rows]
        backend.xp.matmul(x, params.W1.T, out=a)
        activity = backend.activate(a, params.b1, params.activation)
        backend.xp.matmul(a, params.W2, out=delta)
        error, sums = backend.residual(delta, params.b2, x, params.decoder)
        backend.xp.matmul(delta, params.W2.T, out=self._d[rows])
        return error, activity, sums

    def _run(self, work: Callable[[slice], Any], parts: Sequence[slice]) -> list[Any]:
        return self._backend.run([partial(work, part) for part in parts])

    def _multiply(self, left: Array, right: Array, out: Array) -> None:
        """Compute out = left^T right, parts of its rows (units) in parallel."""

        def part(units: slice) -> None:
            self._backend.xp.matmul(left[:, units].T, right, out=out[units])

        self._run(part, self._units)


def accumulate(
    backend: Backend, params: Params, x: Array, *, whole: Penalty | None = None, out: Array | None = None
) -> Sums:
    """Forward and backward pass over windows.

    Parameters
    ----------
    x
        Windows (count, width).
    whole
        The penalty, if these windows are the whole (a mini-batch): the gradient then includes `kl_gradient`, and five
        matrix products suffice. None if the sums will be added to others.
    out
        Flat array for the gradient; None for a new one.
    """
    batch = _Pass(backend, params, x, out)
    error, activity = batch.forward()
    penalised = whole is not None and whole.beta
    batch.backward(backend.kl_gradient(activity, len(x), whole, params.activation, x.dtype) if penalised else None)
    return Sums(len(x), error, activity, batch.gradient.flat, *(batch.slopes() if whole is None else ()))


def finish(
    backend: Backend, params: Params, sums: Sums, penalty: Penalty, *, then: Callable[[slice], None] | None = None
) -> tuple[Cost, Array]:
    """Return the cost and its gradient, flat like the parameters; `sums.gradient` is overwritten.

    Parameters
    ----------
    penalty
        The same as `whole` in `accumulate`, if that was given.
    then
        Called with each finished part of the flat gradient, for instance to update the parameters.
    """
    terms = backend.to_host(finish_async(backend, params, sums, penalty, then=then))
    return Cost(float(terms[0]), float(terms[1]), float(terms[2]), terms[3:]), sums.gradient


def finish_async(
    backend: Backend,
    params: Params,
    sums: Sums,
    penalty: Penalty,
    *,
    then: Callable[[slice], None] | None = None,
    running_totals: Array | None = None,
) -> Array:
    """Finish the gradient as `finish` does, without waiting for the device; return the result of `Backend.cost`."""
    gradient = params.like(sums.gradient)
    if sums.slope_weights is not None and sums.slope_bias is not None and penalty.beta:
        kl_gradient = backend.kl_gradient(sums.activity, sums.count, penalty, params.activation, np.float64)
        gradient.W1 += (kl_gradient[:, None] * sums.slope_weights).astype(gradient.flat.dtype)
        gradient.b1 += (kl_gradient * sums.slope_bias).astype(gradient.flat.dtype)
    decayed, decay = 2 * params.hidden * params.width, penalty.weight_decay
    squares = backend.average_gradient(params.flat, gradient.flat, decayed, count=sums.count, decay=decay, then=then)
    return backend.cost(sums.error, sums.activity, squares, sums.count, penalty, running_totals=running_totals)


def encode(
    backend: Backend,
    params: Params,
    x: Array,
    whiten: Callable[[Array], Array] = lambda x: x,
    then: Callable[[Array], None] = lambda _: None,
) -> Array:
    """Return the codes (count, hidden) of windows (count, width).

    Parameters
    ----------
    whiten
        Applied to parts of the windows first.
    then
        Called with each part of the codes, to change them in place.
    """
    a = backend.xp.empty((len(x), params.hidden), params.flat.dtype)

    def part(rows: slice) -> None:
        backend.xp.matmul(whiten(x[rows]), params.W1.T, out=a[rows])
        backend.activate(a[rows], params.b1, params.activation)
        then(a[rows])

    backend.run([partial(part, rows) for rows in backend.parts(len(x), least=ENCODED_ROWS)])
    return a


def reconstruct(backend: Backend, params: Params, x: Array) -> tuple[Array, Array]:
    """Return 1/2 sum of |x_hat - x|^2, and the sums of act per unit, of windows (count, width)."""

    def part(rows: slice) -> tuple[Array, Array]:
        a = x[rows] @ params.W1.T
        activity = backend.activate(a, params.b1, params.activation)
        return backend.residual(a @ params.W2, params.b2, x[rows], params.decoder)[0], activity

    errors, activities = zip(*backend.run([partial(part, rows) for rows in backend.parts(len(x))]), strict=True)
    return reduce(iadd, errors), reduce(iadd, activities)


@dataclass(frozen=True)
class Cost:
    """The three terms of the cost J, and the units' mean activities rho_hat (hidden,)."""

    reconstruction: float
    sparsity: float
    decay: float
    rho_hat: NDArray[np.float64]

    @property
    def total(self) -> float:
        """The cost J, the sum of the three terms."""
        return self.reconstruction + self.sparsity + self.decay
