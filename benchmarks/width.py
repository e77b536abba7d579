"""Accuracy over the number of units: the model beside random weights, k-means, NMF and MFCC, on spoken digits.

    python -m benchmarks.width DATA --work FOLDER [--units 32,64,128,256,512,1024] [--seeds 0,1,2] [-o FILE.csv]

DATA has the folder `fsdd` with a table fsdd/fsdd.csv (columns `filename`, `digit`, `speaker`). For each number of units
and seed, a model is trained on all digits with the defaults of `audiosae train`, and `evaluate` compares it with
baselines of as many units or outputs (MFCC have 20) with its defaults, each speaker left out in turn. Results are
stored in FOLDER/width.jsonl; a later run resumes from this file. FILE.csv has a row for each number of units and
method; the figure is written beside it, as FILE.png. Without DATA, the figure and the Markdown table are made from
FILE.csv.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import audiosae
from audiosae.evaluation.baselines import MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BASELINES = ("random-weights", "kmeans", "nmf", "mfcc")
UNITS = (32, 64, 128, 256, 512, 1024)
RESULTS = Path(__file__).parent / "results/width.csv"
HEAD = ("units", "method", "seeds", "accuracy", "stderr", "model_ahead", "model_ahead_stderr", "groups")
_FIXED = "mfcc"  # has as many outputs for any number of units
_NAMES = {MODEL: "model", "random-weights": "random weights", "kmeans": "k-means", "nmf": "NMF", "mfcc": "MFCC"}
_APART = 0.042  # of names of lines, as a share of the height

Row = dict[str, Any]


def measure(data: Path, units: int, seed: int, cache: Path) -> list[Row]:
    """Train one model and return accuracies in each fold, and the agreement of groups, of all methods."""
    recordings, labels = data / "fsdd" / "recordings", data / "fsdd" / "fsdd.csv"
    model = audiosae.train(recordings, hidden=units, seed=seed, cache=cache).model
    how = {"label_column": "digit", "group_column": "speaker", "seed": seed, "cache": cache}
    done = audiosae.evaluate(model, recordings, labels, baselines=BASELINES, **how)
    keys = ("name", "folds", "groups")
    return [{"units": units, "seed": seed} | {key: result[key] for key in keys} for result in done.results]


def run(options: argparse.Namespace) -> list[Row]:
    """Measure the missing combinations and return all rows."""
    results = options.work / "width.jsonl"
    options.work.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    done = {(row["units"], row["seed"]) for row in rows}
    for seed in map(int, options.seeds.split(",")):
        for units in map(int, options.units.split(",")):
            if (units, seed) in done:
                continue
            measured = measure(options.data, units, seed, options.work / "cache")
            with results.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in measured)
            rows += measured
            shown = ", ".join(f"{row['name']} {100 * np.mean(row['folds']):.1f}" for row in measured)
            print(f"{units} units, seed {seed}: {shown}", flush=True)
    return rows


def summary(rows: Sequence[Row]) -> list[Row]:
    """Return a row per number of units and method: means over seeds, standard errors over folds, in per cent."""
    grouped: dict[tuple[int, str], dict[int, Row]] = defaultdict(dict)
    for row in rows:
        grouped[row["units"], row["name"]][row["seed"]] = row
    table = []
    for (units, name), by_seed in sorted(grouped.items(), key=lambda item: item[0][0]):
        folds = np.array([row["folds"] for row in by_seed.values()])
        model = np.array([grouped[units, MODEL][seed]["folds"] for seed in by_seed])
        accuracy, stderr = _spread(folds)
        ahead, ahead_stderr = _spread(model - folds) if name != MODEL else ("", "")
        groups = round(float(np.mean([row["groups"] for row in by_seed.values()])), 3)
        values = (units, name, len(by_seed), accuracy, stderr, ahead, ahead_stderr, groups)
        table.append(dict(zip(HEAD, values, strict=True)))
    return table


def _spread(folds: Any) -> tuple[float, float]:  # noqa: ANN401 (an array, seeds x folds)
    means = 100 * folds.mean(axis=0)
    return round(float(means.mean()), 2), round(float(means.std(ddof=1) / len(means) ** 0.5), 2)


def write(table: Sequence[Row], path: Path) -> None:
    """Write a table as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEAD, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def read(path: Path = RESULTS) -> list[Row]:
    """Return the rows of a table written by this script."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(file)]


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def draw(table: Sequence[Row], path: Path) -> None:
    """Draw accuracy over the number of units, a named line for each method."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    ax = figure.subplots()
    ends = []
    for name in (*BASELINES, MODEL):  # the model's line on top
        rows = [row for row in table if row["method"] == name]
        units, values, errors = (np.array([row[key] for row in rows]) for key in ("units", "accuracy", "stderr"))
        style = {"color": "C1", "lw": 2.5} if name == MODEL else {"color": f"C{2 + BASELINES.index(name)}", "lw": 1.3}
        ax.plot(units, values, "--" if name == _FIXED else "-o", ms=4, **style)
        if name == MODEL:
            ax.fill_between(units, values - errors, values + errors, color="C1", alpha=0.15, lw=0)
        ends.append((float(values[-1]), float(units[-1]), _NAMES[name], style["color"]))
    ticks = sorted({row["units"] for row in table})
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, [str(each) for each in ticks])
    ax.minorticks_off()
    low, high = ax.get_ylim()
    ends.sort()
    places = _apart([end[0] for end in ends], _APART * (high - low))
    for place, (_, at, name, colour) in zip(places, ends, strict=True):
        ax.annotate(name, (at, place), (8, 0), textcoords="offset points", va="center", color=colour, fontsize=9)
    ax.set_xlim(ticks[0] / 1.15, ticks[-1] * 1.15)
    ax.set(xlabel="units", ylabel="accuracy (%)", title="Spoken digits, each speaker left out in turn")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3)
    figure.savefig(path, dpi=130, metadata={"Software": None})


def _apart(values: Sequence[float], least: float) -> NDArray[np.float64]:
    """Return ascending values, moved apart up and down by equal amounts to be at least `least` apart."""
    steps = least * np.arange(len(values))
    up = np.maximum.accumulate(values - steps) + steps
    down = np.minimum.accumulate((values - steps)[::-1])[::-1] + steps
    return np.asarray((up + down) / 2)


def markdown(table: Sequence[Row]) -> str:
    """Return the table of accuracies in Markdown: a row per number of units, and the lead of the model."""
    named = " | ".join(_NAMES[name] for name in (MODEL, *BASELINES))
    leads = [name for name in BASELINES if name != _FIXED]
    lead = " | ".join(f"over {_NAMES[name]}" for name in leads)
    lines = [f"| units | {named} | {lead} |", "|---|" + "---|" * (1 + len(BASELINES) + len(leads))]
    for units in sorted({row["units"] for row in table}):
        of = {row["method"]: row for row in table if row["units"] == units}
        cells = [f"{of[name]['accuracy']:.1f} ± {of[name]['stderr']:.1f}" for name in (MODEL, *BASELINES)]
        cells += [f"{of[name]['model_ahead']:+.1f} ± {of[name]['model_ahead_stderr']:.1f}" for name in leads]
        lines.append(f"| {units} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the missing combinations, write the table and the figure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--work", type=Path, help="folder for cache and results")
    parser.add_argument("--units", default=",".join(map(str, UNITS)), help="separated by commas")
    parser.add_argument("--seeds", default="0,1,2", help="separated by commas")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS, help="CSV file  [default: %(default)s]")
    options = parser.parse_args()
    if options.data and not options.work:
        parser.error("--work FOLDER is needed to measure")
    if options.data:
        write(summary(run(options)), options.out)
    table = read(options.out)
    draw(table, options.out.with_suffix(".png"))
    print(markdown(table))


if __name__ == "__main__":
    main()
