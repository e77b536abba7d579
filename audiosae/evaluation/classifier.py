"""The classifier: ridge by default; logistic regression, linear SVM or random forest; the same for all features."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

ClassifierName = Literal["ridge", "logistic", "svm", "forest"]
CLASSIFIERS: dict[ClassifierName, str] = {
    "ridge": "ridge classification, its strength chosen on inner folds",
    "logistic": "L2-regularised logistic regression, its strength chosen on inner folds",
    "svm": "a linear support vector machine, its strength chosen on inner folds",
    "forest": "a random forest of 300 trees",
}
STRENGTHS: tuple[float, ...] = tuple(10.0 ** (1 - step / 2) for step in range(13))  # of the penalty: 10 down to 0.00001
_RIDGE_STRENGTHS: tuple[float, ...] = tuple(10.0**-step for step in range(-2, 4))  # 100 down to 0.001
_HALF_STEP = 10.0**0.5
_SVM_STRENGTHS: tuple[float, ...] = tuple(10.0**-step for step in range(5))
_NEEDED: dict[ClassifierName, tuple[str, ...]] = {
    "ridge": (), "logistic": ("linear_model",), "svm": ("svm",), "forest": ("ensemble",),
}  # fmt: skip
INNER_FOLDS = 5
_PATIENCE = 2  # strengths without a gain
_MOST_STEPS = 500
_LEAST = 1e-13  # probability
_CONSTANT = 1e-6  # features that vary less, against their size, are left out
_TREES = 300


def load_for_threads(classifier: ClassifierName = "ridge") -> None:
    """Import the modules that threads use, before the threads start.

    Modules of scikit-learn import each other. Two threads that import them at the same time can see a module that is
    only partly initialised.
    """
    parts = ("cluster", "decomposition", "feature_selection", "metrics", *_NEEDED[classifier])
    for name in ("scipy.cluster.hierarchy", "scipy.fft", "scipy.linalg", *(f"sklearn.{part}" for part in parts)):
        import_module(name)


def classify(
    train: NDArray[np.float32], classes: NDArray[np.int64], test: NDArray[np.float32], inner: NDArray[np.int64],
    classifier: ClassifierName = "ridge",
) -> tuple[NDArray[np.int64], float]:  # fmt: skip
    """Predict the classes of test clips from standardised features.

    Parameters
    ----------
    train, classes
        Features (clips, features) and class numbers of the training part; standardising is learned on it alone.
    test
        Features; nothing but the predictions depends on them.
    inner
        Fold number of each training clip: held out in turn, they choose the strength of the penalty.
    classifier
        One of `CLASSIFIERS`.

    Returns
    -------
    tuple
        Class numbers of the test clips, and the strength: the cost is the mean loss plus strength / 2 |w|^2. A random
        forest has none: 0.
    """
    import scipy.linalg  # noqa: F401 (has a BLAS of its own, which can be limited once it is there)

    classifiers = {"ridge": _ridge, "logistic": _logistic, "svm": _svm, "forest": _forest}
    with one_blas_thread():
        x, y = _rotated(*_standardised(train, test)) if classifier != "forest" else (train, test)
        return classifiers[classifier](x, classes, y, inner)


def _ridge(
    x: NDArray[Any], classes: NDArray[np.int64], test: NDArray[Any], inner: NDArray[np.int64]
) -> tuple[NDArray[np.int64], float]:
    """Regress on class indicators with an L2 penalty; the strength with the least squared error on inner folds."""
    names, numbers = np.unique(classes, return_inverse=True)
    ridge, folds = _Ridge(x, np.eye(len(names), dtype=x.dtype)[numbers]), list(_held_out(classes, inner))
    error = cache(lambda strength: ridge.error_held_out(strength, folds))
    near = _valley(error, _RIDGE_STRENGTHS)
    strength = min((near, near * _HALF_STEP, near / _HALF_STEP), key=error)
    return names[ridge.predict(test, strength).argmax(axis=1)], strength


def _valley(error: Callable[[float], float], strengths: Sequence[float]) -> float:
    """Return the strength with the least error, found by going down from the middle one: there is one valley."""
    at = len(strengths) // 2
    while True:
        best = min(range(max(0, at - 1), min(len(strengths), at + 2)), key=lambda i: error(strengths[i]))
        if best == at or error(strengths[best]) >= error(strengths[at]):
            return strengths[at]
        at = best


class _Ridge:
    """Ridge regression for every strength from one eigendecomposition of the features' covariance.

    Hastie, Tibshirani and Friedman 2009, section 3.4.1.
    """

    def __init__(self, x: NDArray[Any], target: NDArray[Any]) -> None:
        from scipy.linalg import eigh

        self._mean, self._offset = x.mean(axis=0), target.mean(axis=0)
        centred = x - self._mean
        values, self._axes = eigh(centred.T @ centred / len(x), driver="evd", check_finite=False)
        self._values, self._rotated = np.maximum(values, 0), centred @ self._axes
        self._target = target - self._offset
        self._projected = self._rotated.T @ self._target / len(x)

    def predict(self, rows: NDArray[Any], strength: float) -> NDArray[Any]:
        """Return what is predicted for rows of features, (rows, classes)."""
        shrunk = self._projected / (self._values + rows.dtype.type(strength))[:, None]
        return np.asarray((rows - self._mean) @ (self._axes @ shrunk) + self._offset)

    def error_held_out(self, strength: float, folds: Sequence[NDArray[np.bool_]]) -> float:
        """Return the sum of squared errors on each fold of a fit to the others, without fitting anew.

        The residuals of a fold that was left out are (I - A)^-1 times those of the whole fit, A being the fold's block
        of the hat matrix (Cook and Weisberg 1982, section 3.4); the penalty is that of the whole fit. The sum is
        infinite where the penalty is so weak that rounding hides it: features that say nearly the same can make it so.
        """
        from scipy.linalg import LinAlgError

        dtype, count = self._rotated.dtype.type, len(self._rotated)
        gain = 1 / (self._values + dtype(strength))
        residual, total = self._target - self._rotated @ (gain[:, None] * self._projected), 0.0
        for out in folds:
            root = np.empty((out.sum(), len(gain) + 1), dtype)  # times its transpose it is the block
            root[:, :-1] = self._rotated[out] * np.sqrt(gain / dtype(count))
            root[:, -1] = dtype(count**-0.5)
            try:
                total += float(np.square(_unhatted(root, residual[out])).sum(dtype=np.float64))
            except LinAlgError:
                return np.inf
        return total


def _unhatted(root: NDArray[Any], residual: NDArray[Any]) -> NDArray[Any]:
    """Return (I - R R')^-1 r, by the smaller of the two products of R (Woodbury 1950)."""
    from scipy.linalg import solve

    wide = root.shape[1] >= len(root)
    left = root @ root.T if wide else root.T @ root  # NumPy computes half of what is symmetric
    np.negative(left, out=left)
    left.flat[:: len(left) + 1] += left.dtype.type(1)
    how = {"assume_a": "pos", "overwrite_a": True, "check_finite": False}
    return np.asarray(solve(left, residual, **how) if wide else residual + root @ solve(left, root.T @ residual, **how))


def _logistic(
    x: NDArray[Any], classes: NDArray[np.int64], test: NDArray[Any], inner: NDArray[np.int64]
) -> tuple[NDArray[np.int64], float]:
    """Fit multinomial logistic regression; the strength with the least log loss on inner folds."""
    from sklearn.linear_model import LogisticRegression

    strength = _strength(x, classes, inner)
    fitted = LogisticRegression(C=1 / (strength * len(x)), max_iter=_MOST_STEPS, tol=1e-5).fit(x, classes)
    return np.asarray(fitted.predict(test)), strength


def _svm(
    x: NDArray[Any], classes: NDArray[np.int64], test: NDArray[Any], inner: NDArray[np.int64]
) -> tuple[NDArray[np.int64], float]:
    """Fit a linear support vector machine (one class against the rest); the strength with the most right answers."""
    from sklearn.svm import LinearSVC

    def fit(strength: float, kept: NDArray[np.bool_]) -> Any:  # noqa: ANN401
        return LinearSVC(C=1 / (strength * kept.sum()), dual="auto", random_state=0).fit(x[kept], classes[kept])

    folds = list(_held_out(classes, inner))
    right = [sum((fit(s, ~out).predict(x[out]) == classes[out]).sum() for out in folds) for s in _SVM_STRENGTHS]
    strength = _SVM_STRENGTHS[int(np.argmax(right))]
    return np.asarray(fit(strength, np.ones(len(x), bool)).predict(test)), strength


def _forest(
    x: NDArray[Any], classes: NDArray[np.int64], test: NDArray[Any], inner: NDArray[np.int64]  # noqa: ARG001
) -> tuple[NDArray[np.int64], float]:  # fmt: skip
    """Fit a random forest (Breiman 2001) with scikit-learn's defaults but the number of trees."""
    from sklearn.ensemble import RandomForestClassifier

    return np.asarray(RandomForestClassifier(_TREES, random_state=0).fit(x, classes).predict(test)), 0.0


def _held_out(classes: NDArray[np.int64], inner: NDArray[np.int64]) -> Iterator[NDArray[np.bool_]]:
    """Yield, as a mask, the clips of each inner fold that leaves two classes or more to learn from."""
    for fold in np.unique(inner):
        if len(np.unique(classes[inner != fold])) > 1:
            yield inner == fold


def _strength(x: NDArray[Any], classes: NDArray[np.int64], inner: NDArray[np.int64]) -> float:
    """Choose the strength by inner folds, from strong to weak, each fit begun at the last; stop once it gets worse."""
    from sklearn.linear_model import LogisticRegression

    folds = [(x[~out], classes[~out], x[out], classes[out]) for out in _held_out(classes, inner)]
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
