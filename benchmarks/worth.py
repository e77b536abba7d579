"""What the features are worth: settings x sets x seeds, the model beside k-means and random weights, as one table.

    python -m benchmarks.worth DATA --work FOLDER [--seeds 0,1,2] [--settings a,b] [--each 15] [-o FILE.md]

DATA holds folders with a table FOLDER/FOLDER.csv whose column `filename` lies in FOLDER/recordings or FOLDER/audio.
Every change of a setting is given to all methods alike: k-means and random weights see the same windows, whitened the
same, and their codes are pooled the same. What was measured is kept in FOLDER/results.jsonl, and a later run goes on
from there; the table is made of all that it holds.
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
from audiosae.domain import make_domain
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import read
from audiosae.evaluation import baselines, scores
from audiosae.evaluation.classifier import INNER_FOLDS, classify
from audiosae.evaluation.folds import make_plan
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.training.fit import fit
from audiosae.training.options import TrainOptions
from benchmarks.groups import agreement
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
METHODS = (baselines.MODEL, "kmeans", "random-weights")
CODES: tuple[Code, ...] = ("sqrt", "share")
POOLS = ("mean", "max", "std", "change")
VARIANTS = {"mean, max, std": (0, 1, 2), "mean, max, std, change": (0, 1, 2, 3)}
DEFAULT = "defaults"
NOTES = "\n## What it says\n"  # what a person wrote under the tables


@dataclass(frozen=True)
class View:
    """One model: options of the spectrogram and of training that are not the defaults."""

    domain: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """A try.

    Attributes
    ----------
    told
        In words.
    views
        Models whose codes stand side by side.
    speeds
        Each recording is learned from at these speeds, too (pitch and length change together); it is classified as
        it is.
    """

    told: str
    views: tuple[View, ...] = (View(),)
    speeds: tuple[float, ...] = ()


SETTINGS = {
    DEFAULT: Setting("today's defaults"),
    "speeds": Setting("learned from the recordings at speeds 0.9 and 1.1, too", speeds=(0.9, 1.1)),
    "lengths": Setting(
        "windows of 8 and of 24 frames side by side, 256 units each",
        tuple(View({"frames": frames}, {"hidden": 256}) for frames in (8, 24)),
    ),
    "top_db": Setting("what lies 60 dB under the loudest is cut off (top_db 60)", (View({"top_db": 60.0}),)),
    "power": Setting("no whitening but rotation (whiten_power 0)", (View(train={"whiten_power": 0.0}),)),
    "rho": Setting("units fire more often (rho 0.05)", (View(train={"rho": 0.05}),)),
    "beta": Setting("a weaker sparsity penalty (beta 10)", (View(train={"beta": 10.0}),)),
    "keep": Setting("fewer components (keep 0.95)", (View(train={"keep": 0.95}),)),
}


@dataclass(frozen=True)
class Clips:
    """A labelled set, or the part of it that is taken."""

    sources: list[Source]
    plan: Plan
    labels: list[str]


def clips_of(folder: Path, each: int) -> Clips:
    """Return a set's clips: of each class and group at most so many, evenly spaced in its table."""
    label, group = SETS[folder.name]
    with (folder / f"{folder.name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    alike = defaultdict(list)
    for number, row in enumerate(rows):
        alike[row[label], row[group]].append(number)
    taken = {found[i * len(found) // min(each, len(found))] for found in alike.values()
             for i in range(min(each, len(found)))}  # fmt: skip
    rows = [rows[number] for number in sorted(taken)]
    place = next(folder / name for name in ("recordings", "audio") if (folder / name).is_dir())
    labels = [row[label] for row in rows]
    plan = make_plan(labels, kind="group", values=[row[group] for row in rows], column=group, seed=0)
    return Clips([Source(row["filename"], place / row["filename"]) for row in rows], plan, labels)


def at_speeds(sources: Sequence[Source], speeds: Sequence[float], where: Path) -> Iterator[Source]:
    """Yield recordings played faster or slower; they are written once."""
    import librosa
    import soundfile

    for speed in speeds:
        for source in sources:
            path = where / f"{speed:g}" / f"{source.name}.wav"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                samples, rate = soundfile.read(source.path, always_2d=True)
                other = librosa.resample(samples.mean(axis=1), orig_sr=rate * speed, target_sr=rate)
                soundfile.write(path, other, rate)
            yield Source(f"{speed:g}/{source.name}", path)


def codes_of(view: View, clips: Clips, more: Sequence[Source], seed: int, work: Path) -> Codes:
    """Train on clips and more; return each method's codes of the clips, pooled."""
    options = TrainOptions.resolve(Spectrogram.defaults, {"hidden": 512, "seed": seed, **view.train})
    engine, cache = LocalEngine(), work / "cache"
    domain = make_domain(Spectrogram, dict(view.domain))
    learned = [*clips.sources, *more]
    model = fit(read(domain, learned, engine, cache=cache, workers=1), options).model
    corpus = read(model.domain, clips.sources, engine, cache=cache, workers=1)
    if len(corpus.used) != len(clips.sources):
        raise RuntimeError(f"{len(clips.sources) - len(corpus.used)} recordings cannot be read")
    seen = read(model.domain, learned, engine, cache=cache, workers=1) if more else corpus
    found: Codes = {}
    for code in CODES:
        for method, features in baselines.feature_sets(METHODS[1:], model, seen, code=code, seed=seed).items():
            values = baselines.pooled_files(corpus, features, pools=POOLS)
            found[method, code] = values.reshape(len(values), -1, len(POOLS))
    return found


def judged(x: NDArray[np.float32], clips: Clips) -> Row:
    """Return the accuracy of each fold, and what the groups that are found without labels have to do with them."""
    plan = clips.plan
    predicted = np.full(len(x), -1, np.int64)
    for split in plan.splits:
        inner = plan.inner(split, INNER_FOLDS, 0)
        predicted[split.test] = classify(x[split.train], plan.target[split.train], x[split.test], inner)[0]
    return {"folds": scores.summarise(plan, predicted)["folds"], "groups": agreement(x, clips.labels)}


def measured(setting: Setting, clips: Clips, seed: int, work: Path) -> Iterator[Row]:
    """Yield what each way of pooling and each method comes to."""
    more = list(at_speeds(clips.sources, setting.speeds, work / "speeds"))
    views = [codes_of(view, clips, more, seed, work) for view in setting.views]
    for method, code in views[0]:
        codes = np.concatenate([view[method, code] for view in views], axis=1)
        for variant, chosen in VARIANTS.items():
            x = np.ascontiguousarray(codes[:, :, chosen]).reshape(len(codes), -1)
            yield {"method": method, "code": code, "pools": variant, **judged(x, clips)}


def run(options: argparse.Namespace) -> list[Row]:
    """Measure what is not there yet; return all rows."""
    kept = options.work / "results.jsonl"
    options.work.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    done = {(row["setting"], row["seed"], row["set"], row["each"]) for row in rows}
    for name in options.settings.split(","):
        for seed in map(int, options.seeds.split(",")):
            for folder in SETS:
                key = (name, seed, folder, options.each)
                if key in done:
                    continue
                facts = dict(zip(("setting", "seed", "set", "each"), key, strict=True))
                clips = clips_of(options.data / folder, options.each)
                found = [facts | row for row in measured(SETTINGS[name], clips, seed, options.work / folder)]
                with kept.open("a") as file:
                    file.writelines(json.dumps(row) + "\n" for row in found)
                rows += found
                best = found[0]
                print(f"{name}, seed {seed}, {folder}: {100 * np.mean(best['folds']):.1f}", flush=True)
    return [row for row in rows if row["each"] == options.each and row["setting"] in SETTINGS]


@dataclass(frozen=True)
class Scores:
    """What one way of making features came to, for the seeds that every set has been measured with.

    Attributes
    ----------
    seeds
        In order.
    folds, groups
        Per set: accuracies, (seeds, folds), and agreement of groups with classes, (seeds,).
    """

    seeds: list[int]
    folds: dict[str, NDArray[Any]]
    groups: dict[str, NDArray[Any]]

    def accuracy(self) -> str:
        """Return the mean over seeds and folds of each set, and of the sets, in per cent, as cells."""
        return " | ".join(_cell(*_spread(found)) for found in _each(self.folds))

    def ahead(self, other: Scores) -> str:
        """Return the difference to others with the same seeds, fold by fold, as a cell."""
        if not set(self.seeds) & set(other.seeds):
            return ""
        own, others = zip(
            *((i, other.seeds.index(s)) for i, s in enumerate(self.seeds) if s in other.seeds), strict=True
        )
        mean, error = _spread([self.folds[name][[*own]] - other.folds[name][[*others]] for name in SETS])
        return f"{100 * mean:+.1f} ± {100 * error:.1f}"

    def agreement(self) -> str:
        """Return the agreement of groups with classes, each set's and the mean, as cells."""
        means = [found.mean() for found in self.groups.values()]
        return " | ".join(f"{value:.3f}" for value in [*means, np.mean(means)])


def _each(folds: dict[str, NDArray[Any]]) -> Iterator[list[NDArray[Any]]]:
    """Yield every set alone, then all together."""
    yield from ([folds[name]] for name in SETS)
    yield [folds[name] for name in SETS]


def _spread(sets: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Return mean and standard error over folds (of the mean over seeds) of the mean of sets."""
    folds = [found.mean(axis=0) for found in sets]
    variance = sum(found.var(ddof=1) / len(found) for found in folds)
    return float(np.mean([found.mean() for found in folds])), float(np.sqrt(variance)) / len(folds)


def _cell(mean: float, error: float) -> str:
    return f"{100 * mean:.1f} ± {100 * error:.1f}"


def scores_of(rows: Sequence[Row]) -> dict[Key, Scores]:
    """Return the scores of each (setting, code, pools, method) that every set has been measured for."""
    grouped: dict[Key, dict[str, dict[int, Row]]] = defaultdict(lambda: {name: {} for name in SETS})
    for row in rows:
        grouped[row["setting"], row["code"], row["pools"], row["method"]][row["set"]][row["seed"]] = row
    scored = {}
    for key, found in grouped.items():
        if seeds := sorted(set.intersection(*(set(found[name]) for name in SETS))):
            folds, groups = (
                {name: np.array([found[name][seed][what] for seed in seeds]) for name in SETS}
                for what in ("folds", "groups")
            )
            scored[key] = Scores(seeds, folds, groups)
    return scored


def _told(way: tuple[str, str, str]) -> str:
    setting, code, pools = way
    return f"{SETTINGS[setting].told} | {code} | {pools}"


def table(rows: Sequence[Row], each: int) -> str:
    """Return what was measured, for a person, in Markdown."""
    found = scores_of(rows)
    here = machine()
    lines = [
        "# What the features are worth: the table of tries", "",
        f"{dt.datetime.now(tz=dt.UTC):%Y-%m-%d}, {here['cores']} cores of {here['cpu']}, Python "
        f"{here['python']}, NumPy {here['numpy']}, scikit-learn {here['scikit-learn']}. Made by "
        f"`python -m benchmarks.worth --each {each}`: of each class and group at most {each} clips, evenly spaced in "
        "the set's table; 512 units. Ridge classification, one group left out at a time, or five folds of groups. "
        "Accuracies in per cent: mean over seeds, ± its standard error over folds. `against defaults` is the paired "
        "difference, fold by fold, of the mean of the sets to the same method under today's defaults. `groups`: "
        "adjusted mutual information of as many groups as there are classes, found without labels, with them.", "",
        f"| setting | code | pools | method | seeds | {' | '.join(SETS)} | mean | against defaults | "
        f"{' | '.join('groups: ' + name for name in SETS)} | mean |",
        "|---|---|---|---|" + "---|" * (2 * len(SETS) + 4),
    ]  # fmt: skip
    ways = [way for way in product(SETTINGS, CODES, VARIANTS) if (*way, METHODS[0]) in found]
    for way in ways:
        for method in METHODS:
            own = found[*way, method]
            today = found.get((DEFAULT, CODES[0], next(iter(VARIANTS)), method), own)
            lines.append(f"| {_told(way)} | {method} | {len(own.seeds)} | {own.accuracy()} | {own.ahead(today)} | "
                         f"{own.agreement()} |")  # fmt: skip
    lines += ["", "The model ahead of the baselines, on the mean of the sets, fold by fold:", "",
              "| setting | code | pools | of k-means | of random weights |", "|---|---|---|---|---|"]  # fmt: skip
    for way in ways:
        model, *others = (found[*way, method] for method in METHODS)
        lines.append(f"| {_told(way)} | {' | '.join(model.ahead(other) for other in others)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for caches and what was measured")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--settings", default=",".join(SETTINGS), help=f"of {', '.join(SETTINGS)}")
    parser.add_argument("--each", type=int, default=15, help="clips of each class and group at most")
    parser.add_argument("-o", "--out", type=Path, help="Markdown file; its notes are kept")
    options = parser.parse_args()
    if unknown := set(options.settings.split(",")) - set(SETTINGS):
        parser.error(f"no setting {', '.join(sorted(unknown))}; wanted some of {', '.join(SETTINGS)}")
    text = table(run(options), options.each)
    print(text)
    if options.out:
        before = options.out.read_text(encoding="utf-8") if options.out.exists() else ""
        notes = before[before.find(NOTES) :] if NOTES in before else ""
        options.out.write_text(text + notes, encoding="utf-8")


if __name__ == "__main__":
    main()
