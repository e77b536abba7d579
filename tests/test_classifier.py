"""Evaluation: folds of labelled files, classifiers, and scores of predictions."""

from __future__ import annotations

import numpy as np
import pytest

from audiosae.errors import InputError
from audiosae.evaluation import classifier, folds, ridge, scores


def plan_of(labels, kind="stratified", values=None):
    return folds.make_plan(labels, kind=kind, values=values, column="it", seed=0)


# folds


def test_no_group_is_on_both_sides_of_any_fold_outer_or_inner():
    rng = np.random.default_rng(0)
    for count in (3, 8, 40):
        groups = rng.integers(count, size=300)
        plan = plan_of(rng.choice(["a", "b"], 300).tolist(), "group", [f"g{g}" for g in groups])
        assert len(plan.splits) == (count if count <= 10 else 5)
        for split in plan.splits:
            assert not set(groups[split.train]) & set(groups[split.test])
            inner = plan.inner(split, 5, 0)
            assert len(np.unique(inner)) > 1
            for fold in np.unique(inner):
                kept = groups[split.train]
                assert not set(kept[inner == fold]) & set(kept[inner != fold])


def test_every_file_is_tested_once_and_stratified_folds_have_equal_shares_of_the_classes():
    labels = ["a"] * 50 + ["b"] * 20
    plan = plan_of(labels)
    assert np.array_equal(plan.tested, np.arange(70))
    for split in plan.splits:
        assert np.bincount(plan.target[split.test]).tolist() == [10, 4]
    assert "session" in plan.notes[0]


def test_each_value_of_a_fold_column_is_a_fold():
    plan = plan_of(list("abababab"), "fold", list("11223344"))
    assert [split.test.tolist() for split in plan.splits] == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_split_column_tests_the_value_test_or_else_the_rarer_value():
    labels = list("abababab")
    called = plan_of(labels, "split", ["Test"] * 6 + ["train"] * 2)
    rarer = plan_of(labels, "split", ["x"] * 6 + ["y"] * 2)
    assert [len(plan.splits) for plan in (called, rarer)] == [1, 1]
    assert called.splits[0].test.tolist() == [0, 1, 2, 3, 4, 5]
    assert rarer.splits[0].test.tolist() == [6, 7]
    assert "tested where it is 'y' (2 of 8 files)" in rarer.description
    beside = plan_of(labels, "split", ["eval"] * 6 + ["Train"] * 2)
    assert beside.splits[0].test.tolist() == [0, 1, 2, 3, 4, 5]  # never the value train


def test_a_class_missing_from_a_training_part_is_noted():
    plan = plan_of(list("aabbcb"), "group", list("112233"))
    assert plan.notes[0] == "fold 1: a not in the training part, so never predicted"


@pytest.mark.parametrize(
    ("labels", "kind", "values", "words"),
    [
        ("aaaa", "stratified", None, "all 4 files have the label 'a'"),
        ("aaaaaabb", "stratified", None, "label 'b' has 2 of the files, fewer than 5 folds"),
        ("aabb", "group", "xxxx", "every file has the value 'x'"),
        ("aabbcc", "group", "xxyyzz", "each label is in one group only"),
        ("aabb", "fold", "xxyy", "fold 'x': all training files have the label 'b'"),
        ("aabb", "split", "xyzz", "wanted the value 'test' .* found 'x', 'y', 'z'"),
        ("aabb", "split", "xxyy", "the rarer one is tested"),
    ],
)
def test_labels_that_do_not_divide_are_refused(labels, kind, values, words):
    with pytest.raises(InputError, match=words):
        plan_of(list(labels), kind, list(values) if values else None)


# the classifier


def test_random_labels_give_chance():
    rng = np.random.default_rng(0)
    features, target = rng.normal(size=(200, 20)).astype(np.float32), rng.integers(2, size=200)
    plan = plan_of([str(label) for label in target])
    found = np.empty(200, np.int64)
    for split in plan.splits:
        train = features[split.train], plan.target[split.train]
        found[split.test], _ = classifier.classify(*train, features[split.test], plan.inner(split, 5, 0))
    assert abs((found == plan.target).mean() - 0.5) < 0.1


def test_a_prediction_depends_only_on_its_file_and_the_training_part():
    rng = np.random.default_rng(1)
    train, classes = rng.normal(size=(60, 8)).astype(np.float32), rng.integers(3, size=60)
    test, inner = rng.normal(size=(9, 8)).astype(np.float32), np.arange(60) % 5
    together, strength = classifier.classify(train, classes, test, inner)
    for number in range(9):
        alone, same = classifier.classify(train, classes, test[number : number + 1], inner)
        assert (alone[0], same) == (together[number], strength)


def test_noise_features_get_a_stronger_penalty_than_informative_ones():
    rng = np.random.default_rng(2)
    classes, inner = np.arange(100) % 2, np.arange(100) // 2 % 5
    noise = rng.normal(size=(100, 30)).astype(np.float32)
    informative = noise + 3 * classes[:, None].astype(np.float32)
    strengths = [classifier.classify(x, classes, x, inner)[1] for x in (noise, informative)]
    assert strengths[0] > strengths[1]


@pytest.mark.parametrize("features", [130, 230])  # fewer than files, more than files; several blocks of columns
def test_the_held_out_error_equals_that_of_fits_without_the_fold(features):
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(5)
    x, target, strength = rng.normal(size=(200, features)) + 3, np.eye(3)[rng.integers(3, size=200)], 0.1
    folds = [np.arange(200) % 5 == fold for fold in range(4)]  # a fifth of the files is never held out
    wanted = 0.0
    for out in folds:
        kept = Ridge(alpha=strength * 200).fit(x[~out], target[~out])  # the penalty of all 200
        wanted += np.square(kept.predict(x[out]) - target[out]).sum()
    fits = ridge.Ridge(x, target, folds)
    assert fits.error_held_out(strength) == pytest.approx(wanted, rel=1e-9)
    every = Ridge(alpha=strength * 200).fit(x, target)
    np.testing.assert_allclose(fits.predict(x[:9], strength), every.predict(x[:9]), atol=1e-9)


@pytest.mark.parametrize("strides", [(1,), (2, 1)])
def test_the_strength_with_the_least_error_is_chosen(strides):
    for least in range(13):
        assert ridge.valley(lambda at, least=least: abs(at - least), 13, 7, strides) == least
    assert ridge.valley(lambda _: 1.0, 13, 7, strides) == 7
    assert ridge.valley(lambda at: np.inf if at > 4 else 9 - at, 13, 7, strides) == 4


def test_whole_powers_of_ten_step_over_a_shallow_minimum():
    errors = [9, 9, 9, 9, 9, 5, 2, 3, 2.5, 1, 0, 1, 2]
    assert [ridge.valley(errors.__getitem__, 13, 7, strides) for strides in ((1,), (2, 1))] == [6, 10]


def test_a_penalty_lost_in_rounding_is_not_chosen(monkeypatch):
    rng = np.random.default_rng(9)
    classes, inner = np.arange(60) % 2, np.arange(60) // 2 % 5
    x = rng.normal(size=(60, 20)).astype(np.float32)
    x[:, 0] += 9 * classes
    x = np.concatenate([x, x], axis=1)  # collinear
    fits = ridge.Ridge(x, np.eye(2, dtype=np.float32)[classes], [inner == fold for fold in range(5)])
    assert fits.error_held_out(1e-12) == np.inf > fits.error_held_out(1.0)
    monkeypatch.setattr(ridge, "STRENGTHS", (1.0, 1e-3, 1e-12))
    monkeypatch.setattr(ridge, "_START", 2)
    assert classifier.classify(x, classes, x, inner)[1] > 1e-12


def test_a_pivot_of_the_size_of_rounding_errors_is_refused():
    system = np.array([[1, 1], [1, 1 + 2**-22], [1, 1]], np.float32)
    assert np.allclose(ridge._solve(system.copy(), 0), [[1], [0]])
    with pytest.raises(np.linalg.LinAlgError, match="lost in rounding"):
        ridge._solve(system, 10)


def test_ridge_predictions_equal_those_of_scikit_learn():
    from sklearn.linear_model import RidgeClassifier

    rng = np.random.default_rng(6)
    x, classes = rng.normal(size=(90, 12)).astype(np.float32), rng.integers(3, size=90)
    x[:, :3] += 2 * np.eye(3, dtype=np.float32)[classes]
    found, strength = classifier.classify(x[:60], classes[:60], x[60:], np.arange(60) % 5)
    train, test = classifier._standardised(x[:60], x[60:])
    theirs = RidgeClassifier(alpha=strength * 60).fit(train, classes[:60]).predict(test)
    assert np.array_equal(found, theirs)
    assert (found == classes[60:]).mean() > 0.8


@pytest.mark.parametrize("name", classifier.CLASSIFIERS)
def test_every_classifier_learns_separable_classes_and_gives_chance_on_noise(name):
    rng = np.random.default_rng(7)
    classes = np.arange(120) % 3
    noise = rng.normal(size=(120, 10)).astype(np.float32)
    informative = noise + 4 * np.eye(3, 10, dtype=np.float32)[classes]
    train, test, inner = slice(0, 90), slice(90, None), np.arange(90) % 5
    right = [
        (classifier.classify(x[train], classes[train], x[test], inner, name)[0] == classes[test]).mean()
        for x in (informative, noise)
    ]
    assert right[0] > 0.9
    assert right[1] < 0.7


def test_rotating_more_features_than_files_changes_no_product():
    rng = np.random.default_rng(3)
    train, test = rng.normal(size=(40, 90)).astype(np.float32), rng.normal(size=(7, 90)).astype(np.float32)
    x, y = classifier._rotated(train, test)
    assert x.shape[1] <= 40
    np.testing.assert_allclose(x @ x.T, train @ train.T, atol=1e-3)
    np.testing.assert_allclose(y @ x.T, test @ train.T, atol=1e-3)


def test_constant_features_do_not_prevent_classification():
    train = np.ones((20, 2), np.float32)
    train[:, 1] = np.arange(20)
    found, _ = classifier.classify(train, np.arange(20) // 10, train, np.arange(20) % 2)
    assert np.array_equal(found, np.arange(20) // 10)
    nothing, _ = classifier.classify(train[:, :1], np.arange(20) // 10, train[:, :1], np.arange(20) % 2)
    assert len(nothing) == 20


# scores


def test_one_fold_has_wilsons_interval_over_its_files():
    plan = plan_of(["a"] * 60 + ["b"] * 60, "split", (["test"] * 50 + ["train"] * 10) * 2)
    predicted = plan.target.copy()
    predicted[:10] = 1
    found = scores.summarise(plan, predicted)
    assert (found["accuracy"], found["stderr"]) == pytest.approx((0.9, 0.03))
    np.testing.assert_allclose(found["interval"], [0.8256, 0.9448], atol=1e-4)
    assert found["recall"] == {"a": 0.8, "b": 1.0}
    assert found["confusion"] == [[40, 10], [0, 50]]


def test_several_folds_have_students_interval_and_a_paired_difference():
    plan = plan_of(list("ab" * 6), "fold", list("111122223333"))
    wrong, right = plan.target.copy(), plan.target.copy()
    wrong[[0, 4, 5]] ^= 1
    found = scores.summarise(plan, wrong, right)
    assert found["folds"] == [0.75, 0.5, 1.0]
    assert (found["accuracy"], found["std"]) == pytest.approx((0.75, 0.25))
    assert found["stderr"] == pytest.approx(0.25 / np.sqrt(3))
    assert found["interval"] == pytest.approx([0.75 - 4.3027 * 0.25 / np.sqrt(3), 1.0], abs=1e-4)
    ahead = found["model_ahead"]
    assert (ahead["mean"], ahead["stderr"]) == pytest.approx((0.25, 0.25 / np.sqrt(3)))
    assert ahead["interval"] == pytest.approx([0.25 + sign * 4.3027 * 0.25 / np.sqrt(3) for sign in (-1, 1)], abs=1e-4)
