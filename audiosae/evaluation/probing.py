"""Two more questions to every set of features: how far a few units go, and what groups there are without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNTS = (1, 2, 5, 20)  # units of a sparse probe
MOST_GROUPED = 4096  # clips that are grouped: Ward's method needs their distances two by two
_COMPONENTS = 30


def telling(features: NDArray[np.float32], classes: NDArray[np.int64], units: int) -> NDArray[np.int64]:
    """Return the units in the order of how well each alone tells the classes apart; the best is first.

    A unit is as good as its best number is by the F-test of analysis of variance (Fisher 1925). How few units know a
    class is asked as in sparse probing (Gurnee et al., TMLR 2023).

    Parameters
    ----------
    features
        Of the training part alone, (clips, units x numbers of each); the numbers of a unit lie side by side.
    classes
        Class numbers of its clips.
    units
        How many there are.
    """
    member = classes[:, None] == np.unique(classes)
    inside = member.sum(axis=0)
    centred = features - features.mean(axis=0, dtype=np.float64).astype(np.float32)
    means = (member.T.astype(np.float32) @ centred) / inside[:, None]
    between, total = inside @ np.square(means), np.square(centred).sum(axis=0, dtype=np.float64)
    share = np.divide(between, total, out=np.zeros_like(total), where=total > 0)  # F rises with it
    return np.argsort(-share.reshape(units, -1).max(axis=1), kind="stable")


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
