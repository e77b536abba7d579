"""What a few units tell (sparse probing), and what all of them tell without labels (groups)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiosae.evaluation.classifier import Judge, classify

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROBED = (1, 2, 5, 20)  # units
COMPONENTS = 30  # in which groups are sought
MOST_GROUPED = 4000  # clips: the distances between all of them are held at once


def best_units(features: NDArray[np.float32], classes: NDArray[np.int64], per_unit: int) -> NDArray[np.int64]:
    """Return the numbers of all units, the one that differs most between the classes first.

    Units are ranked by the ratio of variances between and within classes (Fisher's F, one-way analysis of variance),
    that of the best of their pooled values.

    Parameters
    ----------
    features
        Of the clips that may be looked at, (clips, units x per_unit).
    classes
        Class number of each clip.
    per_unit
        Pooled values of a unit, which lie side by side.
    """
    numbers = np.unique(classes, return_inverse=True)[1]
    counts = np.bincount(numbers)
    x = (features - features.mean(axis=0)).astype(np.float64)
    means = np.stack([x[numbers == i].mean(axis=0) for i in range(len(counts))])
    between, total = counts @ np.square(means), np.square(x).sum(axis=0)
    within = np.maximum(total - between, 0)
    ratio = np.where(total > 0, between / np.maximum(within, 1e-12 * np.maximum(total, 1e-300)), 0)
    return np.argsort(-ratio.reshape(-1, per_unit).max(axis=1), kind="stable")


def probe(
    train: NDArray[np.float32], classes: NDArray[np.int64], test: NDArray[np.float32], inner: NDArray[np.int64], *,
    per_unit: int, judge: Judge = "ridge",
) -> dict[int, NDArray[np.int64]]:  # fmt: skip
    """Predict the classes of test clips from the best few units, which are chosen on the training part alone.

    Gurnee and others 2023 ("Finding neurons in a haystack") call it sparse probing.

    Parameters
    ----------
    train, classes, test, inner, judge
        As in `audiosae.evaluation.classifier.classify`.
    per_unit
        As in `best_units`.

    Returns
    -------
    dict
        Class numbers of the test clips by the number of units; numbers above that of all units are left out.
    """
    order, found = best_units(train, classes, per_unit), {}
    for count in PROBED:
        if count <= len(order):
            columns = (order[:count, None] * per_unit + np.arange(per_unit)).ravel()
            found[count] = classify(train[:, columns], classes, test[:, columns], inner, judge)[0]
    return found


def agreement_of_groups(features: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    """Return how far clips that are grouped without labels, as many groups as classes, are grouped as the classes are.

    Features are standardised and projected onto 30 principal components; Ward's clustering; of more than 4000 clips
    an even sample.

    Returns
    -------
    float
        Adjusted mutual information (Vinh, Epps and Bailey 2010): 1 where groups are the classes, 0 by chance.
    """
    from scipy.cluster.hierarchy import fcluster, ward
    from scipy.spatial.distance import pdist
    from sklearn.decomposition import PCA
    from sklearn.metrics import adjusted_mutual_info_score
    from sklearn.preprocessing import StandardScaler

    few = min(len(features), MOST_GROUPED)
    drawn = np.arange(few) * len(features) // few
    x, wanted = StandardScaler().fit_transform(features[drawn].astype(np.float64)), classes[drawn]
    most = min(COMPONENTS, *x.shape)
    points = PCA(most, svd_solver="randomized", random_state=0).fit_transform(x)
    groups = fcluster(ward(pdist(points)), len(np.unique(wanted)), "maxclust")
    return float(adjusted_mutual_info_score(wanted, groups))
