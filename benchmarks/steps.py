"""A training step compared with its matrix products and PyTorch, and a full-batch run with textbook NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiosae.autoencoder.sae import Params, Penalty, accumulate, finish, start
from audiosae.backends import Backend
from audiosae.training.options import TrainOptions
from benchmarks.measure import Figure, alternate, milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.measure import Array

SHAPES = {(1024, 256, 1024): (1.2, 1.15), (1024, 1024, 4096): (1.10, 1.15), (256, 100, 100): (1.8, 3.0)}
SHORT = {(256, 100, 100): (1.8, 3.0)}
PENALTY = Penalty(rho=0.05, beta=3.0, weight_decay=1e-4)


def figures(*, short: bool) -> Iterator[Figure]:
    """Yield the figures of training steps."""
    for shape, (products_bar, torch_bar) in (SHORT if short else SHAPES).items():
        yield from _step(shape, products_bar, torch_bar, repeats=3 if short else 15)
    yield _textbook(iterations=20 if short else 400)


def _step(shape: tuple[int, int, int], products_bar: float, torch_bar: float, repeats: int) -> Iterator[Figure]:
    batch, width, hidden = shape
    x = np.random.default_rng(0).normal(size=(batch, width)).astype(np.float32)
    name = f"{batch} x {width} x {hidden}"
    ours = our_step(x, hidden)
    calls = {"products": products(x, hidden), "ours": ours}
    peer = torch_step(x, hidden)
    if peer:
        calls["PyTorch"] = peer
    seconds = alternate(calls, repeats=repeats, least=0.2, within={"ours": Backend().session})
    ratio = seconds["ours"] / seconds["products"]
    detail = milliseconds(seconds)
    yield Figure(f"Adam step {name} over its five products", ratio, products_bar, at_least=False, detail=detail)
    if peer:
        ratio = seconds["PyTorch"] / seconds["ours"]
        yield Figure(f"PyTorch's step over ours, {name}", ratio, torch_bar, at_least=True)


def products(x: Array, hidden: int) -> Callable[[], None]:
    """Return the five matrix products of a step, into buffers, by BLAS with its own threads."""
    batch, width = x.shape
    w = np.random.default_rng(1).normal(size=(hidden, width)).astype(np.float32)
    a, y, g = np.empty((batch, hidden), x.dtype), np.empty_like(x), np.empty_like(w)

    def run() -> None:
        np.matmul(x, w.T, out=a)
        np.matmul(a, w, out=y)
        np.matmul(a.T, y, out=g)
        np.matmul(y, w.T, out=a)
        np.matmul(a.T, x, out=g)

    return run


def our_step(x: Array, hidden: int) -> Callable[[], None]:
    """Return a whole step of audiosae: cost, gradient, Adam."""
    backend, params = Backend(), start(hidden, x.shape[1], seed=0, rho=PENALTY.rho)
    first, second = np.zeros_like(params.flat), np.zeros_like(params.flat)
    out, count = np.empty_like(params.flat), [0]

    def run() -> None:
        count[0] += 1
        sums = accumulate(backend, params, x, whole=PENALTY, out=out)
        update = backend.adam(params.flat, sums.gradient, first, second, backend.pace(1e-3, count[0]))
        finish(backend, params, sums, PENALTY, then=update)

    return run


def torch_step(x: Array, hidden: int, *, device: str = "cpu", compiled: bool = False) -> Callable[[], None] | None:
    """Return the same step in PyTorch with its fused Adam; None if PyTorch is not installed."""
    try:
        import torch
    except ImportError:
        return None
    params = start(hidden, x.shape[1], seed=0, rho=PENALTY.rho)
    arrays = (params.W1, params.W2, params.b1, params.b2)
    tensors = [torch.tensor(array, requires_grad=True, device=device) for array in arrays]
    optimiser = torch.optim.Adam(tensors, lr=1e-3, fused=True)
    windows, rho = torch.tensor(x, device=device), PENALTY.rho

    def cost_of(windows: Array, W1: Array, W2: Array, b1: Array, b2: Array) -> Array:
        a = torch.sigmoid(torch.addmm(b1, windows, W1.T))
        y = torch.addmm(b2, a, W2)
        rho_hat = a.mean(0).clamp(1e-6, 1 - 1e-6)
        divergence = rho * torch.log(rho / rho_hat) + (1 - rho) * torch.log((1 - rho) / (1 - rho_hat))
        squares = (W1 * W1).sum() + (W2 * W2).sum()
        return (
            (y - windows).square().sum() / (2 * len(windows))
            + PENALTY.weight_decay / 2 * squares
            + PENALTY.beta * divergence.sum()
        )

    cost = torch.compile(cost_of) if compiled else cost_of

    def run() -> None:
        optimiser.zero_grad()
        cost(windows, *tensors).backward()
        optimiser.step()

    return run


def _textbook(iterations: int) -> Figure:
    """Compare L-BFGS on plain NumPy with ours in the UFLDL exercise: 10000 patches of 8 x 8, 25 units."""
    from scipy.optimize import minimize

    x = np.clip(np.random.default_rng(0).normal(0.5, 0.13, size=(10000, 8, 8)), 0.1, 0.9)
    x = ((x + np.roll(x, 1, 1) + np.roll(x, 1, 2)) / 3).reshape(10000, 64)
    penalty = Penalty(rho=0.01, beta=3.0, weight_decay=1e-4)
    begin = start(25, 64, seed=0, rho=0.01, decoder="sigmoid", dtype="float64")
    settings = {"maxiter": iterations, "maxfun": 10**9, "ftol": 0.0, "gtol": 0.0}
    costs: dict[str, float] = {}

    def plain() -> None:
        result = minimize(textbook, begin.flat, (x, penalty, 25), jac=True, method="L-BFGS-B", options=settings)
        costs["textbook"] = float(result.fun)

    def ours() -> None:
        costs["ours"] = _lbfgs(x.astype(np.float32), begin, penalty, iterations)

    seconds = alternate({"textbook": plain, "ours": ours}, repeats=3)
    per_cent = 100 * abs(costs["ours"] / costs["textbook"] - 1)
    detail = f"{milliseconds(seconds)}; costs {costs['textbook']:.4f} and {costs['ours']:.4f}, {per_cent:.2f} % apart"
    ratio = seconds["textbook"] / seconds["ours"]
    return Figure("textbook NumPy over ours, 400 L-BFGS iterations", ratio, 5.0, at_least=True, detail=detail)


def _lbfgs(x: Array, begin: Params, penalty: Penalty, iterations: int) -> float:
    """Run the L-BFGS solver of training on rows in memory; return the cost."""
    from audiosae.engine.feed import Feed
    from audiosae.training.checkpoint import State
    from audiosae.training.solvers import Task, lbfgs

    weights = {"rho": penalty.rho, "beta": penalty.beta, "weight_decay": penalty.weight_decay}
    options = TrainOptions(hidden=25, decoder="sigmoid", tol=0.0, solver="lbfgs", **weights)
    backend, state = Backend(), State.fresh(begin.flat.astype(np.float32), 25)
    task = Task(backend, Feed.of(x, backend), None, begin, options, state, epochs=iterations)
    with task.running():
        lbfgs(task)
    return state.history.rows[-1].cost


def textbook(flat: Array, x: Array, penalty: Penalty, hidden: int) -> tuple[float, Array]:
    """Return cost and gradient as the UFLDL notes write them (CS294A, section 3), with a sigmoid output."""
    m, width = x.shape
    W1, W2 = (
        flat[: hidden * width].reshape(hidden, width),
        flat[hidden * width : 2 * hidden * width].reshape(hidden, width),
    )
    b1, b2 = flat[2 * hidden * width : 2 * hidden * width + hidden], flat[2 * hidden * width + hidden :]
    a2 = 1 / (1 + np.exp(-(x @ W1.T + b1)))
    a3 = 1 / (1 + np.exp(-(a2 @ W2 + b2)))
    rho, rho_hat = penalty.rho, a2.mean(axis=0)
    divergence = np.sum(rho * np.log(rho / rho_hat) + (1 - rho) * np.log((1 - rho) / (1 - rho_hat)))
    cost = np.sum((a3 - x) ** 2) / (2 * m) + penalty.weight_decay / 2 * (np.sum(W1**2) + np.sum(W2**2))
    delta3 = (a3 - x) * a3 * (1 - a3)
    pull = penalty.beta * (-rho / rho_hat + (1 - rho) / (1 - rho_hat))
    delta2 = (delta3 @ W2.T + pull) * a2 * (1 - a2)
    dW2, dW1 = a2.T @ delta3 / m + penalty.weight_decay * W2, delta2.T @ x / m + penalty.weight_decay * W1
    gradient = np.concatenate([dW1.ravel(), dW2.ravel(), delta2.mean(axis=0), delta3.mean(axis=0)])
    return float(cost + penalty.beta * divergence), gradient
