"""Evaluation: accuracy of a model's features beside baselines, and measures of its units."""

from __future__ import annotations

import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from audiosae.evaluation import baselines, probing
from audiosae.evaluation.baselines import MODEL
from audiosae.evaluation.classifier import INNER_FOLDS, ClassifierName, load_for_threads
from audiosae.evaluation.predictions import FoldPredictions, Predictions, classify_fold
from audiosae.evaluation.quality import unit_metrics
from audiosae.features.codes import DEFAULT_POOL
from audiosae.features.matching import match
from audiosae.features.stability import UnitStability
from audiosae.system.frames import html_table, pandas_frame
from audiosae.system.progress import Progress
from audiosae.system.threads import one_blas_thread
from audiosae.training.fit import fit, sources_digest
from audiosae.training.options import TrainOptions, suited_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.evaluation.folds import Plan, Split
    from audiosae.features.codes import Code, FeatureSet


_SCORES = ("name", "features", "accuracy", "std", "stderr")


@dataclass(frozen=True)
class Options:
    """Options of an evaluation.

    Attributes
    ----------
    names
        Baselines, of `audiosae.evaluation.baselines.BASELINES`.
    pools, segments
        How the codes of windows are pooled to the features of a file.
    code
        See `audiosae.features.codes.encoder`.
    refit
        Learn everything anew on each fold's training part, the model with its own options.
    seed
        Of folds, k-means and NMF.
    stability
        Train with so many of the next seeds, and match atoms.
    classifier
        The classifier, of `audiosae.evaluation.classifier.CLASSIFIERS`: the same for every set of features.
    """

    names: tuple[str, ...] = baselines.BASELINES
    pools: tuple[str, ...] = DEFAULT_POOL
    segments: int = 1
    code: Code = "sqrt"
    refit: bool = False
    seed: int = 0
    stability: int = 0
    classifier: ClassifierName = "ridge"


@dataclass(frozen=True)
class Evaluation:
    """Results of an evaluation.

    Attributes
    ----------
    plan
        Of the folds.
    results
        One for each set of features, the model first: see `audiosae.evaluation.predictions.Predictions.summary`.
    predicted
        Class number per set and clip, -1 where it was not tested.
    facts
        What ``evaluate --json`` prints, `quality` of the units among it.
    stability
        Of the units, where it was asked for.
    skipped
        The sources that could not be used, each with its `file` and `reason`.
    notes
        Messages: what was passed over, left out for want of a label, or is not whole.
    title
        What was told apart, and how clips were divided.

    Examples
    --------
    >>> judged = audiosae.evaluate(model, "classes", "folder", baselines="none")
    >>> judged.plan.classes, judged.plan.chance, judged.facts["quality"]["dead_units"] == []
    (['high', 'low'], 0.5, True)
    """

    plan: Plan
    results: list[dict[str, Any]]
    predicted: dict[str, NDArray[np.int64]]
    facts: dict[str, Any]
    stability: UnitStability | None = None
    skipped: Sequence[Record] = ()
    notes: Sequence[str] = ()
    title: str = ""

    def frame(self) -> pd.DataFrame:
        """Return a pandas frame with a row for each set of features: name, features, accuracy, std, stderr."""
        return pandas_frame({key: [result[key] for result in self.results] for key in _SCORES})

    def __repr__(self) -> str:
        told = ", ".join(f"{result['name']} {100 * result['accuracy']:.1f} %" for result in self.results)
        return f"<Evaluation: {told}; {len(self.skipped)} sources skipped>"

    def _repr_html_(self) -> str:
        """Return the accuracies, the best first, for a notebook."""
        ranked = sorted(self.results, key=lambda result: -result["accuracy"])
        rows = [(r["name"], r["features"], *(f"{100 * r[key]:.1f} %" for key in _SCORES[2:])) for r in ranked]
        return html_table(rows, head=_SCORES, caption=f"{self.title}; chance {100 * self.plan.chance:.1f} %")


@one_blas_thread()
def evaluate(
    model: Model, corpus: EngineCorpus, plan: Plan, options: Options, progress: Progress | None = None
) -> Evaluation:  # fmt: skip
    """Compare a model's features with baselines on labelled sources, and measure the units on them.

    Parameters
    ----------
    model, corpus
        A trained model, and what is classified: all used, encoded and trained on where it lies.
    plan, options
        Labels and folds, and what is compared.
    progress
        Who is told.
    """
    began = time.monotonic()
    if options.refit or options.stability:  # refused before the work, not after
        suited_to(corpus.engine, TrainOptions.stored(model.facts["options"]), corpus.width)
    with corpus.backend.session():
        if options.refit or options.stability:  # the same windows are learned from again and again
            corpus.backend.keep_fields(corpus)
        return _evaluated(_Work(model, corpus, plan, options, progress or Progress()), began)


def _evaluated(work: _Work, began: float) -> Evaluation:
    model, corpus, plan, options = work.model, work.corpus, work.plan, work.options
    predicted, results = work.run()
    facts: dict[str, Any] = {
        "folds": plan.description, "clips": len(corpus.records), "tested": len(plan.tested), "classes": plan.classes,
        "chance": plan.chance, "notes": plan.notes,
        "grouped": min(len(corpus.records), probing.MOST_GROUPED), "quality": unit_metrics(model, corpus, plan),
        **_seen(model, corpus, plan, refit=options.refit), "options": asdict(options),
    }  # fmt: skip
    stability = None
    if options.stability:
        stability = work.stability()
        facts["stability"] = stability.to_json()
    return Evaluation(plan, results, predicted, facts | {"seconds": round(time.monotonic() - began, 3)}, stability)


@dataclass(frozen=True)
class _Work:
    """Features and predictions of every set."""

    model: Model
    corpus: EngineCorpus
    plan: Plan
    options: Options
    progress: Progress

    def run(self) -> tuple[dict[str, NDArray[np.int64]], list[dict[str, Any]]]:
        o, clips = self.options, len(self.corpus.records)
        found = {name: Predictions.none(clips) for name in (MODEL, *o.names)}
        some = probing.grouped(clips, o.seed)
        for splits, sets in self._learned():
            self.progress.stage("encoding", len(sets) * clips, "clips")
            slowest = list(reversed(sets))  # first, that it need not be waited for
            encoded = self._each(self._features, [sets[name] for name in slowest])
            features = dict(zip(slowest, encoded, strict=True))
            inner = [self.plan.inner(split, INNER_FOLDS, o.seed) for split in splits]
            jobs = [(name, *parts) for name in slowest for parts in zip(splits, inner, strict=True)]
            self.progress.stage("classifying", len(jobs), "folds")
            judged = self._each(self._judged, [(features[name], *parts) for name, *parts in jobs])
            for (name, split, _), each in zip(jobs, judged, strict=True):
                found[name].add(split, each)
            groups = self._each(self._grouped, [values[some] for values in features.values()])
            for (name, values), alike in zip(features.items(), groups, strict=True):
                found[name].features = values.shape[1]
                found[name].groups.append(alike)
        reference = {name: None if name == MODEL else found[MODEL].predicted for name in found}
        results = [{"name": name} | each.summary(self.plan, reference[name]) for name, each in found.items()]
        return {name: each.predicted for name, each in found.items()}, results

    def _learned(self) -> Iterator[tuple[list[Split], dict[str, FeatureSet]]]:
        """Yield folds with the sets that were learned for them: for all at once, or anew for each."""
        o = self.options
        if not o.refit:
            self.progress.stage("learning", None, "baselines")
            sets = baselines.feature_sets(o.names, self.model, self.corpus, code=o.code, seed=o.seed)
            yield self.plan.splits, sets
            return
        for split in self.plan.splits:
            self.progress.say(f"learning on the training part of fold {split.name}")
            part = self.corpus.only(split.train)
            yield [split], baselines.feature_sets(o.names, self._trained(part), part, code=o.code, seed=o.seed)

    def stability(self) -> UnitStability:
        """Train with the next seeds on these sources, and see which atoms come back."""
        first = TrainOptions.stored(self.model.facts["options"]).seed + 1
        seeds, matches = range(first, first + self.options.stability), []
        for number, seed in enumerate(seeds):
            self.progress.say(f"learning with another seed, {number + 1} of {len(seeds)}")
            matches.append(match(self.model, self._trained(self.corpus, seed=seed)))
        return UnitStability.of(seeds, matches)

    def _trained(self, corpus: EngineCorpus, **changed: Any) -> Model:  # noqa: ANN401
        """Train the model anew on some sources, with the options it was trained with."""
        options = TrainOptions.stored(self.model.facts["options"], **changed)
        return fit(corpus, options, progress=self.progress).model

    def _features(self, features: FeatureSet) -> NDArray[np.float32]:
        o = self.options
        return baselines.pooled_files(
            self.corpus, features, pools=o.pools, segments=o.segments, done=self.progress.advance
        )

    def _judged(self, job: Any) -> FoldPredictions:  # noqa: ANN401
        features, split, inner = job
        width = len(self.options.pools) * self.options.segments
        found = classify_fold(features, self.plan.target, split, inner, width=width, classifier=self.options.classifier)
        self.progress.advance(1)
        return found

    def _grouped(self, features: NDArray[np.float32]) -> float:
        some = probing.grouped(len(self.corpus.records), self.options.seed)
        return probing.groups_like_classes(features, self.plan.target[some])

    def _each(self, work: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
        """Work on all jobs, one thread each; a classifier that stops early is good enough, and says so too often."""
        from sklearn.exceptions import ConvergenceWarning

        load_for_threads(self.options.classifier)
        with warnings.catch_warnings(), one_blas_thread(), ThreadPoolExecutor(self.corpus.workers) as pool:
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", message="The number of unique classes")  # as with many small ones
            return list(pool.map(work, jobs))


def _seen(model: Model, corpus: EngineCorpus, plan: Plan, *, refit: bool) -> dict[str, Any]:
    """Say how many of the tested sources the model had been trained on, as far as its digest of them tells."""
    tested = len(plan.tested)
    if refit:
        return {
            "seen": 0,
            "seen_told": "everything was learned anew on each fold's training part: no test file was seen",
        }
    counts = corpus.windows_per_record()
    mine = sources_digest([r for r, windows in zip(corpus.records, counts, strict=True) if windows])
    if mine == model.facts["sources"]["digest"]:
        told = f"the model was trained on these very files: it had seen all {tested} test files, without their labels"
        return {"seen": tested, "seen_told": f"{told} (--refit learns on the training part of each fold alone)"}
    told = f"the model was trained on {model.facts['sources']['used']} files that are not quite these"
    return {"seen": None, "seen_told": f"{told}; whether it had seen some of the {tested} test files is not known"}
