"""An evaluation from labelled files to its folder, as ``audiosae evaluate`` makes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from audiosae.commands.evaluation_folder import PAGE, RESULTS, open_folder, write_evaluation
from audiosae.commands.model import opened_model, path_of
from audiosae.commands.reading import find, labels_file, opened, tell_unlabelled
from audiosae.commands.run_folder import CARD
from audiosae.corpus.journal import told_of
from audiosae.corpus.labels import FOLDER, check_rows, read_column, read_labels
from audiosae.corpus.sources import named_paths
from audiosae.errors import InputError
from audiosae.evaluation import compare as judging
from audiosae.evaluation.baselines import choose
from audiosae.evaluation.classifier import JUDGES
from audiosae.evaluation.folds import make_plan
from audiosae.features import stability as stable
from audiosae.features.codes import DEFAULT_POOL, check_pools
from audiosae.system.files import signature, tell_replaced
from audiosae.system.progress import Notes, Progress
from audiosae.views.evaluation_page import write_evaluation as write_page
from audiosae.views.model_card import write_card

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from audiosae.commands.model import Model
    from audiosae.corpus.sources import Named, Source
    from audiosae.evaluation.classifier import Judge
    from audiosae.evaluation.compare import Evaluation
    from audiosae.evaluation.folds import Kind
    from audiosae.features.codes import Code
    from audiosae.features.stability import UnitStability


def evaluate(
    model: Model | str | os.PathLike[str], sources: Named, labels: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None, *, label_column: str | None = None, fold_column: str | None = None,
    group_column: str | None = None, split_column: str | None = None, baselines: str | Sequence[str] = "all",
    classifier: Judge = "ridge", pool: str | Sequence[str] | None = None, segments: int = 1, code: Code = "sqrt",
    refit: bool = False, stability: int = 0, seed: int = 0, strict: bool = False, workers: int | None = None,
    engine: str = "here", backend: str = "auto",
    cache: str | os.PathLike[str] | None = None, progress: bool | Progress = False,
) -> Evaluation:  # fmt: skip
    """Compare a model's features with what could be had for less, under one classifier (``audiosae evaluate``).

    Parameters
    ----------
    model
        Itself, its run folder or its file.
    sources
        A file or folder, or several.
    labels, label_column
        ``folder`` for the name of each source's folder, or a CSV with a column filename; its column of labels.
    out
        Folder for tables and pictures; None writes nothing.
    fold_column, group_column, split_column
        One of them: a column whose values are folds, stay together, or say ``test``. Else 5 stratified folds.
    baselines
        ``all``, ``none`` or some of random-weights, field, mfcc, pca, kmeans, nmf, in a list or with commas between.
    classifier
        ridge, logistic, svm or forest: the same for every set of features.
    pool, segments, code
        How the windows of a file are pooled; see `audiosae.export_table`.
    refit
        Learn everything anew on each fold's training part.
    stability
        Train with so many other seeds, and say of each unit in how many its atom comes back; kept beside a model
        that is given as a path.
    seed
        Of folds, k-means and NMF.
    strict
        Refuse sources without a label, before any is read.
    workers, engine, backend, cache
        Decoding processes (one per core), where the work is done and by what (auto takes an NVIDIA card where there is
        one), folder for decoded fields (the user's cache).
    progress
        True for bars in a terminal or a notebook.

    Returns
    -------
    Evaluation
        `results` (name, accuracy, folds, ...; the model first), `predicted`, `frame()`, `skipped`.

    Raises
    ------
    InputError
        An option, source or label cannot be used.

    Examples
    --------
    >>> judged = audiosae.evaluate(model, "classes", "folder", baselines="pca")
    >>> [result["name"] for result in judged.results], len(judged.predicted["model"])
    (['model', 'pca'], 10)
    >>> 0 <= judged.results[0]["accuracy"] <= 1, judged.skipped
    (True, [])
    """
    given = str(labels)
    lies = path_of(model)
    if stability and lies:
        stable.check_path(lies)
    kind, column = _division(fold_column, group_column, split_column, given)
    loaded = opened_model(model)
    options = judging.Options(
        choose(baselines, loaded.domain), check_pools(pool or DEFAULT_POOL, segments), segments, code, refit, seed,
        stability, classifier,
    )  # fmt: skip
    with Notes(progress) as notes:
        found = find(loaded, named_paths(sources), notes)
        inputs = [*(source.path for source in found), *labels_file(given)]
        folder = None if out is None else _open(Path(out), inputs, loaded, notes)
        known = _Known.read(given, found, label_column, kind, column)
        unlabelled = tell_unlabelled(found, known.usable, notes, "left out", strict=strict)
        known = known.labelled()
        with opened(loaded, known.sources, notes, engine, backend, cache=cache, workers=workers) as corpus:
            used = corpus.only(corpus.used)
            values = [known.divided[i] or "" for i in corpus.used] if known.divided else None
            labelled = [known.labels[i] or "" for i in corpus.used]
            plan = make_plan(labelled, kind=kind, values=values, column=column or "", seed=seed)
            done = judging.evaluate(loaded, used, plan, options, notes)
    title = f"{label_column or 'label'} of {len(used.records)} clips: {plan.description}"
    facts = {"results": done.results, **done.facts, "model": str(lies or "in memory"),
             "sources_used": len(used.records), "sources_skipped": len(corpus.skipped),
             "without_label": len(unlabelled), "unlabelled": unlabelled, "out": str(folder) if folder else None,
             **told_of([*used.records, *corpus.skipped]),
             "model_digest": loaded.digest}  # fmt: skip
    done = replace(done, facts=facts, skipped=corpus.skipped, notes=notes.lines, title=title)
    if folder:
        write_evaluation(folder, loaded, done, used.records, title)
        write_page(loaded, folder / PAGE, facts, title=title, told=_measured(done))
        _keep_stability(loaded, lies, done.stability)
    return done


def _open(out: Path, inputs: Sequence[Path], model: Model, notes: Notes) -> Path:
    """Return the folder, made; tell whether what is there was made by another model."""
    folder = open_folder(out, inputs)
    tell_replaced(folder / RESULTS, model.digest, folder, notes)
    return folder


def _keep_stability(model: Model, lies: Path | None, stability: UnitStability | None) -> None:
    """Write the stability of a model beside it; a card there that is ours hears of it."""
    if lies and stability:
        stable.write(lies, stability)
        if lies.is_dir() and signature(lies / CARD) == "whole":
            write_card(model, lies)


def _measured(done: Evaluation) -> list[tuple[str, str]]:
    """Return what the page says of how it was measured."""
    facts = done.facts
    rows = [
        ("clips", f"{facts['clips']}, {facts['tested']} of them tested, {len(facts['classes'])} labels"),
        ("folds", done.plan.description),
        ("classifier", f"{JUDGES[facts['options']['judge']]}; features standardised on the training part"),
        ("model", facts["seen_told"]),
        ("groups", f"Ward's of {facts['grouped']} clips on 30 principal components; adjusted mutual information"),
        ("unexplained variance", f"{facts['quality']['fvu']:.3f} of {facts['quality']['windows']} windows"),
    ]
    return [*rows, *([("stability", done.stability.summary())] if done.stability is not None else [])]


@dataclass(frozen=True)
class _Known:
    """Sources with their labels and the values that divide them, None where there is none."""

    sources: list[Source]
    labels: list[str | None]
    divided: list[str | None] | None

    @classmethod
    def read(cls, labels: str, found: list[Source], label_column: str | None, kind: Kind, column: str | None) -> Self:
        known = read_labels(labels, found, label_column)
        divided = read_column(Path(labels), found, column, option=f"--{kind}-column") if column else None
        if labels != FOLDER:
            check_rows(Path(labels), found)
        return cls(found, known, divided)

    @property
    def usable(self) -> list[str | None]:
        """Labels of the sources that have everything."""
        pairs = zip(self.labels, self.divided or self.labels, strict=True)
        return [None if value is None else label for label, value in pairs]

    def labelled(self) -> _Known:
        """Return the sources that have everything."""
        kept = [i for i, label in enumerate(self.usable) if label is not None]
        divided = [self.divided[i] for i in kept] if self.divided else None
        return _Known([self.sources[i] for i in kept], [self.labels[i] for i in kept], divided)


def _division(fold: str | None, group: str | None, split: str | None, labels: str) -> tuple[Kind, str | None]:
    asked: list[tuple[Kind, str | None]] = [("fold", fold), ("group", group), ("split", split)]
    given = [(kind, column) for kind, column in asked if column is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(f'--{kind}-column' for kind, _ in given)}: wanted one of them")
    if given and labels == FOLDER:
        raise InputError(f"--{given[0][0]}-column {given[0][1]}: wanted --labels FILE.csv with that column, not folder")
    return given[0] if given else ("stratified", None)
