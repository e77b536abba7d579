"""Whitening: its effect on the covariance, its inverse, its options."""

from __future__ import annotations

import numpy as np
import pytest

from audiosae.autoencoder.whitening import Whitening, WindowMoments, make_whitener, prepare
from audiosae.errors import InputError


@pytest.fixture
def windows():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(12, 12)) * np.geomspace(1, 0.05, 12)
    return (5 + 20 * rng.normal(size=(4000, 12)) @ mixing.T).astype(np.float32)


@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_full_whitening_makes_the_covariance_the_identity(windows, kind):
    y = make_whitener(WindowMoments.of(windows), Whitening(kind, power=1.0, keep=1.0)).apply(windows)
    np.testing.assert_allclose(np.cov(y.T, bias=True), np.eye(12), atol=2e-3)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_eigenvalues_are_raised_to_one_minus_the_power(windows, power):
    values = np.linalg.eigvalsh(np.cov(windows.T, bias=True))[::-1]
    y = make_whitener(WindowMoments.of(windows), Whitening("pca", power=power, keep=1.0)).apply(windows)
    expected = values ** (1 - power)
    np.testing.assert_allclose(y.var(axis=0), expected / expected.mean(), rtol=2e-3)


@pytest.mark.parametrize(("kind", "power"), [("pca", 0.5), ("zca", 1.0), ("scale", 1.0), ("none", 1.0)])
def test_undo_restores_the_windows(windows, kind, power):
    whitener = make_whitener(WindowMoments.of(windows), Whitening(kind, power=power, keep=1.0))
    np.testing.assert_allclose(whitener.undo(whitener.apply(windows)) + whitener.mean, windows, atol=2e-2)


def test_keep_selects_the_leading_components(windows):
    values = np.sort(np.linalg.eigvalsh(np.cov(windows.T)))[::-1]
    expected = 1 + int(np.searchsorted(np.cumsum(values) / values.sum(), 0.9))
    whitener = make_whitener(WindowMoments.of(windows), Whitening("pca", keep=0.9))
    assert whitener.n_components == expected < 12
    assert whitener.notes["kept_variance"] >= 0.9


def test_the_scale_of_the_field_has_no_effect(windows):
    one = make_whitener(WindowMoments.of(windows), Whitening("pca", power=0.5)).apply(windows)
    other = make_whitener(WindowMoments.of(1000 * windows), Whitening("pca", power=0.5)).apply(1000 * windows)
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_moments_can_be_added(windows):
    parts = WindowMoments.of(windows[:100]) + WindowMoments.of(windows[100:])
    whole = WindowMoments.of(windows)
    np.testing.assert_allclose(parts.covariance, whole.covariance, rtol=1e-9)
    np.testing.assert_allclose(parts.mean, whole.mean)


def test_squashed_windows_are_between_0_1_and_0_9(windows):
    y = make_whitener(WindowMoments.of(windows, full=False), Whitening("scale", squash=True)).apply(windows)
    assert y.min() >= 0.1 - 1e-6
    assert y.max() <= 0.9 + 1e-6
    assert abs(float(y.mean()) - 0.5) < 0.01


def test_contrast_gives_each_window_mean_zero_and_deviation_one(windows):
    x = prepare(windows, contrast=True, remove_mean=False)
    np.testing.assert_allclose(x.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=1), 1, atol=1e-3)


def test_windows_that_are_all_the_same_are_an_error():
    with pytest.raises(InputError, match="nothing can be learned"):
        make_whitener(WindowMoments.of(np.ones((10, 3), np.float32)), Whitening("pca"))


@pytest.mark.parametrize("values", [{"power": 2.0}, {"power": -0.1}, {"keep": 0.0}, {"keep": 1.1}])
def test_options_out_of_range_are_errors(windows, values):
    with pytest.raises(InputError, match="--whiten-power"):
        make_whitener(WindowMoments.of(windows), Whitening("pca", **values))


@pytest.mark.parametrize("seed", range(5))
def test_components_of_mirrored_windows_have_signs_that_rounding_does_not_change(windows, seed):
    """Entries of a symmetric component are equal in pairs: rounding must not choose the largest."""
    mirrored = np.concatenate([windows, windows[:, ::-1]]).astype(np.float64)
    options = Whitening("pca", power=0.5, keep=1.0)
    exact, noise = WindowMoments.of(mirrored), np.random.default_rng(seed).normal(size=(12, 12))
    rounded = WindowMoments(exact.count, exact.total, exact.outer * (1 + 1e-14 * (noise + noise.T)))
    first, second = (make_whitener(moments, options).forward for moments in (exact, rounded))
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-6 * np.abs(first).max())
    largest = first[np.argmax(np.abs(first) > (1 - 1e-4) * np.abs(first).max(axis=0), axis=0), np.arange(12)]
    assert (largest > 0).all()
