"""HTML page of an evaluation: accuracy, few units, groups without labels, confusion matrix, best units per label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.evaluation.baselines import MODEL
from audiosae.evaluation.score_table import percent, ranked, scores_of
from audiosae.system.files import write_file
from audiosae.system.threads import one_blas_thread
from audiosae.views.page import fill
from audiosae.views.unit_sides import show_units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from audiosae.autoencoder.model import Model

_CLASSES_SHOWN = 60  # in the confusion matrix: results.json has all
_FINE = 50  # per cent: above it the chart has a grid line every 10 per cent
_LABELS_SHOWN = 40  # labels whose units are drawn
_WIDTH, _HEIGHT, _LINE = 400, 160, 13  # of the accuracy curve, and of a line of text, in units of the SVG


@one_blas_thread()
def write_evaluation(
    model: Model, path: Path, facts: dict[str, Any], *, title: str, told: Sequence[tuple[str, str]]
) -> int:
    """Write the results of an evaluation as an HTML page; return the bytes of the page.

    Parameters
    ----------
    facts
        The facts of an `audiosae.evaluation.compare.Evaluation`, including its results.
    title
        What was classified, and how the data were divided.
    told
        Terms and descriptions of the method, for the end of the page.

    Raises
    ------
    InputError
        The page cannot be written.
    """
    results = facts["results"]
    pairs: dict[str, list[dict[str, Any]]] = {}
    for pair in facts["quality"]["units_of_labels"]:
        pairs.setdefault(pair["label"], []).append(pair)
    shown = dict(list(pairs.items())[:_LABELS_SHOWN])
    units = sorted({pair["unit"] for own in shown.values() for pair in own})
    view = {
        "title": "Quality of the features",
        "heading": "Quality of the features",
        "lead": facts["verdict"]["summary"],
        "verdict": facts["verdict"],
        "about": (
            f"{title[:1].upper()}{title[1:]}. With the model's features {percent(results[0]['accuracy'])} % of the "
            f"{facts['items']}s are classified correctly; always predicting the commonest class gets "
            f"{percent(facts['chance'])} %."
        ),
        "item": facts["items"],
        "notes": facts["notes"],
        "rows": [_row(r) for r in ranked(results)],
        "chance": 100 * facts["chance"],
        "curve": _curve(results),
        "confusion": _confusion(facts["classes"], results[0]),
        "classes": len(facts["classes"]),
        "method": told,
        "sides": dict(zip(units, show_units(model, units=units), strict=True)),
        "labels_left": len(pairs) - len(shown),
        "labels": [{"name": label, "units": own} for label, own in shown.items()],
    }
    page = fill("evaluation", view, {})
    write_file(path, page)
    return len(page)


def _row(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the tables: texts, and the bar and its error in per cent."""
    accuracy, error = 100 * result["accuracy"], 100 * result["stderr"]
    bar = {"bar": accuracy, "low": max(0.0, accuracy - error), "high": min(100.0, accuracy + error)}
    return {"own": result["name"] == MODEL, "scores": scores_of(result)} | {key: round(v, 2) for key, v in bar.items()}


def _curve(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the lines of accuracy over the number of units, in even steps whatever the numbers, and their names."""
    counts = [probed["units"] for probed in results[0]["probing"]]
    least = min(each["accuracy"] for result in results for each in [result, *result["probing"]])
    low = min(80, 10 * int(10 * least))  # per cent, at the bottom of the chart
    step, grid = _WIDTH / max(1, len(counts)), range(100, low - 1, -10 if low >= _FINE else -20)

    def height(accuracy: float) -> float:
        return round(_HEIGHT * (100 - 100 * accuracy) / (100 - low), 1)

    ends, lines = [height(result["accuracy"]) for result in results], []
    for result, end, name_at in zip(results, ends, _apart(ends), strict=True):
        few = [f"{i * step:.1f},{height(probed['accuracy'])}" for i, probed in enumerate(result["probing"])]
        points = " ".join([*few, f"{_WIDTH},{end}"])
        lines.append({"name": result["name"], "points": points, "end": end, "name_at": name_at})
    return {
        "counts": counts,
        "lines": lines[::-1],  # the model's line on top
        "grid": [{"per_cent": value, "at": height(value / 100)} for value in grid],
        "width": _WIDTH,
        "height": _HEIGHT,
    }


def _apart(heights: Sequence[float]) -> list[float]:
    """Return the heights of the names beside the ends of lines: near them, without overlap, within the chart."""
    order = np.argsort(heights, kind="stable")
    steps = _LINE * np.arange(len(order))
    placed = np.maximum.accumulate(np.array(heights)[order] - steps) + steps  # each below the one before
    limits = max(_HEIGHT, steps[-1]) - steps[::-1]
    places = np.empty(len(order))
    places[order] = np.minimum(placed, limits)
    return [round(place, 1) for place in places.tolist()]


def _confusion(classes: Sequence[str], result: dict[str, Any]) -> dict[str, Any] | None:
    if len(classes) > _CLASSES_SHOWN:
        return None
    rows = [
        {
            "name": name,
            "files": sum(counts),
            "cells": [{"count": n, "share": round(100 * n / max(1, sum(counts)))} for n in counts],
        }
        for name, counts in zip(classes, result["confusion"], strict=True)
    ]
    return {"names": classes, "rows": rows}
