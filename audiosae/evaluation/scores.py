"""Scores of predictions: accuracy with its interval, recall, confusion matrix, paired difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.evaluation.folds import Plan


_LEVEL = 0.95


def summarise(plan: Plan, predicted: NDArray[np.int64], reference: NDArray[np.int64] | None = None) -> dict[str, Any]:
    """Return what predictions amount to.

    Parameters
    ----------
    plan
        How clips were divided.
    predicted
        Class number per clip; what is not tested is not looked at.
    reference
        Predictions of the model, for the difference fold by fold (or clip by clip where there is one fold).

    Returns
    -------
    dict
        `accuracy` is the mean over folds, `std` their standard deviation (n - 1), `stderr` that over the root of their
        number, `interval` Student's. Folds share training clips, so both are a guide, not a test (Bengio and Grandvalet
        2004). One fold: binomial standard error and Wilson's interval over its clips.
    """
    from sklearn.metrics import confusion_matrix

    right = predicted == plan.target
    found = spread(plan, predicted)
    classes = np.arange(len(plan.classes))
    confusion = confusion_matrix(plan.target[plan.tested], predicted[plan.tested], labels=classes)
    seen = confusion.sum(axis=1)
    recall = {name: float(confusion[i, i] / seen[i]) for i, name in enumerate(plan.classes) if seen[i]}
    found |= {"recall": recall, "confusion": confusion.tolist()}
    if reference is not None:
        gain = (reference == plan.target).astype(float) - right
        by_fold = np.array([gain[split.test].mean() for split in plan.splits])
        ahead = by_fold if len(by_fold) > 1 else gain[plan.tested]
        error = float(ahead.std(ddof=1) / np.sqrt(len(ahead))) if len(ahead) > 1 else 0.0
        found["model_ahead"] = {"mean": float(by_fold.mean()), "stderr": error}
    return found


def spread(plan: Plan, predicted: NDArray[np.int64]) -> dict[str, Any]:
    """Return the accuracy of predictions (`summarise`), how sure it is, and that of each fold."""
    from scipy import stats

    all_right = predicted == plan.target
    folds, right = np.array([all_right[split.test].mean() for split in plan.splits]), all_right[plan.tested]
    mean, std = float(folds.mean()), 0.0
    if len(folds) > 1:
        std = float(folds.std(ddof=1))
        error, method = std / np.sqrt(len(folds)), "Student, over folds"
        low, high = stats.t.interval(_LEVEL, len(folds) - 1, mean, error) if error else (mean, mean)
    else:
        error, method = np.sqrt(mean * (1 - mean) / len(right)), "Wilson, over clips"
        low, high = stats.binomtest(int(right.sum()), len(right)).proportion_ci(_LEVEL, "wilson")
    interval = [max(0.0, float(low)), min(1.0, float(high))]
    return {
        "accuracy": mean, "std": std, "stderr": float(error), "interval": interval, "interval_method": method,
        "folds": folds.tolist(),
    }  # fmt: skip
