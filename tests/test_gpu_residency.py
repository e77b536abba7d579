"""Simulated GPU: fields that fit are sent once per run, others are streamed; uploads are counted."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_runs import learn
from test_train import StopAfter, small_feed

from audiosae.backends.gpu import GpuBackend
from audiosae.corpus.fields import read_field
from audiosae.errors import Interrupted

HIDDEN = 12
SOLVERS = pytest.mark.parametrize("solver", ["adam", "lbfgs"])


@pytest.fixture
def fields(monkeypatch):
    """No windows are cached: every pass gathers them from the fields."""
    monkeypatch.setattr("audiosae.training.fit.Feed", small_feed)


def sent(device, sounds, out, cache, **options):
    """Train; return the outcome and the bytes sent: float32 (fields and others), int64 (offsets, orders), float64."""
    device.uploads.clear()
    backend = GpuBackend()
    outcome = learn(sounds, out, cache, backend, hidden=HIDDEN, tol=0.0, **options)
    assert not backend._fields._stored
    totals = {"float32": 0, "int64": 0, "float64": 0}
    for dtype, size in device.uploads:
        totals[dtype] += size
    return outcome, totals


def bytes_of_fields(outcome):
    return sum(read_field(record).nbytes for record in outcome.used)


def sizes(device, outcome):
    """Sizes of the float32 arrays that were sent, without parameters and the whitening, which is sent once."""
    sent_sizes = [size for dtype, size in device.uploads if dtype == "float32"]
    whitener = outcome.model.whitener
    for array in (whitener.mean, whitener.forward):
        sent_sizes.remove(array.nbytes)
    return [size for size in sent_sizes if size != outcome.model.params.flat.nbytes]


@SOLVERS
@pytest.mark.usefixtures("fields")
def test_fields_that_fit_are_sent_once_for_any_number_of_epochs_or_iterations(device, sounds, tmp_path, cache, solver):
    totals, params = [], 0
    for epochs in (2, 6):
        outcome, total = sent(device, sounds, tmp_path / f"{epochs}", cache, solver=solver, epochs=epochs)
        field, windows = bytes_of_fields(outcome), outcome.model.facts["sources"]["windows"]
        params = outcome.model.params.flat.nbytes
        assert sizes(device, outcome) == [field]
        if solver == "adam":  # per epoch an order of the windows, and totals at its beginning and end
            total["int64"] -= 8 * windows * epochs
            total["float64"] -= 2 * 8 * (4 + HIDDEN) * epochs
        else:  # SciPy changes the parameters on the CPU, so they are sent in every evaluation
            exchanged = sum(dtype == "float32" and size == params for dtype, size in device.uploads)
            total["float32"] -= params * exchanged
        totals.append(total)
    assert totals[0] == totals[1]


@SOLVERS
def test_cached_windows_are_whitened_on_the_gpu_from_fields_that_are_sent_once(device, sounds, tmp_path, cache, solver):
    outcome, _ = sent(device, sounds, tmp_path / "run", cache, solver=solver, epochs=3)
    assert sizes(device, outcome) == [bytes_of_fields(outcome)]


@SOLVERS
@pytest.mark.usefixtures("fields")
def test_a_resumed_run_sends_the_fields_once_more(device, sounds, tmp_path, cache, solver):
    with pytest.raises(Interrupted):
        learn(
            sounds, tmp_path / "run", cache, GpuBackend(), hidden=HIDDEN, solver=solver, tol=0.0, progress=StopAfter(3)
        )
    outcome, _ = sent(device, sounds, tmp_path / "run", cache, solver=solver, resume=True)
    assert sizes(device, outcome) == [bytes_of_fields(outcome)]


@pytest.mark.usefixtures("fields")
def test_fields_that_do_not_fit_are_streamed_except_the_held_out_ones(device, sounds, tmp_path, cache, monkeypatch):
    free = {}

    def free_bytes(self):
        return free.setdefault("bytes", 0)

    monkeypatch.setattr("audiosae.backends.gpu_fields.Fields._free_bytes", free_bytes)
    whole = [sent(device, sounds, tmp_path / f"s{e}", cache, solver="adam", epochs=e)[1]["float32"] for e in (2, 4)]
    free["bytes"] = 30_000  # enough for the two held-out recordings, not for the ten training ones
    partly = [sent(device, sounds, tmp_path / f"p{e}", cache, solver="adam", epochs=e)[1]["float32"] for e in (2, 4)]
    a_pass, less = (whole[1] - whole[0]) / 2, (partly[1] - partly[0]) / 2
    assert 0 < less < a_pass


def test_sessions_can_be_nested_and_overlap(device):
    import cupy

    backend = GpuBackend(tf32=True)
    one, other = backend.session(), backend.session()
    one.__enter__()
    other.__enter__()  # for instance of another thread
    one.__exit__(None, None, None)
    assert cupy.compute[np.float32] == 7
    other.__exit__(None, None, None)
    assert cupy.compute[np.float32] == 1
