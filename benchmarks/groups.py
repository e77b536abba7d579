"""Group labelled clips without their labels: the model's codes beside log-mel and MFCC, through the survey's own code.

The model is trained on all clips of a set, with the defaults unless told; each drawn clip is one event. Printed per
data set and mean over seeds: adjusted mutual information with the classes, of as many types as the survey finds and of
as many as there are classes, and the share of each clip's ten nearest others that are of its class.

    python -m benchmarks.groups DATA [--seeds 3] [--clips 500] [--hidden N] [--epochs N]

DATA holds folders with a table FOLDER/FOLDER.csv whose column `filename` lies in FOLDER/recordings or FOLDER/audio.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from audiosae.autoencoder.model import load_model
from audiosae.corpus.entries import read_field
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import Source
from audiosae.evaluation.baselines import cepstra
from audiosae.features.codes import DEFAULT_POOL, Encoder, pooled_clips
from audiosae.survey.codes import pooled_codes, seconds_per_row
from audiosae.survey.events import Stretch
from audiosae.survey.floor import Levels
from audiosae.survey.types import Space, learn_types

QUESTIONS = (
    ("fsdd", "digit"),
    ("fsdd", "speaker"),
    ("instruments", "instrument"),
    ("emodb", "emotion"),
    ("emodb", "speaker"),
)
NEAREST = 10


def clips_of(folder: Path) -> tuple[list[Path], list[dict[str, str]]]:
    """Return the clips of a data set, and their rows of its table."""
    with (folder / f"{folder.name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    place = next(folder / name for name in ("recordings", "audio") if (folder / name).is_dir())
    return [place / row["filename"] for row in rows], rows


def feature_sets(
    paths: list[Path], drawn: list[int], where: Path, options: argparse.Namespace, seed: int
) -> dict[str, np.ndarray]:
    """Train a model on clips; return features of some of them (clips, features), by name."""
    cache = where / "cache"
    command = [sys.executable, "-m", "audiosae", "train", *map(str, paths), "-q"]
    told = {
        "-o": where / "run",
        "--cache": cache,
        "--seed": seed,
        "--hidden": options.hidden,
        "--epochs": options.epochs,
    }
    for option, value in told.items():
        command += [] if value is None else [option, str(value)]
    subprocess.run(command, check=True)
    model = load_model(where / "run")
    some = [Source(paths[number].name, paths[number]) for number in drawn]
    records = ingest(model.domain, some, cache=cache, workers=2)
    found: dict[str, list[np.ndarray]] = {"model": [], "model, as an event": [], "log-mel": [], "MFCC": []}
    found["model"] = [codes.reshape(-1) for _, codes in
                      pooled_clips(model.domain, records, Encoder(model), pools=DEFAULT_POOL)]  # fmt: skip
    for record in records:
        field = read_field(record)
        levels = Levels(field, seconds_per_row(model.domain))
        whole = Stretch(0, len(field), 0, field.shape[1] - 1, 0.0)
        found["model, as an event"].append(pooled_codes(model, levels, [whole], shown="clip")[0])
        for name, rows in (("log-mel", np.asarray(field)), ("MFCC", cepstra(np.asarray(field)))):
            found[name].append(np.concatenate([rows.mean(axis=0), rows.max(axis=0), rows.std(axis=0)]))
    return {name: np.array(values, np.float32) for name, values in found.items()}


def agreement(features: np.ndarray, classes: list[str]) -> float:
    """Return the adjusted mutual information with the classes of as many types."""
    return _information(features, classes, len(set(classes)))


def _information(features: np.ndarray, classes: list[str], count: int | None) -> float:
    from sklearn.metrics import adjusted_mutual_info_score

    types, _ = learn_types(features, count)
    return float(adjusted_mutual_info_score(classes, types.nearest(types.space.points(features))[0]))


def share_of_nearest(features: np.ndarray, classes: list[str]) -> float:
    """Return the share of each clip's ten nearest others that are of its class."""
    points = Space.of(features).points(features)
    near = points @ points.T
    np.fill_diagonal(near, -np.inf)
    nearest = np.argsort(-near, axis=1)[:, :NEAREST]
    names = np.array(classes)
    return float((names[nearest] == names[:, None]).mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    for option, default in (("seeds", 3), ("clips", 500), ("hidden", None), ("epochs", None)):
        parser.add_argument(f"--{option}", type=int, default=default)
    options = parser.parse_args()
    results: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
    for folder in dict.fromkeys(name for name, _ in QUESTIONS):
        paths, rows = clips_of(options.data / folder)
        for seed in range(options.seeds):
            drawn = np.sort(np.random.default_rng(seed).permutation(len(rows))[: options.clips]).tolist()
            with tempfile.TemporaryDirectory() as where:
                sets = feature_sets(paths, drawn, Path(where), options, seed)
            for data, column in QUESTIONS:
                for name, features in sets.items() if data == folder else ():
                    classes = [rows[number][column] for number in drawn]
                    measured = (_information(features, classes, None), agreement(features, classes),
                                share_of_nearest(features, classes))  # fmt: skip
                    results.setdefault((data, column, name), []).append(measured)
    print(f"{'data by class':24}{'features':22}{'AMI':>7}{'of seeds':>24}{'as many':>10}{'nearest':>10}")
    for (data, column, name), values in results.items():
        found, given, nearest = zip(*values, strict=True)
        told = " ".join(f"{value:.3f}" for value in found)
        print(f"{data + ' by ' + column:24}{name:22}{np.mean(found):7.3f}{told:>24}{np.mean(given):10.3f}"
              f"{np.mean(nearest):10.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
