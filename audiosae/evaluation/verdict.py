"""The verdict of an evaluation in words: the model compared with each baseline, and what the model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from audiosae.evaluation.score_table import points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.domain import Kind

Outcome = Literal["worse", "no better", "not measurably better", "better"]
_OUTCOMES: tuple[Outcome, ...] = ("worse", "no better", "not measurably better", "better")
_NAMES = {"random-weights": "random weights", "kmeans": "k-means", "nmf": "NMF", "pca": "PCA", "mfcc": "MFCC"}
_FIELDS = {"sound": "the spectrogram itself", "picture": "the pixels themselves"}


def name_of(baseline: str, kind: Kind) -> str:
    """Return the name of a baseline in a sentence; `kind` is that of the model's domain."""
    return _NAMES.get(baseline) or _FIELDS.get(kind, "the values themselves")


@dataclass(frozen=True)
class Comparison:
    """The model compared with a baseline on the same folds.

    Attributes
    ----------
    baseline
        One of `audiosae.evaluation.baselines.BASELINES`.
    outcome
        ``better`` or ``worse`` if the 95 % confidence interval of the mean paired difference does not include 0.
        Otherwise ``not measurably better`` if the difference is above 0, and ``no better`` if it is not.
    difference, stderr
        Mean of the differences in accuracy (model - baseline) over the folds and its standard error, as shares of 1.
    words
        The outcome and the difference as a phrase.
    """

    baseline: str
    outcome: Outcome
    difference: float
    stderr: float
    words: str


@dataclass(frozen=True)
class Verdict:
    """What an evaluation says about the model.

    Attributes
    ----------
    summary
        All outcomes in one sentence.
    comparisons
        One for each baseline, that with the smallest difference first.
    training
        Whether the model was trained on the files that are tested, in words.
    """

    summary: str
    comparisons: tuple[Comparison, ...]
    training: str

    @property
    def lines(self) -> list[str]:
        """The verdict as lines: the summary, a phrase for each baseline, what the model was trained on."""
        return [self.summary, *(comparison.words for comparison in self.comparisons), self.training]

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON values."""
        compared = [vars(comparison) for comparison in self.comparisons]
        return {"summary": self.summary, "comparisons": compared, "training": self.training}


def make_verdict(results: Sequence[dict[str, Any]], training: str, kind: Kind) -> Verdict:
    """Return the verdict of results with a `model_ahead` (see `audiosae.evaluation.scores.summarise`).

    Parameters
    ----------
    results
        One dictionary for each feature set; those without `model_ahead` are not baselines.
    training
        Whether the model was trained on the tested files.
    kind
        Kind of the model's domain.
    """
    compared = [_compare(result, kind) for result in results if "model_ahead" in result]
    compared.sort(key=lambda each: each.difference)
    return Verdict(_summary(compared, kind), tuple(compared), training)


def _compare(result: dict[str, Any], kind: Kind) -> Comparison:
    ahead, name = result["model_ahead"], name_of(result["name"], kind)
    low, high = ahead["interval"]
    outcome: Outcome = "not measurably better" if ahead["mean"] > 0 else "no better"
    if low > 0 or high < 0:
        outcome = "better" if low > 0 else "worse"
        words = f"{outcome} than {name} by {points(ahead, signed=False)} percentage points"
    else:
        words = f"{outcome} than {name} on these labels: difference {points(ahead)} percentage points"
    return Comparison(result["name"], outcome, ahead["mean"], ahead["stderr"], words)


def _summary(compared: Sequence[Comparison], kind: Kind) -> str:
    if not compared:
        return "The features were compared with no baseline; --baselines all shows whether training was worth it."
    names = {
        outcome: [name_of(each.baseline, kind) for each in compared if each.outcome == outcome] for outcome in _OUTCOMES
    }
    parts = [f"{outcome} than {listed(own)}" for outcome, own in names.items() if own]
    return f"On these labels, the model's features are {listed(parts, last=', and ')}."


def listed(words: Sequence[str], *, last: str = " and ") -> str:
    """Return words with commas between them, and `last` before the last one."""
    return last.join([*filter(None, [", ".join(words[:-1])]), words[-1]])
