"""The folder of an evaluation: results, predictions and pictures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.commands.output_folder import DIGESTS, FILES, OutputFolder
from audiosae.evaluation.score_table import percent
from audiosae.system.files import csv_text, write_file
from audiosae.system.schema import FactsFile, Items, Number, Object, Text
from audiosae.views.atoms import draw_atoms
from audiosae.views.evaluation_figures import draw_confusion, draw_scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from audiosae.autoencoder.model import Model
    from audiosae.evaluation.compare import Evaluation

RESULTS, PAGE = "results.json", "index.html"
_LABEL_SHOWN = 16  # characters in the title of a tile
_MOST_TILES = 64
_FILES = ("results.csv", "predictions.csv", "scores.png", "confusion.png", "units.png", PAGE)
_AREA = "area under the ROC curve: 0.5 is chance, 1 is perfect"


EVALUATION_FOLDER = OutputFolder(
    "evaluation",
    RESULTS,
    FactsFile(
        ("results", "chance", "model"),
        Object({"results": Items(Object()), "chance": Number(0, 1), "model": Text(), FILES: DIGESTS}),
        "choose another folder with -o, or move it away",
    ),
    lambda out: [out / name for name in _FILES],
)


def write_evaluation(
    folder: Path, model: Model, done: Evaluation, keys_of_items: Mapping[str, Sequence[object]], title: str
) -> None:
    """Write results.csv, predictions.csv, scores.png, confusion.png and units.png.

    `keys_of_items` are the columns of predictions.csv that identify a file or annotation.
    """
    plan, best = done.plan, done.results[0]
    write_file(folder / "results.csv", csv_text(_score_rows(done)).encode())
    fold_of = {int(number): split.name for split in plan.splits for number in split.test}
    predictions: list[list[object]] = [[*keys_of_items, "fold", "label", *done.predicted]]
    predictions += [
        [
            *(column[number] for column in keys_of_items.values()),
            fold_of[number],
            plan.classes[plan.target[number]],
            *(plan.classes[predicted[number]] for predicted in done.predicted.values()),
        ]
        for number in map(int, plan.tested)
    ]
    write_file(folder / "predictions.csv", csv_text(predictions).encode())
    draw_scores(plan, done.results, folder / "scores.png", title)
    lines = f"{title}\nthe model's features: {percent(best['accuracy'])} % right"
    draw_confusion(plan, np.array(best["confusion"]), folder / "confusion.png", lines)
    _draw_units(model, done.facts, folder / "units.png")


def _score_rows(done: Evaluation) -> list[list[object]]:
    """Return the rows of results.csv, with the unrounded numbers of results.json; the first has the names."""
    keys, best = ("name", "features", "accuracy", "std", "stderr"), done.results[0]
    counts = [probed["units"] for probed in best["probing"]]
    rows: list[list[object]] = [
        [*keys, "low", "high", "model_ahead", "model_ahead_stderr", "groups", "v_measure"],
    ]
    rows[0] += [*(f"best_{count}" for count in counts), *(f"fold_{split.name}" for split in done.plan.splits)]
    rows[0] += [f"recall_{name}" for name in best["recall"]]
    for r in done.results:
        few = {probed["units"]: probed["accuracy"] for probed in r["probing"]}
        ahead = [r["model_ahead"][key] if "model_ahead" in r else "" for key in ("mean", "stderr")]
        row = [*(r[key] for key in keys), *r["interval"], *ahead, r["groups"], r["v_measure"]]
        rows.append([*row, *(few.get(count, "") for count in counts), *r["folds"], *r["recall"].values()])
    return rows


def write_results(facts: dict[str, Any], folder: Path) -> None:
    """Write results.json last; `facts` get the digests of all other files."""
    facts[FILES] = EVALUATION_FOLDER.digests(folder)
    write_file(folder / RESULTS, (json.dumps(facts, indent=1, default=float) + "\n").encode())


def _draw_units(model: Model, facts: dict[str, Any], path: Path) -> None:
    pairs = facts["quality"]["units_of_labels"]
    columns = sum(pair["label"] == pairs[0]["label"] for pair in pairs)
    shown, labels = pairs[: columns * (_MOST_TILES // columns)], len(pairs) // columns
    title = f"units that best separate each label's {facts['items']}s from the others ({_AREA})"
    if len(shown) < len(pairs):
        title += f"; the first {len(shown) // columns} of {labels} labels"
    titles = [f"{_shortened(pair['label'])}\nunit {pair['unit']}: {pair['auc']:.2f}" for pair in shown]
    draw_atoms(model, path, units=[pair["unit"] for pair in shown], columns=columns, titles=titles, title=title)


def _shortened(label: str) -> str:
    return label if len(label) <= _LABEL_SHOWN else label[: _LABEL_SHOWN - 1] + "\N{HORIZONTAL ELLIPSIS}"
