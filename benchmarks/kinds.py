"""Sound types of labelled sounds: agreement with the labels, similar sounds, and the number of types.

Clips are planted at three densities and annotated recordings are joined as in `benchmarks.field`. A model is trained
and the sounds are found with the defaults. An event belongs to the true sound with which it or its bout has the largest
IoU. Printed per set, as means over draws (planted sets) or model seeds with the standard error, for the sounds that
belong to a true one: the adjusted mutual information (AMI) of types and labels; that of MFCC with duration, in as many
groups by Ward's clustering, and grouped like the codes of survey; and the share of the ten nearest sounds of other
recordings (of the others if there is one recording) that have the same label, in the space of find and for MFCC.

Then the true sounds of each set are grouped, all and those of two and of four kinds that are drawn three times. Printed
is the share of these cases in which the number of types is within a factor of 1.5 of the number of kinds, and the AMI.

    python -m benchmarks.kinds DATA [--sets field/kinds-sparse,instruments,...] [--repeats 5] [--hidden 256]
        [--set frames=24 --set short=8]

A set is a folder in DATA with a table SET/SET.csv, as `benchmarks.field` and `benchmarks.groups` use them.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import audiosae
from audiosae.corpus.cache import cache_folder
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import Source
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import EngineCorpus
from audiosae.sounds.detection import DetectorOptions
from audiosae.sounds.event_codes import CodeFile, encode_sounds
from audiosae.sounds.locate import Spans, locate
from audiosae.sounds.single_sounds import SingleSounds
from audiosae.sounds.sound_types import Space, evenly, learn_types
from benchmarks.field import drawn, labelled, owners, plant, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model

    Truth = dict[Path, list[tuple[float, float, str]]]  # start, end (s) and label of the sounds of each recording
    Labels = NDArray[np.str_]

LABELS = ("label", "instrument", "digit", "emotion")  # columns of labels, the first that a table has
NEAREST, CLIPS = 10, 500
CASES, FACTOR = (2, 4), 1.5  # kinds that are drawn; of the number of types
PARTS = 3
SETS = (
    *("field/kinds-sparse", "field/kinds-dense", "field/kinds-overlap", "field/finch", "field/zebra", "field/kinds"),
    *("instruments", "fsdd", "emodb"),
)


@dataclass(frozen=True)
class Sounds:
    """Sounds of recordings, (sounds,) each.

    Attributes
    ----------
    codes, parts
        As `encode_sounds` returns them, and `parts` as (sounds, 3, features).
    cepstra
        20 MFCC (mean, deviation, deviation of the change) and duration.
    label, record
        Label, "" where it is not known, and number of the recording.
    similar
        Points in the space of `audiosae.find`, (sounds, components).
    """

    codes: NDArray[np.float32]
    parts: NDArray[np.float32]
    cepstra: NDArray[np.float32]
    label: Labels
    record: NDArray[np.int32]
    similar: NDArray[np.float32]

    def only(self, chosen: NDArray[Any]) -> Sounds:
        """Return some of the sounds."""
        return Sounds(*(part[chosen] for part in vars(self).values()))

    @property
    def residuals(self) -> NDArray[np.float32]:
        """The parts in the form in which the space is learned from them."""
        return self.parts[evenly(len(self.parts), 1000)].reshape(-1, self.codes.shape[1])


def encoded(model: Model, corpus: EngineCorpus, spans: Spans, label: Labels) -> Sounds:
    """Return the codes and MFCC of sounds."""
    codes, residuals = _codes(model, corpus, spans)
    single = _codes(model, corpus, spans, SingleSounds())
    parts = np.zeros((len(spans), PARTS, codes.shape[1]), np.float32)
    parts[evenly(len(spans), 1000)] = np.asarray(residuals).reshape(-1, PARTS, codes.shape[1])
    cepstra = [_cepstra(Path(record.path), spans, number) for number, record in enumerate(corpus.records)]
    similar = Space.of(*single).points(single[0])
    return Sounds(codes, parts, np.concatenate(cepstra).astype(np.float32), label, spans.record, similar)


def _codes(
    model: Model, corpus: EngineCorpus, spans: Spans, windows: SingleSounds | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    with closing(CodeFile(None, 3 * model.params.hidden)) as file:
        residuals = encode_sounds(model, corpus, spans, file, parts=True, windows=windows)
        return np.array(file.codes), residuals


def _cepstra(path: Path, spans: Spans, record: int) -> NDArray[np.float64]:
    import librosa

    sound, rate = librosa.load(path, sr=None)
    rows = [np.empty((0, 61))]
    for start, end in zip(spans.start[spans.record == record], spans.end[spans.record == record], strict=True):
        own = sound[int(start * rate) : max(int(end * rate), int(start * rate) + 2048)]
        own = np.pad(own, (0, max(0, 2048 - len(own))))
        mfcc = librosa.feature.mfcc(y=own, sr=rate, n_mfcc=20, hop_length=max(64, int(rate) // 100))
        change = np.diff(mfcc, axis=1) if mfcc.shape[1] > 1 else np.zeros_like(mfcc)
        rows.append(np.concatenate([mfcc.mean(axis=1), mfcc.std(axis=1), change.std(axis=1), [end - start]])[None])
    return np.concatenate(rows)


def agreement(found: Sounds) -> dict[str, float]:
    """Return how types, MFCC and similar sounds agree with the labels of the sounds that have one."""
    types, _ = learn_types(found.codes, None, found.residuals)
    numbers, known = types.assign(found.codes)[0], found.label != ""
    of_cepstra, _ = learn_types(found.cepstra)
    return {
        "types": len(types),
        "AMI": _information(found.label[known], numbers[known]),
        "AMI, MFCC": _information(found.label[known], _ward(found.cepstra[known], len(set(numbers[known])))),
        "AMI, MFCC grouped alike": _information(found.label[known], of_cepstra.assign(found.cepstra)[0][known]),
        "ten nearest": _alike(found.similar[known], found.only(known)),
        "ten nearest, MFCC": _alike(Space.of(found.cepstra).points(found.cepstra)[known], found.only(known)),
    }


def _information(label: Labels, groups: NDArray[np.integer]) -> float:
    from sklearn.metrics import adjusted_mutual_info_score

    return float(adjusted_mutual_info_score(label, groups))


def _ward(features: NDArray[np.float32], count: int) -> NDArray[np.int32]:
    from scipy.cluster.hierarchy import fcluster, ward

    standard = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
    return np.asarray(fcluster(ward(standard.astype(float)), max(2, count), "maxclust"), np.int32)


def _alike(points: NDArray[np.float32], sounds: Sounds) -> float:
    near = points @ points.T
    if len(set(sounds.record.tolist())) > 1:
        near[sounds.record[:, None] == sounds.record] = -np.inf
    np.fill_diagonal(near, -np.inf)
    nearest = np.argsort(-near, axis=1, kind="stable")[:, :NEAREST]
    return float((sounds.label[nearest] == sounds.label[:, None]).mean())


def numbers(true: Sounds) -> Iterator[tuple[int, int, float]]:
    """Yield the number of kinds, the number of types and the AMI for all kinds, and for two and four of them."""
    kinds = np.unique(true.label)
    cases = [(count, seed) for count in CASES if count < len(kinds) for seed in range(3)]
    for count, seed in [(len(kinds), 0), *cases]:
        chosen = np.random.default_rng([count, seed]).choice(kinds, count, replace=False)
        own = true.only(np.isin(true.label, chosen))
        types, _ = learn_types(own.codes, None, own.residuals)
        yield count, len(types), _information(own.label, types.assign(own.codes)[0])


def measured(data: Path, name: str, seed: int, hidden: int, settings: dict[str, int]) -> tuple[Sounds | None, Sounds]:
    """Return the sounds that a survey finds in a set, and its true sounds; None for files that are a sound each."""
    with tempfile.TemporaryDirectory() as folder:
        truth, whole = _truth(data, name, seed, Path(folder))
        model = audiosae.train(list(truth), hidden=hidden, seed=seed, settings=settings).model
        records = ingest(model.domain, [Source(str(path), path) for path in truth], cache=cache_folder(None), workers=2)
        corpus = EngineCorpus(model.domain, records, LocalEngine(), workers=2)
        corpus = corpus.only(corpus.used)
        of = [[*map(np.array, zip(*truth[Path(record.path)], strict=True))] for record in corpus.records]
        rows = [(i, *row) for i, record in enumerate(corpus.records) for row in sorted(truth[Path(record.path)])]
        record, start, end, label = (np.array(column) for column in zip(*rows, strict=True))
        end = np.minimum(end, np.array([each.extent for each in corpus.records])[record])
        none = np.zeros(len(rows), np.int32)
        bands = none + len(model.domain.frequencies) - 1
        spans = Spans(record.astype(np.int32), start, end, none, bands, none.astype(np.float32), none)
        true = encoded(model, corpus, spans, label)
        if whole:
            return None, true
        detector, events = locate(model.domain, corpus, DetectorOptions())
        sounds = events.sounds(detector.joining.group)
        found = np.concatenate([_labels(row, sounds, number) for number, row in enumerate(of)])
        return encoded(model, corpus, sounds, found), true


def _labels(truth: Sequence[NDArray[Any]], sounds: Spans, record: int) -> Labels:
    """Return the label of the true sound to which each sound of a recording belongs, or ""."""
    own = sounds.record == record
    mine = np.stack([sounds.start[own], sounds.end[own]], axis=1)
    if not len(mine):
        return np.empty(0, "<U1")
    bout = sounds.bout[own] - sounds.bout[own].min()
    owner = owners(np.stack(truth[:2], axis=1), mine, bout.astype(np.intp))
    return np.where(owner >= 0, truth[2][owner], "")


def _truth(data: Path, name: str, seed: int, out: Path) -> tuple[Truth, bool]:
    """Return the true sounds of a set, whose recordings are written to a folder, and whether each file is a sound."""
    set_name, _, density = name.partition("-")
    folder = data / set_name
    if density:
        spans = plant(folder, density, seed, out)
        labels = iter(drawn(folder, np.random.default_rng(seed)))
        return {out / file: [(*row, next(labels)[1]) for row in rows.tolist()] for file, rows in spans.items()}, False
    rows = table_of(folder)
    if any(float(row.get("start") or 0) for row in rows):
        return {out / file: spans for file, spans in labelled(folder, out).items() if spans}, False
    column = next(each for each in LABELS if each in rows[0])
    places = [folder / each for each in ("recordings", "audio", ".") if (folder / each).is_dir()]
    # a model is trained on the clips that are drawn
    chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:CLIPS])
    return {places[0] / rows[i]["filename"]: [(0.0, np.inf, rows[i][column])] for i in chosen}, True


def shown(values: Sequence[float]) -> str:
    """Return a mean with its standard error."""
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{np.mean(values):.3f} ± {error:.3f}"


def main() -> None:
    """Measure and print two tables in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default=",".join(SETS), help="with commas between  [default: %(default)s]")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=NUMBER")
    options: Any = parser.parse_args()
    settings = {key: int(value) for key, value in (each.split("=") for each in options.settings)}
    cases: dict[str, list[tuple[int, int, float]]] = {}
    head: list[str] = []
    for name in options.sets.split(","):
        sets = [measured(options.data, name, repeat, options.hidden, settings) for repeat in range(options.repeats)]
        cases[name] = [case for _, true in sets for case in numbers(true)]
        scores = [agreement(found) for found, _ in sets if found]
        if scores and not head:
            head = ["found sounds of", *scores[0]]
            print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
        if scores:
            cells = [shown([score[key] for score in scores]) for key in scores[0]]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print(f"\n| true sounds of | number within a factor of {FACTOR} | all kinds | AMI |\n|---|---|---|---|")
    for name, values in cases.items():
        right = [1 / FACTOR <= types / kinds <= FACTOR for kinds, types, _ in values]
        most = max(kinds for kinds, _, _ in values)
        every = shown([types for kinds, types, _ in values if kinds == most])
        print(f"| {name} | {np.mean(right):.2f} | {every} of {most} | {np.mean([case[2] for case in values]):.3f} |")
    shares = [np.mean([1 / FACTOR <= types / kinds <= FACTOR for kinds, types, _ in each]) for each in cases.values()]
    print(f"| mean over the sets | {np.mean(shares):.2f} | | |")


if __name__ == "__main__":
    main()
