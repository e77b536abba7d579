"""``audiosae evaluate``: comparison of features with baselines on labelled files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Unpack

from audiosae.autoencoder.model import as_model, path_of
from audiosae.commands.annotated import Annotations
from audiosae.commands.evaluated import Division, LabelledAnnotations, LabelledFiles
from audiosae.commands.evaluation_folder import EVALUATION_FOLDER, PAGE, RESULTS, write_evaluation, write_results
from audiosae.commands.reading import reading
from audiosae.commands.shared_options import (
    AnyPath,
    CodeName,
    LabelColumn,
    Machine,
    MachineKeywords,
    ModelPath,
    Pool,
    Segments,
    ShowProgress,
    Sources,
    StrictLabels,
    as_path,
)
from audiosae.corpus.journal import source_summary
from audiosae.corpus.labels import FOLDER
from audiosae.errors import InputError
from audiosae.evaluation.baselines import MODEL, choose_baselines
from audiosae.evaluation.classifier import CLASSIFIERS
from audiosae.evaluation.compare import Evaluation, Options, compare_features
from audiosae.evaluation.score_table import Scores, percent, ranked, scores_of
from audiosae.features import stability as stability_file
from audiosae.features.codes import classifier_defaults
from audiosae.features.pooling import check_pools
from audiosae.system.files import report_replaced, signature
from audiosae.system.frames import text_table
from audiosae.system.parameters import Option, command
from audiosae.system.progress import counted
from audiosae.system.text import one_line
from audiosae.views.evaluation_page import write_evaluation as write_page
from audiosae.views.model_card import CARD, write_model_card

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audiosae.autoencoder.model import Model
    from audiosae.features.stability import UnitStability
    from audiosae.system.progress import Progress

_CLASSES_SHOWN = 12
_HEAD = ("features", "numbers", "accuracy %", "std", "s.e.", "95 % interval", "model - baseline (paired difference)")
_GROUPS = ("groups", "V-measure")
_FILES = "index.html, scores.png, confusion.png, units.png, results.json, results.csv, predictions.csv"


def _text(done: Evaluation) -> str:
    facts, plan, skipped = done.facts, done.plan, len(done.skipped)
    scores = [*map(scores_of, ranked(done.results))]
    recalls = [f"{label} {100 * share:.0f}" for label, share in done.results[0]["recall"].items()]
    noun = f"{plan.noun}s"
    grouped = f"{facts['grouped']} random {noun}" if facts["grouped"] < facts["clips"] else f"the {noun}"
    return "\n".join(
        [
            done.verdict.summary,
            *(f"  {line}" for line in done.verdict.lines[1:]),
            "",
            done.title,
            "",
            text_table([_HEAD, *map(_accuracy_row, scores)]),
            "",
            f"chance (always the most common class) {percent(plan.chance)} %",
            f"classifier: {_classifier(facts)}",
            *plan.notes,
            "",
            text_table(_few_units(scores)),
            "",
            "best N: accuracy in % with only the N units that best separate the classes of the training part (F-test)",
            f"groups: agreement between the labels and as many clusters of {grouped}, computed without labels (Ward's "
            "method); adjusted mutual information (1 identical, 0 chance) and V-measure (1 identical, not adjusted for "
            "chance)",
            *([f"{counted(skipped, 'source')} skipped"] if skipped else []),
            "",
            *_quality(facts["quality"], noun),
            f"recall per class     {_shortened(recalls, 'results.csv')} (in %, the model's features)",
            *([f"stability            {done.stability.summary()}"] if done.stability else []),
            f"files                {facts['out']}/: {_FILES}",
        ]
    )


def _accuracy_row(r: Scores) -> tuple[str, ...]:
    return r.name, r.features, r.accuracy, r.std, r.stderr, f"{r.low} to {r.high}", r.ahead


def _few_units(scores: Sequence[Scores]) -> list[tuple[str, ...]]:
    """Return a table of the accuracy of a few units, and of the agreement of clusters with the labels."""
    counts = next(each.few for each in scores if each.name == MODEL)
    rows = [("features", *(f"best {count}" for count in counts), "all", *_GROUPS)]
    return [*rows, *((r.name, *(r.few.get(n, "") for n in counts), r.accuracy, r.groups, r.v_measure) for r in scores)]


def _quality(quality: Mapping[str, Any], noun: str) -> list[str]:
    best: dict[str, dict[str, Any]] = {}
    for pair in quality["units_of_labels"]:  # the best unit of a label is its first
        best.setdefault(pair["label"], pair)
    units = [f"{label} u{pair['unit']} {pair['auc']:.2f}" for label, pair in best.items()]
    return [
        f"unexplained variance {quality['fvu']:.3f} in the whitened space, on {quality['windows']} windows",
        f"activity             mean {quality['mean_activity']:.4f}; {quality['l0']:.1f} units per window above "
        f"{quality['active_above']:g}; {len(quality['dead_units'])} dead, "
        f"{len(quality['always_on_units'])} active in most windows",
        f"sparseness           {quality['lifetime_sparseness']:.2f} per unit over windows, "
        f"{quality['population_sparseness']:.2f} per window over units (0 all equal, 1 only one; Treves and Rolls)",
        f"best unit per label  {_shortened(units, 'results.json')} (area under the ROC curve on these {noun})",
    ]


def _shortened(items: Sequence[str], file: str) -> str:
    """Return a comma-separated list of the first items; the others are in a file."""
    more = [f"{len(items) - _CLASSES_SHOWN} more in {file}"] if len(items) > _CLASSES_SHOWN else []
    return ", ".join([*map(one_line, items[:_CLASSES_SHOWN]), *more])


def _classifier(facts: Mapping[str, Any]) -> str:
    return f"{CLASSIFIERS[facts['options']['classifier']]}; features standardised on the training part"


@command(
    example="audiosae evaluate first-run samples/sounds --labels folder --baselines random-weights,kmeans",
    text=_text,
    declared=(Machine,),
)
def evaluate(
    model: ModelPath,
    sources: Sources,
    labels: Annotated[
        AnyPath | None,
        Option(
            "Labels of the files: folder for the name of each file's folder, or a CSV with a column filename.",
            "Input",
            metavar="folder|FILE.csv",
            typed=str,
        ),
    ] = None,
    out: Annotated[
        AnyPath | None,
        Option(
            "Folder for tables, pictures and page.",
            flags=("--out", "-o"),
            typed=Path,
            default="evaluation in the run folder",
            python="None writes nothing.",
            otherwise=lambda typed: (
                (typed["model"] if typed["model"].is_dir() else typed["model"].parent) / "evaluation"
            ),
        ),
    ] = None,
    *,
    annotations: Annotations = None,
    label_column: LabelColumn = None,
    fold_column: Annotated[str | None, Option("Column of the labels CSV whose values are the folds.", "Input")] = None,
    group_column: Annotated[
        str | None, Option("Column of the labels CSV with groups: files with the same value stay in one fold.", "Input")
    ] = None,
    split_column: Annotated[
        str | None,
        Option(
            "Column of the labels CSV with a split: files with the value test are tested, the others are for training.",
            "Input",
        ),
    ] = None,
    baselines: Annotated[
        str | Sequence[str],
        Option(
            "Baselines to compare with: all, none, or some of random-weights, field (log-mel levels), mfcc, pca, "
            "kmeans, nmf.",
            "Method",
            metavar="all|none|a,b",
            typed=str,
        ),
    ] = "all",
    classifier: Annotated[
        Literal["ridge", "logistic", "svm", "forest"], Option("Classifier applied to every feature set.", "Method")
    ] = "ridge",
    pool: Pool = None,
    segments: Segments = 1,
    code: CodeName = None,
    refit: Annotated[bool, Option("Learn all features again on the training part of each fold.", "Method")] = False,
    stability: Annotated[
        int,
        Option(
            "Retrain with this many other seeds and report which atoms reappear; saved with the model.",
            "Method",
            least=0,
        ),
    ] = 0,
    seed: Annotated[int, Option("Random seed for folds, k-means and NMF.", "Method", least=0)] = 0,
    strict: StrictLabels = False,
    progress: ShowProgress = False,
    **machine: Unpack[MachineKeywords],
) -> Evaluation:
    """Compare the features with baselines under one classifier.

    Baselines: random weights, PCA, k-means, NMF, MFCC, log-mel.

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
    >>> import audiosae
    >>> from audiosae.commands.example import classes, model
    >>> evaluation = audiosae.evaluate(model, classes, "folder", baselines="pca")
    >>> [result["name"] for result in evaluation.results], len(evaluation.predicted["model"])
    (['model', 'pca'], 10)
    >>> 0 <= evaluation.results[0]["accuracy"] <= 1, evaluation.skipped
    (True, [])
    """
    location, loaded, table = path_of(model), as_model(model), as_path(annotations)
    label_source = _label_source(labels, table)
    if stability and location:
        stability_file.check_path(location)
    division = Division.of(fold=fold_column, group=group_column, split=split_column, labels=label_source)
    default_pools, default_code = classifier_defaults(loaded.domain)
    names, pools = choose_baselines(baselines, loaded.domain), check_pools(pool or default_pools, segments)
    options = Options(names, pools, segments, code or default_code, refit, seed, stability, classifier)
    with reading(loaded.domain, sources, Machine.of(machine), progress=progress) as job:
        folder = as_path(out)
        if folder:
            tables = [str(table)] if table and table.is_file() else []
            _check_folder(folder, [*job.inputs(label_source), *map(Path, tables)], loaded, job.notes)
        labelled = (
            LabelledAnnotations.read(job, table, label_source, label_column, division, strict=strict)
            if table
            else LabelledFiles.read(job, label_source or FOLDER, label_column, division, strict=strict)
        )
        with EVALUATION_FOLDER.replaced_together(folder) as work, labelled.job.corpus() as corpus:
            used, items = corpus.only(corpus.used), labelled.items(corpus, seed)
            title = one_line(items.title)
            done = compare_features(loaded, used, items.plan, options, job.notes, stretches=items.stretches)
            facts = {
                "results": done.results,
                **done.facts,
                "model": str(location or "in memory"),
                "sources_used": len(used.records),
                "sources_skipped": len(corpus.skipped),
                **items.facts,
                "out": str(folder) if folder else None,
                **source_summary([*used.records, *corpus.skipped]),
                "model_digest": loaded.digest,
            }
            done = replace(done, facts=facts, skipped=corpus.skipped, title=title)
            if work:
                write_evaluation(work, loaded, done, items.keys, title)
                write_page(loaded, work / PAGE, facts, title=title, told=_method(done))
                write_results(facts, work)
    if folder and location and done.stability:
        _write_stability(location, loaded, done.stability)
    return replace(done, notes=job.notes.lines)


def _check_folder(folder: Path, inputs: Sequence[Path], model: Model, notes: Progress) -> None:
    EVALUATION_FOLDER.check(folder, inputs)
    if (folder / RESULTS).exists():
        notes.say(f"{folder} contains an earlier evaluation, which is replaced; keep it with another -o FOLDER")
        report_replaced(folder / RESULTS, model.digest, folder, notes)


def _write_stability(location: Path, model: Model, stability: UnitStability) -> None:
    stability_file.write(location, stability)
    if location.is_dir() and signature(location / CARD) == "whole":  # a model card that was not edited
        write_model_card(model, location)


def _method(done: Evaluation) -> list[tuple[str, str]]:
    """Return how the evaluation was made, as terms and texts for the page."""
    facts, noun = done.facts, f"{done.plan.noun}s"
    return [
        (noun, f"{facts['clips']}, {facts['tested']} of them tested, {len(facts['classes'])} labels"),
        ("folds", done.plan.description),
        ("classifier", _classifier(facts)),
        ("training", facts["seen_told"]),
        (
            "groups",
            f"clusters of {facts['grouped']} {noun} (Ward's method on 30 principal components), compared with the "
            "labels by adjusted mutual information and V-measure",
        ),
        ("unexplained variance", f"{facts['quality']['fvu']:.3f} of {facts['quality']['windows']} windows"),
        *([("stability", done.stability.summary())] if done.stability else []),
    ]


def _label_source(labels: AnyPath | None, annotations: Path | None) -> str | None:
    """Return the option `labels` as text; with annotations it is only needed for the columns that divide files."""
    if labels is None and annotations is None:
        raise InputError("evaluate needs --labels folder, --labels FILE.csv or --annotations TABLE")
    if annotations and str(labels) == FOLDER:
        raise InputError(f"--annotations {annotations}: the table has the labels; leave --labels folder out")
    return None if labels is None else str(labels)
