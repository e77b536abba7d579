"""Windows of two lengths: two groups of units that are learned together, as if each had a model of its own."""

from __future__ import annotations

import numpy as np
import pytest
from pages import items

import audiosae
from audiosae.autoencoder.sae import Params, Penalty, accumulate, finish, reconstruct, start
from audiosae.autoencoder.tensors import read_tensors, write_tensors
from audiosae.autoencoder.whitening import Whitening, WindowMoments, make_divided_whitener, make_whitener
from audiosae.errors import InputError
from audiosae.recordings.spectrogram import Spectrogram

SETTINGS = {"frames": 12, "short": 4, "n_mels": 10}
PENALTY = Penalty(0.1, 3.0, 1e-3)


@pytest.fixture(scope="module")
def model(sounds, cache):
    return audiosae.train(sounds, settings=SETTINGS, hidden=5, epochs=2, cache=cache).model


@pytest.mark.parametrize("whole", [PENALTY, None])
def test_each_part_has_the_gradient_of_an_autoencoder_of_its_own(backend, whole):
    params = start(7, 9, seed=0, rho=0.1, dtype="float64", parts=(4, 5))
    params.flat[-16:] = np.linspace(-0.2, 0.2, 16)
    x = np.random.default_rng(1).normal(size=(70, 9))
    device = params.on(backend)
    sums = accumulate(backend, device, backend.asarray(x), whole=whole)
    cost, gradient = finish(backend, device, sums, PENALTY)
    gradient, total = params.like(backend.to_host(gradient)), 0.0
    left = gradient.flat.copy()
    for units, inputs in params.blocks:
        parts = params.W1[units, inputs], params.W2[units, inputs], params.b1[units], params.b2[inputs]
        alone = Params(np.concatenate([part.ravel() for part in parts]), *parts[0].shape).on(backend)
        own, expected = finish(
            backend, alone, accumulate(backend, alone, backend.asarray(x[:, inputs].copy()), whole=whole), PENALTY
        )
        expected, total = alone.like(backend.to_host(expected)), total + own.total
        for name, index in (("W1", (units, inputs)), ("W2", (units, inputs)), ("b1", units), ("b2", inputs)):
            np.testing.assert_allclose(getattr(gradient, name)[index], getattr(expected, name), rtol=1e-9, atol=1e-12)
            getattr(params.like(left), name)[index] = 0
    assert not left.any()
    assert cost.total == pytest.approx(total)
    error = reconstruct(backend, device, backend.asarray(x))[0]
    assert float(error) == pytest.approx(float(sums.error))


def test_each_part_is_whitened_by_itself():
    windows = np.random.default_rng(0).normal(size=(300, 6)).cumsum(axis=1).astype(np.float32)
    how, parts = Whitening("pca", power=0.5, keep=0.95), [np.array([2, 3]), np.arange(6)]
    both = make_divided_whitener(WindowMoments.of(windows), how, parts)
    each = [make_whitener(WindowMoments.of(windows[:, chosen]), how) for chosen in parts]
    expected = np.concatenate([w.apply(windows[:, chosen]) for w, chosen in zip(each, parts, strict=True)], axis=1)
    np.testing.assert_allclose(both.apply(windows), expected, atol=1e-5)
    np.testing.assert_allclose(both.restore(expected), each[1].restore(each[1].apply(windows)), atol=1e-4)
    with pytest.raises(InputError, match="--whiten scale: windows of two lengths need --whiten pca or zca"):
        make_divided_whitener(WindowMoments.of(windows, full=False), Whitening("scale"), parts)


def test_short_units_see_the_middle_of_a_window_only(model, tmp_path):
    atoms = model.atoms()
    assert [np.flatnonzero(atom.any(axis=1))[[0, -1]].tolist() for atom in atoms] == [[4, 7]] * 2 + [[0, 11]] * 3
    windows = np.random.default_rng(0).normal(size=(9, 12, 10)).astype(np.float32)
    codes = model.encode(windows)
    for part, middle in zip(model.parts(), (windows[:, 4:8], windows), strict=True):
        np.testing.assert_allclose(part.encode(middle), codes[:, : part.params.hidden], rtol=1e-4)
        codes = codes[:, part.params.hidden :]
    model.save(tmp_path / "model.safetensors")
    again = audiosae.load_model(tmp_path / "model.safetensors")
    assert again.digest == model.digest
    assert again.params.blocks == model.params.blocks


def test_features_of_files_are_those_of_both_lengths(model, sounds, cache):
    for options in ({"code": "share", "pool": "mean,max,std,change"}, {"segments": 2}):
        both = audiosae.export(model, sounds, cache=cache, **options)
        each = [audiosae.export(part, sounds, cache=cache, **options).features for part in model.parts()]
        np.testing.assert_allclose(both.features, np.concatenate(each, axis=1), rtol=1e-5)
        assert both.names[-1].startswith("u004_")


def test_baselines_have_both_lengths(model, sounds, cache, tmp_path):
    rows = [f"{path.name},{number % 2}\n" for number, path in enumerate(sorted(sounds.iterdir()))]
    (tmp_path / "labels.csv").write_text("filename,label\n" + "".join(rows))
    done = audiosae.evaluate(model, sounds, tmp_path / "labels.csv", baselines="all", cache=cache)
    numbers = {result["name"]: result["features"] for result in done.results}
    assert numbers["model"] == numbers["random-weights"] == numbers["kmeans"] == numbers["nmf"] == 15
    assert numbers["mfcc"] == 30


def test_a_unit_is_drawn_and_played_at_its_length(model):
    domain, atoms = model.domain, model.atoms()
    assert [np.isnan(domain.tile(atom)).all(axis=0).sum() for atom in atoms[[0, 4]]] == [8, 0]
    milliseconds = 1000 * domain.hop_length / domain.sample_rate
    lengths = [domain.measures(atom)["length (ms)"] for atom in atoms[[0, 4]]]
    np.testing.assert_allclose(lengths, [4 * milliseconds, 12 * milliseconds], atol=1e-3)
    assert [len(domain.synthesize(atom).data) // domain.hop_length for atom in atoms[[0, 4]]] == [4, 12]


def test_a_report_marks_the_part_of_a_window_that_a_unit_sees(model, sounds, cache, tmp_path):
    audiosae.report(model, sounds, tmp_path / "report.html", cache=cache, top=1)
    seconds = [[w["to"][0] - w["from"][0] for w in unit["windows"]] for unit in items(tmp_path / "report.html")]
    frame = model.domain.hop_length / model.domain.sample_rate
    np.testing.assert_allclose(np.ravel(seconds) / frame, [4, 4, 12, 12, 12], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"short": 16}, {}, "short.*16.*: wanted fewer frames than a window, frames=16"),
        ({"short": 8}, {"whiten": "none"}, "windows of two lengths need"),
        ({"short": 8}, {"hidden": 1}, "hidden=1: wanted at least 2 units, for windows of 2 lengths"),
    ],
)
def test_what_cannot_be_divided_is_an_error(sounds, cache, settings, options, message):
    with pytest.raises(InputError, match=message):
        audiosae.train(sounds, settings=settings, cache=cache, epochs=1, **({"hidden": 2} | options))


def test_a_file_whose_parts_do_not_fit_is_an_error(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    content = read_tensors(path)
    content.facts["whitening"]["parts"] = [1, 1]
    write_tensors(path, content.tensors, content.facts)
    with pytest.raises(InputError, match="whitening.parts"):
        audiosae.load_model(path)


def test_a_window_has_the_middle_of_its_frames():
    assert Spectrogram(frames=9, short=4).crops[0][0] == slice(2, 6)
    assert Spectrogram().crops == ()
