"""The evaluation as a page: accuracy, a few units alone, groups, confusion, and the units of each label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audiosae.corpus.sources import printable
from audiosae.system.files import write_file
from audiosae.system.threads import one_blas_thread
from audiosae.views.page import fill
from audiosae.views.unit_sides import show_units

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audiosae.autoencoder.model import Model

_CLASSES_SHOWN = 60  # of the confusion matrix: more are for results.json
_LABELS_SHOWN = 40  # whose units are drawn
_WIDTH, _HEIGHT = 400, 160  # of the curve, in its own units


@one_blas_thread()
def write_evaluation(
    model: Model, path: Path, facts: dict[str, Any], *, title: str, told: Sequence[tuple[str, str]]
) -> int:  # fmt: skip
    """Write what an evaluation found as one page; return its bytes.

    Parameters
    ----------
    facts
        Of `audiosae.evaluation.compare.Evaluation`, its results among them.
    title
        What was classified, and how it was divided.
    told
        Terms and texts for the end of the page.

    Raises
    ------
    InputError
        The page cannot be written.
    """
    results = facts["results"]
    pairs = _by_label(facts["quality"]["units_of_labels"])
    shown = dict(list(pairs.items())[:_LABELS_SHOWN])
    units = sorted({pair["unit"] for mine in shown.values() for pair in mine})
    sides = dict(zip(units, show_units(model, units=units), strict=True))
    best = results[0]
    view = {
        "title": "How good the features are", "heading": "How good the features are",
        "lead": f"{title[:1].upper()}{title[1:]}. {100 * best['accuracy']:.1f} % of the clips are classified right by "
                f"the model's features; always saying the commonest class gets {100 * facts['chance']:.1f} %.",
        "notes": facts["notes"], "rows": [_row(r) for r in sorted(results, key=lambda r: -r["accuracy"])],
        "chance": 100 * facts["chance"], "curve": _curve(results), "confusion": _confusion(facts["classes"], best),
        "classes": len(facts["classes"]), "told": told, "sides": sides, "labels_left": len(pairs) - len(shown),
        "labels": [{"name": printable(label), "units": mine} for label, mine in shown.items()],
    }  # fmt: skip
    page = fill("evaluation", view, {})
    write_file(path, page)
    return len(page)


def _by_label(pairs: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for pair in pairs:
        found.setdefault(pair["label"], []).append(pair)
    return found


def _row(result: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the table: texts, and the bar with its error in per cent."""
    accuracy, error, ahead = 100 * result["accuracy"], 100 * result["stderr"], result.get("model_ahead")
    few = {probed["units"]: f"{100 * probed['accuracy']:.1f}" for probed in result["probing"]}
    return {
        "name": result["name"], "features": result["features"], "told": f"{accuracy:.1f} ± {error:.1f}",
        "ahead": f"{100 * ahead['mean']:+.1f} ± {100 * ahead['stderr']:.1f}" if ahead else "",
        "bar": round(accuracy, 2), "low": round(max(0.0, accuracy - error), 2), "few": few,
        "high": round(min(100.0, accuracy + error), 2), "groups": f"{result['groups']:.2f}",
    }  # fmt: skip


def _curve(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the accuracy over the number of units as lines; the steps are even, whatever the numbers."""
    counts = [probed["units"] for probed in results[0]["probing"]]
    step = _WIDTH / max(1, len(counts))
    lines = []
    for result in results:
        values = [probed["accuracy"] for probed in result["probing"]]
        points = [(i * step, _HEIGHT * (1 - v)) for i, v in enumerate(values)]
        points.append((float(_WIDTH), _HEIGHT * (1 - result["accuracy"])))
        lines.append({"name": result["name"], "points": " ".join(f"{x:.1f},{y:.1f}" for x, y in points)})
    return {"counts": counts, "lines": lines[::-1], "width": _WIDTH, "height": _HEIGHT}  # the model's on top


def _confusion(classes: Sequence[str], result: dict[str, Any]) -> dict[str, Any] | None:
    if len(classes) > _CLASSES_SHOWN:
        return None
    names = [printable(name) for name in classes]
    rows = []
    for name, counts in zip(names, result["confusion"], strict=True):
        seen = sum(counts)
        cells = [{"count": count, "share": round(100 * count / max(1, seen))} for count in counts]
        rows.append({"name": name, "seen": seen, "cells": cells})
    return {"names": names, "rows": rows}
