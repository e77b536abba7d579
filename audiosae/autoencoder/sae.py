"""The sparse autoencoder: forward pass, cost and gradient, on any backend.

    a = f(W1 x + b1),  x_hat = g(W2^T a + b2)
    J = 1/m sum 1/2 |x_hat - x|^2 + weight_decay/2 (|W1|^2 + |W2|^2) + beta sum_j KL(rho || rho_hat_j)

The letters are those of A. Ng's "Sparse autoencoder" notes (CS294A; UFLDL). rho_hat is the mean activity over all m
windows, so the KL term's gradient with respect to a unit's activation (`kl_gradient`) is one number, which factors out
of the sum over windows:

    sum_i (d_i + kl_gradient) f'_i x_i = sum_i d_i f'_i x_i + kl_gradient sum_i f'_i x_i

`accumulate` keeps both sums; they add over blocks, files and machines; `finish` applies `kl_gradient` at the
end. A batch that is all there is knows its rho_hat after the forward pass and saves the sixth matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.backends.cpu import SIGMOID, TANH
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from audiosae.backends import Backend

    Array = Any

_ENCODED_ROWS = 1024  # products of fewer are slower
_FEWEST, _MOST = 64, 256  # units whose gradients are worth another thread: each is a product over all rows


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


@dataclass
class Sums:
    """Cost and gradient sums of one pass over windows; the Sums of two sets of windows add to those of both.

    Attributes
    ----------
    count
        Windows.
    error
        1/2 sum of |x_hat - x|^2.
    activity
        Sum of act per unit, (hidden,).
    gradient
        Flat like Params: sums of the reconstruction term's gradient, and of the KL term's where it was known.
    slope_weights, slope_bias
        Sums of f' x and f', (hidden, width) and (hidden,); None where the KL term is in the gradient already.
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
            raise ValueError("sums of whole batches hold their own kl_gradient and do not add")
        return Sums(
            self.count + other.count,
            self.error + other.error,
            self.activity + other.activity,
            self.gradient + other.gradient,
            self.slope_weights + other.slope_weights,
            self.slope_bias + other.slope_bias,
        )


class _Pass:
    """Forward and backward pass of one batch: threads share the windows, then the gradients' rows (units)."""

    def __init__(self, backend: Backend, params: Params, x: Array, out: Array | None) -> None:
        self._backend, self._params, self._x = backend, params, x
        half = min(_MOST, max(_FEWEST, params.hidden // 2))  # two threads at least, and products as large as can be
        self._rows, self._units = backend.parts(len(x)), backend.parts(params.hidden, least=half)
        tall, wide = (len(x), params.hidden), (len(x), params.width)
        self._a = backend.scratch("activations", tall, x.dtype)
        self._d = backend.scratch("hidden delta", tall, x.dtype)
        self._delta = backend.scratch("output delta", wide, x.dtype)
        self.gradient = params.like(backend.xp.empty_like(params.flat) if out is None else out)

    def forward(self) -> tuple[Array, Array]:
        """Forward pass, and backward to the hidden units without the KL term; return error and activity."""
        found = self._side_by_side(self._forward, self._rows)
        self.gradient.b2[...] = _total([sums for _, _, sums in found])
        return _total([error for error, _, _ in found]), _total([activity for _, activity, _ in found])

    def backward(self, kl_gradient: Array | None) -> None:
        """Backward pass from the hidden units; completes the gradient."""
        kind = self._params.activation

        def delta(rows: slice) -> Array:
            return self._backend.hidden_delta(self._d[rows], self._a[rows], kl_gradient, kind)

        self._side_by_side(self._decode, self._units)
        self.gradient.b1[...] = _total(self._side_by_side(delta, self._rows))
        self._side_by_side(self._encode, self._units)

    def slopes(self) -> tuple[Array, Array]:
        """Return the sums of f' x and f', which `kl_gradient` is multiplied with later; the activations are used up."""
        backend, weights = self._backend, self._backend.xp.empty_like(self.gradient.W1)

        def slope(rows: slice) -> Array:
            return backend.slope(self._a[rows], self._params.activation)

        def multiply(units: slice) -> None:
            backend.xp.matmul(self._a[:, units].T, self._x, out=weights[units])

        sums = _total(self._side_by_side(slope, self._rows))
        self._side_by_side(multiply, self._units)
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

    def _decode(self, units: slice) -> None:
        self._backend.xp.matmul(self._a[:, units].T, self._delta, out=self.gradient.W2[units])

    def _encode(self, units: slice) -> None:
        self._backend.xp.matmul(self._d[:, units].T, self._x, out=self.gradient.W1[units])

    def _side_by_side(self, work: Callable[[slice], Any], parts: Sequence[slice]) -> list[Any]:
        """Work on all parts; return what each gave, in their order."""
        found: list[Any] = [None] * len(parts)

        def one(number: int) -> None:
            found[number] = work(parts[number])

        self._backend.run([partial(one, number) for number in range(len(parts))])
        return found


def accumulate(
    backend: Backend, params: Params, x: Array, *, whole: Penalty | None = None, out: Array | None = None
) -> Sums:
    """Forward and backward pass over windows.

    Parameters
    ----------
    x
        Windows (count, width).
    whole
        The penalty, when these windows are all there are (a mini-batch): `kl_gradient` goes into the gradient at
        once and five matrix products do. Without it the sums can be added to others.
    out
        Flat, for the gradient; made when not given.
    """
    run = _Pass(backend, params, x, out)
    error, activity = run.forward()
    kl_gradient = None
    if whole is not None and whole.beta:
        kl_gradient = backend.kl_gradient(activity, len(x), whole, params.activation, x.dtype)
    run.backward(kl_gradient)
    slopes = run.slopes() if whole is None else (None, None)
    return Sums(len(x), error, activity, run.gradient.flat, *slopes)


def finish(
    backend: Backend, params: Params, sums: Sums, penalty: Penalty, *, then: Callable[[slice], None] | None = None
) -> tuple[Cost, Array]:
    """Return the cost and its gradient, flat like the parameters; `sums.gradient` is used up.

    Parameters
    ----------
    penalty
        The same that a whole batch was accumulated with.
    then
        Called for each part of the flat gradient once it is finished: a solver's update.
    """
    found = backend.to_host(finish_async(backend, params, sums, penalty, then=then))
    return Cost(float(found[0]), float(found[1]), float(found[2]), found[3:]), sums.gradient


def finish_async(
    backend: Backend, params: Params, sums: Sums, penalty: Penalty, *, then: Callable[[slice], None] | None = None,
    running_totals: Array | None = None,
) -> Array:  # fmt: skip
    """Finish the gradient as `finish` does, and leave the cost on the device; returns what `Backend.cost` does."""
    gradient = params.like(sums.gradient)
    if sums.slope_weights is not None and sums.slope_bias is not None and penalty.beta:
        kl_gradient = backend.kl_gradient(sums.activity, sums.count, penalty, params.activation, np.float64)
        gradient.W1 += (kl_gradient[:, None] * sums.slope_weights).astype(gradient.flat.dtype)
        gradient.b1 += (kl_gradient * sums.slope_bias).astype(gradient.flat.dtype)
    decayed, decay = 2 * params.hidden * params.width, penalty.weight_decay
    squares = backend.average_gradient(params.flat, gradient.flat, decayed, count=sums.count, decay=decay, then=then)
    return backend.cost(sums.error, sums.activity, squares, sums.count, penalty, running_totals=running_totals)


def encode(
    backend: Backend, params: Params, x: Array, whiten: Callable[[Array], Array] | None = None,
    then: Callable[[Array], None] = lambda _: None,
) -> Array:  # fmt: skip
    """Return the codes (count, hidden) of windows (count, width), which are whitened first where a way is given.

    `then` is called with runs of rows of the codes, to change them in place.
    """
    a = backend.xp.empty((len(x), params.hidden), params.flat.dtype)

    def part(rows: slice) -> None:
        backend.xp.matmul(x[rows] if whiten is None else whiten(x[rows]), params.W1.T, out=a[rows])
        backend.activate(a[rows], params.b1, params.activation)
        then(a[rows])

    backend.run([partial(part, rows) for rows in backend.parts(len(x), least=_ENCODED_ROWS)])
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


def _total(parts: Sequence[Array]) -> Array:
    """Add parts up in their order, in place of the first."""
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total
