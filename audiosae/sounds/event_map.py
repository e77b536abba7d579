"""Map of sounds in two dimensions, on which sounds with similar codes are neighbours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from audiosae.sounds.beside import begin_if_many
from audiosae.sounds.landmarks import Landmarks
from audiosae.sounds.results import MapPoints
from audiosae.sounds.sound_types import evenly
from audiosae.system.processes import lean_in_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from audiosae.sounds.results import Survey
    from audiosae.sounds.sound_types import Types
    from audiosae.system.processes import Begin

    Array = NDArray[np.float32]

MOST = 20_000  # sounds whose points are kept for a map
_EMBEDDED = 2000  # sounds whose positions are computed; the others are placed between their neighbours
_FEWEST = 8  # sounds for t-SNE: with fewer, the first two components are the map
_PERPLEXITY, _ROUNDS = 30, 350
_NEIGHBOURS = 5
_EXTREME = 10  # sounds of a type
_START = 1e-2  # spread of the initial positions
_BLOCK, _PART = 1024, 128  # sounds that are placed, and compared, together


def map_points(points: Array, types: NDArray[np.int32], score: Array) -> MapPoints:
    """Choose the sounds that a map can show: 20,000 evenly spaced ones at most, and the extremes of each type.

    Parameters
    ----------
    points
        Of all sounds, in the space of the types, (sounds, components).
    types, score
        Of all sounds, as in `Survey.sounds`, (sounds,).
    """
    numbers = np.union1d(evenly(len(types), MOST), np.fromiter(_extremes(types, score), np.int64))
    return MapPoints(numbers, points[numbers])


def begin_landmarks(survey: Survey, begin: Begin) -> Callable[[], Landmarks | None]:
    """Begin to choose the landmarks of the map; those of an earlier survey stay. Return a function that waits for them.

    Parameters
    ----------
    begin
        See `audiosae.system.processes.helpers`.
    """
    mapped = survey.mapped
    if mapped is None or mapped.landmarks:
        return lambda: mapped.landmarks if mapped else None
    return begin_if_many(begin, len(survey.sounds))(choose_landmarks, mapped.points)


def with_landmarks(survey: Survey, types: Types, landmarks: Landmarks | None) -> tuple[Survey, Types]:
    """Return a survey and its types with the landmarks of the map."""
    if survey.mapped is None:
        return survey, types
    return replace(survey, mapped=replace(survey.mapped, landmarks=landmarks)), replace(types, landmarks=landmarks)


def choose_landmarks(points: Array) -> Landmarks:
    """Return the landmarks of a map: at most 2,000 evenly spaced sounds, with their positions by t-SNE.

    t-SNE (van der Maaten and Hinton 2008) starts from the first two components.
    """
    chosen = points[evenly(len(points), _EMBEDDED)]
    return Landmarks(chosen, _embedded(chosen))


def map_positions(points: Array, landmarks: Landmarks | None = None) -> Array:
    """Return the position of each sound on the map, (points, 2), from 0 to 1.

    Parameters
    ----------
    points
        On the unit sphere of the space of the types, (points, components).
    landmarks
        Sounds of a map. Each other sound is placed at the weighted mean of the five nearest of these. None to choose
        landmarks among the points.
    """
    own = landmarks is None
    landmarks = landmarks or choose_landmarks(points)
    placed = np.empty((len(points), 2), np.float32)
    chosen = evenly(len(points), _EMBEDDED) if own else np.empty(0, np.int64)
    placed[chosen] = landmarks.positions[: len(chosen)]
    others = np.setdiff1d(np.arange(len(points)), chosen)
    for at in range(0, len(others), _BLOCK):
        block = others[at : at + _BLOCK]
        placed[block] = _between(points[block], landmarks.points, landmarks.positions)
    low, high = (bound(landmarks.positions, axis=0) for bound in (np.min, np.max))
    return np.asarray(np.clip((placed - low) / np.maximum(high - low, 1e-12), 0, 1), np.float32)


def _extremes(types: NDArray[np.int32], score: Array) -> Iterator[int]:
    """Yield the numbers of the sounds of each type that are nearest to its centre, or farthest from it."""
    order = np.lexsort((score, types))
    for own in np.split(order, np.flatnonzero(np.diff(types[order])) + 1):
        yield from {*own[:_EXTREME].tolist(), *own[-_EXTREME:].tolist()}


def _embedded(points: Array) -> Array:
    """Return positions in two dimensions that keep neighbours together; the same on any number of cores."""
    start = np.zeros((len(points), 2), np.float32)
    start[:, : points.shape[1]] = points[:, :2]
    if len(points) < _FEWEST:
        return start
    from threadpoolctl import threadpool_limits

    with lean_in_worker("pandas"):
        from sklearn.manifold import TSNE

    start *= _START / max(float(start.std()), 1e-12)
    perplexity = min(_PERPLEXITY, (len(points) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init=start, max_iter=_ROUNDS, random_state=0, n_jobs=1)
    with threadpool_limits(1):  # sums of several threads are rounded differently
        return np.asarray(tsne.fit_transform(points), np.float32)


def _between(points: Array, landmarks: Array, positions: Array) -> Array:
    """Return the weighted means of the positions of the landmarks that are nearest to points."""
    count = min(_NEIGHBOURS, len(landmarks))
    squares = 2 * points @ landmarks.T  # in one array: it is large
    np.subtract(2, squares, out=squares)
    np.maximum(squares, 1e-6, out=squares)  # points have unit length
    parts = (squares[at : at + _PART] for at in range(0, len(squares), _PART))
    nearest = np.concatenate([np.argpartition(part, count - 1, axis=1)[:, :count].copy() for part in parts])
    weight = 1 / np.take_along_axis(squares, nearest, axis=1)
    mean = (weight[..., None] * positions[nearest]).sum(axis=1) / weight.sum(axis=1, keepdims=True)
    return np.asarray(mean, np.float32)
