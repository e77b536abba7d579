"""Comparison of a model's features with baselines on labelled files, and metrics of its units."""

from __future__ import annotations

import time
import warnings
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.evaluation import baselines, probing
from audiosae.evaluation.baselines import MODEL
from audiosae.evaluation.classifier import INNER_FOLDS, ClassifierName, load_for_threads
from audiosae.evaluation.predictions import Predictions, classify_fold
from audiosae.evaluation.quality import unit_metrics
from audiosae.evaluation.score_table import percent, ranked, scores_of
from audiosae.evaluation.seen import training_part
from audiosae.evaluation.verdict import Verdict, make_verdict
from audiosae.features.matching import match
from audiosae.features.pooling import DEFAULT_POOL, without_change
from audiosae.features.stability import UnitStability
from audiosae.system.frames import html_table
from audiosae.system.progress import Progress
from audiosae.system.tabular import DataTable, Tabular, inferred
from audiosae.system.threads import Threads, one_blas_thread
from audiosae.training.fit import fit
from audiosae.training.options import TrainOptions, suited_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.evaluation.folds import Plan, Split
    from audiosae.evaluation.predictions import FoldPredictions
    from audiosae.features.codes import Code, FeatureSet
    from audiosae.features.stretches import Stretches


_SCORES = ("name", "features", "accuracy", "std", "stderr", "groups", "v_measure")


@dataclass(frozen=True)
class Options:
    """Options of an evaluation.

    Attributes
    ----------
    names
        Baselines, some of `audiosae.evaluation.baselines.BASELINES`.
    pools, segments
        How the codes of windows are pooled to the features of a file.
    code
        See `audiosae.features.codes.Encoder`.
    refit
        Learn every feature set again on the training part of each fold, the model with its own options.
    seed
        Random seed of folds, k-means and NMF.
    stability
        Number of other seeds with which the model is trained again to match the atoms.
    classifier
        One of `audiosae.evaluation.classifier.CLASSIFIERS`, used for all feature sets.
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
class Evaluation(Tabular):
    """Results of an evaluation.

    Attributes
    ----------
    plan
        Labels and folds.
    results
        One dictionary per feature set, the model first: see `audiosae.evaluation.predictions.Predictions.summary`.
    predicted
        Predicted class number per feature set and file, -1 where a file was not tested.
    facts
        The values that ``evaluate --json`` prints, including the `quality` of the units.
    verdict
        The model compared with each baseline, in words, and whether it was trained on the tested files.
    stability
        Stability of the units, if it was requested.
    skipped
        The sources that could not be used, each with its `file` and `reason`.
    notes
        Messages, for example about files that were ignored, have no label or are incomplete.
    title
        The labels that were predicted, and the folds.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import classes, model
    >>> evaluation = audiosae.evaluate(model, classes, "folder", baselines="none")
    >>> evaluation.plan.classes, evaluation.plan.chance, evaluation.facts["quality"]["dead_units"] == []
    (['high', 'low'], 0.5, True)
    >>> audiosae.evaluate(model, classes, "folder", baselines="pca").verdict.comparisons[0].outcome
    'no better'
    """

    plan: Plan
    results: list[dict[str, Any]]
    predicted: dict[str, NDArray[np.int64]]
    facts: dict[str, Any]
    verdict: Verdict
    stability: UnitStability | None = None
    skipped: Sequence[Record] = ()
    notes: Sequence[str] = ()
    title: str = ""

    def frame(self) -> pd.DataFrame:
        """Return a pandas frame with a row for each feature set.

        The columns are name, features, accuracy, std, stderr, groups, v_measure, model_ahead, model_ahead_stderr; the
        differences are NaN for the model.
        """
        return self._data().frame()

    def _data(self) -> DataTable:
        columns = {key: [result[key] for result in self.results] for key in _SCORES}
        ahead = [result.get("model_ahead", {"mean": np.nan, "stderr": np.nan}) for result in self.results]
        columns |= {"model_ahead": [each["mean"] for each in ahead]}
        return inferred("results", columns | {"model_ahead_stderr": [each["stderr"] for each in ahead]})

    def __repr__(self) -> str:
        accuracies = ", ".join(f"{each['name']} {percent(each['accuracy'])} %" for each in self.results)
        return f"<Evaluation: {self.verdict.summary} {accuracies}; {len(self.skipped)} sources skipped>"

    def _repr_html_(self) -> str:
        head = ("name", "features", "accuracy %", "std", "s.e.", "model - baseline", "groups", "V-measure")
        rows = [
            (r.name, r.features, r.accuracy, r.std, r.stderr, r.ahead, r.groups, r.v_measure)
            for r in map(scores_of, ranked(self.results))
        ]
        caption = f"{self.verdict.summary} {self.title}; chance {percent(self.plan.chance)} %; {self.verdict.training}"
        return html_table(rows, head=head, caption=caption)


@one_blas_thread()
def compare_features(
    model: Model,
    corpus: EngineCorpus,
    plan: Plan,
    options: Options,
    progress: Progress | None = None,
    *,
    stretches: Stretches | None = None,
) -> Evaluation:
    """Compare a model's features with baselines on labelled sources, and measure its units on them.

    Parameters
    ----------
    model, corpus
        Trained model, and the files to classify; all must be used. Its engine encodes, and trains for `refit`.
    plan, options
        Labels and folds, and what is compared.
    progress
        Receives stages and messages.
    stretches
        Stretches of the files to classify in place of the files; all features are learned from the whole files.
    """
    began = time.monotonic()
    trains = options.refit or options.stability
    if trains:  # unsuitable options are refused before the work
        suited_to(corpus.engine, TrainOptions.stored(model.facts["options"]), corpus.width)
    with corpus.backend.session():
        if trains:  # training reads the same windows many times
            corpus.backend.keep_fields(corpus)
        work = _Work(model, corpus, plan, options, progress or Progress(), stretches)
        predictions = work.run()
        model_predicted = predictions[MODEL].predicted
        results = [
            {"name": name} | each.summary(plan, None if name == MODEL else model_predicted)
            for name, each in predictions.items()
        ]
        facts: dict[str, Any] = {
            "folds": plan.description,
            "items": plan.noun,
            "clips": len(plan.target),
            "tested": len(plan.tested),
            "classes": plan.classes,
            "chance": plan.chance,
            "notes": plan.notes,
            "grouped": min(len(plan.target), probing.MOST_GROUPED),
            "quality": unit_metrics(model, corpus, plan, stretches),
            **training_part(model, corpus, plan, options.names, refit=options.refit, stretches=stretches),
            "options": asdict(options),
        }
        verdict = make_verdict(results, facts["seen_told"], corpus.domain.kind)
        facts["verdict"] = verdict.to_json()
        stability = work.stability() if options.stability else None
        facts |= {"stability": stability.to_json()} if stability else {}
        facts["seconds"] = round(time.monotonic() - began, 3)
    predicted = {name: each.predicted for name, each in predictions.items()}
    return Evaluation(plan, results, predicted, facts, verdict, stability)


@dataclass(frozen=True)
class _Work:
    """Computes features and predictions of every feature set, and the stability of the model."""

    model: Model
    corpus: EngineCorpus
    plan: Plan
    options: Options
    progress: Progress
    stretches: Stretches | None = None

    def run(self) -> dict[str, Predictions]:
        o, files = self.options, len(self.plan.target)
        predictions = {name: Predictions(np.full(files, -1, np.int64)) for name in (MODEL, *o.names)}
        clustered = probing.files_to_cluster(files, o.seed)
        pooled = partial(
            baselines.pooled_files,
            self.corpus,
            pools=o.pools,
            segments=o.segments,
            done=self.progress.advance,
            stretches=self.stretches,
        )
        for splits, sets in self._learned():
            self.progress.stage("encoding", len(sets) * files, f"{self.plan.noun}s")
            slowest = list(reversed(sets))  # they start first, so that the others need not wait for them
            encoded = self._each(pooled, [sets[name] for name in slowest])
            features = dict(zip(slowest, encoded, strict=True))
            parts = [(split, self.plan.inner(split, INNER_FOLDS, o.seed)) for split in splits]
            self.progress.stage("classifying", len(slowest) * len(splits), "folds")
            jobs: list[Callable[[], Any]] = []
            for name in slowest:  # clusters beside fits: SciPy's clustering holds the lock of the interpreter
                jobs.append(partial(self._agreement, features[name], clustered))
                jobs += [partial(self._classified, features[name], split, inner) for split, inner in parts]
            results = iter(self._each(lambda job: job(), jobs))
            for name in slowest:
                predictions[name].features = features[name].shape[1]
                predictions[name].agreements.append(next(results))
                for split in splits:
                    predictions[name].add(split, next(results))
        return predictions

    def _learned(self) -> Iterator[tuple[list[Split], dict[str, FeatureSet]]]:
        """Yield folds with the feature sets learned for them: all folds at once, or with `refit` one after another."""
        o = self.options
        if not o.refit:
            self.progress.stage("learning", None, "baselines")
            yield self.plan.splits, baselines.feature_sets(o.names, self.model, self.corpus, code=o.code, seed=o.seed)
            return
        for split in self.plan.splits:
            self.progress.say(f"learning on the training part of fold {split.name}")
            files = split.train if self.stretches is None else np.unique(self.stretches.record[split.train])
            part = self.corpus.only(files)
            yield [split], baselines.feature_sets(o.names, self._trained(part), part, code=o.code, seed=o.seed)

    def stability(self) -> UnitStability:
        """Train with the next seeds on these sources, and match the atoms."""
        first = TrainOptions.stored(self.model.facts["options"]).seed + 1
        seeds, matches = range(first, first + self.options.stability), []
        for number, seed in enumerate(seeds):
            self.progress.say(f"training with another seed, {number + 1} of {len(seeds)}")
            matches.append(match(self.model, self._trained(self.corpus, seed=seed)))
        return UnitStability.of(seeds, matches)

    def _trained(self, corpus: EngineCorpus, **changed: int) -> Model:
        options = TrainOptions.stored(self.model.facts["options"], **changed)
        return fit(corpus, options, progress=self.progress).model

    def _agreement(self, values: NDArray[np.float32], files: NDArray[np.int64]) -> probing.Agreement:
        values = without_change(values[files], self.options.pools, self.options.segments)
        return probing.cluster_agreement(values, self.plan.target[files])

    def _classified(self, features: NDArray[np.float32], split: Split, inner: NDArray[np.int64]) -> FoldPredictions:
        o, target = self.options, self.plan.target
        fold = classify_fold(features, target, split, inner, width=len(o.pools) * o.segments, classifier=o.classifier)
        self.progress.advance(1)
        return fold

    def _each(self, work: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
        """Do jobs in threads; warnings of scikit-learn that would be repeated for many folds are silenced."""
        from sklearn.exceptions import ConvergenceWarning

        load_for_threads(self.options.classifier)
        with warnings.catch_warnings(), one_blas_thread(), Threads(self.corpus.workers) as pool:
            warnings.simplefilter("ignore", ConvergenceWarning)  # a fit that stops early is good enough
            warnings.filterwarnings("ignore", message="The number of unique classes")  # with many small classes
            return list(pool.map(work, jobs))
