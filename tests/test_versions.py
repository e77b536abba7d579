"""Options, checkpoints and models from other versions, plugins and other programs."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from runs import learn

from audiosae.autoencoder.model import load_model
from audiosae.autoencoder.tensors import read_tensors, write_tensors
from audiosae.corpus.sources import scan
from audiosae.errors import InputError, PluginError
from audiosae.estimator import SparseAutoencoder
from audiosae.features.summary import activity_of, summarise
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.training.checkpoint import FILE, State
from audiosae.training.options import TrainOptions


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("hidden", 64.0, "a whole number"),
        ("batch_size", 1.5, "a whole number"),
        ("epochs", True, "a whole number"),
        ("rho", "0.1", "a number"),
        ("beta", True, "a number"),
        ("contrast", 1, "True or False"),
    ],
)
def test_an_option_of_another_type_is_refused_and_the_message_names_a_plugin(name, value, wanted):
    flag = "--" + name.replace("_", "-")
    with pytest.raises(InputError, match=rf"^{flag} {value!r}: wanted {wanted}$"):
        TrainOptions(**{name: value})
    with pytest.raises(PluginError, match=rf"^domain seismic: its defaults have .*{flag} {value!r}: wanted {wanted}"):
        TrainOptions.resolve({name: value}, {}, domain="seismic")
    with pytest.raises(InputError, match=rf"^{flag} "):
        TrainOptions.resolve({}, {name: value}, domain="seismic")


def test_options_may_be_numpy_numbers():
    options = TrainOptions(hidden=np.int64(5), rho=np.float32(0.25), beta=3, contrast=np.True_)
    assert json.loads(json.dumps(options.to_json())) == TrainOptions(hidden=5, rho=0.25, contrast=True).to_json()


def test_stored_options_may_lack_new_options_but_not_have_unknown_ones():
    options = TrainOptions(hidden=7, seed=3).to_json()
    del options["memory"], options["tol"]
    assert TrainOptions.stored(options, seed=4) == TrainOptions(hidden=7, seed=4)
    with pytest.raises(InputError, match=r"^the model was trained with --annealing, --warm-up, which this version"):
        TrainOptions.stored(options | {"warm_up": 3, "annealing": 1.0})


@pytest.fixture
def rewritten(trained, tmp_path):
    """Return a function that writes the trained model with other options."""

    def rewrite(gone=(), **added):
        content = read_tensors(trained / "model.safetensors")
        options = {k: v for k, v in content.facts["options"].items() if k not in gone} | added
        write_tensors(tmp_path / "other.safetensors", content.tensors, content.facts | {"options": options})
        return tmp_path / "other.safetensors"

    return rewrite


def test_info_describes_a_model_of_another_version_and_refit_refuses_it(rewritten, run, sounds, tmp_path):
    all_but_rho = [field.name for field in fields(TrainOptions) if field.name != "rho"]
    status, out, err = run("info", rewritten(gone=all_but_rho, warm_up=3))
    assert (status, "beta ?" in out) == (0, True), err
    labels = tmp_path / "labels.csv"
    names = [source.name for source in scan([sounds], (".wav",))]
    labels.write_text("filename,label\n" + "".join(f"{name},{i % 2}\n" for i, name in enumerate(names)))
    command = ["--labels", labels, "--refit", "--baselines", "none", "-o", tmp_path / "out"]
    status, _, err = run("evaluate", rewritten(warm_up=3), sounds, *command)
    assert status == 1
    assert err.splitlines()[-1].startswith("audiosae: the model was trained with --warm-up")


def test_a_checkpoint_of_another_format_is_refused(tmp_path):
    state, path = State.fresh(np.zeros(4), 2), tmp_path / FILE
    identity = TrainOptions().to_json()
    state.save(path, identity)
    content = read_tensors(path)
    write_tensors(path, content.tensors, content.facts | {"format": 99})
    with pytest.raises(
        InputError, match=r"has format 99, this version of audiosae reads 1; resume with the version that"
    ):
        State.load(path, identity)


def test_a_checkpoint_may_lack_new_options_at_their_defaults_but_not_have_unknown_ones(tmp_path):
    state, path, now = State.fresh(np.zeros(4), 2), tmp_path / FILE, TrainOptions().to_json()
    state.save(path, {key: value for key, value in now.items() if key != "contrast"})
    assert State.load(path, now).flat.shape == (4,)
    with pytest.raises(InputError, match="--contrast was False and is True"):
        State.load(path, now | {"contrast": True})
    state.save(path, now | {"warm_up": 3})
    with pytest.raises(InputError, match=r"^--resume: the run began with --warm-up, which this version"):
        State.load(path, now)


def test_a_loaded_model_has_the_same_facts(sounds, cache, tmp_path):
    model = learn(sounds, tmp_path / "run", cache, hidden=4, epochs=2).model
    again = load_model(tmp_path / "run")
    assert model.facts == again.facts
    assert summarise(model, activity_of(model)) == summarise(again, activity_of(again))


def test_a_model_of_the_estimator_can_be_summarised_before_it_is_saved(tmp_path):
    rows = np.random.default_rng(0).normal(size=(200, 6))
    fitted = SparseAutoencoder(n_components=3, max_iter=3, random_state=0).fit(rows)
    domain = replace(Spectrogram(sample_rate=8000), frames=1, n_mels=6)
    model = fitted._learner.model(domain)
    model.save(Path(tmp_path) / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    assert model.facts == again.facts
    assert dict(summarise(model, activity_of(model)))["units"] == "3 sigmoid, linear output"
