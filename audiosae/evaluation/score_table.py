"""The numbers of an evaluation as text: the terminal, the page, the pictures and the notebook show these texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Scores:
    """Scores of one feature set as text.

    Attributes
    ----------
    name, features
        Name of the feature set, and number of values per file.
    accuracy, std, stderr
        Mean accuracy over folds, its standard deviation ("" with one fold) and standard error, in per cent.
    low, high
        Ends of the confidence interval, in per cent.
    ahead
        Mean paired difference model - baseline with its standard error, in percentage points; "" for the model.
    few
        Accuracy in per cent with the best few units, by their number.
    groups, v_measure
        Adjusted mutual information and V-measure of the labels with groups made without labels.
    """

    name: str
    features: str
    accuracy: str
    std: str
    stderr: str
    low: str
    high: str
    ahead: str
    few: dict[int, str]
    groups: str
    v_measure: str


def scores_of(result: Mapping[str, Any]) -> Scores:
    """Return the texts of a result (see `audiosae.evaluation.predictions.Predictions.summary`)."""
    low, high = map(percent, result["interval"])
    groups, v_measure = (f"{_unsigned_zero(result[key], 2):.2f}" for key in ("groups", "v_measure"))
    return Scores(
        name=result["name"],
        features=str(result["features"]),
        accuracy=percent(result["accuracy"]),
        std=percent(result["std"]) if len(result["folds"]) > 1 else "",
        stderr=percent(result["stderr"]),
        low=low,
        high=high,
        ahead=points(result["model_ahead"]) if "model_ahead" in result else "",
        few={probed["units"]: percent(probed["accuracy"]) for probed in result["probing"]},
        groups=groups,
        v_measure=v_measure,
    )


def ranked(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the results, the most accurate first."""
    return sorted(results, key=lambda result: -result["accuracy"])


def percent(share: float) -> str:
    """Return a share in per cent, with one decimal."""
    return f"{100 * share:.1f}"


def points(difference: Mapping[str, Any], *, signed: bool = True) -> str:
    """Return a difference of shares (`mean`, `stderr`) in percentage points, with or without its sign."""
    mean = _unsigned_zero(100 * difference["mean"], 1)
    return f"{f'{mean:+.1f}' if signed and mean else f'{abs(mean):.1f}'} ± {percent(difference['stderr'])}"


def _unsigned_zero(value: float, digits: int) -> float:
    """Return a value rounded to digits; numbers that round to 0 have no sign."""
    return round(value, digits) + 0.0
