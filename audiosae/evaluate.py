"""How good features are beside what anyone could have had for less, and what the units do."""

from __future__ import annotations

import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae import baselines, scores
from audiosae.backends import Backend, choose
from audiosae.backends.cpu import TANH
from audiosae.baselines import INNER_FOLDS, MODEL, FeatureSet
from audiosae.corpus import Corpus
from audiosae.errors import Interrupted
from audiosae.features import encoder
from audiosae.fold import Feed, fold, score
from audiosae.model import DEAD_SHARE, Model
from audiosae.options import TrainOptions
from audiosae.progress import Progress
from audiosae.sae import encode
from audiosae.train import digest_of as sources_digest
from audiosae.train import train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.features import Code
    from audiosae.journal import Record
    from audiosae.scores import Plan, Split
    from audiosae.sources import Source

ACTIVE = 0.1  # activity above which a unit counts as on
_ALWAYS = 0.5  # of the windows
_MEASURED_WINDOWS = 2**17
_UNITS_TOLD = 3  # per label


@dataclass(frozen=True)
class Options:
    """What is compared, and how.

    Attributes
    ----------
    names
        Baselines, of `audiosae.baselines.BASELINES`.
    pools, segments
        How the codes of windows become features of a clip.
    code
        See `audiosae.features.encoder`.
    refit
        Learn everything anew on each fold's training part, the model with its own options.
    seed
        Of folds, k-means and NMF.
    """

    names: tuple[str, ...] = baselines.BASELINES
    pools: tuple[str, ...] = ("max", "mean", "std")
    segments: int = 1
    code: Code = "sqrt"
    refit: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Evaluation:
    """What came of it.

    Attributes
    ----------
    plan
        Of the folds.
    results
        One for each set of features, the model first: see `summarise`.
    predicted
        Class number per set and clip, -1 where it was not tested.
    facts
        What else ``evaluate --json`` prints.
    """

    plan: Plan
    results: list[dict[str, Any]]
    predicted: dict[str, NDArray[np.int64]]
    facts: dict[str, Any]


def evaluate(
    model: Model, sources: Sequence[Source], records: Sequence[Record], plan: Plan, options: Options, *,
    cache: Path, workers: int, progress: Progress | None = None,
) -> Evaluation:  # fmt: skip
    """Compare a model's features with baselines on labelled sources, and measure the units on them.

    Parameters
    ----------
    model, sources, records
        A trained model, what is classified, and its records of `audiosae.ingest.ingest`, all used.
    plan, options
        Labels and folds, and what is compared.
    cache
        Folder for fields, for `refit`.
    workers
        Threads, and decoding processes for `refit`.
    progress
        Who is told.
    """
    began = time.monotonic()
    predicted, results = _Work(model, records, sources, plan, options, cache, workers, progress or Progress()).run()
    facts = {
        "folds": plan.told, "clips": len(records), "tested": len(plan.tested), "classes": plan.classes,
        "chance": plan.chance, "notes": plan.notes, "quality": measure(model, records, plan),
        **_seen(model, records, plan, refit=options.refit), "options": asdict(options),
    }  # fmt: skip
    return Evaluation(plan, results, predicted, facts | {"seconds": round(time.monotonic() - began, 3)})


@dataclass(frozen=True)
class _Work:
    """Features and predictions of every set."""

    model: Model
    records: Sequence[Record]
    sources: Sequence[Source]
    plan: Plan
    options: Options
    cache: Path
    workers: int
    progress: Progress

    def run(self) -> tuple[dict[str, NDArray[np.int64]], list[dict[str, Any]]]:
        names = [MODEL, *self.options.names]
        predicted = {name: np.full(len(self.records), -1, np.int64) for name in names}
        strengths: dict[str, list[float]] = {name: [] for name in names}
        widths = {}
        for splits, sets in self._learned():
            self.progress.stage("encoding", len(sets) * len(self.records), "clips")
            features = dict(zip(sets, self._each(self._features, list(sets.values())), strict=True))
            widths = {name: found.shape[1] for name, found in features.items()}
            jobs = [(name, split) for name in sets for split in splits]
            self.progress.stage("classifying", len(jobs), "folds")
            found = self._each(self._classified, [(features[name], split) for name, split in jobs])
            for (name, split), (classes, strength) in zip(jobs, found, strict=True):
                predicted[name][split.test] = classes
                strengths[name].append(strength)
        results = []
        for name in names:
            summary = scores.summarise(self.plan, predicted[name], predicted[MODEL] if name != MODEL else None)
            results.append({"name": name, "features": widths[name], **summary, "strengths": strengths[name]})
        return predicted, results

    def _learned(self) -> Iterator[tuple[list[Split], dict[str, FeatureSet]]]:
        """Yield folds with the sets that were learned for them: for all at once, or anew for each."""
        o, everything = self.options, Corpus(self.model.domain, self.records)
        if not o.refit:
            self.progress.stage("learning", None, "baselines")
            yield self.plan.splits, baselines.feature_sets(o.names, self.model, everything, code=o.code, seed=o.seed)
            return
        for split in self.plan.splits:
            self.progress.say(f"learning on the training part of fold {split.name}")
            corpus = Corpus(self.model.domain, [self.records[i] for i in split.train])
            sets = baselines.feature_sets(o.names, self._refitted(split), corpus, code=o.code, seed=o.seed)
            yield [split], sets

    def _refitted(self, split: Split) -> Model:
        """Train the model anew on a fold's training part, with the options it was trained with."""
        options, sources = TrainOptions(**self.model.facts["options"]), [self.sources[i] for i in split.train]
        with tempfile.TemporaryDirectory() as folder:
            try:
                return train(
                    self.model.domain, sources, Path(folder), options, choose("auto")[0],
                    cache=self.cache, workers=self.workers, progress=self.progress,
                ).model  # fmt: skip
            except Interrupted as error:
                raise KeyboardInterrupt from error  # its checkpoint goes with the folder: there is nothing to resume

    def _features(self, features: FeatureSet) -> NDArray[np.float32]:
        o = self.options
        return baselines.pooled_clips(
            self.model.domain, self.records, features, pools=o.pools, segments=o.segments, done=self.progress.advance
        )

    def _classified(self, job: tuple[NDArray[np.float32], Split]) -> tuple[NDArray[np.int64], float]:
        features, split = job
        inner = self.plan.inner(split, INNER_FOLDS, self.options.seed)
        train, test = features[split.train], features[split.test]
        found = baselines.classify(train, self.plan.target[split.train], test, inner)
        self.progress.advance(1)
        return found

    def _each(self, work: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
        """Work on all jobs, one thread each; a classifier that stops early is good enough, and says so too often."""
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        with warnings.catch_warnings(), threadpool_limits(1), ThreadPoolExecutor(self.workers) as pool:
            warnings.simplefilter("ignore", ConvergenceWarning)
            return list(pool.map(work, jobs))


def _seen(model: Model, records: Sequence[Record], plan: Plan, *, refit: bool) -> dict[str, Any]:
    """Say how many of the tested sources the model had been trained on, as far as its digest of them tells."""
    tested = len(plan.tested)
    if refit:
        return {
            "seen": 0,
            "seen_told": "everything was learned anew on each fold's training part: no test file was seen",
        }
    counts = Corpus(model.domain, records).windows_per_record()
    mine = sources_digest([r for r, windows in zip(records, counts, strict=True) if windows])
    if mine == model.facts["sources"]["digest"]:
        told = f"the model was trained on these very files: it had seen all {tested} test files, without their labels"
        return {"seen": tested, "seen_told": f"{told} (--refit learns on the training part of each fold alone)"}
    told = f"the model was trained on {model.facts['sources']['used']} files that are not quite these"
    return {"seen": None, "seen_told": f"{told}; whether it had seen some of the {tested} test files is not known"}


@dataclass(frozen=True)
class _Usage:
    """Sums over windows of what units do; they add."""

    count: int
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    active: NDArray[np.int64]
    population: float

    def __add__(self, other: _Usage) -> _Usage:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Usage(*(mine + theirs for mine, theirs in pairs))


def measure(model: Model, records: Sequence[Record], plan: Plan) -> dict[str, Any]:
    """Measure reconstruction, sparsity and units on sources.

    Sparseness is (1 - mean(r)^2 / mean(r^2)) / (1 - 1/n), 0 for equal activity everywhere, 1 for a single active one:
    Treves and Rolls (1991) as in Vinje and Gallant (Science 287, 2000); over windows for a unit's lifetime, over units
    for the population in a window.
    """
    corpus = Corpus(model.domain, records).sample(_MEASURED_WINDOWS)
    feed, backend = Feed(corpus, model.whitener, Backend(), dtype=str(model.params.flat.dtype)), Backend()
    usage = fold(lambda x: _usage(_activity(model, encode(backend, model.params, x))), feed.blocks())
    share, mean = usage.active / usage.count, usage.total / usage.count
    lifetime = _sparseness(mean, usage.squares / usage.count, usage.count)
    rho = float(model.facts["options"]["rho"])
    return {
        "fvu": score(feed, model.params, backend).fvu,
        "windows": usage.count,
        "mean_activity": float(mean.mean()),
        "lifetime_sparseness": float(lifetime.mean()),
        "population_sparseness": usage.population / usage.count,
        "active_above": ACTIVE,
        "l0": float(share.sum()),
        "dead_units": np.flatnonzero(mean < DEAD_SHARE * rho).tolist(),
        "always_on_units": np.flatnonzero(share > _ALWAYS).tolist(),
        "units_of_labels": _units_of_labels(model, records, plan),
    }


def _activity(model: Model, codes: NDArray[Any]) -> NDArray[Any]:
    return (codes + 1) / 2 if model.params.activation == TANH else codes


def _usage(act: NDArray[Any]) -> _Usage:
    squares = np.square(act, dtype=np.float64)
    population = _sparseness(act.mean(axis=1, dtype=np.float64), squares.mean(axis=1), act.shape[1])
    total = act.sum(axis=0, dtype=np.float64)
    return _Usage(len(act), total, squares.sum(axis=0), (act > ACTIVE).sum(axis=0), float(population.sum()))


def _sparseness(mean: NDArray[Any], squares: NDArray[Any], count: int) -> NDArray[Any]:
    return np.asarray((1 - mean**2 / np.maximum(squares, 1e-300)) / max(1 - 1 / count, 1e-300))


def _units_of_labels(model: Model, records: Sequence[Record], plan: Plan) -> list[dict[str, Any]]:
    """Return, for each label, the units whose mean activity best tells its clips from others, by area under the ROC.

    The area is that of the Mann-Whitney statistic: 0.5 tells nothing, 1 everything. They are the best of many on the
    very clips: a description, not a prediction.
    """
    from scipy.stats import rankdata

    plain = FeatureSet(encoder(model, "activation"))
    activity = baselines.pooled_clips(model.domain, records, plain, pools=("mean",))
    member = plan.target[:, None] == np.arange(len(plan.classes))
    inside = member.sum(axis=0)
    parts = [activity[:, at : at + 64] for at in range(0, activity.shape[1], 64)]  # ranks are float64: a few at a time
    ranks = np.concatenate([member.T.astype(float) @ rankdata(part, axis=0) for part in parts], axis=1)
    areas = (ranks - (inside * (inside + 1) / 2)[:, None]) / (inside * (len(activity) - inside))[:, None]
    best = np.argsort(-areas, axis=1, kind="stable")[:, :_UNITS_TOLD]
    return [
        {"label": label, "unit": int(unit), "auc": float(areas[row, unit])}
        for row, label in enumerate(plan.classes)
        for unit in best[row]
    ]
