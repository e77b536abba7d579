"""The autoencoder's mathematics: gradients, sums, penalties, and solutions that are known."""

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
    """Return cost and gradient, computed with whole matrices as in the UFLDL notes."""

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

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
    return params.on(backend), backend.asarray(x if order is None else x[np.argsort(x[:, order])])


@pytest.mark.parametrize(("activation", "decoder"), list(product(("sigmoid", "tanh"), ("linear", "sigmoid"))))
def test_cost_and_gradient_equal_the_textbook_formulas(backend, activation, decoder):
    params, x = problem(backend, activation, decoder)
    penalty = Penalty(0.1, 3.0, 1e-3)
    cost, gradient = finish(backend, params, accumulate(backend, params, x, whole=penalty), penalty)
    expected, expected_gradient = textbook(params.like(backend.to_host(params.flat)), backend.to_host(x), penalty)
    assert cost.total == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(backend.to_host(gradient), expected_gradient, rtol=1e-10, atol=1e-14)


FEW = [FORMS[number] for number in (0, 7, 11, 13, 14)]  # every pair of settings occurs together in one of them


@pytest.mark.parametrize(
    ("backend", "forms"),
    [
        ("numpy", FORMS),
        ("simulated GPU", FEW),
        pytest.param("simulated GPU", FORMS, marks=pytest.mark.slow),
        pytest.param("real GPU", FORMS, marks=pytest.mark.gpu),
    ],
    indirect=["backend"],
    ids=["numpy", "simulated GPU", "simulated GPU, all", "real GPU"],
)
def test_every_gradient_passes_the_check(backend, forms):
    assert len(FORMS) == 16
    checks = check_gradients(backend, forms=forms)
    assert len(checks) == len(forms)
    assert max(check["error"] for check in checks) <= TOLERANCE
    assert max(check["shards"] for check in checks) <= SHARD_TOLERANCE


def test_a_wrong_kl_gradient_fails_the_check(monkeypatch):
    right = Penalty.kl_gradient
    monkeypatch.setattr(Penalty, "kl_gradient", lambda self, rho_hat, kind: 1.001 * right(self, rho_hat, kind))
    errors = {check["beta"]: check["error"] for check in check_gradients(B, forms=FEW)}
    assert errors[3.0] > TOLERANCE
    assert errors[0.0] <= TOLERANCE


def test_a_wrong_slope_fails_the_check(monkeypatch):
    monkeypatch.setattr(Backend, "_slope", lambda self, a, kind: a * (1 - a))
    assert max(c["error"] for c in check_gradients(B, forms=FEW) if c["activation"] == "tanh") > TOLERANCE


def test_sums_of_different_shards_add_to_the_whole(backend):
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


def test_sums_of_whole_batches_cannot_be_added(backend):
    params, x = problem(backend)
    sums = accumulate(backend, params, x, whole=Penalty())
    with pytest.raises(ValueError, match="do not add"):
        sums + sums


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_units_start_near_activity_rho(backend, activation):
    params = start(50, 20, seed=0, rho=0.03, activation=activation, dtype="float64").on(backend)
    x = backend.asarray(0.01 * np.random.default_rng(0).normal(size=(200, 20)))
    _, activity = reconstruct(backend, params, x)
    np.testing.assert_allclose(backend.to_host(activity) / len(x), 0.03, rtol=0.05)


def test_the_gradient_in_float32_equals_that_in_float64_to_rounding(backend):
    params, x = problem(backend, count=5000, width=40, hidden=30)
    penalty = Penalty(0.05, 3.0, 1e-4)
    single = params.like(params.flat.astype("f4"))
    _, expected = finish(backend, params, accumulate(backend, params, x, whole=penalty), penalty)
    _, result = finish(backend, single, accumulate(backend, single, x.astype("f4"), whole=penalty), penalty)
    assert result.dtype == np.float32
    result, expected = backend.to_host(result), backend.to_host(expected)
    assert np.linalg.norm(result - expected) <= 1e-5 * np.linalg.norm(expected)


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
def test_penalties_out_of_range_are_errors(values):
    with pytest.raises(InputError, match="--"):
        Penalty(**values)


@pytest.mark.parametrize("backend", ["numpy", pytest.param("real GPU", marks=pytest.mark.gpu)], indirect=True)
def test_without_sparsity_the_units_span_the_principal_subspace(backend):
    """As the notes state, fewer units than inputs and no penalty give the subspace of PCA. Data: handwritten digits."""
    from scipy.optimize import minimize
    from sklearn.datasets import load_digits

    x = load_digits().data[::4]
    x = (x - x.mean(axis=0)) / x.std()
    params = start(8, x.shape[1], seed=0, rho=0.5, dtype="float64")
    penalty = Penalty(0.5, 0.0, 1e-5)

    windows = backend.asarray(x)

    def evaluate(flat):
        p = params.like(backend.asarray(flat))
        cost, gradient = finish(backend, p, accumulate(backend, p, windows, whole=penalty), penalty)
        return cost.total, backend.to_host(gradient)

    options = {"maxiter": 300, "maxfun": 10**6}
    result = minimize(evaluate, params.flat, jac=True, method="L-BFGS-B", options=options)
    learned, _ = np.linalg.qr(params.like(result.x).W2.T)
    principal = np.linalg.svd(x, full_matrices=False)[2][:8].T
    overlap = np.linalg.norm(learned.T @ principal) ** 2 / 8
    assert overlap >= 0.95
