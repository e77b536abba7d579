"""Groups of similar events: how many there are, and which event is in which.

Events of clear kinds form dense clouds, which HDBSCAN (Campello, Moulavi and Sander 2013) finds with their number.
Where kinds overlap, it leaves many events out. Then events are compared by how many of their nearest neighbours they
share (Jarvis and Patrick 1973). Spectral clustering divides the graph of neighbours into each number of groups, and the
number with the largest modularity (Newman and Girvan 2004) is used. Groups with many links between them are joined.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.system.processes import lean_in_worker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Labels = NDArray[np.int32]

MOST_TYPES = 40
NO_NUMBER = "no number of types is clearly best"
_FEWEST = 3  # points for more than one group
_FEWEST_CLOUDS, _LEAST_CLOUD, _CORE = 20, 5, 3  # points for HDBSCAN; its min_cluster_size and min_samples
_LEFT_OUT = 0.05  # share of points outside all clouds from which the clouds are not used
_NEAR_BEST = 0.95  # share of the largest mean silhouette that is kept when clouds are joined
# nearest neighbours that are compared: at least 15 and a share of all points, but fewer of a few points
_NEIGHBOURS, _NEIGHBOUR_SHARE, _MOST_SHARE = 15, 1 / 30, 1 / 4
_JOINED = 0.25  # links between two groups, relative to those inside the looser one, from which they are joined
_UNCLEAR = 0.1  # the same, from which the number of groups is not clear
_COARSE_SHARE = 2 / 3  # of the number of groups: most coarse groups
_BLOCK = 256  # points whose distances to all points are in memory at the same time
_EQUAL = 1e-9  # difference of two modularities that is rounding


@dataclass(frozen=True)
class Grouping:
    """Groups of points.

    Attributes
    ----------
    labels
        Group of each point, from 0, (points,).
    coarse
        Coarse group of each group, from 0, (groups,); the groups themselves if their number is clear.
    choice
        How the number of groups was chosen.
    """

    labels: Labels
    coarse: Labels
    choice: str


def grouped(points: Array, count: int | None = None) -> Grouping:
    """Group points on the unit sphere, (points, components), by similarity.

    Parameters
    ----------
    count
        Number of groups; None chooses it. Groups of neighbours are at most the root of the number of points, and 40.
    """
    if len(points) < _FEWEST:
        return _clear(np.zeros(len(points), np.int32), "too few events for more")
    if count is not None:
        return _clear(_requested(points, min(count, len(points))), "as requested")
    clouds = _clouds(points)
    if clouds is not None:
        return _clear(_whole(points, clouds), "dense clouds that contain nearly all sounds, by HDBSCAN")
    graph = Neighbours.of(points)
    labels, ratio = graph.joined(graph.divided())
    choice = "groups of sounds that share their nearest neighbours, by modularity"
    if ratio < _UNCLEAR:
        return _clear(labels, choice)
    coarse = _coarse(np.stack([points[labels == number].mean(axis=0) for number in range(labels.max() + 1)]))
    few = int(coarse.max()) + 1
    other = f"{few} coarse groups are" if few > 1 else "a single type is"
    return Grouping(labels, coarse, f"{choice}; {NO_NUMBER}: {other} as plausible")


def _coarse(centres: Array) -> Labels:
    """Return the coarse group of each of some groups, by Ward's clustering of their centres.

    The number of coarse groups is the one after which the next ones to join are much further apart, at most two thirds
    of the number of groups.
    """
    from scipy.cluster.hierarchy import fcluster, ward

    most = int(_COARSE_SHARE * len(centres))
    if most < 2:  # noqa: PLR2004
        return np.zeros(len(centres), np.int32)
    tree = ward(centres.astype(np.float64))
    heights = tree[::-1, 2]  # heights[i]: i + 2 groups become i + 1
    few = max(range(2, most + 1), key=lambda number: heights[number - 2] / max(heights[number - 1], _EQUAL))
    return np.asarray(fcluster(tree, few, "maxclust") - 1, np.int32)


def _clear(labels: Labels, choice: str) -> Grouping:
    return Grouping(labels, np.arange(int(labels.max(initial=-1)) + 1, dtype=np.int32), choice)


def _requested(points: Array, count: int) -> Labels:
    """Return that many groups by Ward's clustering (1963), which can divide points into any number."""
    from scipy.cluster.hierarchy import fcluster, ward

    return np.asarray(fcluster(ward(points.astype(np.float64)), count, "maxclust") - 1, np.int32)


def _clouds(points: Array) -> Labels | None:
    """Return the dense cloud of each point, or of the nearest point in one; None if many points are in none."""
    if len(points) < _FEWEST_CLOUDS:
        return None
    with lean_in_worker("pandas"):
        from sklearn.cluster import HDBSCAN

    model = HDBSCAN(min_cluster_size=_LEAST_CLOUD, min_samples=_CORE, copy=True)
    labels = np.asarray(model.fit(points.astype(np.float64)).labels_, np.int32)
    inside, outside = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    if labels.max() < 1 or len(outside) >= _LEFT_OUT * len(points):
        return None
    labels[outside] = labels[inside[(points[outside] @ points[inside].T).argmax(axis=1)]]
    return labels


def _whole(points: Array, labels: Labels) -> Labels:
    """Join the two nearest clouds, repeatedly, while the mean silhouette (Rousseeuw 1987) is near its largest value.

    A kind of sound can be denser in two places than between them, although other kinds are much further away. Two
    clouds stay.
    """
    sums, best = _distance_sums(points, labels), -np.inf
    means = np.stack([points[labels == number].mean(axis=0) for number in range(sums.shape[1])])
    while (value := _silhouette(sums, labels)) >= _NEAR_BEST * best:
        best, whole = max(best, value), labels
        if len(means) == 2:  # noqa: PLR2004
            break
        centres = means / np.linalg.norm(means, axis=1, keepdims=True)
        near = centres @ centres.T
        np.fill_diagonal(near, -np.inf)
        first, second = sorted(divmod(int(near.argmax()), len(near)))
        labels = np.where(labels == second, first, labels)
        labels = (labels - (labels > second)).astype(np.int32)
        sums[:, first] += sums[:, second]
        means[first] = points[labels == first].mean(axis=0)
        sums, means = (np.delete(each, second, axis) for each, axis in ((sums, 1), (means, 0)))
    return whole


def _distance_sums(points: Array, labels: Labels) -> NDArray[np.float64]:
    """Return the sum of the cosine distances of each point to those of each group, (points, groups)."""
    sums, exact = np.empty((len(points), int(labels.max()) + 1)), points.astype(np.float64)
    order = np.argsort(labels, kind="stable")
    first = np.searchsorted(labels[order], np.arange(sums.shape[1]))
    for at in range(0, len(points), _BLOCK):
        distances = np.maximum(1 - exact[at : at + _BLOCK] @ exact[order].T, 0)
        sums[at : at + _BLOCK] = np.add.reduceat(distances, first, axis=1)
    own = np.arange(len(points))
    sums[own, labels] -= np.maximum(1 - np.square(exact).sum(axis=1), 0)  # the distance of a point to itself is 0
    return sums


def _silhouette(sums: NDArray[np.float64], labels: Labels) -> float:
    """Return the mean silhouette of points from the sums of their distances to the points of each group.

    As groups are joined, their sums are added, and no distance is needed again.
    """
    counts, own = np.bincount(labels), np.arange(len(labels))
    means = sums / counts
    means[own, labels] = np.inf
    inside, nearest = sums[own, labels] / np.maximum(counts[labels] - 1, 1), means.min(axis=1)
    widths = (nearest - inside) / np.maximum(np.maximum(nearest, inside), 1e-300)
    return float(np.where(counts[labels] > 1, widths, 0).mean())


@dataclass(frozen=True)
class Neighbours:
    """Graph of points and their nearest neighbours.

    Attributes
    ----------
    links
        Weights of the links, a sparse matrix (points, points): the Jaccard index of the neighbours of two points.
    """

    links: Any

    @classmethod
    def of(cls, points: Array) -> Neighbours:
        """Link each point with its nearest ones."""
        from scipy.sparse import csr_array

        count = len(points)
        number = min(max(_NEIGHBOURS, int(_NEIGHBOUR_SHARE * count)), int(_MOST_SHARE * count))
        number = 1 + min(max(_FEWEST, number), count - 1)  # with the point itself
        near = points @ points.T
        np.fill_diagonal(near, np.inf)
        nearest = np.empty((count, number), np.intp)
        for at in range(0, count, _BLOCK):
            nearest[at : at + _BLOCK] = np.argpartition(-near[at : at + _BLOCK], number - 1, axis=1)[:, :number]
        del near
        rows = np.repeat(np.arange(count), number)
        chosen = csr_array((np.ones(nearest.size), (rows, nearest.ravel())), shape=(count, count))
        shared = (chosen @ chosen.T).multiply((chosen + chosen.T) > 0).tocoo()
        shared.data /= 2 * number - shared.data
        shared.data[shared.row == shared.col] = 0
        return cls(csr_array(shared))

    def divided(self) -> Labels:
        """Return the group of each point, for the number of groups with the largest modularity."""
        count = self.links.shape[0]
        vectors = self._vectors(min(MOST_TYPES, max(2, isqrt(count))))
        best, chosen = 0.0, np.zeros(count, np.int32)
        for number in range(2, vectors.shape[1] + 1):
            labels = _spectral_labels(vectors[:, :number])
            if (value := self._modularity(labels)) > best + _EQUAL:
                best, chosen = value, labels
        return chosen

    def _vectors(self, count: int) -> NDArray[np.float64]:
        """Return eigenvectors of the normalised links with the largest eigenvalues, (points, count)."""
        from scipy.sparse.linalg import eigsh

        scale, size = 1 / np.sqrt(np.maximum(self.links.sum(axis=1), 1e-12)), self.links.shape[0]
        normal = self.links.tocoo(copy=True)
        normal.data *= scale[normal.row] * scale[normal.col]
        if size <= 4 * count:
            values, vectors = np.linalg.eigh(normal.toarray())
        else:
            values, vectors = eigsh(normal.tocsr(), k=count, which="LA", v0=np.ones(size))
        return np.asarray(vectors[:, np.argsort(-values, kind="stable")[:count]])

    def _modularity(self, labels: Labels) -> float:
        between = self._between(labels)
        total = max(float(between.sum()), 1e-12)
        return float(np.trace(between) / total - np.square(between.sum(axis=1) / total).sum())

    def _between(self, labels: Labels) -> NDArray[np.float64]:
        """Return the total weight of the links between groups, (groups, groups); those inside a group count twice."""
        size, links = int(labels.max()) + 1, self.links.tocoo()
        first, second = (labels[part].astype(np.int64) for part in (links.row, links.col))
        weights = np.bincount(first * size + second, links.data, minlength=size * size)
        return np.asarray(weights.reshape(size, size), np.float64)

    def joined(self, labels: Labels) -> tuple[Labels, float]:
        """Join the two groups with the most links between them, repeatedly, while these are many; two groups stay.

        Returns
        -------
        array of shape (points,), float
            The labels, and the largest ratio between two groups: the weight of the links between them, relative to that
            of the links inside the looser one.
        """
        between = self._between(labels)
        while len(between) > 1:
            inside = np.diag(between)
            ratio = between / np.maximum(np.minimum(inside[:, None], inside), 1e-12)
            np.fill_diagonal(ratio, -1)
            first, second = sorted(divmod(int(ratio.argmax()), len(ratio)))
            most = float(ratio[first, second])
            if most < _JOINED or len(between) == 2:  # noqa: PLR2004
                return labels, most
            between[first] += between[second]
            between[:, first] += between[:, second]
            between = np.delete(np.delete(between, second, 0), second, 1)
            labels = np.where(labels == second, first, labels)
            labels = (labels - (labels > second)).astype(np.int32)
        return labels, 0.0


def _spectral_labels(vectors: NDArray[np.float64]) -> Labels:
    """Return the group of each point from the eigenvectors of a graph (Damle, Minden and Ying 2019)."""
    from scipy.linalg import qr

    count = vectors.shape[1]
    _, _, pivots = qr(vectors.T, pivoting=True, mode="economic")
    left, _, right = np.linalg.svd(vectors[pivots[:count]].T)
    labels = np.abs(vectors @ (left @ right)).argmax(axis=1)
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)
