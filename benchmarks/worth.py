"""Accuracy of features: settings x data sets x seeds, the model compared with k-means, random weights and others.

    python -m benchmarks.worth DATA --work FOLDER [--seeds 0,1,2] [--settings a,b] [--each 15] [-o FILE.md]
    python -m benchmarks.worth DATA --work FOLDER --seeds 0,1,2,3,4 --settings defaults,joined --each 100000
        --codes share --pools "mean, max, std, change" --methods model,kmeans,random-weights,nmf  (on one line)

DATA has folders with a table FOLDER/FOLDER.csv; its column `filename` names files in FOLDER/recordings or FOLDER/audio.
A setting applies to all methods: k-means and random weights use the same windows, whitening and pooling. Results are
stored in FOLDER/results.jsonl; a later run resumes from this file, and the table shows all results in it.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.sources import Source
from audiosae.domain import make_domain, resolved
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import read
from audiosae.evaluation import baselines, probing, scores
from audiosae.evaluation.classifier import INNER_FOLDS, classify
from audiosae.evaluation.folds import make_plan
from audiosae.features.pooling import without_change
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.training.fit import fit
from audiosae.training.options import TrainOptions
from benchmarks.measure import machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from audiosae.evaluation.folds import Plan
    from audiosae.features.codes import Code

Row = dict[str, Any]
Key = tuple[str, str, str, str]  # setting, code, pools, method
Codes = dict[tuple[str, str], "NDArray[np.float32]"]  # of (method, code): (clips, outputs, pools)

SETS = {"fsdd": ("digit", "speaker"), "instruments": ("instrument", "note"), "emodb": ("emotion", "speaker")}
METHODS = (baselines.MODEL, "kmeans", "random-weights")  # unless --methods names others
CODES: tuple[Code, ...] = ("sqrt", "share")
POOLS = ("mean", "max", "std", "change")
VARIANTS = {"mean, max, std": (0, 1, 2), "mean, max, std, change": (0, 1, 2, 3)}
DEFAULT = "defaults"
NOTES = "\n## Conclusions\n"  # written by hand below the tables


@dataclass(frozen=True)
class View:
    """Options of the spectrogram and of training, for one model, that are not the defaults."""

    domain: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """A setting of the comparison.

    Attributes
    ----------
    description
        Text for the table.
    views
        Models whose codes are concatenated.
    speeds
        Further speeds at which each recording is used for training (pitch and length change together); it is
        classified at its original speed.
    """

    description: str
    views: tuple[View, ...] = (View(),)
    speeds: tuple[float, ...] = ()


SETTINGS = {
    DEFAULT: Setting("today's defaults"),
    "speeds": Setting("trained also on the recordings at speeds 0.9 and 1.1", speeds=(0.9, 1.1)),
    "lengths": Setting(
        "windows of 8 and of 24 frames side by side, 256 units each",
        tuple(View({"frames": frames}, {"hidden": 256}) for frames in (8, 24)),
    ),
    "joined": Setting("one model of windows of 8 and of 24 frames", (View({"frames": 24, "short": 8}),)),
    "top_db": Setting("levels 60 dB below the loudest are clipped (top_db 60)", (View({"top_db": 60.0}),)),
    "power": Setting("rotation only, no whitening (whiten_power 0)", (View(train={"whiten_power": 0.0}),)),
    "rho": Setting("more active units (rho 0.05)", (View(train={"rho": 0.05}),)),
    "beta": Setting("a weaker sparsity penalty (beta 10)", (View(train={"beta": 10.0}),)),
    "keep": Setting("fewer components (keep 0.95)", (View(train={"keep": 0.95}),)),
}


@dataclass(frozen=True)
class Clips:
    """A labelled set, or the part of it that is used."""

    sources: list[Source]
    plan: Plan
    labels: list[str]


def clips_of(folder: Path, each: int) -> Clips:
    """Return the clips of a set: at most `each` per class and group, evenly spaced in its table."""
    label, group = SETS[folder.name]
    with (folder / f"{folder.name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    alike = defaultdict(list)
    for number, row in enumerate(rows):
        alike[row[label], row[group]].append(number)
    counts = [(numbers, min(each, len(numbers))) for numbers in alike.values()]
    taken = {numbers[i * len(numbers) // count] for numbers, count in counts for i in range(count)}
    rows = [rows[number] for number in sorted(taken)]
    recordings = next(folder / name for name in ("recordings", "audio") if (folder / name).is_dir())
    labels = [row[label] for row in rows]
    plan = make_plan(labels, kind="group", values=[row[group] for row in rows], column=group, seed=0)
    return Clips([Source(row["filename"], recordings / row["filename"]) for row in rows], plan, labels)


def at_speeds(sources: Sequence[Source], speeds: Sequence[float], folder: Path) -> Iterator[Source]:
    """Yield recordings played faster or slower, written on the first call."""
    import librosa
    import soundfile

    for speed in speeds:
        for source in sources:
            path = folder / f"{speed:g}" / f"{source.name}.wav"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                samples, rate = soundfile.read(source.path, always_2d=True)
                other = librosa.resample(samples.mean(axis=1), orig_sr=rate * speed, target_sr=rate)
                soundfile.write(path, other, rate)
            yield Source(f"{speed:g}/{source.name}", path)


@dataclass(frozen=True)
class Ways:
    """The ways of making features that are compared: methods, codes, and names of `VARIANTS` of pools."""

    methods: tuple[str, ...] = METHODS
    codes: tuple[Code, ...] = CODES
    pools: tuple[str, ...] = tuple(VARIANTS)


def codes_of(view: View, clips: Clips, more: Sequence[Source], seed: int, *, work: Path, ways: Ways) -> Codes:
    """Train on clips and more sources, and return the pooled codes of the clips by each method."""
    options = TrainOptions.resolve(Spectrogram.defaults, {"hidden": 512, "seed": seed, **view.train})
    engine, cache = LocalEngine(), work / "cache"
    domain = resolved(make_domain(Spectrogram, dict(view.domain)), [source.path for source in clips.sources])
    learned = [*clips.sources, *more]
    model = fit(read(domain, learned, engine, cache=cache, workers=1), options).model
    corpus = read(model.domain, clips.sources, engine, cache=cache, workers=1)
    if len(corpus.used) != len(clips.sources):
        raise RuntimeError(f"{len(clips.sources) - len(corpus.used)} recordings cannot be read")
    training = read(model.domain, learned, engine, cache=cache, workers=1) if more else corpus
    codes: Codes = {}
    names = [name for name in ways.methods if name != baselines.MODEL]
    for code in ways.codes:
        for method, features in baselines.feature_sets(names, model, training, code=code, seed=seed).items():
            values = baselines.pooled_files(corpus, features, pools=POOLS)
            codes[method, code] = values.reshape(len(values), -1, len(POOLS))
    return codes


def score(x: NDArray[np.float32], clips: Clips, pools: str) -> Row:
    """Return the accuracy of each fold, and the agreement of labels with groups found without them and `change`."""
    plan = clips.plan
    predicted = np.full(len(x), -1, np.int64)
    for split in plan.splits:
        inner = plan.inner(split, INNER_FOLDS, 0)
        predicted[split.test] = classify(x[split.train], plan.target[split.train], x[split.test], inner)[0]
    groups = probing.cluster_agreement(without_change(x, pools.split(", "), 1), plan.target).groups
    return {"folds": scores.summarise(plan, predicted)["folds"], "groups": groups}


def measure(setting: Setting, clips: Clips, seed: int, work: Path, ways: Ways) -> Iterator[Row]:
    """Yield the scores of each method, code and way of pooling."""
    more = list(at_speeds(clips.sources, setting.speeds, work / "speeds"))
    views = [codes_of(view, clips, more, seed, work=work, ways=ways) for view in setting.views]
    for method, code in views[0]:
        codes = np.concatenate([view[method, code] for view in views], axis=1)
        for variant in ways.pools:
            x = np.ascontiguousarray(codes[:, :, VARIANTS[variant]]).reshape(len(codes), -1)
            yield {"method": method, "code": code, "pools": variant, **score(x, clips, variant)}


def run(options: argparse.Namespace, ways: Ways) -> list[Row]:
    """Measure the missing combinations and return all rows."""
    results = options.work / "results.jsonl"
    options.work.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    done = {(row["setting"], row["seed"], row["set"], row["each"]) for row in rows}
    for name in options.settings.split(","):
        for seed in map(int, options.seeds.split(",")):
            for folder in options.sets.split(","):
                key = (name, seed, folder, options.each)
                if key in done:
                    continue
                facts = dict(zip(("setting", "seed", "set", "each"), key, strict=True))
                clips = clips_of(options.data / folder, options.each)
                measured = [facts | row for row in measure(SETTINGS[name], clips, seed, options.work / folder, ways)]
                with results.open("a") as file:
                    file.writelines(json.dumps(row) + "\n" for row in measured)
                rows += measured
                best = measured[0]
                print(f"{name}, seed {seed}, {folder}: {100 * np.mean(best['folds']):.1f}", flush=True)
    return [row for row in rows if row["each"] == options.each and row["setting"] in SETTINGS]


@dataclass(frozen=True)
class Scores:
    """Scores of one way of making features, for the seeds with which every set has been measured.

    Attributes
    ----------
    seeds
        Seeds in ascending order.
    folds, groups
        By set: accuracies, (seeds, folds), and agreement of groups with classes, (seeds,).
    """

    seeds: list[int]
    folds: dict[str, NDArray[Any]]
    groups: dict[str, NDArray[Any]]

    def accuracy(self) -> str:
        """Return mean accuracies over seeds and folds of each set and of all sets, in per cent, as cells."""
        return " | ".join(_cell(*_spread(sets)) for sets in _each(self.folds))

    def ahead(self, other: Scores) -> list[str]:
        """Return the paired differences from other scores, fold by fold, for common seeds, as cells.

        The cells are those of each set and of all sets.
        """
        if not set(self.seeds) & set(other.seeds):
            return [""] * (len(SETS) + 1)
        own, others = zip(
            *((i, other.seeds.index(s)) for i, s in enumerate(self.seeds) if s in other.seeds), strict=True
        )
        differences = {name: self.folds[name][[*own]] - other.folds[name][[*others]] for name in SETS}
        spreads = [_spread(sets) for sets in _each(differences)]
        return [f"{100 * mean:+.1f} ± {100 * error:.1f}" for mean, error in spreads]

    def agreement(self) -> str:
        """Return the agreement of groups with classes for each set, and its mean, as cells."""
        means = [values.mean() for values in self.groups.values()]
        return " | ".join(f"{value:.3f}" for value in [*means, np.mean(means)])


def _each(folds: dict[str, NDArray[Any]]) -> Iterator[list[NDArray[Any]]]:
    """Yield each set alone, then all sets together."""
    yield from ([folds[name]] for name in SETS)
    yield [folds[name] for name in SETS]


def _spread(sets: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Return mean and standard error over folds (of the mean over seeds) of the mean of sets."""
    folds = [values.mean(axis=0) for values in sets]
    variance = sum(values.var(ddof=1) / len(values) for values in folds)
    return float(np.mean([values.mean() for values in folds])), float(np.sqrt(variance)) / len(folds)


def _cell(mean: float, error: float) -> str:
    return f"{100 * mean:.1f} ± {100 * error:.1f}"


def scores_of(rows: Sequence[Row]) -> dict[Key, Scores]:
    """Return the scores of each (setting, code, pools, method) that was measured on every set."""
    grouped: dict[Key, dict[str, dict[int, Row]]] = defaultdict(lambda: {name: {} for name in SETS})
    for row in rows:
        grouped[row["setting"], row["code"], row["pools"], row["method"]][row["set"]][row["seed"]] = row
    scored = {}
    for key, by_set in grouped.items():
        if seeds := sorted(set.intersection(*(set(by_set[name]) for name in SETS))):
            folds, groups = (
                {name: np.array([by_set[name][seed][what] for seed in seeds]) for name in SETS}
                for what in ("folds", "groups")
            )
            scored[key] = Scores(seeds, folds, groups)
    return scored


def _describe(way: tuple[str, str, str]) -> str:
    setting, code, pools = way
    return f"{SETTINGS[setting].description} | {code} | {pools}"


def table(rows: Sequence[Row], each: int) -> str:
    """Return the table of results, in Markdown."""
    scored = scores_of(rows)
    facts = machine()
    lines = [
        "# Accuracy of features: table of settings",
        "",
        f"{dt.datetime.now(tz=dt.UTC):%Y-%m-%d}, {facts['cores']} cores of {facts['cpu']}, Python "
        f"{facts['python']}, NumPy {facts['numpy']}, scikit-learn {facts['scikit-learn']}. Made by "
        f"`python -m benchmarks.worth --each {each}`: at most {each} clips per class and group, evenly spaced in "
        "the set's table; 512 units. Ridge classification, one group left out at a time, or five folds of groups. "
        "Accuracies in per cent: mean over seeds, ± its standard error over folds. `against the first` is the paired "
        "difference, fold by fold, of the mean of the sets to the same method with the first setting. `groups`: "
        "adjusted mutual information of as many groups as there are classes, found without labels and `change`, with "
        "them.",
        "",
        f"| setting | code | pools | method | seeds | {' | '.join(SETS)} | mean | against the first | "
        f"{' | '.join('groups: ' + name for name in SETS)} | mean |",
        "|---|---|---|---|" + "---|" * (2 * len(SETS) + 4),
    ]
    methods = {method: None for *_, method in scored}
    ways = [way for way in product(SETTINGS, CODES, VARIANTS) if (*way, baselines.MODEL) in scored]
    rows_of = [(way, method) for way in ways for method in methods if (*way, method) in scored]
    for way, method in rows_of:
        own = scored[*way, method]
        today = scored.get((*ways[0], method), own)
        cells = f"{own.accuracy()} | {own.ahead(today)[-1]} | {own.agreement()}"
        lines.append(f"| {_describe(way)} | {method} | {len(own.seeds)} | {cells} |")
    lines += [
        "",
        "Lead of the model over each baseline, paired by fold:",
        "",
        f"| setting | code | pools | over | {' | '.join(SETS)} | mean |",
        "|---|---|---|---|" + "---|" * (len(SETS) + 1),
    ]
    for way, method in rows_of:
        if method != baselines.MODEL:
            lead = scored[*way, baselines.MODEL].ahead(scored[*way, method])
            lines.append(f"| {_describe(way)} | {method} | {' | '.join(lead)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure the missing combinations and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for caches and results")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument(
        "--settings", default=",".join(SETTINGS), help=f"some of {', '.join(SETTINGS)}, separated by commas"
    )
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument(
        "--methods", default=",".join(METHODS), help=f"model, and some of {', '.join(baselines.BASELINES)}"
    )
    parser.add_argument("--codes", default=",".join(CODES))
    parser.add_argument("--pools", default=";".join(VARIANTS), help="names of pools, separated by semicolons")
    parser.add_argument("--each", type=int, default=15, help="maximum number of clips per class and group")
    parser.add_argument("-o", "--out", type=Path, help="Markdown file; its conclusions are not changed")
    options = parser.parse_args()
    if unknown := set(options.settings.split(",")) - set(SETTINGS):
        parser.error(f"no setting {', '.join(sorted(unknown))}; wanted some of {', '.join(SETTINGS)}")
    methods, codes = (tuple(text.split(",")) for text in (options.methods, options.codes))
    ways = Ways(methods, codes, tuple(options.pools.split(";")))
    text = table(run(options, ways), options.each)
    print(text)
    if options.out:
        before = options.out.read_text(encoding="utf-8") if options.out.exists() else ""
        notes = before[before.find(NOTES) :] if NOTES in before else ""
        options.out.write_text(text + notes, encoding="utf-8")


if __name__ == "__main__":
    main()
