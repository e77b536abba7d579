"""Classification of sounds by the labels of a few of them, and the choice of sounds whose label would help most.

With less than 30 labelled sounds, their labels spread over a graph of shared nearest neighbours (Zhou et al. 2004,
"Learning with local and global consistency"), which also uses the sounds without a label. With more, kernel ridge
regression onto the labels is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiosae.sounds.grouping import Neighbours

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Numbers = NDArray[np.intp]
    Scores = Callable[[NDArray[np.bool_], slice], Array]

FEWEST, FEWEST_LABELS = 10, 2  # labelled sounds, and different labels, for a classifier
FOLDS = 5
RIDGE_FROM = 30  # labelled sounds
_NEAREST = 15  # nodes from which another sound has its label
_MOST, _BLOCK = 5000, 4096  # examples for ridge regression, and sounds that are classified together
_NODES = 3000  # of the graph; the labelled sounds are always among them
_SPREAD = 0.9  # share of a node's label that comes from its neighbours
_KERNEL, _PENALTY = 1.0, 0.2  # inverse squared width of the Gaussian kernel, on the unit sphere; ridge penalty
# of confidences, of which the one that fits held-out answers best is used; those of ridge regression begin at 8.
# Lower ones would be too low: the sounds that a person is asked about first are harder than the others
_SHARPNESS, _RIDGE_SHARPNESS = 2.0 ** np.arange(6), 8.0
_LEAST = 1e-12
_MEDOIDS = 25  # sounds that are typical of a group, which are asked about first


@dataclass(frozen=True)
class Examples:
    """Labelled sounds.

    Attributes
    ----------
    points
        Their points in the space of sound types, (examples, components).
    label
        Index of the label of each, (examples,).
    recording
        A number for the recording of each, (examples,).
    """

    points: NDArray[np.float32]
    label: Numbers
    recording: Numbers

    def sample(self) -> Examples:
        """Return evenly spaced examples, as many as a classifier learns from."""
        if len(self.label) <= _MOST:
            return self
        chosen = _evenly(len(self.label), _MOST)
        return Examples(self.points[chosen], self.label[chosen], self.recording[chosen])

    @property
    def enough(self) -> bool:
        """Whether there are enough for a classifier."""
        return len(self.label) >= FEWEST and len(np.unique(self.label)) >= FEWEST_LABELS


@dataclass(frozen=True)
class Predictions:
    """Probabilities of labels.

    Attributes
    ----------
    probability
        Of each label for each sound, (sounds, labels).
    held_out
        Index of the label that each example gets from examples in other recordings, (examples,); None if all examples
        are in one recording.
    """

    probability: Array
    held_out: Numbers | None


def predict(points: NDArray[np.float32], examples: Examples, labels: int) -> Predictions:
    """Classify sounds, and each example by those in other recordings.

    Parameters
    ----------
    points
        Points of all sounds in the space of sound types, (sounds, components).
    labels
        Number of labels.
    """
    count, every = len(examples.label), np.concatenate([examples.points, points])
    target = np.eye(labels)[examples.label]
    ridge = count >= RIDGE_FROM
    scores = (_ridge if ridge else _spread)(every, target)
    held_out, sharpness = None, _RIDGE_SHARPNESS if ridge else 1.0
    if len(np.unique(examples.recording)) > 1:
        fold = _folds(examples.recording)
        out = np.empty((count, labels))
        for number in range(fold.max() + 1):
            out[fold == number] = scores(fold != number, slice(count))[fold == number]
        held_out, sharpness = out.argmax(axis=1), _best_sharpness(out, examples.label, sharpness)
    return Predictions(_probabilities(scores(np.ones(count, bool), slice(count, None)), sharpness), held_out)


def _folds(recording: Numbers) -> Numbers:
    """Return a part for each example; those of a recording are together, and the parts are about equally large."""
    names, index, counts = np.unique(recording, return_inverse=True, return_counts=True)
    sizes, fold = np.zeros(min(FOLDS, len(names)), np.intp), np.empty(len(names), np.intp)
    for number in np.argsort(-counts, kind="stable"):
        fold[number] = sizes.argmin()
        sizes[fold[number]] += counts[number]
    return np.asarray(fold[index])


def _spread(points: NDArray[np.float32], target: Array) -> Scores:
    """Return a function of the used examples and some points that returns scores (points, labels).

    The examples are the first of the points.
    """
    from scipy.linalg import lu_factor, lu_solve

    count, free = len(target), max(0, _NODES - len(target))
    others = np.arange(len(points) - count) if len(points) - count <= free else _evenly(len(points) - count, free)
    nodes = np.concatenate([np.arange(count), count + others])
    weights = Neighbours.of(points[nodes]).links.toarray()
    root = 1 / np.sqrt(np.maximum(weights.sum(axis=1), _LEAST))
    factors = lu_factor(np.eye(len(nodes)) - _SPREAD * root[:, None] * weights * root, overwrite_a=True)

    def scores(used: NDArray[np.bool_], which: slice) -> Array:
        known = np.zeros((len(nodes), target.shape[1]))
        share = target * used[:, None]
        known[:count] = share / np.maximum(np.sqrt(share.sum(axis=0)), 1)
        spread = np.maximum(lu_solve(factors, known), 0)
        every = np.empty((len(points), target.shape[1]))
        every[nodes] = spread
        rest = np.setdiff1d(np.arange(len(points)), nodes)
        for part in np.array_split(rest, max(1, len(rest) // _NODES)):
            near = np.argpartition(-(points[part] @ points[nodes].T), _NEAREST, axis=1)[:, :_NEAREST]
            every[part] = spread[near].mean(axis=1)
        return np.log(every[which] + _LEAST)

    return scores


def _ridge(points: NDArray[np.float32], target: Array) -> Scores:
    count, x = len(target), points.astype(np.float64)

    def kernel(some: Array, others: Array) -> Array:
        return np.asarray(np.exp(-_KERNEL * np.maximum(2 - 2 * some @ others.T, 0)))

    def scores(used: NDArray[np.bool_], which: slice) -> Array:
        own, mean, rows = x[:count][used], target[used].mean(axis=0), x[which]
        weights = np.linalg.solve(kernel(own, own) + _PENALTY * np.eye(len(own)), target[used] - mean)
        parts = [kernel(rows[at : at + _BLOCK], own) @ weights for at in range(0, len(rows), _BLOCK)]
        return np.asarray(np.concatenate([np.empty((0, len(mean))), *parts]) + mean)

    return scores


def _probabilities(scores: Array, sharpness: float) -> Array:
    raised = np.exp(sharpness * (scores - scores.max(axis=1, keepdims=True)))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _best_sharpness(scores: Array, label: Numbers, least: float) -> float:
    """Return the sharpness with the highest likelihood of the labels (Guo et al. 2017, temperature scaling)."""
    own = np.arange(len(label)), label
    possible = _SHARPNESS[least <= _SHARPNESS]
    likelihood = [np.log(_probabilities(scores, each)[own] + _LEAST).sum() for each in possible]
    return float(possible[int(np.argmax(likelihood))])


def _evenly(count: int, most: int) -> Numbers:
    return np.arange(most) * count // max(1, most)


def ask_next(
    points: NDArray[np.float32], answered: NDArray[np.bool_], probability: Array | None, count: int
) -> Numbers:
    """Return the sounds whose labels would help most: first the most typical of each group, then the most uncertain.

    Parameters
    ----------
    answered
        Whether a sound has an answer, (sounds,).
    probability
        See `Predictions`; None if there is no classifier yet.
    count
        Number of sounds to return; fewer if fewer have no answer.
    """
    open_, typical = np.flatnonzero(~answered), np.empty(0, np.intp)
    if answered.sum() < _MEDOIDS or probability is None:
        typical = _typical(points, answered, count if probability is None else 0)
    if probability is None:
        return np.concatenate([typical, np.setdiff1d(open_, typical)])[:count]
    ordered = np.sort(probability[open_], axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    uncertain = open_[np.argsort(margin, kind="stable")]
    return np.concatenate([typical, uncertain[~np.isin(uncertain, typical)]])[:count]


def _typical(points: NDArray[np.float32], answered: NDArray[np.bool_], least: int) -> Numbers:
    """Return the most central sound of each group without an answer, of the largest group first.

    Groups are divided until there are `least` such sounds, those of the coarser groups first.
    """
    from scipy.cluster.hierarchy import fcluster, ward
    from scipy.spatial.distance import pdist

    chosen = _evenly(len(points), min(len(points), _NODES))
    if len(chosen) < 2:  # noqa: PLR2004 (no distance)
        return chosen[~answered[chosen]]
    some = points[chosen].astype(np.float64)
    tree, known, found, groups = ward(pdist(some)), answered[chosen], np.empty(0, np.intp), _MEDOIDS
    while True:
        number = fcluster(tree, groups, "maxclust")
        parts = [np.flatnonzero(number == each) for each in np.unique(number)]
        parts = [own for own in parts if not known[own].any()]
        away = [np.square(some[own] - some[own].mean(axis=0)).sum(axis=1) for own in parts]
        central = sorted((-len(own), int(own[each.argmin()])) for own, each in zip(parts, away, strict=True))
        new = np.array([place for _, place in central], np.intp)
        found, known[new] = np.concatenate([found, new]), True
        if len(found) >= least or groups >= len(chosen):
            return chosen[found]
        groups *= 2
