"""Probes of a feature set: the units that separate the classes best, and agreement of clusters with the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNTS = (1, 2, 5, 20)  # units of a sparse probe
MOST_GROUPED = 4096  # files that are clustered: Ward's method needs all their pairwise distances
_COMPONENTS = 30
_COLUMNS = 256  # features that are scored at a time, in double precision


def rank_units(features: NDArray[np.float32], classes: NDArray[np.int64], units: int) -> NDArray[np.int64]:
    """Return the units, best first, by how well each alone separates the classes.

    The score of a unit is the largest F statistic of its features in a one-way analysis of variance (Fisher 1925).
    Ranking units for a probe of few units follows Gurnee et al. (TMLR 2023).

    Parameters
    ----------
    features
        Features of the training files, (files, units x features of a unit). The features of a unit are adjacent.
    classes
        Class number of each training file.
    units
        Number of units.
    """
    from sklearn.feature_selection import f_classif

    scores = np.zeros(features.shape[1])  # a constant feature, whose F is not defined, has 0
    for start in range(0, len(scores), _COLUMNS):
        x = features[:, start : start + _COLUMNS].astype(np.float64)
        varied = np.ptp(x, axis=0) > 0
        if varied.any():
            x = x[:, varied]
            with np.errstate(divide="ignore", invalid="ignore"):  # no variance within the classes
                scores[start : start + _COLUMNS][varied] = f_classif(x - x.mean(axis=0), classes)[0]
    scores[np.isnan(scores)] = 0
    scores[scores < -1] = np.inf  # the variance within the classes is 0, rounded to a negative number
    return np.argsort(-scores.reshape(units, -1).max(axis=1), kind="stable")


def files_to_cluster(count: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers of the files that are clustered, ascending: all of them, or a random 4096."""
    if count <= MOST_GROUPED:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_GROUPED, replace=False))


class Agreement(NamedTuple):
    """Agreement of clusters with classes: 1 if they are identical.

    Attributes
    ----------
    groups
        Adjusted mutual information (Vinh, Epps and Bailey, JMLR 2010): 0 by chance.
    v_measure
        Harmonic mean of homogeneity and completeness (Rosenberg and Hirschberg, EMNLP 2007). It is not adjusted for
        chance, so it is above 0 for random clusters, most of all for many small classes.
    """

    groups: float
    v_measure: float


def cluster_agreement(features: NDArray[np.float32], target: NDArray[np.int64]) -> Agreement:
    """Return how well clusters of files, made without labels, agree with the classes.

    There are as many clusters as classes, by Ward's method (1963) on 30 principal components of the standardised
    features.
    """
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.decomposition import PCA
    from sklearn.metrics import adjusted_mutual_info_score, v_measure_score

    spread = features.std(axis=0, dtype=np.float64)
    varied = spread > 0
    if not varied.any():
        return Agreement(0.0, 0.0)
    mean, gain = features[:, varied].mean(axis=0, dtype=np.float64), 1 / spread[varied]
    x: NDArray[Any] = (features[:, varied] - mean.astype(np.float32)) * gain.astype(np.float32)
    solver = "full" if min(x.shape) <= 2 * _COMPONENTS else "arpack"
    parts = PCA(min(_COMPONENTS, *x.shape), svd_solver=solver, random_state=0).fit_transform(x)
    groups = AgglomerativeClustering(len(np.unique(target)), linkage="ward").fit_predict(parts)
    return Agreement(float(adjusted_mutual_info_score(target, groups)), float(v_measure_score(target, groups)))
