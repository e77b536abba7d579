"""The GPU backend on a device that is none: whole runs equal the CPU's, no step waits, memory may run out."""

from __future__ import annotations

import numpy as np
import pytest
from fake_cupy import OutOfMemoryError
from test_corpus import Grid, field, record
from test_train import QUICK, StopAfter, small_feed

from audiosae import SparseAutoencoder
from audiosae.backends import Backend, choose, usable
from audiosae.backends.gpu import GpuBackend
from audiosae.checkpoint import State
from audiosae.corpus import Corpus
from audiosae.errors import Interrupted
from audiosae.fold import Feed, learn_whitener, score
from audiosae.gradcheck import SHARD_TOLERANCE, TOLERANCE, check_gradients
from audiosae.matching import match
from audiosae.options import TrainOptions
from audiosae.sae import Penalty, encode, start
from audiosae.sources import scan
from audiosae.spectrogram import Spectrogram
from audiosae.steps import Steps, summed
from audiosae.train import train

pytestmark = pytest.mark.usefixtures("device")


def learn(folder, out, cache, backend, *, progress=None, resume=False, **given):
    options = TrainOptions.resolve(Spectrogram.defaults, QUICK | given)
    sources = scan([folder], Spectrogram.suffixes)
    return train(
        Spectrogram(), sources, out, options, backend, cache=cache, workers=1, progress=progress, resume=resume
    )


def close(outcome, other, *, rel):
    """Say whether two runs gave the same model to rounding."""
    for one, two in zip(outcome.state.history.rows, other.state.history.rows, strict=True):
        assert one.cost == pytest.approx(two.cost, rel=rel)
        assert one.fvu == pytest.approx(two.fvu, rel=10 * rel)
    for model in (outcome.model, other.model):
        assert type(model.params.flat) is np.ndarray
    np.testing.assert_allclose(outcome.model.params.flat, other.model.params.flat, atol=30 * rel)
    np.testing.assert_allclose(outcome.model.rho_hat, other.model.rho_hat, atol=10 * rel)


def steps_of(backend, *, hidden=30, width=17, rows=(64, 64, 63), dtype="float32", rounds=3):
    """Take some steps; return the state."""
    params = start(hidden, width, seed=0, rho=0.1, dtype=dtype)
    state = State.fresh(params.flat, hidden)
    state.move(backend.asarray)
    steps = Steps(backend, params.like(state.flat), state, Penalty(0.1, 3.0, 1e-4))
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        for count in rows:
            steps.take(backend.asarray(rng.normal(size=(count, width)).astype(dtype)), 1e-2)
    steps.read()
    state.move(backend.to_host)
    return state


def test_auto_takes_the_card_and_names_it():
    backend, reason = choose()
    assert (backend.name, backend.tf32) == ("cupy", False)
    assert reason == "cupy: Fake (compute capability 9.0), 16.0 of 16.0 GiB free"
    assert [b.name for b in usable()] == ["numpy", "cupy"]


def test_every_gradient_passes_the_check_through_the_kernels():
    checks = check_gradients(GpuBackend())
    assert len(checks) == 16
    assert max(check["error"] for check in checks) <= TOLERANCE
    assert max(check["shards"] for check in checks) <= SHARD_TOLERANCE


@pytest.mark.parametrize("given", [
    {}, {"activation": "tanh"}, {"decoder": "sigmoid"}, {"whiten": "scale", "contrast": True}, {"remove_mean": True},
    {"beta": 0.0}, {"solver": "lbfgs"}, {"whiten": "none", "max_windows": 300},
])  # fmt: skip
def test_a_run_gives_the_model_of_the_cpu_to_rounding(sounds, tmp_path, cache, given):
    runs = [learn(sounds, tmp_path / b.name, cache, b, dtype="float64", **given) for b in (Backend(), GpuBackend())]
    close(*runs, rel=1e-6)


def test_a_run_in_single_precision_gives_the_same_cost(sounds, tmp_path, cache):
    runs = [learn(sounds, tmp_path / b.name, cache, b, epochs=20) for b in (Backend(), GpuBackend())]
    costs = [run.state.history.rows[-1].cost for run in runs]
    assert costs[1] == pytest.approx(costs[0], rel=1e-4)
    assert match(runs[0].model, runs[1].model).cosine.min() >= 0.999


@pytest.mark.parametrize("streamed", [False, True])
def test_what_does_not_fit_the_bound_comes_from_fields_on_the_card_or_is_streamed(
    sounds, tmp_path, cache, monkeypatch, streamed
):
    monkeypatch.setattr("audiosae.train.Feed", small_feed)
    wanted = learn(sounds, tmp_path / "cpu", cache, Backend(), dtype="float64")
    if streamed:
        monkeypatch.setattr("audiosae.backends.stream._SHARE", 10**6)
    said = Said()
    found = learn(sounds, tmp_path / "gpu", cache, GpuBackend(), dtype="float64", progress=said)
    close(wanted, found, rel=1e-6)
    assert any("sent again in every epoch" in line for line in said.lines) == streamed


def test_a_run_stopped_and_resumed_gives_the_same_bits(sounds, tmp_path, cache):
    whole = learn(sounds, tmp_path / "whole", cache, GpuBackend())
    with pytest.raises(Interrupted):
        learn(sounds, tmp_path / "cut", cache, GpuBackend(), progress=StopAfter(7))
    cut = learn(sounds, tmp_path / "cut", cache, GpuBackend(), resume=True)
    assert whole.model.params.flat.tobytes() == cut.model.params.flat.tobytes()
    assert [r.cost for r in whole.state.history.rows] == [r.cost for r in cut.state.history.rows]


def test_a_run_goes_on_from_the_cpus_checkpoint(sounds, tmp_path, cache):
    whole = learn(sounds, tmp_path / "whole", cache, Backend(), dtype="float64")
    with pytest.raises(Interrupted):
        learn(sounds, tmp_path / "cut", cache, Backend(), dtype="float64", progress=StopAfter(7))
    close(whole, learn(sounds, tmp_path / "cut", cache, GpuBackend(), dtype="float64", resume=True), rel=1e-6)


def test_the_memory_is_given_back_at_the_end(sounds, tmp_path, cache, device):
    backend = GpuBackend()
    learn(sounds, tmp_path / "run", cache, backend)
    assert device.most > 10**5
    assert device.used <= 64  # Adam's pace


def test_no_step_reads_back(device):
    for backend in (GpuBackend(), GpuBackend(graphs=False)):
        params = start(8, 5, seed=0, rho=0.1, dtype="float32")
        state = State.fresh(params.flat, 8)
        state.move(backend.asarray)
        steps = Steps(backend, params.like(state.flat), state, Penalty())
        feed = Feed.of(backend.asarray(np.random.default_rng(0).normal(size=(100, 5)).astype("f4")), backend)
        before = device.reads
        for x in feed.batches(32, seed=0, epoch=0):
            steps.take(x, 1e-3)
        assert device.reads == before
        steps.read()
        assert state.sums[0] == 100


def test_a_step_is_a_dozen_launches_and_a_recorded_one_is_a_single(device):
    backend = GpuBackend(graphs=False)
    before = device.launches
    steps_of(backend, rows=(64,), rounds=1)
    assert device.launches - before == 10  # pace, 3 sweeps with their sums, pull, adam, cost
    steps_of(GpuBackend(), rows=(64,), rounds=10)
    assert device.graphs == 9


def test_recorded_steps_give_the_bits_of_plain_ones():
    one, other = (steps_of(GpuBackend(graphs=graphs)) for graphs in (True, False))
    assert one.flat.tobytes() == other.flat.tobytes()
    assert one.sums == other.sums


def test_recorded_steps_outlive_larger_batches_between_them(device):
    rows = (64, 64, 64, 200, 64, 200, 300, 64)
    assert steps_of(GpuBackend(), rows=rows).sums == steps_of(GpuBackend(graphs=False), rows=rows).sums
    assert device.graphs > 10


def test_only_small_steps_are_recorded(device, monkeypatch):
    monkeypatch.setattr("audiosae.backends.gpu._SMALL_STEP", 1e3)
    steps_of(GpuBackend())
    assert device.graphs == 0


def test_two_runs_give_the_same_bits():
    assert steps_of(GpuBackend()).flat.tobytes() == steps_of(GpuBackend()).flat.tobytes()


def test_steps_take_up_the_sums_of_the_cpu():
    one, other = (steps_of(backend, dtype="float64") for backend in (Backend(), GpuBackend()))
    np.testing.assert_allclose(other.sums, one.sums, rtol=1e-9)
    np.testing.assert_allclose(other.activity, one.activity, rtol=1e-9)
    np.testing.assert_allclose(other.flat, one.flat, atol=1e-9)


class Said:
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    def stage(self, title, total, unit):
        pass

    def advance(self, amount, **facts):
        pass


def test_out_of_memory_a_batch_is_worked_through_in_parts_with_the_same_sums(device):
    wanted = steps_of(Backend(), hidden=300, width=20, rows=(1000,), dtype="float64")
    backend, said = GpuBackend(), []
    backend.say = said.append
    device.memory = device.used + 3 * 2**20
    found = steps_of(backend, hidden=300, width=20, rows=(1000,), dtype="float64")
    assert said == [f"out of memory: batches are worked through in {n} parts (the same sums)" for n in (2, 4)]
    np.testing.assert_allclose(found.flat, wanted.flat, atol=1e-9)
    np.testing.assert_allclose(found.sums, wanted.sums, rtol=1e-9)


def test_where_a_step_cannot_be_recorded_for_want_of_memory_it_is_taken_as_it_is(device):
    wanted = steps_of(GpuBackend(graphs=False))
    backend = GpuBackend()
    device.stingy = True
    assert steps_of(backend).flat.tobytes() == wanted.flat.tobytes()
    assert device.graphs == 0


def test_what_fits_in_no_number_of_parts_is_an_error(device):
    device.memory = device.used + 2**12
    backend = GpuBackend()
    with pytest.raises(MemoryError):
        summed(backend, start(300, 20, seed=0, rho=0.1), backend.asarray(np.zeros((4, 20), "f4")))


def feeds(tmp_path, backend):
    corpus = Corpus(Grid("5,4", "1,4"), [record(tmp_path, field(300, 4, seed=i), name=str(i)) for i in range(6)])
    return Feed(corpus, learn_whitener(corpus, kind="pca", power=1.0, keep=0.9), backend)


def test_windows_that_do_not_fit_the_card_stay_in_memory_and_come_in_the_same_order(tmp_path, monkeypatch):
    wanted = [x.copy() for x in feeds(tmp_path, Backend()).batches(64, seed=0, epoch=0)]
    backend, said = GpuBackend(), []
    backend.say = said.append
    empty = backend.xp.empty

    def full(shape, dtype):
        if shape[0] == 6 * 296:
            monkeypatch.setattr(backend.xp, "empty", empty)
            raise OutOfMemoryError
        return empty(shape, dtype)

    monkeypatch.setattr(backend.xp, "empty", full)
    feed = feeds(tmp_path, backend)
    assert isinstance(feed.held, np.ndarray)
    assert "sent batch by batch" in said[0]
    for one, other in zip(wanted, feed.batches(64, seed=0, epoch=0), strict=True):
        np.testing.assert_allclose(backend.to_host(other), one, atol=1e-5)


def test_codes_and_scores_are_the_cpus(tmp_path):
    found = []
    for backend in (Backend(), GpuBackend()):
        feed = feeds(tmp_path, backend)
        params = start(9, feed.held.shape[1], seed=0, rho=0.1)
        found.append(score(feed, params, backend))
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


def test_tf32_is_asked_for_and_set_back(device):
    import cupy

    backend, reason = choose("cupy", tf32=True)
    assert reason.endswith("TF32")
    with backend.session():
        assert cupy.compute[np.float32] == 7
    assert cupy.compute[np.float32] == 1


def test_the_commands_take_the_card(sounds, tmp_path, run, device):
    status, _, said = run("train", sounds, "-o", tmp_path / "run", "--hidden", 8, "--epochs", 1, "--tf32")
    assert status == 0
    assert "backend cupy: Fake (compute capability 9.0)" in said
    assert device.launches > 10
    status, out, _ = run("gradcheck", "--json")
    assert status == 0
    assert out.count('"backend": "cupy"') == 16
    status, out, _ = run("doctor")
    assert "gpu          Fake" in out
