"""The verdict of an evaluation in words, and the texts of its numbers."""

from __future__ import annotations

import numpy as np
import pytest

from audiosae.evaluation import score_table, scores
from audiosae.evaluation.folds import make_plan
from audiosae.evaluation.verdict import make_verdict
from audiosae.views.evaluation_page import _LINE, _apart


def results(**ahead):
    """Results of a model and of baselines: the paired difference of each fold."""
    found = {name.replace("_", "-"): scores._difference(np.array(folds)) for name, folds in ahead.items()}
    return [{"name": "model"}, *({"name": name, "model_ahead": value} for name, value in found.items())]


def test_a_verdict_says_for_each_baseline_whether_the_model_is_better():
    folds = np.array([-0.007, 0.0, 0.007, -0.012, 0.008])
    found = make_verdict(
        results(kmeans=0.0218 + folds, random_weights=folds, nmf=folds - 0.1, pca=folds + 0.004, field=folds + 0.3),
        "trained on all 9 test files",
        "sound",
    )
    assert [(each.baseline, each.outcome) for each in found.comparisons] == [
        ("nmf", "worse"),
        ("random-weights", "no better"),
        ("pca", "not measurably better"),
        ("kmeans", "better"),
        ("field", "better"),
    ]
    assert found.lines == [
        "On these labels, the model's features are worse than NMF, no better than random weights, not measurably "
        "better than PCA, and better than k-means and the spectrogram itself.",
        "worse than NMF by 10.1 ± 0.4 percentage points",
        "no better than random weights on these labels: difference -0.1 ± 0.4 percentage points",
        "not measurably better than PCA on these labels: difference +0.3 ± 0.4 percentage points",
        "better than k-means by 2.1 ± 0.4 percentage points",
        "better than the spectrogram itself by 29.9 ± 0.4 percentage points",
        "trained on all 9 test files",
    ]


def test_one_tested_file_or_equal_predictions_show_no_difference():
    equal = make_verdict(results(kmeans=[0.0, 0.0, 0.0], nmf=[1.0]), "", "other").comparisons
    assert [each.words for each in equal] == [
        "no better than k-means on these labels: difference 0.0 ± 0.0 percentage points",
        "not measurably better than NMF on these labels: difference +100.0 ± 0.0 percentage points",
    ]
    assert "compared with no baseline" in make_verdict([{"name": "model"}], "", "sound").summary


def test_the_difference_of_one_split_is_tested_over_its_files():
    plan = make_plan(list("ab" * 40), kind="split", values=["test", "test", "train", "train"] * 20, column="", seed=0)
    wrong = plan.target.copy()
    wrong[plan.tested[:20]] ^= 1
    found = scores.summarise(plan, wrong, plan.target)["model_ahead"]
    assert (found["mean"], found["stderr"]) == pytest.approx((0.5, np.sqrt(0.25 / 39)))
    assert 0.3 < found["interval"][0] < 0.4


def test_numbers_that_round_to_zero_have_no_sign():
    assert score_table.points({"mean": -0.0004, "stderr": 0.0016}) == "0.0 ± 0.2"
    assert score_table.points({"mean": -0.0006, "stderr": 0.0}) == "-0.1 ± 0.0"


def test_names_of_lines_do_not_overlap_and_stay_near_their_lines():
    heights = [20.0, 21.0, 150.0, 155.0, 5.0, 158.0]
    places = _apart(heights)
    assert (np.diff(np.sort(places)) >= _LINE).all()
    assert np.array_equal(np.argsort(places), np.argsort(heights))
    assert np.abs(np.subtract(places, heights)).max() <= 2 * _LINE
    assert max(places) <= 160
