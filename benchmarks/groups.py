"""Groups of labelled clips without their labels: the model's codes compared with log-mel and MFCC.

The model is trained on all clips of a set, with the defaults unless options are given. Each drawn clip is one event,
or its events or bouts are detected and encoded as in survey and find. Printed per data set, as means over seeds:
adjusted mutual information with the classes, for the number of types that survey chooses and for the number of
classes; and the share of the ten nearest events of other clips that are of the same class.

    python -m benchmarks.groups DATA [--seeds 3] [--clips 500] [--hidden N] [--epochs N]

DATA has folders with a table FOLDER/FOLDER.csv; its column `filename` names files in FOLDER/recordings or FOLDER/audio.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiosae.autoencoder.model import load_model
from audiosae.corpus.entries import read_field
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import Source
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import EngineCorpus
from audiosae.evaluation.baselines import cepstra
from audiosae.features.codes import Encoder, pooled_files
from audiosae.features.pooling import DEFAULT_POOL
from audiosae.sounds.detection import DetectorOptions
from audiosae.sounds.event_codes import pooled_codes
from audiosae.sounds.locate import locate
from audiosae.sounds.noise_floor import BandLevels, Stretch, seconds_per_row
from audiosae.sounds.sound_types import Space, learn_types

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.autoencoder.model import Model

QUESTIONS = (
    ("fsdd", "digit"),
    ("fsdd", "speaker"),
    ("instruments", "instrument"),
    ("emodb", "emotion"),
    ("emodb", "speaker"),
)
NEAREST = 10


def clips_of(folder: Path) -> tuple[list[Path], list[dict[str, str]]]:
    """Return the clips of a data set, and their rows in its table."""
    with (folder / f"{folder.name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    recordings = next(folder / name for name in ("recordings", "audio") if (folder / name).is_dir())
    return [recordings / row["filename"] for row in rows], rows


@dataclass
class Features:
    """Features of clips, or of the events in them.

    Attributes
    ----------
    rows
        Arrays of shape (features,).
    clips
        Number of the clip of each row.
    queries
        Numbers of the rows whose nearest rows are compared, one per clip.
    """

    rows: list[np.ndarray] = field(default_factory=list)
    clips: list[int] = field(default_factory=list)
    queries: list[int] = field(default_factory=list)

    def add(self, clip: int, rows: Sequence[np.ndarray], query: int = 0) -> None:
        """Add the rows of a clip."""
        self.queries.append(len(self.rows) + query)
        self.rows += rows
        self.clips += [clip] * len(rows)


def feature_sets(
    paths: list[Path], drawn: list[int], folder: Path, options: argparse.Namespace, seed: int
) -> dict[str, Features]:
    """Train a model on clips and return features of the drawn clips, by name."""
    cache = folder / "cache"
    command = [sys.executable, "-m", "audiosae", "train", *map(str, paths), "-q"]
    more = {"--seed": seed, "--hidden": options.hidden, "--epochs": options.epochs}
    for option, value in {"-o": folder / "run", "--cache": cache, **more}.items():
        command += [] if value is None else [option, str(value)]
    subprocess.run(command, check=True)
    model = load_model(folder / "run")
    sources = [Source(paths[number].name, paths[number]) for number in drawn]
    records = ingest(model.domain, sources, cache=cache, workers=2)
    sets: dict[str, Features] = defaultdict(Features)
    for clip, (_, codes) in enumerate(pooled_files(model.domain, records, Encoder(model), pools=DEFAULT_POOL)):
        sets["model"].add(clip, [codes.reshape(-1)])
    corpus = EngineCorpus(model.domain, records, LocalEngine(), cache=cache, workers=2)
    detector, spans = locate(corpus.domain, corpus, DetectorOptions())
    sounds = spans.sounds(detector.joining.group)
    for clip, record in enumerate(records):
        own = sounds.record == clip
        boxes = np.stack([part[own] for part in (sounds.start, sounds.end, sounds.low, sounds.high, sounds.peak)], 1)
        levels = BandLevels(read_field(record), seconds_per_row(model.domain), events=boxes[:, :2])
        _add(sets, model, levels, clip, [Stretch(0, len(levels.field), 0, levels.bands - 1, 0.0)])
        if len(boxes):
            _add(sets, model, levels, clip, [levels.stretch(*box) for box in boxes.tolist()], prefix="events, ")
    return sets


def _add(
    sets: dict[str, Features], model: Model, levels: BandLevels, clip: int, events: list[Stretch], *, prefix: str = ""
) -> None:
    loudest = max(range(len(events)), key=lambda i: events[i].peak * (events[i].end - events[i].start))
    sets[f"{prefix}survey" if prefix else "model, as an event"].add(
        clip, list(pooled_codes(model, levels, events)), loudest
    )
    parts = [np.asarray(levels.field[event.start : event.end]) for event in events]
    for name, rows in (("log-mel", parts), ("MFCC", [cepstra(part) for part in parts])):
        pooled = [np.concatenate([part.mean(axis=0), part.max(axis=0), part.std(axis=0)]) for part in rows]
        sets[prefix + name].add(clip, pooled, loudest)


def agreement(features: np.ndarray, classes: list[str]) -> float:
    """Return the adjusted mutual information of classes and types, as many types as classes."""
    return _information(features, classes, len(set(classes)))


def _information(features: np.ndarray, classes: list[str], count: int | None) -> float:
    from sklearn.metrics import adjusted_mutual_info_score

    types, _ = learn_types(features, count)
    return float(adjusted_mutual_info_score(classes, types.nearest(types.space.points(features))[0]))


def share_of_nearest(features: np.ndarray, classes: list[str], rows: Features) -> float:
    """Return the share of the ten nearest rows of other clips that are of the same class."""
    points = Space.of(features).points(features)
    near = points[rows.queries] @ points.T
    clips, names = np.array(rows.clips), np.array(classes)
    near[clips[rows.queries][:, None] == clips] = -np.inf
    nearest = np.argsort(-near, axis=1)[:, :NEAREST]
    return float((names[nearest] == names[rows.queries][:, None]).mean())


def main() -> None:
    """Run the benchmark and print its table."""
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
            with tempfile.TemporaryDirectory() as work:
                sets = feature_sets(paths, drawn, Path(work), options, seed)
            for data, column in QUESTIONS:
                for name, made in sets.items() if data == folder else ():
                    features = np.array(made.rows, np.float32)
                    classes = [rows[drawn[clip]][column] for clip in made.clips]
                    information = _information(features, classes, None)
                    nearest = share_of_nearest(features, classes, made)
                    measured = (information, agreement(features, classes), nearest)
                    results.setdefault((data, column, name), []).append(measured)
    print(f"{'data by class':24}{'features':22}{'AMI':>7}{'of seeds':>24}{'as many':>10}{'nearest':>10}")
    for (data, column, name), values in results.items():
        chosen, as_many, shares = zip(*values, strict=True)
        each = " ".join(f"{value:.3f}" for value in chosen)
        means = f"{np.mean(as_many):10.3f}{np.mean(shares):10.3f}"
        print(f"{data + ' by ' + column:24}{name:22}{np.mean(chosen):7.3f}{each:>24}{means}")


if __name__ == "__main__":
    main()
