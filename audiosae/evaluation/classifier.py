"""The classifier that all features share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRENGTHS: tuple[float, ...] = tuple(10.0 ** (1 - step / 2) for step in range(13))  # of the penalty: 10 down to 0.00001
INNER_FOLDS = 5
_PATIENCE = 2  # strengths without a gain
_MOST_STEPS = 500
_LEAST = 1e-13  # probability
_CONSTANT = 1e-6  # features that vary less, against their size, are left out


def classify(
    train: NDArray[np.float32], classes: NDArray[np.int64], test: NDArray[np.float32], inner: NDArray[np.int64]
) -> tuple[NDArray[np.int64], float]:
    """Predict test clips by L2-regularised multinomial logistic regression on standardised features.

    Parameters
    ----------
    train, classes
        Features (clips, features) and class numbers of the training part.
    test
        Features; nothing but the predictions depends on them.
    inner
        Fold number of each training clip: held out in turn, they choose the strength with the least log loss.

    Returns
    -------
    tuple
        Class numbers of the test clips, and the strength: the cost is the mean log loss plus strength / 2 |w|^2.
    """
    from sklearn.linear_model import LogisticRegression

    x, y = _rotated(*_standardised(train, test))
    strength = _strength(x, classes, inner)
    fitted = LogisticRegression(C=1 / (strength * len(x)), max_iter=_MOST_STEPS, tol=1e-5).fit(x, classes)
    return np.asarray(fitted.predict(y)), strength


def _strength(x: NDArray[Any], classes: NDArray[np.int64], inner: NDArray[np.int64]) -> float:
    """Choose the strength by inner folds, from strong to weak, each fit begun at the last; stop once it gets worse."""
    from sklearn.linear_model import LogisticRegression

    held = [inner == fold for fold in np.unique(inner) if len(np.unique(classes[inner != fold])) > 1]
    folds = [(x[~out], classes[~out], x[out], classes[out]) for out in held]
    fits = [LogisticRegression(max_iter=_MOST_STEPS, warm_start=True) for _ in folds]
    best, chosen, worse = np.inf, STRENGTHS[0], 0
    for strength in STRENGTHS:
        loss = 0.0
        for (kept, labels, others, wanted), fit in zip(folds, fits, strict=True):
            fit.set_params(C=1 / (strength * len(kept))).fit(kept, labels)
            said = fit.predict_proba(others)[wanted[:, None] == fit.classes_]  # of the right class, where it is known
            loss -= float(np.log(np.maximum(said, _LEAST)).sum(dtype=np.float64))
        if loss < best:
            best, chosen, worse = loss, strength, 0
        else:
            worse += 1
        if worse == _PATIENCE:
            break
    return chosen


def _standardised(train: NDArray[np.float32], test: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    mean, spread = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    kept = spread > _CONSTANT * np.maximum(np.abs(mean), _CONSTANT)
    if not kept.any():
        kept[0], spread[0] = True, 1.0
    mean, gain = mean[kept].astype(np.float32), (1 / spread[kept]).astype(np.float32)
    return (train[:, kept] - mean) * gain, (test[:, kept] - mean) * gain


def _rotated(train: NDArray[Any], test: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rotate more features than clips into as many as clips; the classifier is the same, as its penalty is a length."""
    from scipy.linalg import qr

    if train.shape[1] <= len(train):
        return train, test
    axes, rotated = qr(train.T, mode="economic", check_finite=False)
    return np.ascontiguousarray(rotated.T), test @ axes
