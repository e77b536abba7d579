"""Operations of the NumPy backend compared with one-line formulas, on odd shapes; the choice of a backend."""

from __future__ import annotations

import numpy as np
import pytest

from audiosae.backends import Backend, choose
from audiosae.errors import BackendError

B = Backend()
SHAPES = [(1, 1), (1, 7), (3, 1), (1023, 5), (4097, 3), (17, 40000)]


def array(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["sigmoid", "tanh"])
def test_activate_applies_the_activation_and_returns_its_sums(shape, kind):
    z, bias = array(shape), array(shape[1], 1)
    expected = np.tanh(z + bias) if kind == "tanh" else 1 / (1 + np.exp(-z - bias))
    sums = B.activate(z, bias, kind)
    np.testing.assert_allclose(z, expected, rtol=1e-12)
    np.testing.assert_allclose(sums, ((expected + 1) / 2 if kind == "tanh" else expected).sum(axis=0), rtol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["linear", "sigmoid"])
def test_residual_returns_the_outputs_delta_and_half_the_squared_error(shape, kind):
    y, x, bias = array(shape), array(shape, 1), array(shape[1], 2)
    g = y + bias if kind == "linear" else 1 / (1 + np.exp(-y - bias))
    expected = (g - x) * (1 if kind == "linear" else g * (1 - g))
    error, sums = B.residual(y, bias, x, kind)
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-14)
    assert error == pytest.approx(np.sum((g - x) ** 2) / 2, rel=1e-12)
    np.testing.assert_allclose(sums, expected.sum(axis=0), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["sigmoid", "tanh"])
def test_hidden_delta_applies_kl_gradient_and_slope(shape, kind):
    d, a, kl_gradient = array(shape), np.tanh(array(shape, 1)), array(shape[1], 2)
    slope = 1 - a**2 if kind == "tanh" else a * (1 - a)
    expected = (d + kl_gradient) * slope
    sums = B.hidden_delta(d, a, kl_gradient, kind)
    np.testing.assert_allclose(d, expected, rtol=1e-12)
    np.testing.assert_allclose(sums, expected.sum(axis=0), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(B.slope(a, kind), slope.sum(axis=0), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(a, slope, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 1023, 300001])
def test_adam_is_the_algorithm_of_kingma_and_ba(size):
    flat, first, second = array(size), np.zeros(size), np.zeros(size)
    expected, m, v = flat.copy(), np.zeros(size), np.zeros(size)
    for step in (1, 2, 3):
        g = array(size, step)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        expected -= 0.01 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        B.sweep(flat, B.adam(flat, g.copy(), first, second, B.pace(0.01, step)))
    np.testing.assert_allclose(flat, expected, rtol=1e-10)


def test_unit_rows_have_norm_one_and_zeros_stay_zero():
    rows = B.unit_rows(np.vstack([array((3, 5)), np.zeros(5)]))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 1, 1, 0])


def test_single_precision_is_preserved():
    z = array((100, 10)).astype("f4")
    B.activate(z, np.zeros(10, "f4"), "sigmoid")
    assert z.dtype == np.float32


def test_without_a_gpu_numpy_is_chosen_with_a_reason():
    backend, reason = choose("auto")
    assert backend.name == "numpy"
    assert "numpy" in reason
    assert choose("numpy")[0].name == "numpy"


def test_cupy_without_a_gpu_is_an_error_with_the_reason(monkeypatch):
    monkeypatch.setattr("audiosae.backends.gpu_status.find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"--backend cupy: CuPy is not installed .*; or use --backend numpy"):
        choose("cupy")


def test_an_unknown_backend_is_an_error():
    with pytest.raises(BackendError, match="auto, numpy or cupy"):
        choose("jax")
