"""Sound types: their number, events of no type, stability, and the files of types and names."""

from __future__ import annotations

import numpy as np
import pytest

from audiosae.errors import InputError
from audiosae.sounds import grouping
from audiosae.sounds.grouping import NO_NUMBER, grouped
from audiosae.sounds.sound_types import learn_types, load_types
from audiosae.sounds.type_names import read_names
from audiosae.sounds.type_stability import agreement, stability_of

KINDS = 5


def codes(each=60, seed=0, kinds=KINDS):
    """Return codes of several kinds of events, and the kind of each."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 3, (kinds, 48))
    kind = np.repeat(np.arange(kinds), each)
    return (centres[kind] + rng.normal(0, 1, (len(kind), 48))).astype(np.float32), kind


def test_number_of_types_is_that_of_the_kinds():
    points, kind = codes()
    types, choice = learn_types(points)
    assert len(types) == KINDS
    assert "dense clouds" in choice
    assert len({(int(a), int(b)) for a, b in zip(kind, types.assign(points)[0], strict=True) if b}) == KINDS


def test_outliers_do_not_merge_the_other_types():
    points, kind = codes()
    points[:4] *= 12
    types, _ = learn_types(points)
    assert KINDS <= len(types) <= KINDS + 1
    assert len({(int(a), int(b)) for a, b in zip(kind[4:], types.assign(points[4:])[0], strict=True) if b}) == KINDS


def test_few_events_give_few_types():
    assert len(learn_types(codes(each=3, kinds=40)[0])[0]) <= 10


def test_number_of_types_can_be_given():
    assert len(learn_types(codes()[0], 3)[0]) == 3


def test_events_unlike_all_types_have_type_0():
    points, _ = codes()
    types, _ = learn_types(points)
    kinds, score = types.assign(np.concatenate([points[:1], -3 * points[:1]]))
    assert kinds[0] > 0
    assert kinds[1] == 0
    assert score[0] < 1 < score[1]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_few_events_also_have_types(count):
    points = codes()[0][:: KINDS * 12][:count]
    types, _ = learn_types(points)
    assert (types.assign(points)[0] > 0).all()


def test_constant_features_are_ignored():
    points, _ = codes()
    flat = np.concatenate([points, np.full((len(points), 3), 0.25, np.float32)], axis=1)
    types, _ = learn_types(flat)
    odd = flat[:1].copy()
    odd[:, -3:] = 9
    assert types.nearest(types.space.points(odd))[1] == pytest.approx(types.nearest(types.space.points(flat[:1]))[1])


def test_types_of_distinct_kinds_are_stable_and_of_noise_are_not():
    distinct = stability_of(codes()[0], KINDS)
    assert distinct.seed > 0.95
    assert distinct.halves > 0.95
    assert stability_of(np.random.default_rng(0).normal(size=(300, 48)).astype(np.float32), KINDS).halves < 0.5


def test_types_are_saved_with_names(tmp_path):
    points, _ = codes()
    types, _ = learn_types(points)
    types.names[2] = "Kiebitz"
    types.save(tmp_path / "types.safetensors", "abc")
    loaded = load_types(tmp_path, "abc")
    assert loaded.names == {2: "Kiebitz"}
    for before, after in zip(types.assign(points), loaded.assign(points), strict=True):
        np.testing.assert_array_equal(before, after)


def test_types_of_another_model_are_refused(tmp_path):
    learn_types(codes()[0])[0].save(tmp_path / "types.safetensors", "abc")
    with pytest.raises(InputError, match="belong to another model"):
        load_types(tmp_path, "def")
    with pytest.raises(InputError, match="none: no such file or folder"):
        load_types(tmp_path / "none", "abc")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no types.safetensors"):
        load_types(tmp_path / "empty", "abc")


def test_names_are_read_from_a_spreadsheet(tmp_path):
    (tmp_path / "names.csv").write_bytes("\ufefftype,name\r\n2,Kiebitz\r\n 11 ,a b \r\n3,\r\n".encode())
    assert read_names(tmp_path / "names.csv").of == {2: "Kiebitz", 11: "a b"}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-16"])
def test_names_may_use_semicolons_and_latin_1(tmp_path, encoding):
    messages = []
    (tmp_path / "names.csv").write_bytes("type;name\r\n1;Möwe, laut\r\n;;\r\n2;'=x\r\n".encode(encoding))
    assert read_names(tmp_path / "names.csv", messages.append).of == {1: "Möwe, laut", 2: "=x"}
    assert ["Windows-1252" in line for line in messages] == [True] * (encoding == "latin-1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,x\n", "no column type"),
        ("type\n1\n", "columns type,name"),
        ("type,name\nx,y\n", "'x'"),
        ("type,name\n1,a\n1,b\n", "two names"),
        (f"type,name\n{'9' * 5000},a\n", r"row 1 has type '9{40}\.\.\.'; wanted a whole number"),
        ("type,name\n0,a\n", "row 1 has type '0'"),
    ],
)
def test_invalid_tables_of_names_are_refused(tmp_path, text, message):
    (tmp_path / "names.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_names(tmp_path / "names.csv")


def test_silhouette_and_agreement_are_those_of_scikit_learn():
    from sklearn.metrics import adjusted_rand_score, silhouette_score

    points, kind = mixed()
    labels = np.where(np.arange(len(kind)) % 5 == 0, 4 + kind, kind).astype(np.int32)
    labels[0] = labels.max() + 1  # a group of one point
    sums, distances = grouping._distance_sums(points, labels), 1 - points.astype(np.float64) @ points.T
    np.fill_diagonal(distances, 0)
    for last in range(labels.max(), 2, -1):  # the last group is joined to the first
        expected = silhouette_score(np.maximum(distances, 0), labels, metric="precomputed")
        assert grouping._silhouette(sums, labels) == pytest.approx(expected, abs=1e-12)
        assert agreement(kind, labels) == adjusted_rand_score(kind, labels)
        sums[:, 0] += sums[:, last]
        sums, labels = sums[:, :last], np.where(labels == last, 0, labels)
    assert agreement(kind, kind[::-1]) == adjusted_rand_score(kind, kind[::-1])
    assert agreement(kind, 3 - kind) == 1


def test_dense_parts_of_a_kind_are_one_group():
    rng = np.random.default_rng(0)
    parts = np.eye(8)[np.arange(8) // 2] + 0.05 * rng.normal(size=(8, 8))  # two of each of four kinds
    points = np.repeat(parts, 30, axis=0) + 0.005 * rng.normal(size=(240, 8))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    assert grouping._clouds(points).max() == 7
    assert agreement(grouped(points).labels, np.repeat(np.arange(4), 60)) == 1


def joined_clouds(points, labels):
    """Join clouds as `grouping._whole` does, with all distances for each silhouette."""
    from sklearn.metrics import silhouette_score

    distances = np.maximum(1 - points.astype(np.float64) @ points.T, 0)
    np.fill_diagonal(distances, 0)
    best = silhouette_score(distances, labels, metric="precomputed")
    while labels.max() > 1:
        centres = np.stack([points[labels == number].mean(axis=0) for number in range(labels.max() + 1)])
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        near = centres @ centres.T
        np.fill_diagonal(near, -np.inf)
        first, second = sorted(np.unravel_index(near.argmax(), near.shape))
        joined = np.unique(np.where(labels == second, first, labels), return_inverse=True)[1]
        if (value := silhouette_score(distances, joined, metric="precomputed")) < grouping._NEAR_BEST * best:
            break
        best, labels = max(best, value), joined
    return labels


@pytest.mark.parametrize("seed", range(4))
def test_clouds_are_joined_as_by_the_silhouettes_of_scikit_learn(seed):
    points, kind = mixed(each=20, kinds=6, seed=seed)
    rng = np.random.default_rng(seed)
    labels = (kind * 4 + rng.integers(0, 4, len(kind))).astype(np.int32)
    expected = joined_clouds(points, labels)
    assert 2 <= expected.max() + 1 < labels.max() + 1
    assert grouping._whole(points, labels).tolist() == expected.tolist()


def mixed(each=60, kinds=4, seed=0):
    """Return points of kinds that overlap, and the kind of each."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(kinds), each)
    points = np.random.default_rng(9).normal(0, 1, (kinds, 8))[kind] + rng.normal(0, 0.9, (len(kind), 8))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), kind


def test_kinds_that_overlap_are_grouped_by_the_neighbours_that_they_share():
    from sklearn.metrics import adjusted_rand_score

    points, kind = mixed()
    groups = grouped(points)
    assert "nearest neighbours" in groups.choice
    assert 3 <= groups.labels.max() + 1 <= 5
    assert adjusted_rand_score(kind, groups.labels) > 0.4
    again = grouped(points)
    np.testing.assert_array_equal(groups.labels, again.labels)


def test_a_coarse_grouping_is_given_if_no_number_is_clear(tmp_path):
    points, _ = mixed(kinds=1, each=200)
    groups = grouped(points)
    assert NO_NUMBER in groups.choice
    assert len(groups.coarse) == groups.labels.max() + 1 > groups.coarse.max() + 1
    types, choice = learn_types(points)
    assert NO_NUMBER in choice
    assert len(types.coarse) == len(types)
    types.save(tmp_path / "types.safetensors", "abc")
    assert tuple(load_types(tmp_path, "abc").coarse) == tuple(types.coarse)


@pytest.mark.parametrize("count", [3, 5, 12, 25])
def test_few_points_are_grouped(count):
    points, _ = mixed()
    groups = grouped(points[:: len(points) // count][:count])
    assert sorted(set(groups.labels.tolist())) == list(range(groups.labels.max() + 1))
    assert groups.labels.max() + 1 <= max(2, count**0.5)
