"""Windows of two lengths: two groups of units in one model, each learned as a model of its own."""

from __future__ import annotations

import numpy as np
import pytest
from pages import items

import audiosae
from audiosae.autoencoder.tensors import read_tensors, write_tensors
from audiosae.errors import InputError
from audiosae.features.codes import Encoder
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.training import solvers
from audiosae.training.checkpoint import FILES, State

SETTINGS = {"frames": 12, "short": 4, "n_mels": 10}


@pytest.fixture(scope="module")
def model(sounds, cache):
    return audiosae.train(sounds, settings=SETTINGS, hidden=5, epochs=2, cache=cache).model


def test_each_part_is_the_model_of_its_length(model, sounds, cache):
    for part, frames in zip(model.parts(), (4, 12), strict=True):
        alone = audiosae.train(
            sounds, settings={"frames": frames, "n_mels": 10}, hidden=part.params.hidden, epochs=2, cache=cache
        ).model
        windows = np.random.default_rng(0).normal(size=(9, frames, 10)).astype(np.float32)
        np.testing.assert_allclose(part.encode(windows), alone.encode(windows), rtol=1e-4)
        np.testing.assert_allclose(part.atoms(), alone.atoms(), atol=1e-6)
        np.testing.assert_array_equal(part.rho_hat, alone.rho_hat)


def test_each_length_has_the_epochs_for_its_number_of_windows(sounds, cache, monkeypatch):
    monkeypatch.setattr("audiosae.training.options._ADAM_WINDOWS", 9000)
    options = {"settings": {"frames": 40, "short": 4, "n_mels": 10}, "hidden": 5, "solver": "adam", "cache": cache}
    rows = audiosae.train(sounds, **options).history
    seen = {row.windows: row.epoch for row in rows}
    assert len(seen) == 2
    assert list(seen.values()) == [round(9000 / windows) for windows in seen], "as many windows, by either length"


def test_a_run_is_resumed_in_either_length(sounds, cache, tmp_path, monkeypatch):
    options = {"settings": SETTINGS, "hidden": 5, "epochs": 3, "solver": "adam", "cache": cache}
    save, left = State.save, [FILES[1], *FILES]

    def interrupted(state, path, *rest):
        save(state, path, *rest)
        if left and path.name == left[0] and state.epoch == 2:
            raise OSError(f"the power failed in {left.pop(0)}")

    monkeypatch.setattr(State, "save", interrupted)
    monkeypatch.setattr(solvers, "_AT_MOST_EVERY", 0.0)
    for folder, name, resume in (("other", FILES[1], False), ("run", FILES[0], False), ("run", FILES[1], True)):
        with pytest.raises(OSError, match=name):
            audiosae.train(sounds, tmp_path / folder, resume=resume, **options)
    assert {path.name for path in (tmp_path / "other").iterdir()} == {*FILES, "journal.csv"}
    resumed = audiosae.train(sounds, tmp_path / "run", resume=True, **options)
    assert resumed.model.digest == audiosae.train(sounds, **options).model.digest
    assert [row.epoch for row in resumed.history] == [1, 2, 3, 1, 2, 3]


def test_short_units_see_the_middle_of_a_window_only(model, tmp_path):
    atoms = model.atoms()
    assert [np.flatnonzero(atom.any(axis=1))[[0, -1]].tolist() for atom in atoms] == [[4, 7]] * 2 + [[0, 11]] * 3
    windows = np.random.default_rng(0).normal(size=(9, 12, 10)).astype(np.float32)
    codes = model.encode(windows)
    for part, middle in zip(model.parts(), (windows[:, 4:8], windows), strict=True):
        np.testing.assert_allclose(part.encode(middle), codes[:, : part.params.hidden], rtol=1e-4)
        codes = codes[:, part.params.hidden :]
    shares = Encoder(model, "share")(windows.reshape(9, -1))
    np.testing.assert_allclose([np.square(own).sum(axis=1) for own in np.split(shares, [2], axis=1)], 1, rtol=1e-5)
    model.save(tmp_path / "model.safetensors")
    again = audiosae.load_model(tmp_path / "model.safetensors")
    assert again.digest == model.digest
    assert again.unit_counts == model.unit_counts == [2, 3]


def test_features_of_files_are_those_of_both_lengths(model, sounds, cache):
    for options in ({"code": "share", "pool": "mean,max,std,change"}, {"segments": 2}):
        both = audiosae.export(model, sounds, cache=cache, **options)
        each = [audiosae.export(part, sounds, cache=cache, **options).features for part in model.parts()]
        np.testing.assert_allclose(both.features, np.concatenate(each, axis=1), rtol=1e-5)
        assert both.names[-1].startswith("u004_")


def test_baselines_have_both_lengths(model, sounds, cache, tmp_path):
    rows = [f"{path.name},{number % 2}\n" for number, path in enumerate(sorted(sounds.iterdir()))]
    (tmp_path / "labels.csv").write_text("filename,label\n" + "".join(rows))
    done = audiosae.evaluate(model, sounds, tmp_path / "labels.csv", baselines="kmeans,mfcc", cache=cache)
    numbers = {result["name"]: result["features"] for result in done.results}
    assert numbers["model"] == numbers["kmeans"] == 20
    assert numbers["mfcc"] == 40


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


def test_an_estimator_has_one_length(model):
    with pytest.raises(InputError, match="wanted one of model.parts()"):
        audiosae.SparseAutoencoder.from_model(model)
    assert audiosae.SparseAutoencoder.from_model(model.parts()[0]).n_features_in_ == 40


def test_a_window_has_the_middle_of_its_frames():
    assert Spectrogram(frames=9, short=4).crops[0][0] == slice(2, 6)
    assert Spectrogram().crops == ()
