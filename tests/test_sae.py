"""The maths: gradients, sums, penalties, and what the autoencoder is known to learn."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from audiosae.autoencoder.gradient_check import FORMS, SHARD_TOLERANCE, TOLERANCE, check_gradients
from audiosae.autoencoder.sae import Penalty, accumulate, encode, finish, reconstruct, start
from audiosae.backends import Backend
from audiosae.errors import InputError

B = Backend()


def textbook(params, x, penalty):
    """Cost and gradient in two passes over whole matrices, as the UFLDL notes write them."""
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    a = sigmoid(x @ params.W1.T + params.b1) if params.activation == "sigmoid" else np.tanh(x @ params.W1.T + params.b1)
    act, share = (a, 1.0) if params.activation == "sigmoid" else ((a + 1) / 2, 0.5)
    slope = a * (1 - a) if params.activation == "sigmoid" else 1 - a**2
    y = a @ params.W2 + params.b2
    y, out_slope = (sigmoid(y), sigmoid(y) * (1 - sigmoid(y))) if params.decoder == "sigmoid" else (y, 1.0)
    m, rho, rho_hat = len(x), penalty.rho, act.mean(axis=0)
    kl = rho * np.log(rho / rho_hat) + (1 - rho) * np.log((1 - rho) / (1 - rho_hat))
    cost = np.sum((y - x) ** 2) / 2 / m + penalty.beta * kl.sum()
    cost += penalty.weight_decay / 2 * (np.sum(params.W1**2) + np.sum(params.W2**2))
    delta = (y - x) * out_slope
    hidden = (delta @ params.W2.T + share * penalty.beta * (-rho / rho_hat + (1 - rho) / (1 - rho_hat))) * slope
    W1 = hidden.T @ x / m + penalty.weight_decay * params.W1
    W2 = a.T @ delta / m + penalty.weight_decay * params.W2
    return cost, np.concatenate([W1.ravel(), W2.ravel(), hidden.mean(axis=0), delta.mean(axis=0)])


def problem(backend, activation="sigmoid", decoder="linear", dtype="float64", hidden=6, width=11, count=83, order=None):
    rng = np.random.default_rng(1)
    params = start(hidden, width, seed=2, rho=0.1, activation=activation, decoder=decoder, dtype=dtype)
    params.flat[:] += 0.3 * rng.normal(size=params.flat.size)
    x = rng.uniform(0.1, 0.9, (count, width)).astype(dtype)
    return there(backend, params), backend.asarray(x if order is None else x[np.argsort(x[:, order])])


def there(backend, params):
    """Bring parameters to where a backend works."""
    return params.like(backend.asarray(params.flat))


@pytest.mark.parametrize(("activation", "decoder"), list(product(("sigmoid", "tanh"), ("linear", "sigmoid"))))
def test_cost_and_gradient_equal_the_textbooks(backend, activation, decoder):
    params, x = problem(backend, activation, decoder)
    penalty = Penalty(0.1, 3.0, 1e-3)
    cost, gradient = finish(backend, params, accumulate(backend, params, x, whole=penalty), penalty)
    wanted, wanted_gradient = textbook(params.like(backend.to_host(params.flat)), backend.to_host(x), penalty)
    assert cost.total == pytest.approx(wanted, rel=1e-13)
    np.testing.assert_allclose(backend.to_host(gradient), wanted_gradient, rtol=1e-10, atol=1e-14)


FEW = [FORMS[number] for number in (0, 7, 11, 13, 14)]  # they have every two settings together


@pytest.mark.parametrize(("backend", "forms"), [
    ("numpy", FORMS), ("pretended card", FEW), pytest.param("pretended card", FORMS, marks=pytest.mark.slow),
    pytest.param("card", FORMS, marks=pytest.mark.gpu),
], indirect=["backend"], ids=["numpy", "pretended card", "pretended card, all", "card"])  # fmt: skip
def test_every_gradient_passes_the_check(backend, forms):
    assert len(FORMS) == 16
    checks = check_gradients(backend, forms=forms)
    assert len(checks) == len(forms)
    assert max(check["error"] for check in checks) <= TOLERANCE
    assert max(check["shards"] for check in checks) <= SHARD_TOLERANCE


def test_a_wrong_pull_fails_the_check(monkeypatch):
    right = Penalty.kl_gradient
    monkeypatch.setattr(Penalty, "kl_gradient", lambda self, rho_hat, kind: 1.001 * right(self, rho_hat, kind))
    errors = {check["beta"]: check["error"] for check in check_gradients(B, forms=FEW)}
    assert errors[3.0] > TOLERANCE
    assert errors[0.0] <= TOLERANCE


def test_a_wrong_slope_fails_the_check(monkeypatch):
    monkeypatch.setattr(Backend, "_slope", lambda self, a, kind: a * (1 - a))
    assert max(c["error"] for c in check_gradients(B, forms=FEW) if c["activation"] == "tanh") > TOLERANCE


def test_sums_of_unlike_shards_add_to_the_whole(backend):
    params, x = problem(backend, order=0)
    penalty = Penalty(0.05, 10.0, 1e-4)
    shards = backend.xp.array_split(x[7:], 5)
    parts = sum((accumulate(backend, params, part) for part in shards), accumulate(backend, params, x[:7]))
    cost, gradient = finish(backend, params, parts, penalty)
    whole_cost, whole = finish(backend, params, accumulate(backend, params, x, whole=penalty), penalty)
    gradient, whole = backend.to_host(gradient), backend.to_host(whole)
    assert np.linalg.norm(gradient - whole) <= 1e-12 * np.linalg.norm(whole)
    assert cost.total == pytest.approx(whole_cost.total, rel=1e-13)


def test_averaging_the_shards_own_gradients_would_be_wrong():
    params, x = problem(B, order=0)
    penalty = Penalty(0.05, 10.0, 0.0)
    one = [finish(B, params, accumulate(B, params, part, whole=penalty), penalty)[1] for part in np.array_split(x, 2)]
    whole = finish(B, params, accumulate(B, params, x, whole=penalty), penalty)[1]
    assert np.linalg.norm((one[0] + one[1]) / 2 - whole) > 1e-6 * np.linalg.norm(whole)


def test_whole_batches_refuse_to_be_added(backend):
    params, x = problem(backend)
    sums = accumulate(backend, params, x, whole=Penalty())
    with pytest.raises(ValueError, match="do not add"):
        sums + sums


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_units_start_near_activity_rho(backend, activation):
    params = there(backend, start(50, 20, seed=0, rho=0.03, activation=activation, dtype="float64"))
    x = backend.asarray(0.01 * np.random.default_rng(0).normal(size=(200, 20)))
    _, activity = reconstruct(backend, params, x)
    np.testing.assert_allclose(backend.to_host(activity) / len(x), 0.03, rtol=0.05)


def test_float32_gradient_is_the_float64_one_to_rounding(backend):
    params, x = problem(backend, count=5000, width=40, hidden=30)
    penalty = Penalty(0.05, 3.0, 1e-4)
    single = params.like(params.flat.astype("f4"))
    _, wanted = finish(backend, params, accumulate(backend, params, x, whole=penalty), penalty)
    _, found = finish(backend, single, accumulate(backend, single, x.astype("f4"), whole=penalty), penalty)
    assert found.dtype == np.float32
    found, wanted = backend.to_host(found), backend.to_host(wanted)
    assert np.linalg.norm(found - wanted) <= 1e-5 * np.linalg.norm(wanted)


def test_saturated_units_give_finite_cost_and_gradient(backend):
    params, x = problem(backend)
    params.b1[:3], params.b1[3:] = 1e4, -1e4
    cost, gradient = finish(backend, params, accumulate(backend, params, x, whole=Penalty()), Penalty())
    assert np.isfinite(cost.total)
    assert np.isfinite(backend.to_host(gradient)).all()


def test_codes_are_the_activations(backend):
    params, x = problem(backend)
    codes = backend.to_host(encode(backend, params, x))
    W1, b1, x = map(backend.to_host, (params.W1, params.b1, x))
    np.testing.assert_allclose(codes, 1 / (1 + np.exp(-(x @ W1.T + b1))), rtol=1e-12)


@pytest.mark.parametrize("values", [{"rho": 0.0}, {"rho": 1.5}, {"beta": -1}, {"weight_decay": -1}])
def test_impossible_penalties_are_refused(values):
    with pytest.raises(InputError, match="--"):
        Penalty(**values)


@pytest.mark.parametrize("backend", ["numpy", pytest.param("card", marks=pytest.mark.gpu)], indirect=True)
@pytest.mark.parametrize(("part", "iterations"), [(4, 300), pytest.param(1, 2000, marks=pytest.mark.slow)])
def test_without_sparsity_it_learns_the_principal_subspace(backend, part, iterations):
    """The notes' claim: fewer units than inputs and no penalty give what PCA gives. Real data: handwritten digits."""
    from scipy.optimize import minimize
    from sklearn.datasets import load_digits

    x = load_digits().data[::part]
    x = (x - x.mean(axis=0)) / x.std()
    params = start(8, x.shape[1], seed=0, rho=0.5, dtype="float64")
    penalty = Penalty(0.5, 0.0, 1e-5)

    seen = backend.asarray(x)

    def evaluate(flat):
        p = params.like(backend.asarray(flat))
        cost, gradient = finish(backend, p, accumulate(backend, p, seen, whole=penalty), penalty)
        return cost.total, backend.to_host(gradient)

    found = params.like(
        minimize(evaluate, params.flat, jac=True, method="L-BFGS-B", options={"maxiter": iterations, "maxfun": 10**6}).x
    )
    learned, _ = np.linalg.qr(found.W2.T)
    principal = np.linalg.svd(x, full_matrices=False)[2][:8].T
    overlap = np.linalg.norm(learned.T @ principal) ** 2 / 8
    assert overlap >= 0.95
