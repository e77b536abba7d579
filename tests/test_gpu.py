"""The GPU backend, on a card and on a device that is none: runs equal the CPU's, and each other."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_runs import Said, close, feeds, learn, steps_of
from test_train import StopAfter, small_feed

from audiosae import SparseAutoencoder
from audiosae.autoencoder.sae import encode, start
from audiosae.backends import Backend
from audiosae.backends.gpu import GpuBackend
from audiosae.engine.feed import score
from audiosae.errors import Interrupted
from audiosae.features.matching import match

pytestmark = pytest.mark.usefixtures("anywhere")


@pytest.mark.parametrize("given", [
    {}, {"activation": "tanh"}, {"decoder": "sigmoid"}, {"whiten": "scale", "contrast": True}, {"remove_mean": True},
    {"beta": 0.0}, {"solver": "lbfgs"}, {"whiten": "none", "max_windows": 300},
])  # fmt: skip
def test_a_run_gives_the_model_of_the_cpu_to_rounding(sounds, tmp_path, cache, given):
    runs = [learn(sounds, tmp_path / b.name, cache, b, dtype="float64", **given) for b in (Backend(), GpuBackend())]
    close(*runs, rel=1e-6)


def test_a_run_in_single_precision_gives_the_same_cost(sounds, tmp_path, cache):
    runs = [learn(sounds, tmp_path / b.name, cache, b, epochs=20) for b in (Backend(), GpuBackend())]
    costs = [run.history[-1].cost for run in runs]
    assert costs[1] == pytest.approx(costs[0], rel=1e-4)
    assert match(runs[0].model, runs[1].model).cosine.min() >= 0.999


@pytest.mark.parametrize("streamed", [False, True])
def test_what_does_not_fit_the_bound_comes_from_fields_on_the_card_or_is_streamed(
    sounds, tmp_path, cache, monkeypatch, streamed
):
    monkeypatch.setattr("audiosae.training.fit.Feed", small_feed)
    wanted = learn(sounds, tmp_path / "cpu", cache, Backend(), dtype="float64")
    if streamed:
        monkeypatch.setattr("audiosae.backends.gpu_fields._SHARE", 10**6)
    said = Said()
    found = learn(sounds, tmp_path / "gpu", cache, GpuBackend(), dtype="float64", progress=said)
    close(wanted, found, rel=1e-6)
    assert any("sent again in every pass" in line for line in said.lines) == streamed


def test_a_run_stopped_and_resumed_gives_the_same_bits(sounds, tmp_path, cache):
    whole = learn(sounds, tmp_path / "whole", cache, GpuBackend())
    with pytest.raises(Interrupted):
        learn(sounds, tmp_path / "cut", cache, GpuBackend(), progress=StopAfter(7))
    cut = learn(sounds, tmp_path / "cut", cache, GpuBackend(), resume=True)
    assert whole.model.params.flat.tobytes() == cut.model.params.flat.tobytes()
    assert [r.cost for r in whole.history] == [r.cost for r in cut.history]


def test_a_run_goes_on_from_the_cpus_checkpoint(sounds, tmp_path, cache):
    whole = learn(sounds, tmp_path / "whole", cache, Backend(), dtype="float64")
    with pytest.raises(Interrupted):
        learn(sounds, tmp_path / "cut", cache, Backend(), dtype="float64", progress=StopAfter(7))
    close(whole, learn(sounds, tmp_path / "cut", cache, GpuBackend(), dtype="float64", resume=True), rel=1e-6)


def test_two_runs_give_the_same_bits():
    assert steps_of(GpuBackend()).flat.tobytes() == steps_of(GpuBackend()).flat.tobytes()


def test_steps_take_up_the_sums_of_the_cpu():
    one, other = (steps_of(backend, dtype="float64") for backend in (Backend(), GpuBackend()))
    np.testing.assert_allclose(other.sums, one.sums, rtol=1e-9)
    np.testing.assert_allclose(other.activity, one.activity, rtol=1e-9)
    np.testing.assert_allclose(other.flat, one.flat, atol=1e-9)


def test_codes_and_scores_are_the_cpus(tmp_path):
    found = []
    for backend in (Backend(), GpuBackend()):
        feed = feeds(tmp_path, backend)
        params = start(9, feed.in_memory.shape[1], seed=0, rho=0.1)
        found.append(score(feed, params))
        there = params.like(backend.asarray(params.flat))
        codes = [backend.to_host(encode(backend, there, x)) for x in feed.blocks()]
        found.append(np.concatenate(codes))
    assert found[2].fvu == pytest.approx(found[0].fvu, rel=1e-5)
    np.testing.assert_allclose(found[2].activity, found[0].activity, rtol=1e-5)
    np.testing.assert_allclose(found[3], found[1], atol=1e-5)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_estimator_learns_the_same(solver):
    X = np.random.default_rng(0).normal(size=(300, 12))
    how = {"n_components": 5, "max_iter": 20, "solver": solver, "random_state": 0}
    made = [SparseAutoencoder(backend=backend, **how) for backend in ("numpy", "cupy")]
    codes = [model.fit(X).partial_fit(X[:100]).transform(X) for model in made]
    np.testing.assert_allclose(codes[1], codes[0], atol=1e-6)


@pytest.mark.parametrize("rows", [(1,), (1023,), (4097,), (64, 1, 1023)])
@pytest.mark.parametrize("width", [1, 17])
def test_batches_and_windows_of_odd_sizes_are_stepped_through_as_on_the_cpu(rows, width):
    one, other = (steps_of(b, hidden=9, width=width, rows=rows, dtype="float64") for b in (Backend(), GpuBackend()))
    np.testing.assert_allclose(other.flat, one.flat, atol=1e-8)
    np.testing.assert_allclose(other.sums, one.sums, rtol=1e-8)


def test_no_windows_give_no_codes():
    backend = GpuBackend()
    params = start(4, 3, seed=0, rho=0.1)
    there = params.like(backend.asarray(params.flat))
    assert encode(backend, there, backend.asarray(np.zeros((0, 3), "f4"))).shape == (0, 4)


def test_two_hundred_steps_of_single_precision_end_at_the_cpus_cost_with_its_atoms():
    one, other = (
        steps_of(backend, hidden=40, width=30, rows=(256,) * 20, rounds=10) for backend in (Backend(), GpuBackend())
    )
    assert other.step == one.step == 200
    assert other.sums[1] == pytest.approx(one.sums[1], rel=1e-4)
    W = [state.flat[: 40 * 30].reshape(40, 30) for state in (one, other)]
    cosines = (W[0] * W[1]).sum(axis=1) / np.linalg.norm(W[0], axis=1) / np.linalg.norm(W[1], axis=1)
    assert cosines.min() >= 0.999
