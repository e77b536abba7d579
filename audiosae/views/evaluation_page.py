"""HTML page of an evaluation: accuracy, few units, groups without labels, confusion matrix, best units per label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audiosae.system.files import write_file
from audiosae.system.threads import one_blas_thread
from audiosae.views.page import fill
from audiosae.views.unit_sides import show_units

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audiosae.autoencoder.model import Model

_CLASSES_SHOWN = 60  # in the confusion matrix: results.json has all
_LABELS_SHOWN = 40  # labels whose units are drawn
_WIDTH, _HEIGHT = 400, 160  # of the accuracy curve, in units of the SVG


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
        "lead": (
            f"{title[:1].upper()}{title[1:]}. With the model's features {100 * results[0]['accuracy']:.1f} % of the "
            f"{facts['items']}s are classified correctly; always predicting the commonest class gets "
            f"{100 * facts['chance']:.1f} %."
        ),
        "item": facts["items"],
        "notes": facts["notes"],
        "rows": [_row(r) for r in sorted(results, key=lambda r: -r["accuracy"])],
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


def _row(result: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the table: texts, and the bar and its error in per cent."""
    accuracy, error, ahead = 100 * result["accuracy"], 100 * result["stderr"], result.get("model_ahead")
    return {
        "name": result["name"],
        "features": result["features"],
        "accuracy": f"{accuracy:.1f} ± {error:.1f}",
        "all": f"{accuracy:.1f}",  # from the same number: a rounded one would be rounded twice
        "ahead": f"{100 * ahead['mean']:+.1f} ± {100 * ahead['stderr']:.1f}" if ahead else "",
        "bar": round(accuracy, 2),
        "low": round(max(0.0, accuracy - error), 2),
        "high": round(min(100.0, accuracy + error), 2),
        "few": {probed["units"]: f"{100 * probed['accuracy']:.1f}" for probed in result["probing"]},
        "groups": f"{result['groups']:.2f}",
    }


def _curve(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the lines of accuracy over the number of units, in even steps whatever the numbers."""
    counts = [probed["units"] for probed in results[0]["probing"]]
    step = _WIDTH / max(1, len(counts))
    lines = []
    for result in results:
        points = [(i * step, _HEIGHT * (1 - probed["accuracy"])) for i, probed in enumerate(result["probing"])]
        points.append((float(_WIDTH), _HEIGHT * (1 - result["accuracy"])))
        lines.append({"name": result["name"], "points": " ".join(f"{x:.1f},{y:.1f}" for x, y in points)})
    return {"counts": counts, "lines": lines[::-1], "width": _WIDTH, "height": _HEIGHT}  # the model's line on top


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
