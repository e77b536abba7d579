"""Map of sounds in two dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from audiosae.sounds import event_map
from audiosae.sounds.event_map import map_points, map_positions


def clustered(count=240, kinds=6):
    rng = np.random.default_rng(0)
    kind = rng.integers(kinds, size=count).astype(np.int32)
    points = rng.normal(size=(kinds, 20))[kind] + 0.5 * rng.normal(size=(count, 20))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), kind


def neighbours_alike(positions, kind):
    away = np.linalg.norm(positions[:, None] - positions, axis=2)
    np.fill_diagonal(away, np.inf)
    return (kind[np.argsort(away, axis=1)[:, :5]] == kind[:, None]).mean()


@pytest.mark.parametrize("embedded", [2000, 120], ids=["all embedded", "half of them placed between neighbours"])
def test_neighbours_on_the_map_are_alike(monkeypatch, embedded):
    monkeypatch.setattr(event_map, "_EMBEDDED", embedded)
    points, kind = clustered()
    positions = map_positions(points)
    assert positions.min() == 0
    assert positions.max() == 1
    assert neighbours_alike(positions, kind) > 0.95
    np.testing.assert_array_equal(positions, map_positions(points))


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_a_few_sounds_have_a_map(count):
    points, _ = clustered(count)
    positions = map_positions(points)
    assert positions.shape == (count, 2)
    assert np.isfinite(positions).all()


def test_a_sample_is_even_and_has_the_extremes_of_each_type(monkeypatch):
    monkeypatch.setattr(event_map, "MOST", 50)
    points, kind = clustered(600)
    score = np.random.default_rng(1).random(600).astype(np.float32)
    mapped = map_points(points, kind, score)
    assert 50 < len(mapped.numbers) <= 50 + 6 * 20
    assert {*range(0, 600, 12)} <= {*mapped.numbers.tolist()}
    for number in range(6):
        own = np.flatnonzero(kind == number)
        order = own[np.argsort(score[own])]
        assert {*order[:10], *order[-10:]} <= {*mapped.numbers}
    np.testing.assert_array_equal(mapped.points, points[mapped.numbers])
