"""What is answered of one set of features: by all of it, by a few of its units, and by groups without labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from audiosae.evaluation import probing, scores
from audiosae.evaluation.classifier import ClassifierName, classify

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.evaluation.folds import Plan, Split


@dataclass(frozen=True)
class FoldPredictions:
    """Predictions of one fold.

    Attributes
    ----------
    classes, strength
        As `audiosae.evaluation.classifier.classify` gives them.
    units
        The best ones on the training part, best first.
    few
        Class numbers of the test clips by how many of these units were judged alone.
    """

    classes: NDArray[np.int64]
    strength: float
    units: NDArray[np.int64]
    few: dict[int, NDArray[np.int64]]


def classify_fold(
    features: NDArray[np.float32], target: NDArray[np.int64], split: Split, inner: NDArray[np.int64], *,
    width: int, classifier: ClassifierName,
) -> FoldPredictions:  # fmt: skip
    """ClassifierName all features of clips, and those of the best few units, chosen on the training part alone.

    Parameters
    ----------
    features, target
        Of all clips: (clips, units x width) and class numbers.
    split, inner
        The fold, and the inner fold of each of its training clips.
    width
        Features that belong to one unit.
    classifier
        The classifier, the same for all and for a few.
    """
    train, test, classes = features[split.train], features[split.test], target[split.train]
    found, strength = classify(train, classes, test, inner, classifier)
    count = features.shape[1] // width
    units = probing.rank_units(train, classes, count)[: max(probing.COUNTS)]
    few = {}
    for number in probing.COUNTS:
        if number < count:
            mine = probing.numbers_of(units[:number], width)
            few[number] = classify(train[:, mine], classes, test[:, mine], inner, classifier)[0]
    return FoldPredictions(found, strength, units, few)


@dataclass
class Predictions:
    """Predictions of one set of features over all folds; class numbers are -1 where a clip was not tested."""

    clips: int
    predicted: NDArray[np.int64]
    features: int = 0
    strengths: list[float] = field(default_factory=list)
    units: list[list[int]] = field(default_factory=list)
    few: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    groups: list[float] = field(default_factory=list)

    @classmethod
    def none(cls, clips: int) -> Self:
        """Return the answers before any was given."""
        return cls(clips, np.full(clips, -1, np.int64))

    def add(self, split: Split, judged: FoldPredictions) -> None:
        """Take the answers of a fold."""
        self.predicted[split.test] = judged.classes
        self.strengths.append(judged.strength)
        self.units.append(judged.units.tolist())
        for count, classes in judged.few.items():
            self.few.setdefault(count, np.full(self.clips, -1, np.int64))[split.test] = classes

    def summary(self, plan: Plan, reference: NDArray[np.int64] | None) -> dict[str, Any]:
        """Return what the answers amount to: `audiosae.evaluation.scores.summarise`, `probing` and `groups`."""
        probed = [{"units": count, **scores.spread(plan, classes)} for count, classes in self.few.items()]
        return {
            "features": self.features, **scores.summarise(plan, self.predicted, reference),
            "strengths": self.strengths, "probing": probed, "best_units": self.units,
            "groups": float(np.mean(self.groups)),
        }  # fmt: skip
