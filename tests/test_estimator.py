"""The scikit-learn transformer: scikit-learn's conventions, and the same maths as training on files."""

from __future__ import annotations

import doctest
import io
import os
import subprocess
import sys

import joblib
import librosa
import numpy as np
import pytest
import soundfile
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import audiosae
from audiosae import SparseAutoencoder, load_model
from audiosae.autoencoder.sae import accumulate, finish
from audiosae.autoencoder.whitening import Whitening
from audiosae.backends import Backend
from audiosae.corpus.windows import Slab
from audiosae.domain import list_domains
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import EngineCorpus
from audiosae.engine.learn_whitening import learn_whitener
from audiosae.errors import PluginError
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.training.options import TrainOptions

DOMAIN = Spectrogram(sample_rate=8000, n_fft=256, hop_length=80, n_mels=6, frames=4)  # windows of 24 values
SMALL = {"n_components": 12, "rho": 0.1, "beta": 0.5, "random_state": 0}


@pytest.fixture(scope="module", name="X")
def rows_of_few_patterns():
    """Return rows that are sums of a few of six patterns, with an offset."""
    rng = np.random.default_rng(0)
    return (rng.random((600, 6)) < 0.2) @ rng.normal(size=(6, 24)) + 5


@pytest.fixture(scope="module")
def fitted(X):
    return SparseAutoencoder(**SMALL, max_iter=100).fit(X)


def copied(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


@parametrize_with_checks(
    [
        SparseAutoencoder(max_iter=20),
        SparseAutoencoder(n_components=5, solver="adam", max_iter=3),
        SparseAutoencoder(n_components=4, activation="tanh", decoder="sigmoid", whiten="zca", max_iter=20),
    ]
)
def test_the_checks_of_scikit_learn_pass(estimator, check):
    check(estimator)


def test_no_check_of_scikit_learn_is_skipped():
    code = (
        "from audiosae import SparseAutoencoder; from sklearn.utils.estimator_checks import check_estimator as check\n"
        "print({result['status'] for result in check(SparseAutoencoder(max_iter=5), on_skip=None)})"
    )
    array_api = os.environ | {"SCIPY_ARRAY_API": "1"}  # one check is skipped without it
    result = subprocess.run([sys.executable, "-c", code], env=array_api, check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "{'passed'}"


def test_the_examples_of_the_docstring_run():
    from audiosae import estimator

    failed, tried = doctest.testmod(estimator)
    assert not failed
    assert tried


def test_the_defaults_are_those_of_the_command_line():
    parameters = SparseAutoencoder().get_params()
    names = {"hidden": "n_components", "epochs": "max_iter", "seed": "random_state"}
    options = {names.get(key, key): value for key, value in TrainOptions().to_json().items()}
    differing = {key for key in parameters.keys() & options.keys() if parameters[key] != options[key]}
    assert differing == {"max_iter", "random_state"}  # None means automatic here
    assert options.keys() - parameters.keys() == {"dtype", "max_windows", "memory", "sample"}  # determined by the array


def test_sparse_sources_are_recovered():
    rng = np.random.default_rng(0)
    sources = rng.normal(size=(16, 24))
    X = (rng.random((2000, 16)) < 0.1) @ sources
    how = {"n_components": 24, "rho": 0.1, "random_state": 0}
    trained = SparseAutoencoder(**how, max_iter=150).fit(X)
    untrained = SparseAutoencoder(**how, learning_rate=1e-12).partial_fit(X)
    best = [np.abs(cosine_similarity(sources, e.components_)).max(axis=1) for e in (trained, untrained)]
    assert np.median(best[0]) > 0.9
    assert np.median(best[1]) < 0.7


def test_fit_ends_where_the_gradient_is_zero(X):
    end = SparseAutoencoder(**SMALL, weight_decay=1e-2, solver="lbfgs", max_iter=3000, tol=1e-6).fit(X)
    model, penalty = end.to_model(DOMAIN), TrainOptions(rho=0.1, beta=0.5, weight_decay=1e-2).penalty
    sums = accumulate(Backend(), model.params, model.whitener.apply(X))
    cost, gradient = finish(Backend(), model.params, sums, penalty)
    assert cost.total == pytest.approx(end.loss_curve_[-1], rel=1e-9)
    assert np.abs(gradient).max() < 1e-5
    np.testing.assert_allclose(cost.rho_hat, end.rho_hat_)


def test_an_array_is_whitened_like_the_same_rows_of_a_corpus(X):
    rows = X.astype(np.float32)

    class Rows(EngineCorpus):
        def __len__(self):
            return len(rows)

        def sample(self, count):
            assert count >= len(X)
            return self

        def slabs(self, order=None, *, memory=0):
            for part in (rows[:100], rows[100:]):
                starts = np.arange(len(part)) * part.shape[1]
                yield Slab(part.reshape(-1), starts, np.full(len(part), part.shape[1]), part.shape[1], 1)

    fitted = SparseAutoencoder(**SMALL, max_iter=1).fit(rows)
    whitener = learn_whitener(Rows(DOMAIN, [], LocalEngine()), Whitening("pca"))
    np.testing.assert_allclose(whitener.mean, fitted.mean_)
    np.testing.assert_allclose(whitener.forward, fitted.to_model(DOMAIN).whitener.forward, atol=1e-6)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_seed_determines_the_result(X, solver):
    def learned(seed):
        how = {"n_components": 8, "solver": solver, "max_iter": 5, "batch_size": 200}
        return SparseAutoencoder(**how, random_state=seed).fit(X).components_

    np.testing.assert_array_equal(learned(3), learned(3))
    np.testing.assert_array_equal(learned(np.random.RandomState(3)), learned(np.random.RandomState(3)))
    assert np.abs(learned(3) - learned(4)).max() > 0.01


def test_components_are_the_atoms_of_the_model(fitted):
    np.testing.assert_allclose(fitted.components_, fitted.to_model(DOMAIN).atoms().reshape(12, 24), atol=1e-6)


@pytest.mark.parametrize("decoder", ["linear", "sigmoid"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_outputs_have_the_precision_of_the_input(X, dtype, decoder):
    rows = X.astype(dtype)
    fitted = SparseAutoencoder(**SMALL, decoder=decoder, max_iter=3).fit(rows)
    codes = fitted.transform(rows)
    assert codes.dtype == fitted.inverse_transform(codes).dtype == fitted.components_.dtype == dtype
    assert fitted.transform(X.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize(("whiten", "decoder"), [("pca", "linear"), ("scale", "linear"), ("zca", "sigmoid")])
def test_inverse_transform_reconstructs_rows(X, whiten, decoder):
    fitted = SparseAutoencoder(**SMALL | {"beta": 0.01}, whiten=whiten, decoder=decoder, max_iter=400).fit(X)
    back = fitted.inverse_transform(fitted.transform(X))
    assert np.square(back - X).sum() < 0.1 * np.square(X - X.mean(axis=0)).sum()
    assert fitted.fvu_ < 0.1


def test_many_partial_fits_come_close_to_one_fit(X, fitted):
    parts = SparseAutoencoder(**SMALL, learning_rate=0.01, batch_size=150)
    for _ in range(150):
        parts.partial_fit(X[:300]).partial_fit(X[300:])
    whole = parts.to_model(DOMAIN)
    sums = accumulate(Backend(), whole.params, whole.whitener.apply(X))
    cost, _ = finish(Backend(), whole.params, sums, TrainOptions(rho=0.1, beta=0.5).penalty)
    assert cost.total < 0.05 * fitted.loss_curve_[0] + fitted.loss_curve_[-1]
    assert (parts.n_iter_, parts.n_samples_seen_) == (300, 300 * 300)


def test_partial_fit_reuses_the_whitening_and_the_moments_of_adam(X):
    steps = SparseAutoencoder(**SMALL).partial_fit(X)
    mean, before = steps.mean_, steps.components_
    again = clone(steps).partial_fit(X)
    again.partial_fit(X + 1)
    np.testing.assert_array_equal(again.mean_, mean)
    assert np.abs(again.components_ - before).max() > 0
    without = SparseAutoencoder.from_model(steps.to_model(DOMAIN)).partial_fit(X)  # a model has no moments
    assert np.abs(without.components_ - steps.partial_fit(X).components_).max() > 0


def test_partial_fit_continues_after_fit_with_a_new_learning_rate(X):
    start = SparseAutoencoder(**SMALL, solver="adam", max_iter=100, learning_rate=0.01).fit(X)
    still = copied(start).set_params(learning_rate=1e-12).partial_fit(X)
    np.testing.assert_allclose(still.components_, start.components_, atol=1e-6)
    assert start.partial_fit(X).fvu_ < 1
    assert np.abs(start.components_ - still.components_).max() > 1e-4


def test_a_pickled_estimator_continues_training(X, fitted):
    again = copied(fitted)
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    one, two = again.partial_fit(X), copied(fitted).partial_fit(X)
    np.testing.assert_array_equal(one.components_, two.components_)
    assert np.abs(one.components_ - fitted.components_).max() > 0


def test_grid_search_over_a_pipeline(X):
    y = X[:, 0] > X[:, 0].mean()
    pipeline = make_pipeline(SparseAutoencoder(random_state=0, max_iter=20), RidgeClassifier())
    grid = {"sparseautoencoder__n_components": [2, 16], "sparseautoencoder__rho": [0.05, 0.2]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=1).fit(X, y)
    assert search.best_score_ > 0.85
    assert list(search.best_estimator_[:-1].get_feature_names_out()[:2]) == ["sparseautoencoder0", "sparseautoencoder1"]


@pytest.mark.parametrize("fit", [True, False])
def test_librosa_decomposes_a_spectrogram(sounds, fit):
    S = np.abs(librosa.stft(soundfile.read(sounds / "tone_03.wav", dtype="float32")[0], n_fft=256))
    transformer = SparseAutoencoder(n_components=8, max_iter=20, random_state=0)
    if not fit:
        transformer.fit(S.T)
    components, activations = librosa.decompose.decompose(S, transformer=transformer, sort=True, fit=fit)
    assert components.shape == (129, 8)
    assert activations.shape == (8, S.shape[1])
    assert (np.diff(components.argmax(axis=0)) >= 0).all()
    assert activations.dtype == S.dtype == np.float32


def test_a_saved_model_is_loaded_and_training_continues(X, fitted, tmp_path):
    fitted.to_model(DOMAIN).save(tmp_path / "model.safetensors")
    model = load_model(tmp_path / "model.safetensors")
    codes = fitted.transform(X)
    np.testing.assert_allclose(model.encode(X), codes)
    again = SparseAutoencoder.from_model(tmp_path / "model.safetensors")
    np.testing.assert_allclose(again.transform(X), codes)
    np.testing.assert_allclose(again.inverse_transform(codes), fitted.inverse_transform(codes))
    assert again.get_params() == fitted.get_params() | {"solver": "lbfgs"}  # chosen by auto
    assert again.fvu_ == fitted.fvu_
    assert again.to_model().facts == model.facts
    further = again.partial_fit(X).to_model()
    assert further.domain == DOMAIN
    assert further.facts["sources"]["began_with"] == model.facts["sources"]
    np.testing.assert_array_equal(clone(again).fit(X).components_, clone(fitted).fit(X).components_)


def test_info_describes_a_saved_model(fitted, tmp_path):
    fitted.to_model(DOMAIN).save(tmp_path / "model.safetensors")
    command = [sys.executable, "-m", "audiosae", "info", str(tmp_path)]
    description = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "rows of an array" in description
    assert "12 sigmoid" in description


def test_the_default_domain_is_vectors(X, fitted, tmp_path):
    if "vectors" not in {listing.name for listing in list_domains()}:
        with pytest.raises(PluginError, match="pip install audiosae-vectors"):
            fitted.to_model()
        return
    fitted.to_model().save(tmp_path / "model.safetensors")
    model = load_model(tmp_path)
    assert model.domain.name == "vectors"
    np.testing.assert_allclose(model.encode(X), fitted.transform(X))


def test_a_domain_with_another_window_size_is_refused(X):
    fitted = SparseAutoencoder(n_components=2, max_iter=1).fit(X[:, :20])
    with pytest.raises(ValueError, match=r"windows of \(4, 6\); rows had 20 features"):
        fitted.to_model(DOMAIN)


def test_sparse_matrices_are_refused_with_advice(X, fitted):
    for method in (SparseAutoencoder().fit, SparseAutoencoder().partial_fit, fitted.transform):
        with pytest.raises(TypeError, match=r"dense data is required.*toarray"):
            method(sparse.csr_array(X))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rho": 2}, "rho=2: wanted a mean activity between 0 and 1"),
        ({"n_components": 0}, "n_components=0: wanted at least 1"),
        ({"weight_decay": -1}, "beta=3 weight_decay=-1: wanted numbers of at least 0"),
        ({"whiten_power": 2}, r"whiten_power=2: wanted 0"),
        ({"solver": "sgd"}, 'solver="sgd": wanted one of auto, adam, lbfgs'),
        ({"random_state": -1}, "random_state=-1: wanted at least 0"),
        ({"backend": "abacus"}, 'backend="abacus": wanted auto, numpy or cupy'),
    ],
)
def test_errors_name_the_parameters(X, wrong, message):
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=message):
            getattr(SparseAutoencoder(**wrong), method)(X)


def test_constant_rows_and_rows_of_another_width_are_refused(X, fitted):
    with pytest.raises(ValueError, match="all windows are the same"):
        SparseAutoencoder().fit(np.ones((5, 3)))
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        SparseAutoencoder().fit(X[:1])
    with pytest.raises(ValueError, match="24 features"):
        fitted.transform(X[:, :3])
    with pytest.raises(ValueError, match="3 columns; wanted codes of 12"):
        fitted.inverse_transform(np.ones((2, 3)))
    with pytest.raises(NotFittedError):
        SparseAutoencoder().to_model(DOMAIN)


def test_the_estimator_is_a_public_name():
    assert "SparseAutoencoder" in audiosae.__all__
