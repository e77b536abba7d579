"""Stability: how many models of other seeds have a similar unit; stored with the model and shown with its units."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from pages import items

from audiosae.features import stability as stable
from audiosae.features.matching import Match
from audiosae.features.stability import UnitStability


@pytest.fixture(scope="module")
def measured(small, sounds, cache, tmp_path_factory):
    """Return a run that was evaluated with two more seeds."""
    from conftest import once

    folder = tmp_path_factory.mktemp("stability")
    shutil.copytree(small, folder / "run")
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = [[f"tone_{number:02d}.wav", "ab"[number % 2]] for number in range(12)]
        csv.writer(file).writerows([["filename", "label"], *rows])
    options = ["--labels", folder / "labels.csv", "--baselines", "none", "--stability", 2, "-o", folder / "out"]
    once(["evaluate", folder / "run", sounds, *options, "--cache", cache, "-q"])
    return folder


def test_each_unit_has_the_cosine_of_its_partner():
    first = Match(np.array([2, 0, 1]), np.array([0, 1, 2]), np.array([0.9, 0.8, 0.1]))
    second = Match(np.array([1, 2, 0]), np.array([0, 1, 2]), np.array([0.95, 0.7, 0.2]))
    stability = UnitStability.of([4, 5], [first, second])
    assert stability.cosine.tolist() == [[0.8, 0.1, 0.9], [0.2, 0.95, 0.7]]
    assert stability.comes_back.tolist() == [1, 1, 1]
    assert stability.description(2) == "in 1 of 2 seeds"
    assert "of 3 units 0 come back in all of 2 other seeds, 3 in some, 0 in none" in stability.summary()


def test_evaluate_stores_the_stability_of_each_unit_with_the_model(measured):
    facts = json.loads((measured / "out" / "results.json").read_text())["stability"]
    stored = json.loads((measured / "run" / "stability.json").read_text())
    assert facts["seeds"] == [1, 2]
    assert np.shape(facts["cosine"]) == (2, 2)
    assert facts["comes_back"] == [sum(c >= 0.8 for c in each) for each in facts["cosine"]]
    assert stored == {"model_digest": stored["model_digest"], **facts}
    assert len({tuple(each) for each in np.transpose(facts["cosine"])}) == 2, "each seed has its own values"


def test_info_report_and_export_include_the_stability(measured, run, sounds, tmp_path):
    stability = stable.read(measured / "run")
    assert "in all of 2 other seeds" in run("info", measured / "run")[1]
    assert json.loads(run("info", measured / "run", "--json")[1])["stability"] == stability.to_json()
    assert run("export", measured / "run", sounds, "-o", tmp_path / "t.csv", "-q")[0] == 0
    assert json.loads((tmp_path / "t.json").read_text())["stability"] == stability.to_json()
    assert run("report", measured / "run", sounds, "-o", tmp_path / "r.html", "--top", 1, "-q")[0] == 0
    for unit, item in enumerate(items(tmp_path / "r.html")):
        assert ["comes back", f"in {stability.comes_back[unit]} of 2 seeds"] in item["facts"]


def test_the_stability_of_another_model_is_ignored(measured, run, tmp_path):
    shutil.copytree(measured / "run", tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").write_bytes(b"another")
    assert stable.read(tmp_path / "run") is None
    (tmp_path / "run" / "stability.json").write_text("{}")
    assert stable.read(tmp_path / "run") is None


def test_another_file_of_the_same_name_is_not_overwritten(measured, run, sounds, tmp_path):
    shutil.copytree(measured / "run", tmp_path / "run")
    (tmp_path / "run" / "stability.json").write_text("mine")
    code, _, err = run("evaluate", tmp_path / "run", sounds, "--labels", measured / "labels.csv", "--stability", 1)
    assert code == 1
    assert "audiosae did not write it" in err


def test_a_new_run_moves_the_stability_with_the_earlier_model(measured, run, sounds, tmp_path):
    shutil.copytree(measured / "run", tmp_path / "run")
    assert run("train", sounds, "-o", tmp_path / "run", "--hidden", 2, "--epochs", 1, "-q")[0] == 0
    assert not (tmp_path / "run" / "stability.json").exists()
    assert stable.read(tmp_path / "run" / "before-1") is not None


def test_a_new_run_moves_the_evaluation_with_the_earlier_model(measured, run, sounds, tmp_path):
    shutil.copytree(measured / "run", tmp_path / "run")
    shutil.copytree(measured / "out", tmp_path / "run" / "evaluation")
    assert run("train", sounds, "-o", tmp_path / "run", "--hidden", 2, "--epochs", 1, "-q")[0] == 0
    assert not (tmp_path / "run" / "evaluation").exists()
    assert (tmp_path / "run" / "before-1" / "evaluation" / "results.json").exists()
