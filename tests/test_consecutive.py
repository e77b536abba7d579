"""Codes of consecutive windows by block transforms, compared with the product of each window."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import audiosae
from audiosae.autoencoder.consecutive import BlockTransform
from audiosae.autoencoder.model import Model
from audiosae.autoencoder.sae import start
from audiosae.autoencoder.whitening import Whitening, WindowMoments, make_whitener
from audiosae.backends import Backend, cpu
from audiosae.features.codes import Encoder
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system.threads import Threads

PCA = Whitening("pca", power=0.5)


def levels(rows, bands, seed=0):
    """A field in dB, far from zero, whose neighbouring rows are alike."""
    steps = np.random.default_rng(seed).normal(size=(rows, bands)) * np.linspace(0.5, 3, bands)
    return (np.cumsum(steps, axis=0) * 0.3 + 2 * steps - 60).astype("f4")


def windows_of(field, frames, stride):
    view = np.lib.stride_tricks.sliding_window_view(field, (frames, field.shape[1]))[::stride, 0]
    return view.reshape(len(view), -1)


def model_of(frames=16, bands=20, stride=1, hidden=24, how=PCA, **options):
    domain = Spectrogram(8000, n_fft=256, hop_length=80, n_mels=bands, frames=frames, step=stride)
    whitener = make_whitener(WindowMoments.of(windows_of(levels(2000, bands), frames, 1)), how)
    params = start(hidden, whitener.n_components, seed=1, rho=0.05, **options)
    params.flat *= 3  # activations of all sizes
    return Model(domain, whitener, params, np.full(hidden, 0.05), {})


def exact(model, windows):
    """Activations in float64."""
    weights = model.params.W1.astype(float)
    z = model.whitener.apply(windows.astype(float)) @ weights.T + model.params.b1
    return np.tanh(z) if model.params.activation == "tanh" else 1 / (1 + np.exp(-z))


@pytest.mark.parametrize(
    ("frames", "bands", "stride", "hidden", "options"),
    [
        (16, 20, 1, 24, {}),
        (32, 20, 3, 64, {"activation": "tanh"}),
        (17, 33, 2, 300, {"dtype": "float64"}),  # more units than components
        (8, 40, 1, 40, {"how": Whitening("scale")}),
        (24, 12, 1, 64, {"how": Whitening("none")}),
        (12, 40, 1, 30, {"how": Whitening("zca")}),
    ],
)
def test_block_transforms_give_the_codes_of_products_and_round_less(frames, bands, stride, hidden, options):
    model, backend = model_of(frames, bands, stride, hidden, **options), Backend()
    windows = windows_of(levels(1500, bands, seed=2), frames, stride)
    assert model._block_transform.fields([windows])
    (codes,) = model.codes_of_runs([windows], backend)
    assert codes.shape == (len(windows), hidden)
    assert codes.dtype == model.params.flat.dtype
    expected, direct = exact(model, windows), model.codes(windows, backend)
    error = np.abs(codes - expected).max()
    assert error < (1e-9 if codes.dtype == "float64" else 5e-5)
    assert error <= 1.5 * np.abs(direct - expected).max()


@pytest.mark.parametrize("code", ["sqrt", "activation", "share"])
def test_runs_of_any_length_have_the_codes_that_each_has_alone(code):
    model = model_of()
    encode = Encoder(model, code)
    runs = [windows_of(levels(15 + count, 20, seed=count), 16, 1) for count in (300, 1, 33, 34, 5, 100)]
    assert model._block_transform.fields(runs)
    for codes, run in zip(encode.runs(runs), runs, strict=True):
        np.testing.assert_allclose(codes, encode(run.copy()), atol=2e-5)


def test_the_bits_do_not_depend_on_the_number_of_threads(monkeypatch):
    model, windows, found = model_of(hidden=100), windows_of(levels(5000, 20), 16, 1), set()
    for count in (1, 3):
        with Threads(count) as threads:
            monkeypatch.setattr(cpu, "_threads", lambda _, threads=threads: threads)
            found.add(Encoder(model)(windows).tobytes())
    assert len(found) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"how": Whitening("pca", contrast=True)},
        {"how": Whitening("pca", remove_mean=True)},
        {"how": Whitening("pca", squash=True)},
        {"stride": 12},
        {"frames": 2},
        {"bands": 2},
        {"how": Whitening("pca", keep=0.05)},  # so few components that two products are less work
    ],
)
def test_models_for_which_blocks_are_wrong_or_slower_have_none(change):
    model = model_of(**change)
    assert model._block_transform is None
    bands, frames, stride = model.domain.window[1], model.domain.window[0], model.domain.stride[0]
    windows = windows_of(levels(300, bands), frames, stride)
    np.testing.assert_array_equal(model.codes_of_runs([windows], Backend())[0], model.codes(windows, Backend()))


def test_windows_that_are_few_or_do_not_overlap_in_memory_are_multiplied():
    transform = model_of()._block_transform
    windows = windows_of(levels(300, 20), 16, 1)
    assert transform.fields([windows]) is not None
    for other in ([windows.copy()], [windows, windows[::2]], [windows[:2]], [windows[:0]], [windows, windows[:0]]):
        assert transform.fields(other) is None


def test_filters_that_would_take_much_memory_are_not_made(monkeypatch):
    model = model_of()
    monkeypatch.setattr("audiosae.autoencoder.consecutive._MOST_BYTES", model._block_transform.filters.nbytes - 1)
    assert model_of()._block_transform is None


def test_a_model_is_sent_without_the_matrices_of_its_blocks():
    model, windows = model_of(), windows_of(levels(300, 20), 16, 1)
    before = len(pickle.dumps(model))
    codes = Encoder(model)(windows)
    sent = pickle.dumps(model)
    assert len(sent) == before
    np.testing.assert_array_equal(Encoder(pickle.loads(sent))(windows), codes)  # noqa: S301


def test_tables_have_the_same_bits_for_any_number_of_processes(trained, sounds, cache, monkeypatch):
    monkeypatch.setattr("audiosae.engine.spread.LEAST_VALUES", 0)
    calls, encode = [], BlockTransform.codes
    monkeypatch.setattr(BlockTransform, "codes", lambda *given: calls.append(1) or encode(*given))
    tables = [audiosae.export(trained, sounds, workers=workers, cache=cache).features for workers in (1, 2)]
    assert calls, "in this process, by one worker"
    np.testing.assert_array_equal(*tables)
