"""Which clips are learned from and which are tested, and pictures of what came of it."""

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
    right = predicted == plan.target
    folds = np.array([right[split.test].mean() for split in plan.splits])
    found = _spread(folds, right[plan.tested])
    confusion = np.zeros((len(plan.classes), len(plan.classes)), np.int64)
    np.add.at(confusion, (plan.target[plan.tested], predicted[plan.tested]), 1)
    seen = confusion.sum(axis=1)
    recall = {name: float(confusion[i, i] / seen[i]) for i, name in enumerate(plan.classes) if seen[i]}
    found |= {"folds": folds.tolist(), "recall": recall, "confusion": confusion.tolist()}
    if reference is not None:
        gain = (reference == plan.target).astype(float) - right
        by_fold = np.array([gain[split.test].mean() for split in plan.splits])
        ahead = by_fold if len(by_fold) > 1 else gain[plan.tested]
        error = float(ahead.std(ddof=1) / np.sqrt(len(ahead))) if len(ahead) > 1 else 0.0
        found["model_ahead"] = {"mean": float(by_fold.mean()), "stderr": error}
    return found


def _spread(folds: NDArray[Any], right: NDArray[np.bool_]) -> dict[str, Any]:
    from scipy.special import ndtri, stdtrit

    mean, tail = float(folds.mean()), (1 + _LEVEL) / 2
    if len(folds) > 1:
        std = float(folds.std(ddof=1))
        error = std / np.sqrt(len(folds))
        reach = float(stdtrit(len(folds) - 1, tail)) * error
        interval, method = [max(0.0, mean - reach), min(1.0, mean + reach)], "Student, over folds"
    else:
        n, z = len(right), float(ndtri(tail))
        std, error = 0.0, np.sqrt(mean * (1 - mean) / n)
        middle = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z / (1 + z**2 / n) * float(np.sqrt(mean * (1 - mean) / n + z**2 / (4 * n**2)))
        interval, method = [max(0.0, middle - reach), min(1.0, middle + reach)], "Wilson, over clips"
    return {"accuracy": mean, "std": std, "stderr": float(error), "interval": interval, "interval_method": method}
