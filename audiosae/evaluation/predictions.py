"""Predictions and scores of one feature set: by all its features, by a few units, and by clusters without labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.evaluation import scores
from audiosae.evaluation.classifier import ClassifierName, classify
from audiosae.evaluation.probing import COUNTS, Agreement, rank_units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.evaluation.folds import Plan, Split


@dataclass(frozen=True)
class FoldPredictions:
    """Predictions of one fold.

    Attributes
    ----------
    classes, strength
        Results of `audiosae.evaluation.classifier.classify`.
    units
        The units that separate the classes of the training part best, best first.
    few
        Class numbers of the test files predicted from the best 1, 2, 5 and 20 units, by the number of units.
    """

    classes: NDArray[np.int64]
    strength: float
    units: NDArray[np.int64]
    few: dict[int, NDArray[np.int64]]


def classify_fold(
    features: NDArray[np.float32],
    target: NDArray[np.int64],
    split: Split,
    inner: NDArray[np.int64],
    *,
    width: int,
    classifier: ClassifierName,
) -> FoldPredictions:
    """Classify the test files of a fold by all features, and by those of the best few units of the training part.

    Parameters
    ----------
    features, target
        Of all files: (files, units x width) and class numbers.
    split, inner
        The fold, and the inner fold of each of its training files.
    width
        Number of features per unit.
    classifier
        Used for all features and for those of a few units.
    """
    train, test, classes = features[split.train], features[split.test], target[split.train]
    predicted, strength = classify(train, classes, test, inner, classifier)
    count = features.shape[1] // width
    units = rank_units(train, classes, count)[: max(COUNTS)]
    few = {}
    for number in (number for number in COUNTS if number < count):
        columns = (units[:number, None] * width + np.arange(width)).reshape(-1)
        few[number] = classify(train[:, columns], classes, test[:, columns], inner, classifier)[0]
    return FoldPredictions(predicted, strength, units, few)


@dataclass
class Predictions:
    """Predictions of one feature set over all folds; class numbers are -1 where a file was not tested."""

    predicted: NDArray[np.int64]
    features: int = 0
    strengths: list[float] = field(default_factory=list)
    units: list[list[int]] = field(default_factory=list)
    few: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    agreements: list[Agreement] = field(default_factory=list)

    def add(self, split: Split, fold: FoldPredictions) -> None:
        """Add the predictions of a fold."""
        self.predicted[split.test] = fold.classes
        self.strengths.append(fold.strength)
        self.units.append(fold.units.tolist())
        for count, classes in fold.few.items():
            self.few.setdefault(count, np.full_like(self.predicted, -1))[split.test] = classes

    def summary(self, plan: Plan, reference: NDArray[np.int64] | None) -> dict[str, Any]:
        """Return the scores: those of `audiosae.evaluation.scores.summarise`, `probing`, `groups` and `v_measure`."""
        return {
            "features": self.features,
            **scores.summarise(plan, self.predicted, reference),
            "strengths": self.strengths,
            "probing": [{"units": count, **scores.spread(plan, classes)} for count, classes in self.few.items()],
            "best_units": self.units,
            **dict(zip(Agreement._fields, np.mean(self.agreements, axis=0).tolist(), strict=True)),
        }
