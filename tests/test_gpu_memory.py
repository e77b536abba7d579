"""Simulated GPU: steps do not wait for it, running out of memory is handled, commands use it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fake_cupy import OutOfMemoryError
from gpu_runs import feeds, learn, steps_of

from audiosae.autoencoder.gradient_check import FORMS
from audiosae.autoencoder.sae import Penalty, start
from audiosae.autoencoder.whitening import WindowMoments
from audiosae.backends import Backend, choose, usable
from audiosae.backends.gpu import GpuBackend
from audiosae.engine.feed import Feed
from audiosae.training.checkpoint import State
from audiosae.training.steps import Steps, summed
from benchmarks import __main__ as harness

pytestmark = pytest.mark.usefixtures("device")


def test_auto_chooses_the_gpu_and_names_it():
    backend, reason = choose()
    assert (backend.name, backend.tf32) == ("cupy", False)
    assert reason == "cupy: Fake (compute capability 9.0), 16.0 of 16.0 GiB free"
    assert [b.name for b in usable()] == ["numpy", "cupy"]


def test_the_memory_is_freed_at_the_end(sounds, tmp_path, cache, device):
    backend = GpuBackend()
    learn(sounds, tmp_path / "run", cache, backend)
    assert device.most > 10**5
    assert device.used == 0


def test_steps_do_not_read_from_the_gpu(device):
    backend, params = GpuBackend(), start(8, 5, seed=0, rho=0.1, dtype="float32")
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


def test_a_step_is_ten_launches(device):
    before = device.launches
    steps_of(GpuBackend(), rows=(64,), rounds=1)
    assert device.launches - before == 10  # pace, 3 sweeps with their sums, kl_gradient, adam, cost


def test_without_enough_memory_a_batch_is_processed_in_parts_with_the_same_sums(device):
    expected = steps_of(Backend(), hidden=300, width=20, rows=(1000,), dtype="float64")
    backend, lines = GpuBackend(), []
    backend.say = lines.append
    device.memory = device.used + 3 * 2**20
    state = steps_of(backend, hidden=300, width=20, rows=(1000,), dtype="float64")
    assert lines == [f"not enough memory for a whole batch; it is processed in {n} parts (same sums)" for n in (2, 4)]
    np.testing.assert_allclose(state.flat, expected.flat, atol=1e-9)
    np.testing.assert_allclose(state.sums, expected.sums, rtol=1e-9)


def test_a_window_that_does_not_fit_is_an_error(device):
    device.memory = device.used + 2**12
    backend = GpuBackend()
    with pytest.raises(MemoryError):
        summed(backend, start(300, 20, seed=0, rho=0.1), backend.asarray(np.zeros((4, 20), "f4")))


def test_windows_that_do_not_fit_stay_in_main_memory_in_the_same_order(tmp_path, monkeypatch):
    expected = [x.copy() for x in feeds(tmp_path, Backend()).batches(64, seed=0, epoch=0)]
    backend, lines = GpuBackend(), []
    backend.say = lines.append
    empty = backend.xp.empty

    def full(shape, dtype):
        if isinstance(shape, tuple) and shape[0] == 6 * 296 and shape[1] < 20:  # components, not the windows themselves
            monkeypatch.setattr(backend.xp, "empty", empty)
            raise OutOfMemoryError
        return empty(shape, dtype)

    monkeypatch.setattr(backend.xp, "empty", full)
    feed = feeds(tmp_path, backend)
    assert isinstance(feed.in_memory, np.ndarray)
    assert "sent batch by batch" in lines[0]
    for one, other in zip(expected, feed.batches(64, seed=0, epoch=0), strict=True):
        np.testing.assert_allclose(backend.to_host(other), one, atol=1e-5)


def test_moments_that_do_not_fit_the_gpu_are_computed_on_the_cpu(tmp_path, monkeypatch):
    expected, of = feeds(tmp_path, Backend()), WindowMoments.of

    def full(windows, **how):
        if not isinstance(windows, np.ndarray):
            raise OutOfMemoryError
        return of(windows, **how)

    monkeypatch.setattr(WindowMoments, "of", full)
    backend, lines = GpuBackend(), []
    backend.say = lines.append
    feed = feeds(tmp_path, backend)
    assert lines == ["not enough GPU memory for the covariance of the windows; it is computed on the CPU"]
    np.testing.assert_allclose(backend.to_host(feed.in_memory), expected.in_memory, atol=1e-5)


def test_tf32_is_set_during_a_session_only(device):
    import cupy

    backend, reason = choose("cupy", tf32=True)
    assert reason.endswith("TF32")
    with backend.session():
        assert cupy.compute[np.float32] == 7
    assert cupy.compute[np.float32] == 1


def test_the_commands_use_the_gpu(sounds, tmp_path, run, device, monkeypatch):
    monkeypatch.setattr("audiosae.autoencoder.gradient_check.FORMS", FORMS[-1:])  # one of 16
    status, _, err = run("train", sounds, "-o", tmp_path / "run", "--hidden", 2, "--epochs", 1, "--tf32")
    assert status == 0
    assert "backend cupy: Fake (compute capability 9.0)" in err
    assert device.launches > 10
    status, out, _ = run("gradcheck", "--json")
    assert status == 0
    assert out.count('"backend": "cupy"') == 1
    status, out, _ = run("doctor")
    assert "gpu          Fake" in out


def test_the_benchmarks_run_and_write_a_table_with_device_and_date(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.measure._PAUSE", 0.0)
    monkeypatch.setattr("sys.argv", ["benchmarks", "--only", "gpu", "--short", "-o", str(tmp_path / "found.json")])
    harness.main()
    stored, table = json.loads((tmp_path / "found.json").read_text()), (tmp_path / "found.md").read_text()
    assert table.strip() == capsys.readouterr().out.strip()
    figures = {figure["name"]: figure for figure in stored["figures"]}
    kernels = ("activate", "residual", "hidden delta", "slope", "unit rows", "gather", "Adam")
    assert all(f"{kernel}: CuPy's expression over ours" in figures for kernel in kernels)
    assert all(f"{kernel}: its bytes over time, against a copy on the GPU" in figures for kernel in kernels)
    assert all(figure["held"] for name, figure in figures.items() if "20 steps" in name or "gradient" in name)
    for name in (
        "Adam step 64 x 32 x 48 over its five cuBLAS products",
        "Adam step 64 x 32 x 48 in TF32 over its products in TF32",
        "the step in float32 over that in TF32",
        "train on 0.01 h: two cores over the GPU",
        "all windows of 0.01 h gathered from streamed fields over those from cached fields",
    ):
        assert figures[name]["value"] > 0
    peers = [figures[name] for name in figures if name.startswith(("PyTorch", "torch.compile"))]
    assert [peer["value"] for peer in peers] == [None] * 3
    assert all(peer["detail"].startswith("PyTorch ") for peer in peers)
    assert "training" in figures["train on 0.01 h: two cores over the GPU"]["detail"]
    assert harness.result_path(stored["machine"]).name == f"{stored['machine']['date']}-fake.json"


def test_a_gpu_too_small_for_the_model_is_a_one_line_error(sounds, tmp_path, run, device, monkeypatch):
    monkeypatch.setattr("audiosae.backends.gpu_status._LEAST_FREE", 0)
    device.memory = device.used + 2**10
    status, _, err = run("train", sounds, "-o", tmp_path / "run", "--hidden", 8, "--epochs", 1)
    assert status == 1
    assert err.splitlines()[-1].startswith("audiosae: the GPU's memory is full; lower --hidden")
