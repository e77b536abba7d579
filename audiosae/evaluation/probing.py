"""Two more questions to every set of features: how far a few units go, and what groups there are without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNTS = (1, 2, 5, 20)  # units of a sparse probe
MOST_GROUPED = 4096  # clips that are grouped: Ward's method needs their distances two by two
_COMPONENTS = 30
_COLUMNS = 256  # features that are scored at a time, in double precision


def rank_units(features: NDArray[np.float32], classes: NDArray[np.int64], units: int) -> NDArray[np.int64]:
    """Return the units, best first, by how well each alone separates the classes.

    The score of a unit is the largest F statistic of its features in a one-way analysis of variance (Fisher 1925).
    Ranking units for a probe of few units follows Gurnee et al. (TMLR 2023).

    Parameters
    ----------
    features
        Features of the training clips, (clips, units x features of a unit). The features of a unit are adjacent.
    classes
        Class number of each training clip.
    units
        Number of units.
    """
    from sklearn.feature_selection import f_classif

    scores = np.zeros(features.shape[1])  # a constant feature, whose F is not defined, keeps 0
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


def numbers_of(units: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Return which features belong to some units, each with `width` numbers side by side."""
    return np.asarray((units[:, None] * width + np.arange(width)).reshape(-1))


def grouped(count: int, seed: int) -> NDArray[np.int64]:
    """Return the clips that are grouped, ascending: all of them, or 4096 drawn by the seed."""
    if count <= MOST_GROUPED:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_GROUPED, replace=False))


def groups_like_classes(features: NDArray[np.float32], target: NDArray[np.int64]) -> float:
    """Return how alike groups of clips, made without labels, are to their classes: 1 the same, 0 by chance.

    As many groups as there are classes, by Ward's method (1963) on 30 principal components of the standardised
    features; adjusted mutual information (Vinh, Epps and Bailey, JMLR 2010). All three as scikit-learn has them.
    """
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.decomposition import PCA
    from sklearn.metrics import adjusted_mutual_info_score

    spread = features.std(axis=0, dtype=np.float64)
    kept = spread > 0
    if not kept.any():
        return 0.0
    mean, gain = features[:, kept].mean(axis=0, dtype=np.float64), 1 / spread[kept]
    x: NDArray[Any] = (features[:, kept] - mean.astype(np.float32)) * gain.astype(np.float32)
    few = min(x.shape) <= 2 * _COMPONENTS
    parts = PCA(min(_COMPONENTS, *x.shape), svd_solver="full" if few else "arpack", random_state=0).fit_transform(x)
    groups = AgglomerativeClustering(len(np.unique(target)), linkage="ward").fit_predict(parts)
    return float(adjusted_mutual_info_score(target, groups))
