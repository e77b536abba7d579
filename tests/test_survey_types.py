"""Sound types: their number, what belongs nowhere, and what is kept of them."""

from __future__ import annotations

import numpy as np
import pytest

from audiosae.errors import InputError
from audiosae.sounds.sound_types import learn_types, load_types, stability_of
from audiosae.sounds.tables import read_names

KINDS = 5


def codes(each=60, seed=0, kinds=KINDS):
    """Codes of as many kinds of events, and the kinds."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 3, (kinds, 48))
    kind = np.repeat(np.arange(kinds), each)
    return (centres[kind] + rng.normal(0, 1, (len(kind), 48))).astype(np.float32), kind


def test_the_number_of_types_is_found():
    points, kind = codes()
    types, told = learn_types(points)
    assert len(types) == KINDS
    assert "silhouette" in told
    assert len({(int(a), int(b)) for a, b in zip(kind, types.assign(points)[0], strict=True) if b}) == KINDS


def test_a_few_sounds_that_stand_far_out_do_not_make_all_others_one_type():
    points, kind = codes()
    points[:4] *= 12
    types, _ = learn_types(points)
    assert KINDS <= len(types) <= KINDS + 1
    assert len({(int(a), int(b)) for a, b in zip(kind[4:], types.assign(points[4:])[0], strict=True) if b}) == KINDS


def test_few_events_have_few_types():
    assert len(learn_types(codes(each=3, kinds=40)[0])[0]) <= 10


def test_the_number_of_types_is_as_given():
    assert len(learn_types(codes()[0], 3)[0]) == 3


def test_what_is_like_no_type_says_so():
    points, _ = codes()
    types, _ = learn_types(points)
    kinds, score = types.assign(np.concatenate([points[:1], -3 * points[:1]]))
    assert kinds[0] > 0
    assert kinds[1] == 0
    assert score[0] < 1 < score[1]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_few_events_have_types_too(count):
    points = codes()[0][:: KINDS * 12][:count]
    types, _ = learn_types(points)
    assert (types.assign(points)[0] > 0).all()


def test_units_that_never_vary_do_not_count():
    points, _ = codes()
    flat = np.concatenate([points, np.full((len(points), 3), 0.25, np.float32)], axis=1)
    types, _ = learn_types(flat)
    odd = flat[:1].copy()
    odd[:, -3:] = 9
    assert types.nearest(types.space.points(odd))[1] == pytest.approx(types.nearest(types.space.points(flat[:1]))[1])


def test_types_that_are_there_are_stable_and_such_that_are_not_are_not():
    there = stability_of(codes()[0], KINDS)
    assert there.seed > 0.95
    assert there.halves > 0.95
    assert stability_of(np.random.default_rng(0).normal(size=(300, 48)).astype(np.float32), KINDS).halves < 0.5


def test_types_are_kept_with_names(tmp_path):
    points, _ = codes()
    types, _ = learn_types(points)
    types.names[2] = "Kiebitz"
    types.save(tmp_path / "types.safetensors", "abc")
    kept = load_types(tmp_path, "abc")
    assert kept.names == {2: "Kiebitz"}
    for own, other in zip(types.assign(points), kept.assign(points), strict=True):
        np.testing.assert_array_equal(own, other)


def test_types_of_another_model_are_refused(tmp_path):
    learn_types(codes()[0])[0].save(tmp_path / "types.safetensors", "abc")
    with pytest.raises(InputError, match="belong to another model"):
        load_types(tmp_path, "def")
    with pytest.raises(InputError, match="none: no such file or folder"):
        load_types(tmp_path / "none", "abc")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no types.safetensors"):
        load_types(tmp_path / "empty", "abc")


def test_names_are_read_as_a_spreadsheet_writes_them(tmp_path):
    (tmp_path / "names.csv").write_bytes("\ufefftype,name\r\n2,Kiebitz\r\n 11 ,a b \r\n3,\r\n".encode())
    assert read_names(tmp_path / "names.csv").of == {2: "Kiebitz", 11: "a b"}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-16"])
def test_names_may_have_semicolons_and_be_in_latin_1(tmp_path, encoding):
    said = []
    (tmp_path / "names.csv").write_bytes("type;name\r\n1;Möwe, laut\r\n;;\r\n2;'=x\r\n".encode(encoding))
    assert read_names(tmp_path / "names.csv", said.append).of == {1: "Möwe, laut", 2: "=x"}
    assert ["Latin-1" in line for line in said] == [True] * (encoding == "latin-1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,x\n", "no column type"),
        ("type\n1\n", "columns type,name"),
        ("type,name\nx,y\n", "'x'"),
        ("type,name\n1,a\n1,b\n", "two names"),
    ],
)
def test_names_that_mean_nothing_are_refused(tmp_path, text, told):
    (tmp_path / "names.csv").write_text(text)
    with pytest.raises(InputError, match=told):
        read_names(tmp_path / "names.csv")
