"""Probes of feature sets: ranking of units, accuracy of few units, agreement of clusters with labels."""

from __future__ import annotations

import numpy as np
import pytest

from audiosae.evaluation import folds, probing
from audiosae.evaluation.predictions import Predictions, classify_fold

WIDTH = 3


def planted(*, unit, files=90, units=30, seed=0):
    """Features of units, three per unit: noise, except those of one unit, which differ between the classes."""
    rng = np.random.default_rng(seed)
    target = np.arange(files) % 3
    features = rng.normal(size=(files, units * WIDTH)).astype(np.float32)
    features[:, unit * WIDTH : (unit + 1) * WIDTH] += 5 * np.eye(3)[target]
    return features, target


def by_explained_variance(features, classes, units):
    """Rank units by the share of the variance that lies between the classes; F increases with it."""
    member = classes[:, None] == np.unique(classes)
    inside = member.sum(axis=0)
    centred = features - features.mean(axis=0, dtype=np.float64)
    between = inside @ np.square(member.T.astype(float) @ centred / inside[:, None])
    total = np.square(centred).sum(axis=0)
    share = np.divide(between, total, out=np.zeros_like(total), where=np.ptp(features, axis=0) > 0)
    return np.argsort(-share.reshape(units, -1).max(axis=1), kind="stable")


def test_the_unit_that_separates_the_classes_is_first():
    features, target = planted(unit=7)
    features[:, 4] = 1  # a constant feature separates nothing
    assert probing.rank_units(features, target, 30)[0] == 7


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("offset", "units"), [(0, 200), (100, 200), (-3, 7)])
def test_units_are_ranked_by_the_variance_between_classes_with_ties_in_their_order(seed, offset, units):
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 4, size=90)
    features = (rng.normal(size=(90, units, WIDTH)) + offset).astype(np.float32)
    features[:, 2] = offset + 0.1  # constant
    features[:, 5] = features[:, 3] = features[:, 1]  # ties
    features[:, 4] = 1e-3 * rng.normal(size=WIDTH) + 2
    features[:, 6, 0] = 7
    found = probing.rank_units(features.reshape(90, -1), classes, units)
    np.testing.assert_array_equal(found, by_explained_variance(features.reshape(90, -1), classes, units))
    assert found[-2:].tolist() == [2, 4]
    at = found.tolist().index(1)
    assert found[at : at + 3].tolist() == [1, 3, 5]


@pytest.mark.filterwarnings("error")
def test_units_that_separate_the_classes_perfectly_are_first():
    features, target = planted(unit=7)
    for scale in (1, 0.1, 1 / 3, 1e-4):
        features[:, 9 * WIDTH + 1] = scale * target
        features[:, 20 * WIDTH] = scale * (target == 1) - scale
        found = probing.rank_units(features, target, 30)
        assert sorted(found[:2]) == [9, 20]
        assert found[2] == 7
    alone = np.zeros((90, 2), np.float32)
    alone[:, 1] = target == 0
    assert probing.rank_units(alone, target, 2).tolist() == [1, 0]
    assert probing.rank_units(0 * alone, target, 2).tolist() == [0, 1]


def test_units_are_chosen_on_the_training_part_alone():
    features, target = planted(unit=7)
    split = folds.Split("1", np.arange(60), np.arange(60, 90))
    features[split.test, 4 * WIDTH] += 100 * target[split.test]  # separates the classes of the test files only
    found = classify_fold(features, target, split, np.arange(60) % 5, width=WIDTH, classifier="ridge")
    assert found.units[0] == 7
    alone = features.copy()
    alone[split.test] = 0
    same = classify_fold(alone, target, split, np.arange(60) % 5, width=WIDTH, classifier="ridge")
    assert np.array_equal(found.units, same.units)


def test_one_informative_unit_is_as_accurate_as_all_units():
    features, target = planted(unit=7)
    plan = folds.make_plan([str(t) for t in target], kind="stratified", values=None, column="", seed=0)
    predictions = Predictions(np.full(90, -1))
    for split in plan.splits:
        inner = plan.inner(split, 5, 0)
        predictions.add(split, classify_fold(features, plan.target, split, inner, width=WIDTH, classifier="ridge"))
    predictions.agreements.append(probing.Agreement(0.0, 0.5))
    found = predictions.summary(plan, None)
    assert (found["groups"], found["v_measure"]) == (0.0, 0.5)
    assert [probed["units"] for probed in found["probing"]] == [1, 2, 5, 20]
    assert found["probing"][0]["accuracy"] > 0.9
    assert found["probing"][0]["accuracy"] == pytest.approx(np.mean(found["probing"][0]["folds"]))
    assert [units[0] for units in found["best_units"]] == [7] * 5
    noise = features.copy()
    noise[:, 7 * WIDTH : 8 * WIDTH] = 0
    alone = classify_fold(
        noise, plan.target, plan.splits[0], plan.inner(plan.splits[0], 5, 0), width=WIDTH, classifier="ridge"
    )
    assert (alone.few[1] == plan.target[plan.splits[0].test]).mean() < 0.7


def test_agreement_is_1_for_clear_clusters_and_0_for_noise():
    rng = np.random.default_rng(0)
    target = np.arange(120) % 4
    noise = rng.normal(size=(120, 200)).astype(np.float32)
    noise[:, 5] = 3  # a constant column is ignored
    apart = noise + 3 * rng.normal(size=(4, 200)).astype(np.float32)[target]
    assert probing.cluster_agreement(apart, target) == pytest.approx((1, 1))
    by_chance = probing.cluster_agreement(noise, target)
    assert abs(by_chance.groups) < 0.1
    assert by_chance.v_measure > by_chance.groups
    assert probing.cluster_agreement(noise[:, 5:6], target) == (0, 0)


def test_agreement_does_not_depend_on_the_scale_of_a_feature():
    rng = np.random.default_rng(1)
    target = np.arange(60) % 3
    features = rng.normal(size=(60, 5)).astype(np.float32) + 4 * np.eye(3, 5, dtype=np.float32)[target]
    scaled = features * np.array([1, 1e3, 1, 1, 1e-3], np.float32)
    found = [probing.cluster_agreement(x, target).groups for x in (features, scaled)]
    assert found[0] == pytest.approx(found[1])
    assert found[0] > 0.5


def test_only_a_random_part_of_many_files_is_clustered():
    assert np.array_equal(probing.files_to_cluster(10, 0), np.arange(10))
    some = probing.files_to_cluster(100_000, 3)
    assert len(np.unique(some)) == len(some) == probing.MOST_GROUPED
    assert np.array_equal(some, probing.files_to_cluster(100_000, 3))
