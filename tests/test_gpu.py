"""GPU backend, real and simulated: runs equal those of the CPU up to rounding, and each other bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_runs import RecordedProgress, close, feeds, learn, steps_of
from test_train import StopAfter, small_feed

from audiosae import SparseAutoencoder
from audiosae.autoencoder.sae import encode, start
from audiosae.backends import Backend
from audiosae.backends.gpu import GpuBackend
from audiosae.engine.feed import score
from audiosae.errors import Interrupted
from audiosae.features.matching import match

pytestmark = pytest.mark.usefixtures("any_gpu")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"activation": "tanh"},
        {"decoder": "sigmoid"},
        {"whiten": "scale", "contrast": True},
        {"remove_mean": True},
        {"beta": 0.0},
        {"solver": "lbfgs"},
        {"whiten": "none", "max_windows": 300},
    ],
)
def test_a_run_gives_the_cpus_model_up_to_rounding(sounds, tmp_path, cache, options):
    runs = [learn(sounds, tmp_path / b.name, cache, b, dtype="float64", **options) for b in (Backend(), GpuBackend())]
    close(*runs, rel=1e-6)


def test_a_run_in_single_precision_gives_the_cpus_cost_and_atoms(sounds, tmp_path, cache):
    runs = [learn(sounds, tmp_path / b.name, cache, b, epochs=20) for b in (Backend(), GpuBackend())]
    costs = [run.history[-1].cost for run in runs]
    assert costs[1] == pytest.approx(costs[0], rel=1e-4)
    assert match(runs[0].model, runs[1].model).cosine.min() >= 0.999


@pytest.mark.parametrize("streamed", [False, True])
def test_windows_that_are_not_cached_are_gathered_from_fields_or_streamed(
    sounds, tmp_path, cache, monkeypatch, streamed
):
    monkeypatch.setattr("audiosae.training.fit.Feed", small_feed)
    expected = learn(sounds, tmp_path / "cpu", cache, Backend(), dtype="float64")
    if streamed:
        monkeypatch.setattr("audiosae.backends.gpu_fields._SHARE", 10**6)
    progress = RecordedProgress()
    run = learn(sounds, tmp_path / "gpu", cache, GpuBackend(), dtype="float64", progress=progress)
    close(expected, run, rel=1e-6)
    assert any("sent again in every pass" in line for line in progress.lines) == streamed


def test_a_run_stopped_and_resumed_gives_the_same_bits(sounds, tmp_path, cache):
    whole = learn(sounds, tmp_path / "whole", cache, GpuBackend())
    with pytest.raises(Interrupted):
        learn(sounds, tmp_path / "cut", cache, GpuBackend(), progress=StopAfter(7))
    cut = learn(sounds, tmp_path / "cut", cache, GpuBackend(), resume=True)
    assert whole.model.params.flat.tobytes() == cut.model.params.flat.tobytes()
    assert [r.cost for r in whole.history] == [r.cost for r in cut.history]


def test_a_run_resumes_from_a_checkpoint_of_the_cpu(sounds, tmp_path, cache):
    whole = learn(sounds, tmp_path / "whole", cache, Backend(), dtype="float64")
    with pytest.raises(Interrupted):
        learn(sounds, tmp_path / "cut", cache, Backend(), dtype="float64", progress=StopAfter(7))
    close(whole, learn(sounds, tmp_path / "cut", cache, GpuBackend(), dtype="float64", resume=True), rel=1e-6)


def test_two_runs_give_the_same_bits():
    assert steps_of(GpuBackend()).flat.tobytes() == steps_of(GpuBackend()).flat.tobytes()


def test_steps_add_the_same_running_totals_as_the_cpu():
    one, other = (steps_of(backend, dtype="float64") for backend in (Backend(), GpuBackend()))
    np.testing.assert_allclose(other.sums, one.sums, rtol=1e-9)
    np.testing.assert_allclose(other.activity, one.activity, rtol=1e-9)
    np.testing.assert_allclose(other.flat, one.flat, atol=1e-9)


def test_codes_and_scores_equal_the_cpus(tmp_path):
    scores, codes = [], []
    for backend in (Backend(), GpuBackend()):
        feed = feeds(tmp_path, backend)
        params = start(9, feed.in_memory.shape[1], seed=0, rho=0.1)
        scores.append(score(feed, params))
        moved = params.on(backend)
        codes.append(np.concatenate([backend.to_host(encode(backend, moved, x)) for x in feed.blocks()]))
    assert scores[1].fvu == pytest.approx(scores[0].fvu, rel=1e-5)
    np.testing.assert_allclose(scores[1].activity, scores[0].activity, rtol=1e-5)
    np.testing.assert_allclose(codes[1], codes[0], atol=1e-5)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_estimator_learns_the_same_codes(solver):
    X = np.random.default_rng(0).normal(size=(300, 12))
    options = {"n_components": 5, "max_iter": 20, "solver": solver, "random_state": 0}
    models = [SparseAutoencoder(backend=backend, **options) for backend in ("numpy", "cupy")]
    codes = [model.fit(X).partial_fit(X[:100]).transform(X) for model in models]
    np.testing.assert_allclose(codes[1], codes[0], atol=1e-6)


@pytest.mark.parametrize("rows", [(1,), (1023,), (4097,), (64, 1, 1023)])
@pytest.mark.parametrize("width", [1, 17])
def test_steps_on_batches_and_windows_of_odd_sizes_equal_the_cpus(rows, width):
    one, other = (steps_of(b, hidden=9, width=width, rows=rows, dtype="float64") for b in (Backend(), GpuBackend()))
    np.testing.assert_allclose(other.flat, one.flat, atol=1e-8)
    np.testing.assert_allclose(other.sums, one.sums, rtol=1e-8)


def test_no_windows_give_no_codes():
    backend = GpuBackend()
    params = start(4, 3, seed=0, rho=0.1).on(backend)
    assert encode(backend, params, backend.asarray(np.zeros((0, 3), "f4"))).shape == (0, 4)


def test_200_steps_in_single_precision_give_the_cpus_cost_and_atoms():
    one, other = (
        steps_of(backend, hidden=40, width=30, rows=(256,) * 20, rounds=10) for backend in (Backend(), GpuBackend())
    )
    assert other.step == one.step == 200
    assert other.sums[1] == pytest.approx(one.sums[1], rel=1e-4)
    W = [state.flat[: 40 * 30].reshape(40, 30) for state in (one, other)]
    cosines = (W[0] * W[1]).sum(axis=1) / np.linalg.norm(W[0], axis=1) / np.linalg.norm(W[1], axis=1)
    assert cosines.min() >= 0.999
