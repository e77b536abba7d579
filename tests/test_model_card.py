"""The card beside a model: what it says, how the hub reads it, and that nobody's own README.md is lost."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

import audiosae
from audiosae.features import stability
from audiosae.system.files import signature, signed
from audiosae.views.model_card import card, write_model_card


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of the run folder."""
    return shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation"))


def front_matter(text):
    """Return the YAML before a card, which has texts and one list of texts."""
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    facts, key = {}, ""
    for line in found[1].splitlines():
        if line.startswith("- "):
            facts[key] = [*(facts[key] or []), line[2:]]
        else:
            key, _, value = line.partition(":")
            facts[key] = value.strip() or None
    return facts


def test_a_run_has_a_card_with_data_options_quality_and_how_to_load(trained):
    text, model = (trained / "README.md").read_text(), audiosae.load_model(trained)
    extent = model.facts["sources"]["extent"]
    for told in (
        "| files | 12 used, 0 skipped |", f"| length | {extent:,.0f} s |", "| labels | none were used |",
        f"| unexplained variance (fvu) | {model.facts['fvu']:.3g} in", "| mean activity (rho_hat) |", "| dead units |",
        "| training: hidden | 12 |", "| spectrogram: n_mels | 40 |", "](atoms.png)", 'audiosae.load_model("RUN")',
        "audiosae export RUN FOLDER -o features.csv",
    ):  # fmt: skip
        assert told in text, told
    assert str(trained.parent) not in text


def test_the_hub_reads_its_front_matter_and_no_licence_is_claimed(trained):
    facts = front_matter((trained / "README.md").read_text())
    assert facts["library_name"] == "audiosae"
    assert {"audiosae", "sparse-autoencoder", "audio"} <= {*facts["tags"]}
    assert "license" not in facts


def test_huggingface_hub_loads_the_card(trained):
    hub = pytest.importorskip(
        "huggingface_hub", reason="the hub's own reader is not installed: pip install huggingface_hub"
    )
    found = hub.ModelCard.load(trained / "README.md")
    assert found.data.library_name == "audiosae"
    assert found.data.license is None


@pytest.mark.parametrize("text", ["my notes on this run\n", "{card}\nlicense: mine\n"])
def test_a_card_of_the_users_own_stays(folder, sounds, run, text):
    path = folder / "README.md"
    path.write_text(text.format(card=path.read_text()))
    before = path.read_text()
    code, _, err = run("train", sounds, "-o", folder, "--hidden", 12, "--epochs", 8, "--resume")
    assert (code, path.read_text()) == (0, before)
    assert "it stays, and no card of the model is written" in err


def test_a_card_that_was_changed_stays_on_resume_and_goes_aside_with_its_run(folder, sounds):
    path = folder / "README.md"
    changed = path.read_text().replace("library_name: audiosae", "library_name: audiosae\nlicense: cc-by-4.0")
    path.write_text(changed)
    found = audiosae.train(sounds, folder, hidden=12, epochs=8, resume=True)
    assert path.read_text() == changed
    assert any("README.md has been changed: it stays" in line for line in found.notes)
    audiosae.train(sounds, folder, hidden=2, epochs=1)
    assert (folder / "before-1" / "README.md").read_text() == changed
    assert "| training: hidden | 2 |" in path.read_text()


def test_ones_own_card_is_written_anew(folder):
    path = folder / "README.md"
    path.write_text(signed("an older card"))
    assert write_model_card(audiosae.load_model(folder), folder)
    assert "an older card" not in path.read_text()


def test_a_users_own_readme_is_not_moved_with_an_earlier_run(folder, sounds):
    (folder / "README.md").write_text("mine, of all runs here\n")
    audiosae.train(sounds, folder, hidden=2, epochs=1)
    assert (folder / "README.md").read_text() == "mine, of all runs here\n"
    assert (folder / "before-1" / "model.safetensors").exists()


def test_a_signature_knows_what_was_changed(tmp_path):
    path = tmp_path / "a.md"
    path.write_text(signed("one\n\ntwo\n"))
    assert signature(path) == "whole"
    path.write_text(path.read_text().replace("one", "three"))
    assert signature(path) == "changed"
    path.write_text("these were made by audiosae\n")
    assert [signature(path), signature(tmp_path / "nowhere")] == ["", ""]


def test_stability_is_told_once_it_is_known_and_of_this_model(folder):
    model = audiosae.load_model(folder)
    stability.write(folder, stability.UnitStability([7], np.full((1, model.params.hidden), 0.9)))
    kept = json.loads((folder / "stability.json").read_text())
    for digest, told in ((model.digest, True), ("another", False)):
        (folder / "stability.json").write_text(json.dumps(kept | {"model_digest": digest}))
        write_model_card(model, folder)
        assert ("come back in the other seed" in (folder / "README.md").read_text()) == told


def test_an_evaluation_of_stability_puts_it_into_the_card(folder, sounds, tmp_path):
    labels = tmp_path / "l.csv"
    labels.write_text("filename,label\n" + "".join(f"tone_{n:02d}.wav,{'ab'[n % 2]}\n" for n in range(12)))
    audiosae.evaluate(folder, sounds, labels, folder / "evaluation", baselines="none", stability=1)
    assert "| stability |" in (folder / "README.md").read_text()
    assert signature(folder / "README.md") == "whole"


def test_a_bar_in_an_option_does_not_break_the_table(trained):
    model = audiosae.load_model(trained)
    model.facts["domain"]["options"]["scale"] = "a|b"
    assert r"| spectrogram: scale | a\|b |" in card(model)
