"""On a device that is none: what fits is sent once for a whole run, what does not is streamed; uploads are counted."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_runs import learn
from test_train import StopAfter, small_feed

from audiosae.backends.gpu import GpuBackend
from audiosae.corpus.entries import read_field
from audiosae.errors import Interrupted

HIDDEN = 12
SOLVERS = pytest.mark.parametrize("solver", ["adam", "lbfgs"])


@pytest.fixture
def fields(monkeypatch):
    """No windows are held: every pass goes through the fields."""
    monkeypatch.setattr("audiosae.training.fit.Feed", small_feed)


def sent(device, sounds, out, cache, **given):
    """Train; return what was sent: bytes of fields and all else that is float32, of places and orders, of rest."""
    device.uploads.clear()
    backend = GpuBackend()
    outcome = learn(sounds, out, cache, backend, hidden=HIDDEN, tol=0.0, **given)
    assert not backend._fields._stored
    totals = {"float32": 0, "int64": 0, "float64": 0}
    for dtype, size in device.uploads:
        totals[dtype] += size
    return outcome, totals


def bytes_of_fields(outcome):
    return sum(read_field(record).nbytes for record in outcome.used)


def sizes(device, outcome):
    """Sizes of all arrays of single precision that were sent, but for parameters and the whitening, that once."""
    found = [size for dtype, size in device.uploads if dtype == "float32"]
    whitener = outcome.model.whitener
    for array in (whitener.mean, whitener.forward):
        found.remove(array.nbytes)
    return [size for size in found if size != outcome.model.params.flat.nbytes]


@SOLVERS
@pytest.mark.usefixtures("fields")
def test_fields_that_fit_are_sent_once_whatever_the_number_of_epochs_or_iterations(
    device, sounds, tmp_path, cache, solver
):
    totals, params = [], 0
    for epochs in (2, 6):
        outcome, found = sent(device, sounds, tmp_path / f"{epochs}", cache, solver=solver, epochs=epochs)
        field, windows = bytes_of_fields(outcome), outcome.model.facts["sources"]["windows"]
        params = outcome.model.params.flat.nbytes
        assert sizes(device, outcome) == [field]
        if solver == "adam":  # an order of the windows for each epoch, and the totals that it begins and ends with
            found["int64"] -= 8 * windows * epochs
            found["float64"] -= 2 * 8 * (4 + HIDDEN) * epochs
        else:  # SciPy has the parameters: they go there and back
            exchanged = sum(dtype == "float32" and size == params for dtype, size in device.uploads)
            found["float32"] -= params * exchanged
        totals.append(found)
    assert totals[0] == totals[1]


@SOLVERS
def test_windows_that_are_held_are_whitened_there_from_fields_that_are_sent_once(
    device, sounds, tmp_path, cache, solver
):
    outcome, _ = sent(device, sounds, tmp_path / "run", cache, solver=solver, epochs=3)
    assert sizes(device, outcome) == [bytes_of_fields(outcome)]


@SOLVERS
@pytest.mark.usefixtures("fields")
def test_a_resumed_run_sends_fields_once_more(device, sounds, tmp_path, cache, solver):
    with pytest.raises(Interrupted):
        learn(
            sounds, tmp_path / "run", cache, GpuBackend(), hidden=HIDDEN, solver=solver, tol=0.0, progress=StopAfter(3)
        )
    outcome, _ = sent(device, sounds, tmp_path / "run", cache, solver=solver, resume=True)
    assert sizes(device, outcome) == [bytes_of_fields(outcome)]


@pytest.mark.usefixtures("fields")
def test_what_does_not_fit_is_streamed_but_for_what_is_held_out(device, sounds, tmp_path, cache, monkeypatch):
    room = {}

    def least(self):
        return room.setdefault("bytes", 0)

    monkeypatch.setattr("audiosae.backends.gpu_fields.Fields._free_bytes", least)
    whole = [sent(device, sounds, tmp_path / f"s{e}", cache, solver="adam", epochs=e)[1]["float32"] for e in (2, 4)]
    room["bytes"] = 30_000  # of the two recordings that are held out, not of the ten that are learned from
    partly = [sent(device, sounds, tmp_path / f"p{e}", cache, solver="adam", epochs=e)[1]["float32"] for e in (2, 4)]
    a_pass, less = (whole[1] - whole[0]) / 2, (partly[1] - partly[0]) / 2
    assert 0 < less < a_pass


def test_sessions_nest_and_overlap(device):
    import cupy

    backend = GpuBackend(tf32=True)
    one, other = backend.session(), backend.session()
    one.__enter__()
    other.__enter__()  # of another thread, say
    one.__exit__(None, None, None)
    assert cupy.compute[np.float32] == 7
    other.__exit__(None, None, None)
    assert cupy.compute[np.float32] == 1
