"""Model card: its content, its metadata for the Hugging Face hub, and protection of a README.md of the user."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

import audiosae
from audiosae.features import stability
from audiosae.system.files import signature, signed
from audiosae.views.model_card import model_card_text, write_model_card


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of the run folder."""
    return shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation"))


def front_matter(text):
    """Return the YAML front matter of a model card: texts and lists of texts."""
    yaml = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1]
    facts, key = {}, ""
    for line in yaml.splitlines():
        if line.startswith("- "):
            facts[key] = [*(facts[key] or []), line[2:]]
        else:
            key, _, value = line.partition(":")
            facts[key] = value.strip() or None
    return facts


def test_the_model_card_has_data_quality_options_and_use(trained):
    text, model = (trained / "README.md").read_text(), audiosae.load_model(trained)
    extent = model.facts["sources"]["extent"]
    for expected in (
        "| files | 12 used, 0 skipped |",
        f"| length | {extent:,.0f} s |",
        "| labels | not used |",
        f"| unexplained variance (fvu) | {model.facts['fvu']:.3g} in",
        "| mean activity (rho_hat) |",
        "| dead units |",
        "| training: hidden | 12 |",
        "| spectrogram: n_mels | 40 |",
        "](atoms.png)",
        'audiosae.load_model("RUN")',
        "audiosae export RUN FOLDER -o features.csv",
    ):
        assert expected in text, expected
    assert str(trained.parent) not in text


def test_the_front_matter_is_for_the_hub_and_claims_no_licence(trained):
    facts = front_matter((trained / "README.md").read_text())
    assert facts["library_name"] == "audiosae"
    assert {"audiosae", "sparse-autoencoder", "audio"} <= {*facts["tags"]}
    assert "license" not in facts


def test_huggingface_hub_loads_the_model_card(trained):
    hub = pytest.importorskip("huggingface_hub", reason="not installed: pip install huggingface_hub")
    model_card = hub.ModelCard.load(trained / "README.md")
    assert model_card.data.library_name == "audiosae"
    assert model_card.data.license is None


@pytest.mark.parametrize("text", ["my notes on this run\n", "{card}\nlicense: mine\n"])
def test_a_readme_written_or_changed_by_the_user_is_not_replaced(folder, sounds, run, text):
    path = folder / "README.md"
    path.write_text(text.format(card=path.read_text()))
    before = path.read_text()
    code, _, err = run("train", sounds, "-o", folder, "--hidden", 12, "--epochs", 8, "--resume")
    assert (code, path.read_text()) == (0, before)
    assert "so it is not replaced and no model card was written" in err


def test_a_changed_model_card_is_not_replaced_on_resume_and_is_moved_with_its_run(folder, sounds):
    path = folder / "README.md"
    changed = path.read_text().replace("library_name: audiosae", "library_name: audiosae\nlicense: cc-by-4.0")
    path.write_text(changed)
    result = audiosae.train(sounds, folder, hidden=12, epochs=8, resume=True)
    assert path.read_text() == changed
    assert any("README.md has been changed, so it is not replaced" in line for line in result.notes)
    audiosae.train(sounds, folder, hidden=2, epochs=1)
    assert (folder / "before-1" / "README.md").read_text() == changed
    assert "| training: hidden | 2 |" in path.read_text()


def test_an_unchanged_model_card_is_replaced(folder):
    path = folder / "README.md"
    path.write_bytes(signed(["an older card"]))
    assert write_model_card(audiosae.load_model(folder), folder)
    assert "an older card" not in path.read_text()


def test_a_readme_of_the_user_is_not_moved_with_an_earlier_run(folder, sounds):
    (folder / "README.md").write_text("mine, of all runs here\n")
    audiosae.train(sounds, folder, hidden=2, epochs=1)
    assert (folder / "README.md").read_text() == "mine, of all runs here\n"
    assert (folder / "before-1" / "model.safetensors").exists()


def test_the_signature_shows_whether_a_file_was_changed(tmp_path):
    path = tmp_path / "a.md"
    path.write_bytes(signed(["one\n", "\ntwo\n"]))
    assert signature(path) == "whole"
    path.write_text(path.read_text().replace("one", "three"))
    assert signature(path) == "changed"
    path.write_text("these were made by audiosae\n")
    assert [signature(path), signature(tmp_path / "nowhere")] == ["", ""]


def test_the_model_card_has_the_stability_of_this_model_only(folder):
    model = audiosae.load_model(folder)
    stability.write(folder, stability.UnitStability([7], np.full((1, model.params.hidden), 0.9)))
    facts = json.loads((folder / "stability.json").read_text())
    for digest, expected in ((model.digest, True), ("another", False)):
        (folder / "stability.json").write_text(json.dumps(facts | {"model_digest": digest}))
        write_model_card(model, folder)
        assert ("| stability |" in (folder / "README.md").read_text()) == expected


def test_evaluate_with_stability_updates_the_model_card(folder, sounds, tmp_path):
    labels = tmp_path / "l.csv"
    labels.write_text("filename,label\n" + "".join(f"tone_{n:02d}.wav,{'ab'[n % 2]}\n" for n in range(12)))
    audiosae.evaluate(folder, sounds, labels, folder / "evaluation", baselines="none", stability=1)
    assert "| stability |" in (folder / "README.md").read_text()
    assert signature(folder / "README.md") == "whole"


def test_a_vertical_bar_in_an_option_is_escaped(trained):
    model = audiosae.load_model(trained)
    model.facts["domain"]["options"]["scale"] = "a|b"
    assert r"| spectrogram: scale | a\|b |" in model_card_text(model)
