"""A few units alone, and groups without labels: chosen on the training part, the same question to every method."""

from __future__ import annotations

import numpy as np
import pytest

from audiosae.evaluation import folds, probing
from audiosae.evaluation.predictions import Answers, judge_fold

WIDTH = 3


def planted(*, unit, clips=90, units=30, seed=0):
    """Noise of units with three numbers each, but for one unit whose numbers know the classes."""
    rng = np.random.default_rng(seed)
    target = np.arange(clips) % 3
    features = rng.normal(size=(clips, units * WIDTH)).astype(np.float32)
    features[:, unit * WIDTH : (unit + 1) * WIDTH] += 5 * np.eye(3)[target]
    return features, target


def test_the_unit_that_tells_is_first_and_the_order_is_that_of_the_f_test():
    from sklearn.feature_selection import f_classif

    features, target = planted(unit=7)
    features[:, 4] = 1  # a constant tells nothing
    found = probing.telling(features, target, 30)
    assert found[0] == 7
    features[:, 4] = np.random.default_rng(1).normal(size=90)
    wanted = f_classif(features, target)[0].reshape(30, WIDTH).max(axis=1)
    assert np.array_equal(probing.telling(features, target, 30), np.argsort(-wanted))


def test_units_are_chosen_on_the_training_part_alone():
    features, target = planted(unit=7)
    split = folds.Split("1", np.arange(60), np.arange(60, 90))
    features[split.test, 4 * WIDTH] += 100 * target[split.test]  # tells the test clips only
    found = judge_fold(features, target, split, np.arange(60) % 5, width=WIDTH, judge="ridge")
    assert found.units[0] == 7
    alone = features.copy()
    alone[split.test] = 0
    same = judge_fold(alone, target, split, np.arange(60) % 5, width=WIDTH, judge="ridge")
    assert np.array_equal(found.units, same.units)


def test_one_unit_that_knows_does_alone_what_all_do_together():
    features, target = planted(unit=7)
    plan = folds.make_plan([str(t) for t in target], kind="stratified", values=None, column="", seed=0)
    answers = Answers.none(90)
    for split in plan.splits:
        inner = plan.inner(split, 5, 0)
        answers.add(split, judge_fold(features, plan.target, split, inner, width=WIDTH, judge="ridge"))
    answers.groups.append(0.0)
    found = answers.summary(plan, None)
    assert [probed["units"] for probed in found["probing"]] == [1, 2, 5, 20]
    assert found["probing"][0]["accuracy"] > 0.9
    assert found["probing"][0]["accuracy"] == pytest.approx(np.mean(found["probing"][0]["folds"]))
    assert [units[0] for units in found["best_units"]] == [7] * 5
    noise = features.copy()
    noise[:, 7 * WIDTH : 8 * WIDTH] = 0
    alone = judge_fold(noise, plan.target, plan.splits[0], plan.inner(plan.splits[0], 5, 0), width=WIDTH, judge="ridge")
    assert (alone.few[1] == plan.target[plan.splits[0].test]).mean() < 0.7


def test_groups_are_those_of_plain_clusters_and_of_chance_in_noise():
    rng = np.random.default_rng(0)
    target = np.arange(120) % 4
    noise = rng.normal(size=(120, 200)).astype(np.float32)
    noise[:, 5] = 3  # a constant column does no harm
    apart = noise + 3 * rng.normal(size=(4, 200)).astype(np.float32)[target]
    assert probing.groups_like_classes(apart, target) == pytest.approx(1)
    assert abs(probing.groups_like_classes(noise, target)) < 0.1
    assert probing.groups_like_classes(noise[:, 5:6], target) == 0


def test_groups_do_not_depend_on_the_scale_of_a_feature():
    rng = np.random.default_rng(1)
    target = np.arange(60) % 3
    features = rng.normal(size=(60, 5)).astype(np.float32) + 4 * np.eye(3, 5, dtype=np.float32)[target]
    scaled = features * np.array([1, 1e3, 1, 1, 1e-3], np.float32)
    found = [probing.groups_like_classes(x, target) for x in (features, scaled)]
    assert found[0] == pytest.approx(found[1])
    assert found[0] > 0.5


def test_large_sets_are_grouped_by_a_drawn_part_of_a_bounded_size():
    assert np.array_equal(probing.grouped(10, 0), np.arange(10))
    some = probing.grouped(100_000, 3)
    assert len(np.unique(some)) == len(some) == probing.MOST_GROUPED
    assert np.array_equal(some, probing.grouped(100_000, 3))
