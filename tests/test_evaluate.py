"""Evaluation: baselines, metrics of the units, and the command."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from documented import check_csv
from signals import tone, write

from audiosae import cli
from audiosae.autoencoder.model import load_model
from audiosae.corpus import known_sources
from audiosae.corpus.sources import scan
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import read
from audiosae.evaluation import baselines, classifier, compare, folds, quality, seen
from audiosae.evaluation.score_table import percent, points, scores_of
from audiosae.features.activity import ActivityStatistics
from audiosae.features.codes import pooled_files
from audiosae.views.unit_sides import show_units

KINDS = {"low": 300.0, "mid": 900.0, "high": 2500.0}
NAMES = ["model", *baselines.BASELINES]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Thirty-six sounds of three pitches and four singers, in a folder per pitch, and a CSV of labels."""
    folder = tmp_path_factory.mktemp("files")
    rows = []
    for kind, pitch in KINDS.items():
        for number in range(12):
            singer = number % 4
            samples = tone(0.4, pitch=pitch * (1 + 0.05 * singer), noise=0.1, seed=100 * number + int(pitch))
            name = f"{kind}/{kind}_{number:02d}.wav"
            write(folder / name, samples)
            part = "test" if number < 3 else "train"
            rows.append(
                {"filename": name, "kind": kind, "singer": f"s{singer}", "part": part, "one": "x", "number": number}
            )
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def trained(files, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluate") / "run"
    patch = pytest.MonkeyPatch()
    command = ["audiosae", "train", files, "-o", out, "--hidden", "12", "--epochs", "3", "--workers", "1", "--quiet"]
    patch.setattr(sys, "argv", [*map(str, command), "--cache", str(cache)])
    with pytest.raises(SystemExit):
        cli.main()
    patch.undo()
    return out


@pytest.fixture(scope="module")
def known(files, trained, cache):
    """The model and the sources as they were read."""
    model = load_model(trained)
    return model, read(model.domain, scan([files], model.domain.suffixes), LocalEngine(), cache=cache, workers=1)


def plan_of(labels, kind="stratified", values=None):
    return folds.make_plan(labels, kind=kind, values=values, column="it", seed=0)


# baselines


def test_files_encoded_together_have_the_features_of_each_alone(known):
    model, corpus = known
    sets = baselines.feature_sets(("pca",), model, corpus, code="sqrt", seed=0)
    for features in sets.values():
        together = baselines.pooled_files(corpus, features, pools=("max", "mean"), segments=2)
        for row, record in zip(together, corpus.records, strict=True):
            alone = next(pooled_files(model.domain, [record], features.encode, pools=("max", "mean"), segments=2))[1]
            np.testing.assert_allclose(row, alone.reshape(-1), rtol=1e-4, atol=1e-4)


def test_random_weights_have_the_initialisation_of_the_model(known):
    model = known[0]
    fresh = baselines.untrained(model)
    assert fresh.whitener is model.whitener
    assert fresh.params.W1.shape == model.params.W1.shape
    assert not np.allclose(fresh.params.W1, model.params.W1)
    reach = np.sqrt(6 / (model.params.hidden + model.params.width + 1))
    assert (np.abs(fresh.params.W1) <= reach * fresh.whitener.spread + 1e-7).all()
    np.testing.assert_allclose(1 / (1 + np.exp(-fresh.params.b1)), model.facts["options"]["rho"], rtol=1e-5)


def test_cepstra_are_cosine_sums_of_a_row():
    rows = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32)
    basis = np.cos(np.pi * np.arange(20)[:, None] * (np.arange(40) + 0.5) / 40) * np.sqrt(2 / 40)
    basis[0] /= np.sqrt(2)
    np.testing.assert_allclose(baselines.cepstra(rows), rows @ basis.T, atol=1e-5)


def test_pca_and_kmeans_and_nmf_give_as_many_outputs_as_there_are_units(known):
    model, corpus = known
    windows = next(iter(corpus.blocks()))
    names = ("pca", "kmeans", "nmf")
    sets = baselines.feature_sets(names, model, corpus, code="sqrt", seed=0)
    codes = {name: sets[name].encode(windows) for name in names}
    assert {code.shape for code in codes.values()} == {(len(windows), 12)}
    variances = codes["pca"].var(axis=0)
    assert (np.diff(variances) <= 1e-3 * variances[0]).all()
    triangle = codes["kmeans"]
    assert (triangle >= 0).all()
    assert 0.2 < (triangle == 0).mean() < 0.8  # farther than the mean distance
    assert (codes["nmf"] >= 0).all()
    assert codes["nmf"].max() > 0


def test_share_codes_have_length_one(known):
    model, corpus = known
    windows = next(iter(corpus.blocks()))
    sets = baselines.feature_sets(("random-weights", "kmeans"), model, corpus, code="share", seed=0)
    for features in sets.values():
        np.testing.assert_allclose(np.linalg.norm(features.encode(windows), axis=1), 1, rtol=1e-4)


def test_nonnegative_codes_are_close_to_exact_least_squares():
    from scipy.optimize import nnls

    rng = np.random.default_rng(0)
    parts = rng.uniform(size=(6, 20)).astype(np.float32)
    windows = (rng.exponential(size=(5, 6)) @ parts + 0.1 * rng.uniform(size=(5, 20))).astype(np.float32)
    codes = baselines._nonnegative(parts @ parts.T)(windows @ parts.T)
    exact = sum(nnls(parts.T.astype(float), window.astype(float))[1] ** 2 for window in windows)
    assert np.square(windows - codes @ parts).sum() < exact + 0.02 * np.square(windows).sum()


def test_nonnegative_codes_of_similar_parts_equal_those_of_all_steps(monkeypatch):
    rng = np.random.default_rng(1)
    parts = (rng.uniform(size=(40, 5)) @ rng.uniform(size=(5, 30)) + 1e-3 * rng.uniform(size=(40, 30))).astype("f4")
    gram, target = parts @ parts.T, rng.uniform(size=(300, 30)).astype("f4") @ parts.T
    found = baselines._nonnegative(gram)(target)
    step, pace = 1 / np.linalg.eigvalsh(gram.astype(float))[-1], 1.0
    full = ahead = np.zeros((300, 40))
    for _ in range(baselines._NMF_STEPS):  # as it is printed
        stepped = np.maximum(ahead - step * (ahead @ gram - target), 0)
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        full, ahead, pace = stepped, stepped + (pace - 1) / faster * (stepped - full), faster
    assert np.linalg.norm(found - full) < 0.01 * np.linalg.norm(full)
    monkeypatch.setattr(baselines, "_NMF_LEAST", 0.0)
    np.testing.assert_allclose(baselines._nonnegative(gram)(target), full, atol=1e-4 * full.max())


def test_field_and_mfcc_pool_rows_where_windows_are_as_wide_as_the_field(known):
    model, corpus = known
    sets = baselines.feature_sets(("field", "mfcc"), model, corpus, code="sqrt", seed=0)
    assert sets["field"].rows
    field = baselines.pooled_files(corpus.only([0, 1]), sets["field"], pools=("mean",))
    assert field.shape == (2, 40)


# units


def test_sparseness_is_0_for_even_and_1_for_single_activity():
    even, single = np.full((1, 10), 0.3), np.eye(10)[:1]
    for act, wanted in ((even, 0), (single, 1)):
        assert ActivityStatistics.of(act).population == pytest.approx(wanted)


def test_units_are_matched_with_labels_by_the_area_under_the_roc(known):
    from sklearn.metrics import roc_auc_score

    model, corpus = known
    records = corpus.records
    labels = [record.file.split("/")[0] for record in records]
    found = quality.unit_metrics(model, corpus, plan_of(labels))
    assert {pair["label"] for pair in found["units_of_labels"]} == set(KINDS)
    best = found["units_of_labels"][0]
    activity = [
        next(pooled_files(model.domain, [record], model.encode, pools=("mean",)))[1][best["unit"], 0, 0]
        for record in records
    ]
    assert best["auc"] == pytest.approx(roc_auc_score([label == best["label"] for label in labels], activity), abs=1e-6)
    assert 0 < found["mean_activity"] < 1
    assert 0 < found["l0"] <= 12


# the command


def test_evaluate_writes_table_pictures_and_the_documented_json(run, trained, files):
    options = ["--labels", files / "labels.csv", "--label-column", "kind", "--group-column", "singer", "--workers", "1"]
    code, out, err = run("evaluate", trained, files, *options)
    assert code == 0, err
    for words in ("random-weights", "95 % interval", "one singer left out at a time", "trained on all 36 test files"):
        assert words in out
    assert out.startswith("On these labels, the model's features are ")
    folder = trained / "evaluation"
    names = {"results.json", "results.csv", "predictions.csv", "scores.png", "confusion.png", "units.png", "index.html"}
    assert {path.name for path in folder.iterdir()} == names
    facts = json.loads((folder / "results.json").read_text())
    assert [result["name"] for result in facts["results"]] == NAMES
    for result in facts["results"]:
        assert {"name", "accuracy", "std", "folds", "features", "stderr", "interval", "recall"} <= result.keys()
        assert len(result["folds"]) == 4
        assert result["accuracy"] == pytest.approx(np.mean(result["folds"]))
    sizes = {result["name"]: result["features"] for result in facts["results"]}
    assert sizes == dict(zip(NAMES, [48, 48, 160, 80, 48, 48, 48], strict=True))
    assert facts["results"][2]["accuracy"] > 0.9  # three pitches far apart
    assert facts["chance"] == pytest.approx(1 / 3)
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    right = np.mean([row["model"] == row["label"] for row in rows])
    assert right == pytest.approx(facts["results"][0]["accuracy"])
    with (folder / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["name"] for row in table] == NAMES
    for row, result in zip(table, facts["results"], strict=True):
        texts = scores_of(result)
        assert f" {texts.accuracy} " in out
        assert percent(float(row["accuracy"])) == texts.accuracy
        assert (float(row["groups"]), float(row["v_measure"])) == (result["groups"], result["v_measure"])
        if "model_ahead" in result:
            ahead = {"mean": float(row["model_ahead"]), "stderr": float(row["model_ahead_stderr"])}
            assert points(ahead) == texts.ahead
            assert texts.ahead in out
    assert len(check_csv(folder / "results.csv")[1]) == len(NAMES)
    check_csv(folder / "predictions.csv")


def test_the_page_shows_the_numbers_of_the_json(run, trained, files, tmp_path):
    options = ["--labels", "folder", "--baselines", "pca,field", "-o", tmp_path, "--json"]
    facts = json.loads(run("evaluate", trained, files, *options)[1])
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for result in facts["results"]:
        assert f"{100 * result['accuracy']:.1f} ± {100 * result['stderr']:.1f}" in page
        assert f"<td>{result['groups']:.2f}</td><td>{result['v_measure']:.2f}</td>" in page
        assert len(re.findall(rf"<text[^>]*>{result['name']}</text>", page)) == 1
        for probed in result["probing"]:
            assert f"<td>{100 * probed['accuracy']:.1f}</td>" in page
    assert page.index(facts["verdict"]["summary"].replace("'", "&#39;")) < page.index("<main>")
    for each in facts["verdict"]["comparisons"]:
        assert f"<li>{each['words'].capitalize()[0]}{each['words'][1:]}</li>" in page
    assert "<li>Trained on all 36 test files" in page
    units = {pair["unit"] for pair in facts["quality"]["units_of_labels"]}
    drawn = {int(unit) for unit in re.findall(r'alt="Atom of unit (\d+)"', page)}
    assert drawn == units
    model = load_model(trained)
    wanted = dict(zip(sorted(units), show_units(model, units=sorted(units)), strict=True))
    everything = [*show_units(model)]
    assert all(wanted[unit]["unit"] == unit and wanted[unit] == everything[unit] for unit in units)
    assert all(each["figure"] in page for each in wanted.values())
    assert not re.findall(r'(?:src|href)="(?!data:)', page)


def test_json_goes_to_standard_output_and_the_same_seed_gives_the_same_numbers(run, trained, files, tmp_path):
    options = ["--labels", "folder", "--baselines", "kmeans,nmf,field", "--json", "-o", tmp_path, "--seed", "3"]
    found = [json.loads(run("evaluate", trained, files, *options, "--workers", n)[1]) for n in (1, 2)]
    assert [result["name"] for result in found[0]["results"]] == ["model", "field", "kmeans", "nmf"]
    assert found[0]["results"] == found[1]["results"]
    assert "session" in found[0]["notes"][0]


def test_a_split_is_tested_once(run, trained, files, tmp_path):
    options = ["--labels", files / "labels.csv", "--label-column", "kind", "--split-column", "part", "-o", tmp_path]
    _, out, _ = run("evaluate", trained, files, *options, "--baselines", "none", "--json")
    facts = json.loads(out)
    assert facts["tested"] == 9
    assert facts["results"][0]["interval_method"] == "Wilson, over clips"


def test_training_on_all_some_or_none_of_the_tested_files_is_reported(known):
    model, corpus = known
    plan = plan_of([record.file.split("/")[0] for record in corpus.records])

    def told(records, names=("kmeans", "mfcc"), **facts):
        sources = model.facts["sources"] | {"digest": "", "digests": known_sources.text_of(records), **facts}
        found = seen.training_part(model.with_facts(sources=sources), corpus, plan, names, refit=False)
        return found["seen"], found["seen_told"].partition(" (")[0]

    assert told(corpus.records) == (36, "trained on all 36 test files, without their labels")
    others = "; k-means learned from all of them"
    assert told(corpus.records[:5]) == (5, f"trained on 5 of the 36 test files, without their labels{others}")
    strange = [replace(record, digest="0" + record.digest) for record in corpus.records]
    assert told(strange) == (0, f"trained on none of the 36 test files{others}")
    unknown = "not known whether the model was trained on the 36 test files: it does not list its sources"
    for text in ("", "AAA", "=", "AAAA"):
        assert told([], ["mfcc"], digests=text) == (None, unknown)
    own = seen.training_part(model, corpus.only(range(9, 36)), plan_of(["a", "b", "c"] * 9), (), refit=False)
    assert own["seen"] == 27


def test_refit_learns_from_each_training_part_alone(known, monkeypatch):
    model, corpus = known
    labels = [record.file.split("/")[0] for record in corpus.records]
    plan = plan_of(labels, "group", [str(i % 2) for i in range(36)])
    seen, learned = [], []
    fit, sets = compare.fit, baselines.feature_sets
    monkeypatch.setattr(compare, "fit", lambda c, *rest, **more: seen.append(c) or fit(c, *rest, **more))
    monkeypatch.setattr(baselines, "feature_sets", lambda n, m, c, **more: learned.append(c) or sets(n, m, c, **more))
    options = compare.Options(("pca",), refit=True)
    found = compare.compare_features(model, corpus, plan, options)
    for split, *used in zip(plan.splits, seen, learned, strict=True):
        names = [corpus.records[number].file for number in split.train]
        assert [[record.file for record in part.records] for part in used] == [names, names]
    assert found.facts["seen"] == 0
    assert found.verdict.training == (
        "trained on none of the 36 test files: all features were learned on the training part of each fold"
    )
    assert found.results[0]["accuracy"] > 0.5


def edited(files, tmp_path, edit):
    with (files / "labels.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    edit(rows)
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return tmp_path / "labels.csv"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda rows: rows.append(["gone.wav", *rows[-1][1:]]), "has rows for gone.wav, not among the 36 sources"),
        (lambda rows: rows.append(rows[-1]), "names high/high_11.wav more than once"),
    ],
)
def test_labels_that_do_not_match_the_files_are_a_one_line_error(run, trained, files, tmp_path, edit, words):
    labels = edited(files, tmp_path, edit)
    code, out, err = run("evaluate", trained, files, "--labels", labels, "--label-column", "kind", "-o", tmp_path / "o")
    assert (code, out) == (1, "")
    assert words in err
    assert len([line for line in err.splitlines() if line.startswith("audiosae: ")]) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label-column", "sort"], "--label-column sort: "),
        (["--label-column", "kind", "--group-column", "sort"], "--group-column sort: "),
        (["--label-column", "one"], "all 36 files have the label 'x'"),
        (["--label-column", "number"], "has 3 of the files, fewer than 5 folds"),
        (["--label-column", "kind", "--group-column", "one"], "--group-column one: every file has the value 'x'"),
        (["--label-column", "kind", "--fold-column", "one", "--group-column", "singer"], "wanted only one of them"),
        (["--label-column", "kind", "--baselines", "ica"], "no baseline 'ica'; wanted all, none or random-weights"),
        (["--label-column", "kind", "--pool", "median"], "wanted some of max, mean, std"),
        (["--label-column", "kind", "-o", "/dev/null/x"], "cannot write the folder /dev/null/x"),
    ],
)
def test_wrong_options_are_a_one_line_error(run, trained, files, tmp_path, options, words):
    options = options if "-o" in options else [*options, "-o", tmp_path / "o"]
    code, out, err = run("evaluate", trained, files, "--labels", files / "labels.csv", *options)
    assert (code, out) == (1, "")
    assert words in err


def test_sources_of_another_domain_are_a_one_line_error(run, trained, tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing to hear")
    options = ["--labels", "folder", "-o", tmp_path / "o"]
    code, _, err = run("evaluate", trained, tmp_path, *options)
    assert code == 1
    assert "the model has the domain spectrogram" in err
    assert ".wav, .flac" in err
    code, _, err = run("evaluate", trained, tmp_path / "a.png", *options)
    assert code == 1
    assert "none of 1 sources can be used with this model of the domain spectrogram; the first is a.png" in err
    assert (
        "--group-column x: wanted --labels FILE.csv"
        in run("evaluate", trained, tmp_path, *options, "--group-column", "x")[2]
    )


def test_broken_sources_are_skipped_and_counted(run, trained, files, tmp_path):
    broken = tmp_path / "low"
    broken.mkdir()
    (broken / "broken.wav").write_bytes(b"nonsense")
    command = ["evaluate", trained, files, broken, "--labels", "folder", "--baselines", "none", "-o", tmp_path / "o"]
    code, out, err = run(*command)
    assert code == 0
    assert "1 source skipped" in out
    assert "broken.wav" in err


SPY = """
import sys, threading
class Spy:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("sklearn", "scipy") and threading.current_thread() is not threading.main_thread():
            print("imported by a thread:", name)
sys.meta_path.insert(0, Spy())
import audiosae
from audiosae.evaluation import classifier
classifier._TREES, classifier.STRENGTHS = 3, classifier.STRENGTHS[:1]
model, files, name, out = sys.argv[1:]
how = {"labels": f"{files}/labels.csv", "label_column": "kind", "split_column": "part", "baselines": "kmeans,nmf"}
audiosae.evaluate(model, files, out=out or None, classifier=name, **how)
"""


SLOW = [pytest.param(name, name == "ridge", marks=pytest.mark.slow) for name in classifier.CLASSIFIERS]


@pytest.mark.parametrize(("name", "page"), [("ridge", False), *SLOW])
def test_threads_import_no_library(trained, files, tmp_path, name, page):
    """Modules of scikit-learn import each other: with two threads, one may see a partly initialised module."""
    out = str(tmp_path) if page else ""  # pictures and page do not depend on the classifier
    command = [sys.executable, "-c", SPY, str(trained), str(files), name, out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "imported by a thread" not in done.stdout
