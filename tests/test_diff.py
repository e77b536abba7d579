"""Page of a diff: pairs of similar units, variants, and units that vanished or appeared."""

from __future__ import annotations

import numpy as np
import pytest
from pages import items
from test_matching import shuffled
from test_render import make

from audiosae.autoencoder.model import Model
from audiosae.errors import InputError
from audiosae.system.progress import Progress
from audiosae.views.diff_page import write_diff


def diff(a, b, folder):
    for model in (a, b):
        model.facts.update(FACTS)
    path = folder / "diff.html"
    facts = write_diff((a, b), ("first <b>", "second"), path, runs=(None, None), progress=Progress())
    return facts, items(path), path


FACTS = {
    "domain": {"package": "audiosae", "version": "0", "options": {"frames": 8}},
    "options": {"rho": 0.05, "whiten_power": 1, "solver": "adam", "beta": 3, "weight_decay": 0, "seed": 0, "dtype": ""},
    "whitening": {"kind": "none"},
    "fvu": 0.5,
    "held_out": True,
    "versions": {},
    "sources": {"used": 1, "skipped": 0, "windows": 9, "held_out": ""},
    "history": {"epoch": 1, "step": 1, "cost": 1.0},
}


def test_every_unit_of_a_shuffled_model_has_an_alike_pair(tmp_path):
    model, order = make(9), np.random.default_rng(0).permutation(9)
    facts, shown, path = diff(model, shuffled(model, order), tmp_path)
    assert facts["groups"] == {"alike": 9, "changed": 0, "variant": 0, "vanished": 0, "appeared": 0}
    assert facts["bytes"] == path.stat().st_size
    for item in shown:
        a, b = item["sides"]
        assert order[b["unit"]] == a["unit"]
        assert ["cosine of the atoms", "1.000"] in item["facts"]


def test_every_unit_is_shown_once_and_unmatched_units_have_vanished_or_appeared(tmp_path):
    first, second = make(8), shuffled(make(8), np.arange(8))
    second.params.W1[5:] = np.random.default_rng(3).normal(size=second.params.W1[5:].shape)
    facts, shown, _ = diff(first, second, tmp_path)
    assert facts["groups"] == {"alike": 5, "changed": 0, "variant": 0, "vanished": 3, "appeared": 3}
    for letter in "AB":
        units = [side["unit"] for item in shown for side in item["sides"] if side["letter"] == letter]
        assert sorted(units) == list(range(8))
    alone = {item["group"]: item for item in shown if len(item["sides"]) == 1}
    assert alone["vanished"]["sides"][0]["letter"] == "A"
    assert alone["appeared"]["sides"][0]["letter"] == "B"


def test_a_unit_similar_to_one_with_a_better_partner_is_a_variant(tmp_path):
    small, order = make(6), np.array([0, 1, 2, 3, 4, 5])
    large = make(7)
    large.params.W1[:6] = small.params.W1[order]
    large.params.W1[6] = small.params.W1[2] * 1.0
    facts, shown, _ = diff(small, large, tmp_path)
    assert facts["groups"]["variant"] == 1
    assert facts["groups"]["appeared"] == 0
    (variant,) = (item for item in shown if item["group"] == "variant")
    assert variant["facts"][0] == ["nearest in A", "unit 2, cosine 1.000"]


def test_model_names_are_escaped_and_different_inputs_are_reported(tmp_path):
    first, second = make(4), make(4)
    domain = type(first.domain)(sample_rate=8000, n_fft=256, hop_length=160, n_mels=20, frames=8)
    second = Model(domain, second.whitener, second.params, second.rho_hat, dict(second.facts))
    first.facts.update(FACTS)
    second.facts.update(FACTS | {"domain": FACTS["domain"] | {"options": {"frames": 8, "hop_length": 160}}})
    path = tmp_path / "diff.html"
    write_diff((first, second), ("first <b>", "second"), path, runs=(None, None), progress=Progress())
    text = path.read_text()
    assert "first &lt;b&gt;" in text
    assert "first <b>" not in text
    assert "hop_length is None in A and 160 in B" in text


def test_models_with_windows_of_different_shapes_cannot_be_compared(trained, sounds, tmp_path, run):
    run("train", sounds, "-o", tmp_path / "run", "--hidden", 4, "--epochs", 2, "--set", "frames=8", "-q")
    code, _, err = run("diff", trained, tmp_path / "run", "-o", tmp_path / "diff.html")
    assert code == 1
    assert "cannot be compared" in err
    assert not (tmp_path / "diff.html").exists()


def test_models_of_different_domains_cannot_be_compared(tmp_path):
    class Other(type(make(1).domain)):
        name = "other"

    first = make(4)
    second = Model(Other(**vars(first.domain)), first.whitener, first.params, first.rho_hat, first.facts)
    with pytest.raises(InputError, match="first has the domain spectrogram and second has other"):
        write_diff((first, second), ("first", "second"), tmp_path / "d.html", runs=(None, None), progress=Progress())
