"""Classifiers for feature sets: ridge (the default), logistic regression, linear SVM and random forest."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.evaluation.ridge import Ridge
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

ClassifierName = Literal["ridge", "logistic", "svm", "forest"]
CLASSIFIERS: dict[ClassifierName, str] = {
    "ridge": "ridge classification, penalty chosen on inner folds",
    "logistic": "L2-regularised logistic regression, penalty chosen on inner folds",
    "svm": "linear support vector machine, penalty chosen on inner folds",
    "forest": "random forest of 300 trees",
}
STRENGTHS: tuple[float, ...] = tuple(10.0 ** (1 - step / 2) for step in range(13))  # penalties from 10 down to 0.00001
_SVM_STRENGTHS: tuple[float, ...] = tuple(10.0**-step for step in range(5))
_MODULES: dict[ClassifierName, tuple[str, ...]] = {  # of scikit-learn
    "ridge": (),
    "logistic": ("linear_model",),
    "svm": ("svm",),
    "forest": ("ensemble",),
}
INNER_FOLDS = 5
_PATIENCE = 2  # strengths without an improvement before the search stops
_MOST_STEPS = 500
_LEAST = 1e-13  # smaller probabilities are raised to this
_CONSTANT = 1e-6  # features with a smaller standard deviation, relative to their mean, are left out
_TREES = 300
_ROWS = 64


def load_for_threads(classifier: ClassifierName = "ridge") -> None:
    """Import the modules that threads use, before the threads start.

    Modules of scikit-learn import each other. Two threads that import them at the same time can see a module that is
    only partly initialised.
    """
    parts = ("cluster", "decomposition", "feature_selection", "metrics", *_MODULES[classifier])
    for name in ("scipy.cluster.hierarchy", "scipy.fft", "scipy.linalg", *(f"sklearn.{part}" for part in parts)):
        import_module(name)


def classify(
    train: NDArray[np.float32],
    classes: NDArray[np.int64],
    test: NDArray[np.float32],
    inner: NDArray[np.int64],
    classifier: ClassifierName = "ridge",
) -> tuple[NDArray[np.int64], float]:
    """Predict the classes of test files from standardised features.

    Parameters
    ----------
    train, classes
        Features (files, features) and class numbers of the training part; the mean and scale of features come from it.
    test
        Features of the test files; only the predictions depend on them.
    inner
        Inner fold number of each training file; the penalty is chosen by holding out these folds in turn.
    classifier
        One of `CLASSIFIERS`.

    Returns
    -------
    tuple
        Class numbers of the test files, and the strength of the penalty: the cost is the mean loss plus
        strength / 2 |w|^2. The strength of a random forest is 0.
    """
    import_module("scipy.linalg")  # it has its own BLAS, which can be limited only after the import
    with one_blas_thread():
        if classifier == "forest":
            return _forest(train, classes, test)
        x, y = _standardised(train, test)
        if classifier == "ridge":
            return _ridge(x, classes, y, inner)
        x, y = _rotated(x, y)
        return {"logistic": _logistic, "svm": _svm}[classifier](x, classes, y, inner)


def _ridge(
    x: NDArray[Any], classes: NDArray[np.int64], test: NDArray[Any], inner: NDArray[np.int64]
) -> tuple[NDArray[np.int64], float]:
    """Regress on class indicators with the L2 penalty that has the smallest squared error on inner folds."""
    names, numbers = np.unique(classes, return_inverse=True)
    fits = Ridge(x, np.eye(len(names), dtype=x.dtype)[numbers], list(_held_out(classes, inner)))
    strength = fits.best_strength()
    return names[fits.predict(test, strength).argmax(axis=1)], strength


def _logistic(
    x: NDArray[Any], classes: NDArray[np.int64], test: NDArray[Any], inner: NDArray[np.int64]
) -> tuple[NDArray[np.int64], float]:
    """Fit multinomial logistic regression with the penalty that has the smallest log loss on inner folds.

    The strengths are tried from strong to weak, with warm starts, until the loss gets worse.
    """
    from sklearn.linear_model import LogisticRegression

    folds = [(x[~out], classes[~out], x[out], classes[out]) for out in _held_out(classes, inner)]
    fits = [LogisticRegression(max_iter=_MOST_STEPS, warm_start=True) for _ in folds]
    best, chosen, worse = np.inf, STRENGTHS[0], 0
    for strength in STRENGTHS:
        loss = 0.0
        for (train, labels, held_out, true), fit in zip(folds, fits, strict=True):
            fit.set_params(C=1 / (strength * len(train))).fit(train, labels)
            likelihood = fit.predict_proba(held_out)[true[:, None] == fit.classes_]  # only of classes the fit knows
            loss -= float(np.log(np.maximum(likelihood, _LEAST)).sum(dtype=np.float64))
        best, chosen, worse = (loss, strength, 0) if loss < best else (best, chosen, worse + 1)
        if worse == _PATIENCE:
            break
    fitted = LogisticRegression(C=1 / (chosen * len(x)), max_iter=_MOST_STEPS, tol=1e-5).fit(x, classes)
    return np.asarray(fitted.predict(test)), chosen


def _svm(
    x: NDArray[Any], classes: NDArray[np.int64], test: NDArray[Any], inner: NDArray[np.int64]
) -> tuple[NDArray[np.int64], float]:
    """Fit a linear support vector machine (one class against the rest) with the penalty that is best on inner folds."""
    from sklearn.svm import LinearSVC

    def fit(strength: float, part: NDArray[np.bool_]) -> LinearSVC:
        return LinearSVC(C=1 / (strength * part.sum()), dual="auto", random_state=0).fit(x[part], classes[part])

    folds = list(_held_out(classes, inner))
    right = [sum((fit(s, ~out).predict(x[out]) == classes[out]).sum() for out in folds) for s in _SVM_STRENGTHS]
    strength = _SVM_STRENGTHS[int(np.argmax(right))]
    return np.asarray(fit(strength, np.ones(len(x), bool)).predict(test)), strength


def _forest(x: NDArray[Any], classes: NDArray[np.int64], test: NDArray[Any]) -> tuple[NDArray[np.int64], float]:
    """Fit a random forest (Breiman 2001) with scikit-learn's defaults except for the number of trees."""
    from sklearn.ensemble import RandomForestClassifier

    return np.asarray(RandomForestClassifier(_TREES, random_state=0).fit(x, classes).predict(test)), 0.0


def _held_out(classes: NDArray[np.int64], inner: NDArray[np.int64]) -> Iterator[NDArray[np.bool_]]:
    """Yield a mask of the files of each inner fold whose other folds have at least two classes."""
    for fold in np.unique(inner):
        if len(np.unique(classes[inner != fold])) > 1:
            yield inner == fold


def _standardised(train: NDArray[np.float32], test: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    mean, spread = _moments(train)
    varied = spread > _CONSTANT * np.maximum(np.abs(mean), _CONSTANT)
    if not varied.any():
        varied[0], spread[0] = True, 1.0
    mean, gain = mean[varied].astype(np.float32), (1 / spread[varied]).astype(np.float32)
    parts = (train, test) if varied.all() else (train[:, varied], test[:, varied])
    scaled = [part - mean for part in parts]
    for part in scaled:
        part *= gain
    return scaled[0], scaled[1]


def _moments(x: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of columns in double precision, of some rows at a time that fit in a cache."""
    blocks = [x[at : at + _ROWS] for at in range(0, len(x), _ROWS)]
    mean = sum(block.sum(axis=0, dtype=np.float64) for block in blocks) / len(x)
    squares = sum(np.square(block - mean).sum(axis=0) for block in blocks)
    return mean, np.sqrt(squares / len(x))


def _rotated(train: NDArray[Any], test: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rotate the features to at most as many as files; a classifier with a penalty on |w| stays the same."""
    from scipy.linalg import qr

    if train.shape[1] <= len(train):
        return train, test
    axes, rotated = qr(train.T, mode="economic", check_finite=False)
    return np.ascontiguousarray(rotated.T), test @ axes
