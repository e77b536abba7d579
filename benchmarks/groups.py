"""Groups of labelled clips without their labels: the model's codes compared with log-mel and MFCC.

The model is trained on all clips of a set, with the defaults unless options are given. Each drawn clip is one event,
or its events or bouts are detected. Codes are those of survey, with the parts of events from which survey learns its
metric, or those of find. Printed per data set, as means over seeds: adjusted mutual information with the classes, for
the number of types that survey chooses and for the number of classes; and the share of the ten nearest events of other
clips that are of the same class, for the loudest event of each clip. "background" is the mean spectrum before the first
event of a clip: what it tells of the class comes from how the clip was recorded.

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
from contextlib import closing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiosae.autoencoder.model import load_model
from audiosae.corpus.fields import read_field
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import Source
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import EngineCorpus
from audiosae.evaluation.baselines import cepstra
from audiosae.features.codes import Encoder, pooled_files
from audiosae.features.pooling import DEFAULT_POOL
from audiosae.sounds.detection import DetectorOptions
from audiosae.sounds.event_codes import CodeFile, encode_sounds
from audiosae.sounds.locate import Spans, locate
from audiosae.sounds.noise_floor import BandLevels, seconds_per_row
from audiosae.sounds.single_sounds import SingleSounds
from audiosae.sounds.sound_types import Space, learn_types

if TYPE_CHECKING:
    from audiosae.autoencoder.model import Model

QUESTIONS = (
    ("fsdd", "digit"),
    ("fsdd", "speaker"),
    ("instruments", "instrument"),
    ("emodb", "emotion"),
    ("emodb", "speaker"),
)
NEAREST = 10
BEFORE, LEAST_ROWS = 0.03, 5  # s before the first event that are not background; rows of background that are needed


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
        Features, (rows, features).
    clips
        Number of the clip of each row, (rows,).
    queries
        Numbers of the rows whose nearest rows are compared, at most one per clip.
    parts
        Codes of the parts of events, see `audiosae.sounds.event_codes.encode_sounds`; None for other features.
    """

    rows: np.ndarray
    clips: np.ndarray
    queries: np.ndarray
    parts: np.ndarray | None = None


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
    pooled = pooled_files(model.domain, records, Encoder(model), pools=DEFAULT_POOL)
    clips = np.arange(len(records))
    codes = np.stack([file.reshape(-1) for _, file in pooled])
    corpus = EngineCorpus(model.domain, records, LocalEngine(), cache=cache, workers=2)
    detector, spans = locate(corpus.domain, corpus, DetectorOptions())
    sounds = spans.sounds(detector.joining.group)
    return {
        "model": Features(codes, clips, clips),
        **features_of(model, corpus, whole_clips(model, corpus), ", a clip is an event"),
        **features_of(model, corpus, sounds, ", events"),
        **background_and_find(model, corpus, sounds),
    }


def whole_clips(model: Model, corpus: EngineCorpus) -> Spans:
    """Return one span per clip, which covers it."""
    count = len(corpus.records)
    none, bands = np.zeros(count, np.int32), model.domain.window[1]
    extent = np.array([record.extent for record in corpus.records])
    return Spans(np.arange(count, dtype=np.int32), 0.0 * extent, extent, none, none + bands - 1, 0.0 * extent, none)


def features_of(model: Model, corpus: EngineCorpus, spans: Spans, suffix: str) -> dict[str, Features]:
    """Return the features of spans, by name with a suffix."""
    queries = loudest_of(spans)
    rows = defaultdict(list)
    boxes = np.stack([spans.start, spans.end, spans.low, spans.high, spans.peak], axis=1)
    for number, record in enumerate(corpus.records):
        own = boxes[spans.record == number]
        levels = BandLevels(read_field(record), seconds_per_row(model.domain), events=own[:, :2])
        for box in own.tolist():
            stretch = levels.stretch(*box)
            part = np.asarray(levels.field[stretch.start : stretch.end])
            for name, values in (("log-mel", part), ("MFCC", cepstra(part))):
                rows[name].append(np.concatenate([values.mean(axis=0), values.max(axis=0), values.std(axis=0)]))
    return {
        "survey" + suffix: Features(*code_rows(model, corpus, spans, queries)),
        "find" + suffix: Features(*code_rows(model, corpus, spans, queries, SingleSounds())),
        **{name + suffix: Features(np.stack(values), spans.record, queries) for name, values in rows.items()},
    }


def background_and_find(model: Model, corpus: EngineCorpus, spans: Spans) -> dict[str, Features]:
    """Return the mean levels before the first event of the clips that have any, and codes of find of their events."""
    second, backgrounds, clips = seconds_per_row(model.domain), [], []
    for number, record in enumerate(corpus.records):
        first = spans.start[spans.record == number].min(initial=np.inf)
        rows = np.asarray(read_field(record)[: max(0, int((min(first, record.extent) - BEFORE) / second))])
        if np.isfinite(first) and len(rows) >= LEAST_ROWS:
            backgrounds.append(rows.mean(axis=0))
            clips.append(number)
    if len(clips) <= NEAREST:
        return {}
    corpus = corpus.only(clips)
    own = np.isin(spans.record, clips)
    columns = {field.name: getattr(spans, field.name)[own] for field in fields(Spans) if field.name != "floors"}
    chosen = replace(spans, **columns | {"record": np.searchsorted(clips, spans.record[own]).astype(np.int32)})
    codes, record, queries, parts = code_rows(model, corpus, chosen, loudest_of(chosen), SingleSounds())
    numbers = np.array(clips)
    return {
        "background before events": Features(np.stack(backgrounds), numbers, np.arange(len(clips))),
        "find, events of these clips": Features(codes, numbers[record], queries, parts),
    }


def loudest_of(spans: Spans) -> np.ndarray:
    """Return the numbers of the loudest event of each clip."""
    order = np.lexsort([-spans.peak * (spans.end - spans.start), spans.record])
    return order[np.unique(spans.record[order], return_index=True)[1]]


def code_rows(
    model: Model, corpus: EngineCorpus, spans: Spans, queries: np.ndarray, windows: SingleSounds | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Return codes of spans, their clips, the queries, and the codes of parts of spans."""
    with closing(CodeFile(None, 3 * model.params.hidden)) as file:
        parts = encode_sounds(model, corpus, spans, file, parts=True, windows=windows)
        return np.array(file.codes), spans.record, queries, parts


def agreement(features: Features, classes: list[str], count: int | None = None) -> float:
    """Return the adjusted mutual information of classes and types; None lets the rule of survey choose their number."""
    from sklearn.metrics import adjusted_mutual_info_score

    types, _ = learn_types(features.rows, count, features.parts)
    return float(adjusted_mutual_info_score(classes, types.nearest(types.space.points(features.rows))[0]))


def share_of_nearest(features: Features, classes: list[str]) -> float:
    """Return the share of the ten nearest rows of other clips that are of the same class."""
    points = Space.of(features.rows, features.parts).points(features.rows)
    near = points[features.queries] @ points.T
    near[features.clips[features.queries][:, None] == features.clips] = -np.inf
    nearest = np.argsort(-near, axis=1)[:, :NEAREST]
    names = np.array(classes)
    return float((names[nearest] == names[features.queries][:, None]).mean())


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
                    classes = [rows[drawn[clip]][column] for clip in made.clips]
                    as_many = agreement(made, classes, len(set(classes)))
                    measured = (agreement(made, classes), as_many, share_of_nearest(made, classes))
                    results.setdefault((data, column, name), []).append(measured)
    print(f"{'data by class':24}{'features':32}{'AMI':>7}{'of seeds':>24}{'as many':>10}{'nearest':>10}")
    for (data, column, name), values in results.items():
        chosen, as_many, shares = zip(*values, strict=True)
        each = " ".join(f"{value:.3f}" for value in chosen)
        means = f"{np.mean(as_many):10.3f}{np.mean(shares):10.3f}"
        print(f"{data + ' by ' + column:24}{name:32}{np.mean(chosen):7.3f}{each:>24}{means}")


if __name__ == "__main__":
    main()
