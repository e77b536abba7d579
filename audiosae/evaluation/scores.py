"""Scores of predictions: accuracy with a confidence interval, recall, confusion matrix, paired difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.evaluation.folds import Plan


_LEVEL = 0.95  # of the confidence intervals


def summarise(plan: Plan, predicted: NDArray[np.int64], reference: NDArray[np.int64] | None = None) -> dict[str, Any]:
    """Return the scores of predictions.

    Parameters
    ----------
    plan
        Labels and folds of the files.
    predicted
        Class number per file; those of files that are not tested are ignored.
    reference
        Predictions of the model, for `model_ahead`: the mean paired difference per fold, or per file if there is only
        one fold, with its standard error and Student's confidence interval.

    Returns
    -------
    dict
        `accuracy` is the mean over folds, `std` their standard deviation (n - 1), `stderr` that divided by the square
        root of their number, `interval` Student's confidence interval. Folds share training files, so standard error
        and interval are approximations, not a test (Bengio and Grandvalet 2004). With one fold, they are the binomial
        standard error and Wilson's interval over its files.
    """
    from sklearn.metrics import confusion_matrix

    classes = np.arange(len(plan.classes))
    confusion = confusion_matrix(plan.target[plan.tested], predicted[plan.tested], labels=classes)
    tested = confusion.sum(axis=1)
    recall = {name: float(confusion[i, i] / tested[i]) for i, name in enumerate(plan.classes) if tested[i]}
    result = spread(plan, predicted) | {"recall": recall, "confusion": confusion.tolist()}
    if reference is not None:
        gain = (reference == plan.target).astype(float) - (predicted == plan.target)
        by_fold = np.array([gain[split.test].mean() for split in plan.splits])
        ahead = by_fold if len(by_fold) > 1 else gain[plan.tested]
        result["model_ahead"] = _difference(ahead)
    return result


def _difference(ahead: NDArray[np.float64]) -> dict[str, Any]:
    """Return the mean of paired differences, its standard error, and Student's interval (all values if unknown)."""
    from scipy import stats

    mean, count = float(ahead.mean()), len(ahead)
    if count == 1:
        return {"mean": mean, "stderr": 0.0, "interval": [-1.0, 1.0]}
    error = float(ahead.std(ddof=1) / np.sqrt(count))
    low, high = stats.t.interval(_LEVEL, count - 1, mean, error) if error else (mean, mean)
    return {"mean": mean, "stderr": error, "interval": [float(low), float(high)]}


def spread(plan: Plan, predicted: NDArray[np.int64]) -> dict[str, Any]:
    """Return the accuracy with its standard error and interval, and the accuracy of each fold; see `summarise`."""
    from scipy import stats

    right = predicted == plan.target
    folds = np.array([right[split.test].mean() for split in plan.splits])
    mean, std = float(folds.mean()), 0.0
    if len(folds) > 1:
        std = float(folds.std(ddof=1))
        error, method = std / np.sqrt(len(folds)), "Student, over folds"
        low, high = stats.t.interval(_LEVEL, len(folds) - 1, mean, error) if error else (mean, mean)
    else:
        count = len(plan.tested)
        error, method = np.sqrt(mean * (1 - mean) / count), "Wilson, over clips"
        low, high = stats.binomtest(int(right[plan.tested].sum()), count).proportion_ci(_LEVEL, "wilson")
    return {
        "accuracy": mean,
        "std": std,
        "stderr": float(error),
        "interval": [max(0.0, float(low)), min(1.0, float(high))],
        "interval_method": method,
        "folds": folds.tolist(),
    }
