"""The model file: a model is the same after saving and loading; other files are errors."""

from __future__ import annotations

import json

import numpy as np
import pytest

from audiosae import load_model
from audiosae.autoencoder.model import Model
from audiosae.autoencoder.sae import start
from audiosae.autoencoder.tensors import read_tensors, write_tensors
from audiosae.autoencoder.whitening import Whitening, WindowMoments, make_whitener
from audiosae.errors import InputError, PluginError
from audiosae.recordings.spectrogram import Spectrogram


@pytest.fixture
def model():
    domain = Spectrogram(sample_rate=8000, n_fft=256, hop_length=80, n_mels=6, frames=4)
    windows = np.random.default_rng(0).normal(size=(500, 24)).astype(np.float32) @ np.diag(np.linspace(1, 3, 24))
    whitener = make_whitener(WindowMoments.of(windows), Whitening("pca", power=0.5, keep=0.9))
    params = start(7, whitener.n_components, seed=0, rho=0.05)
    facts = {"options": {"rho": 0.05}, "history": {"epoch": 1}}
    return Model(domain, whitener, params, np.full(7, 0.05), facts)


@pytest.fixture
def path(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_loaded_model_equals_the_saved_one(model, path):
    again = load_model(path.parent)
    windows = np.random.default_rng(1).normal(size=(5, 4, 6)).astype(np.float32)
    assert again.domain == model.domain
    np.testing.assert_array_equal(again.encode(windows), model.encode(windows))
    np.testing.assert_array_equal(again.atoms(), model.atoms())


def test_an_atom_is_the_unwhitened_input_of_norm_one_that_excites_the_unit_most(model):
    w = model.whitener
    atom = model.atoms()[3].reshape(1, -1) + w.mean
    best = model.params.W1[3] / np.linalg.norm(model.params.W1[3])
    whitened = w.apply(atom.astype(np.float32))[0]
    np.testing.assert_allclose(whitened, best, atol=1e-4)


def test_a_filter_is_the_window_of_norm_one_that_excites_the_unit_most(model):
    filters = model.filters().reshape(7, -1)
    np.testing.assert_allclose(np.linalg.norm(filters, axis=1), 1, rtol=1e-5)
    rng = np.random.default_rng(2)
    others = rng.normal(size=(500, 24))
    others = (others / np.linalg.norm(others, axis=1, keepdims=True)).astype(np.float32)

    def drive(x):
        return model.whitener.apply(model.whitener.mean + x) @ model.params.W1[2]

    assert drive(filters[2:3])[0] >= drive(others).max()


def test_without_whitening_atoms_and_filters_are_the_same():
    domain = Spectrogram(sample_rate=8000, n_fft=256, hop_length=80, n_mels=6, frames=4)
    whitener = make_whitener(WindowMoments.of(np.random.default_rng(0).normal(size=(99, 24))), Whitening("none"))
    model = Model(domain, whitener, start(3, 24, seed=0, rho=0.1), np.full(3, 0.1), {"options": {"rho": 0.1}})
    np.testing.assert_allclose(model.atoms(), model.filters(), atol=1e-6)


@pytest.mark.parametrize("hidden", [20, 400])  # whitening and weights multiplied into one matrix, and separate
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("contrast", [False, True])
def test_codes_equal_those_of_the_whitened_windows_in_float64(hidden, activation, contrast):
    rng = np.random.default_rng(0)
    domain = Spectrogram(sample_rate=8000, n_fft=256, hop_length=80, n_mels=20, frames=8)
    windows = (rng.normal(size=(700, 160)) * np.linspace(0.5, 20, 160) - 60).astype("f4")  # dB, far from zero
    whitener = make_whitener(WindowMoments.of(windows), Whitening("pca", power=0.25, keep=0.98, contrast=contrast))
    params = start(hidden, whitener.n_components, seed=1, rho=0.05, activation=activation)
    codes = Model(domain, whitener, params, np.full(hidden, 0.05), {}).encode(windows)
    z = whitener.apply(windows.astype(float)) @ params.W1.T.astype(float) + params.b1
    expected = np.tanh(z) if activation == "tanh" else 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(codes, expected, atol=2e-5)


def test_windows_of_another_shape_are_an_error(model):
    with pytest.raises(InputError, match=r"\(count, 4, 6\)"):
        model.encode(np.zeros((3, 4, 7)))


def test_the_tensors_have_the_documented_names(path):
    tensors, facts = read_tensors(path)
    names = {"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias", "whiten.mean", "rho_hat"}
    assert names <= tensors.keys()
    assert tensors["encoder.weight"].shape == tensors["decoder.weight"].shape
    assert facts["format"] == 1
    assert facts["domain"]["name"] == "spectrogram"


def damage(path, change=None, **tensors):
    """Rewrite a model file with other facts and tensors."""
    stored, facts = read_tensors(path)
    changed = {name.replace("_", ".", 1): tensor for name, tensor in tensors.items()}
    write_tensors(path, stored | changed, facts | (change or {}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"domain": "spectrogram"}, "its JSON has no domain"),
        ({"activation": "relu"}, "damaged"),
        ({"whitening": {}}, "damaged"),
        ({"options": {}}, "damaged"),
    ],
)
def test_inconsistent_facts_are_errors(path, change, message):
    damage(path, change)
    with pytest.raises(InputError, match=message):
        load_model(path)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("encoder_weight", np.zeros((2, 2), np.float32), "damaged"),
        ("encoder_bias", np.full(7, np.nan, np.float32), "encoder.bias contains NaN"),
        ("whiten_mean", np.zeros(3, np.float32), "damaged"),
        ("decoder_weight", np.zeros((7, 3), np.int64), "damaged"),
    ],
)
def test_inconsistent_tensors_are_errors(path, name, tensor, message):
    damage(path, **{name: tensor})
    with pytest.raises(InputError, match=message):
        load_model(path)


@pytest.mark.parametrize("keep", [0, 7, 100, 2000])
def test_a_truncated_file_is_an_error(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="damaged"):
        load_model(path)


def test_a_file_that_is_not_a_model_is_an_error(tmp_path):
    other = tmp_path / "model.safetensors"
    header = json.dumps({"a": 1}).encode()
    other.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(InputError, match="damaged|not written by audiosae"):
        load_model(other)
    with pytest.raises(InputError, match="no model.safetensors"):
        load_model(tmp_path.parent)
    with pytest.raises(InputError, match="no such file or folder: .*; wanted a run folder"):
        load_model(tmp_path / "nowhere.safetensors")


def test_the_error_for_a_missing_plugin_says_what_to_install(path):
    damage(path, {"domain": {"name": "sonar", "package": "audiosae-sonar", "version": "1", "options": {}}})
    with pytest.raises(PluginError, match="pip install audiosae-sonar"):
        load_model(path)


def test_saving_into_a_missing_folder_is_a_one_line_error(model, tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        model.save(tmp_path / "gone/model.safetensors")


def test_a_failed_write_leaves_the_existing_file_unchanged(model, path, monkeypatch):
    before = path.read_bytes()

    def full(_number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space left"):
        model.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
