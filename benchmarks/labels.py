"""Value of labels: how many sounds are labelled right after a person has named a few, with the model's codes and MFCC.

Labelled clips are planted into noise, or annotated recordings are used, as in `benchmarks.field`. A model is trained
and the recordings are surveyed with the defaults. A simulated person names the sounds that `ask_next` proposes: one
sound of each group of similar ones, then the most uncertain, five at a time. Printed per set, for the codes of the
survey and for pooled MFCC of the same sounds, under the same rule: the share of the sounds that were never asked about
whose label is right, after each number of answers, as means over draws (planted sets) or model seeds with the standard
error.

    python -m benchmarks.labels DATA [--sets kinds-sparse,finch] [--repeats 5] [--hidden 256]
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import audiosae
from audiosae.corpus.fields import read_field
from audiosae.evaluation.baselines import cepstra
from audiosae.sounds.labeller import Examples, ask_next, predict
from audiosae.sounds.noise_floor import seconds_per_row
from audiosae.sounds.sound_types import Space, load_types
from benchmarks.field import drawn, labelled, plant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Points = NDArray[np.float32]

TRUTH = "truth.csv"
ANSWERS, FIRST, STEP = (25, 50, 100), 25, 5
FEATURES = ("codes", "MFCC")


@dataclass(frozen=True)
class Sounds:
    """The sounds of a survey whose labels are known.

    Attributes
    ----------
    points
        Their points in the space of the types, and in that of pooled MFCC, (sounds, components) each.
    label, recording
        Number of the label and of the recording of each, (sounds,).
    """

    points: tuple[Points, Points]
    label: NDArray[np.intp]
    recording: NDArray[np.intp]


def write_truth(folder: Path, density: str, seed: int, out: Path) -> None:
    """Write the recordings of a set, planted if there is a density, and the table of their true sounds."""
    if density:
        labels = iter([label for _, label in drawn(folder, np.random.default_rng(seed))])
        spans = plant(folder, density, seed, out)
        rows = [(file, *span, next(labels)) for file, each in spans.items() for span in each.tolist()]
    else:
        rows = [(file, *each) for file, sounds in labelled(folder, out).items() for each in sounds]
    with (out / TRUTH).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "start", "end", "label"), *rows])


def surveyed(folder: Path, hidden: int, seed: int) -> Sounds:
    """Train a model of the recordings and survey them with their true labels, which tell the label of each sound."""
    model = audiosae.train(folder, hidden=hidden, seed=seed).model
    with tempfile.TemporaryDirectory() as out:
        survey = audiosae.survey(model, folder, out, labels=folder / TRUTH, events="csv")
        taught = load_types(Path(out), survey.facts["model_digest"]).taught
    second, files = seconds_per_row(model.domain), {record.file: record for record in survey.records}
    pooled = []
    for each in taught.answers if taught else ():
        first = round(each.start / second)
        rows = cepstra(np.asarray(read_field(files[each.file])[first : max(first + 1, round(each.end / second))]))
        pooled.append(np.concatenate([rows.mean(axis=0), rows.max(axis=0), rows.std(axis=0)]))
    mfcc = np.asarray(pooled, np.float32)
    labels, names = ([getattr(each, name) for each in taught.answers] for name in ("label", "file"))
    label, recording = (np.unique(values, return_inverse=True)[1] for values in (labels, names))
    return Sounds((taught.points, Space.of(mfcc).points(mfcc)), label, recording)


def answered(points: Points, sounds: Sounds) -> Iterator[float]:
    """Yield the share of the sounds that were never asked about whose label is right, after each number of answers."""
    count, labels = len(points), int(sounds.label.max()) + 1
    known, probability = np.zeros(count, bool), None
    for number in range(FIRST, max(ANSWERS) + 1, STEP):
        known[ask_next(points, known, probability, FIRST if probability is None else STEP)] = True
        rest = ~known
        found = predict(points[rest], Examples(points[known], sounds.label[known], sounds.recording[known]), labels)
        probability = np.zeros((count, labels))
        probability[rest] = found.probability
        if number in ANSWERS:
            yield float((found.probability.argmax(axis=1) == sounds.label[rest]).mean())


def measured(data: Path, name: str, repeats: int, hidden: int) -> NDArray[np.float64]:
    """Return the shares, (repeats, features, numbers of answers)."""
    set_name, _, density = name.partition("-")
    shares = []
    for repeat in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            write_truth(data / set_name, density, repeat, out)
            sounds = surveyed(out, hidden, repeat)
        shares.append([list(answered(points, sounds)) for points in sounds.points])
    return np.asarray(shares)


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="kinds-sparse,finch", help="with commas between")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=256)
    options: Any = parser.parse_args()
    print(f"| set | features | {' | '.join(f'{number} answers' for number in ANSWERS)} |")
    print(f"|---|---|{'---|' * len(ANSWERS)}")
    for name in options.sets.split(","):
        shares = measured(options.data, name, options.repeats, options.hidden)
        error = shares.std(axis=0, ddof=1) / len(shares) ** 0.5 if len(shares) > 1 else 0 * shares[0]
        for features, means, errors in zip(FEATURES, shares.mean(axis=0), error, strict=True):
            cells = (f"{mean:.3f} ± {each:.3f}" for mean, each in zip(means, errors, strict=True))
            print(f"| {name} | {features} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
