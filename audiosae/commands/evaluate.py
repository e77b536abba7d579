"""``audiosae evaluate``: features beside baselines, on labelled files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Unpack

from audiosae.autoencoder.model import as_model, path_of
from audiosae.commands.evaluation_folder import PAGE, RESULTS, open_folder, write_evaluation
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
)
from audiosae.corpus.journal import source_summary
from audiosae.corpus.labels import FOLDER, check_rows, read_column, read_labels
from audiosae.errors import InputError
from audiosae.evaluation import compare
from audiosae.evaluation.baselines import choose
from audiosae.evaluation.classifier import CLASSIFIERS
from audiosae.evaluation.compare import Evaluation
from audiosae.evaluation.folds import make_plan
from audiosae.features import stability as stable
from audiosae.features.codes import DEFAULT_POOL, check_pools
from audiosae.system.files import report_replaced, signature
from audiosae.system.frames import text_table
from audiosae.system.parameters import Option, command
from audiosae.views.evaluation_page import write_evaluation as write_page
from audiosae.views.model_card import CARD, write_model_card

if TYPE_CHECKING:
    from audiosae.autoencoder.model import Model
    from audiosae.corpus.sources import Source
    from audiosae.evaluation.folds import Kind
    from audiosae.features.stability import UnitStability
    from audiosae.system.progress import Notes

_CLASSES_SHOWN = 12


def _text(done: Evaluation) -> str:
    """Return the summary for the terminal."""
    facts, plan, skipped = done.facts, done.plan, done.skipped
    rows = [
        ("features", "numbers", "accuracy %", "std", "s.e.", "95 % interval", "model - baseline (paired difference)")
    ]
    for r in sorted(done.results, key=lambda result: -result["accuracy"]):
        low, high = r["interval"]
        ahead = r.get("model_ahead")
        gain = f"{100 * ahead['mean']:+.1f} ± {100 * ahead['stderr']:.1f}" if ahead else ""
        std = f"{100 * r['std']:.1f}" if len(plan.splits) > 1 else ""
        rows.append(
            (
                r["name"],
                str(r["features"]),
                f"{100 * r['accuracy']:.1f}",
                std,
                f"{100 * r['stderr']:.1f}",
                f"{100 * low:.1f} to {100 * high:.1f}",
                gain,
            )
        )
    lines = [done.title, "", text_table(rows), "", f"chance (the commonest class) {100 * plan.chance:.1f} %"]
    lines += [f"classifier: {CLASSIFIERS[facts['options']['classifier']]}; features standardised on the training part"]
    lines += [facts["seen_told"], *plan.notes]
    lines += ["", text_table(_few_units(done)), "", *_few_units_told(facts)]
    lines += [f"{len(skipped)} source{'s' if len(skipped) > 1 else ''} skipped"] if skipped else []
    lines += ["", *_quality(facts["quality"]), *_recall(done.results[0])]
    if done.stability is not None:
        lines.append(f"stability            {done.stability.summary()}")
    files = "index.html, scores.png, confusion.png, units.png, results.json, results.csv, predictions.csv"
    lines.append(f"files                {facts['out']}/: {files}")
    return "\n".join(lines)


def _few_units(done: Evaluation) -> list[tuple[str, ...]]:
    """Return a table of what a few units do alone, and of groups without labels."""
    counts = [probed["units"] for probed in done.results[0]["probing"]]
    rows = [("features", *(f"best {count}" for count in counts), "all", "groups")]
    for r in done.results:
        accuracy = {probed["units"]: f"{100 * probed['accuracy']:.1f}" for probed in r["probing"]}
        few = [accuracy.get(count, "") for count in counts]
        rows.append((r["name"], *few, f"{100 * r['accuracy']:.1f}", f"{r['groups']:.2f}"))
    return rows


def _few_units_told(facts: dict[str, Any]) -> list[str]:
    some = f" of {facts['grouped']} clips, drawn at random" if facts["grouped"] < facts["clips"] else ""
    return [
        "best N: accuracy % with the N units alone that best tell the training part's classes apart (F-test)",
        f"groups: adjusted mutual information of the labels with as many groups made{some} without them "
        "(Ward; 1 the same, 0 chance)",
    ]


def _quality(found: dict[str, Any]) -> list[str]:
    """Return lines on the units."""
    best: dict[str, dict[str, Any]] = {}
    for pair in found["units_of_labels"]:
        best.setdefault(pair["label"], pair)
    shown = [f"{label} u{pair['unit']} {pair['auc']:.2f}" for label, pair in best.items()]
    more = [f"{len(shown) - _CLASSES_SHOWN} more in results.json"] if len(shown) > _CLASSES_SHOWN else []
    return [
        f"unexplained variance {found['fvu']:.3f} of {found['windows']} windows, in the whitened space",
        f"activity             mean {found['mean_activity']:.4f}; {found['l0']:.1f} units above "
        f"{found['active_above']:g} in a window; dead {len(found['dead_units'])}, on in most windows "
        f"{len(found['always_on_units'])}",
        f"sparseness           of a unit over windows {found['lifetime_sparseness']:.2f}, of a window over units "
        f"{found['population_sparseness']:.2f} (0 even, 1 a single one; Treves and Rolls)",
        f"unit for a label     {', '.join([*shown[:_CLASSES_SHOWN], *more])} (area under the ROC on these clips)",
    ]


def _recall(result: dict[str, Any]) -> list[str]:
    parts = [f"{label} {100 * share:.0f}" for label, share in result["recall"].items()]
    more = [f"{len(parts) - _CLASSES_SHOWN} more in results.csv"] if len(parts) > _CLASSES_SHOWN else []
    return [f"recall per class     {', '.join([*parts[:_CLASSES_SHOWN], *more])} (per cent, the model's features)"]


@command(
    example="audiosae evaluate first-run samples/sounds --labels folder --baselines random-weights,kmeans",
    text=_text,
    declared=(Machine,),
)
def evaluate(
    model: ModelPath,
    sources: Sources,
    labels: Annotated[
        AnyPath,
        Option(
            "Labels: folder for the name of each file's folder, or a CSV with a column filename.",
            "Input",
            metavar="folder|FILE.csv",
            typed=str,
        ),
    ],
    out: Annotated[
        AnyPath | None,
        Option(
            "Folder for tables, pictures and page.",
            flags=("--out", "-o"),
            typed=Path,
            default="evaluation in the run folder",
            python="None writes nothing.",
            otherwise=lambda given: _beside(given["model"]),
        ),
    ] = None,
    *,
    label_column: LabelColumn = None,
    fold_column: Annotated[str | None, Option("Column of the labels CSV whose values are the folds.", "Input")] = None,
    group_column: Annotated[
        str | None, Option("Column of the labels CSV: files with the same value stay in one fold.", "Input")
    ] = None,
    split_column: Annotated[
        str | None, Option("Column of the labels CSV: files with the value test are tested, the others train.", "Input")
    ] = None,
    baselines: Annotated[
        str | Sequence[str],
        Option(
            "Baselines: all, none, or some of random-weights, field, mfcc, pca, kmeans, nmf.",
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
    code: CodeName = "sqrt",
    refit: Annotated[bool, Option("Learn everything again on the training part of each fold alone.", "Method")] = False,
    stability: Annotated[
        int,
        Option(
            "Retrain with this many other seeds and report which atoms reappear; kept beside the model.",
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
    >>> evaluation = audiosae.evaluate(model, "classes", "folder", baselines="pca")
    >>> [result["name"] for result in evaluation.results], len(evaluation.predicted["model"])
    (['model', 'pca'], 10)
    >>> 0 <= evaluation.results[0]["accuracy"] <= 1, evaluation.skipped
    (True, [])
    """
    label_source, location = str(labels), path_of(model)
    if stability and location:
        stable.check_path(location)
    kind, column = _division(fold_column, group_column, split_column, label_source)
    loaded = as_model(model)
    options = compare.Options(
        choose(baselines, loaded.domain),
        check_pools(pool or DEFAULT_POOL, segments),
        segments,
        code,
        refit,
        seed,
        stability,
        classifier,
    )
    with reading(loaded.domain, sources, Machine.of(machine), progress) as job:
        folder = None if out is None else _open(Path(out), job.inputs(label_source), loaded, job.notes)
        known = _Labelled.read(label_source, job.sources, label_column, kind, column)
        unlabelled = job.report_unlabelled(known.usable, "left out", strict=strict)
        known = known.labelled()
        with replace(job, sources=known.sources).corpus() as corpus:
            used = corpus.only(corpus.used)
            values = [known.divided[i] or "" for i in corpus.used] if known.divided else None
            labelled = [known.labels[i] or "" for i in corpus.used]
            plan = make_plan(labelled, kind=kind, values=values, column=column or "", seed=seed)
            done = compare.evaluate(loaded, used, plan, options, job.notes)
    title = f"{label_column or 'label'} of {len(used.records)} clips: {plan.description}"
    facts = {
        "results": done.results,
        **done.facts,
        "model": str(location or "in memory"),
        "sources_used": len(used.records),
        "sources_skipped": len(corpus.skipped),
        "without_label": len(unlabelled),
        "unlabelled": unlabelled,
        "out": str(folder) if folder else None,
        **source_summary([*used.records, *corpus.skipped]),
        "model_digest": loaded.digest,
    }
    done = replace(done, facts=facts, skipped=corpus.skipped, notes=job.notes.lines, title=title)
    if folder:
        write_evaluation(folder, loaded, done, used.records, title)
        write_page(loaded, folder / PAGE, facts, title=title, told=_measured(done))
        _keep_stability(loaded, location, done.stability)
    return done


def _beside(model: Path) -> Path:
    """Return the folder of an evaluation in a run folder, or beside a model file."""
    return (model if model.is_dir() else model.parent) / "evaluation"


def _open(out: Path, inputs: Sequence[Path], model: Model, notes: Notes) -> Path:
    """Return the folder, made; tell whether what is there was made by another model."""
    folder = open_folder(out, inputs)
    report_replaced(folder / RESULTS, model.digest, folder, notes)
    return folder


def _keep_stability(model: Model, location: Path | None, stability: UnitStability | None) -> None:
    """Write the stability of a model beside it; a card there that is ours hears of it."""
    if location and stability:
        stable.write(location, stability)
        if location.is_dir() and signature(location / CARD) == "whole":
            write_model_card(model, location)


def _measured(done: Evaluation) -> list[tuple[str, str]]:
    """Return what the page says of how it was measured."""
    facts = done.facts
    rows = [
        ("clips", f"{facts['clips']}, {facts['tested']} of them tested, {len(facts['classes'])} labels"),
        ("folds", done.plan.description),
        ("classifier", f"{CLASSIFIERS[facts['options']['classifier']]}; features standardised on the training part"),
        ("model", facts["seen_told"]),
        ("groups", f"Ward's of {facts['grouped']} clips on 30 principal components; adjusted mutual information"),
        ("unexplained variance", f"{facts['quality']['fvu']:.3f} of {facts['quality']['windows']} windows"),
    ]
    return [*rows, *([("stability", done.stability.summary())] if done.stability is not None else [])]


@dataclass(frozen=True)
class _Labelled:
    """Sources with their labels and the values that divide them, None where there is none."""

    sources: list[Source]
    labels: list[str | None]
    divided: list[str | None] | None

    @classmethod
    def read(cls, labels: str, sources: list[Source], label_column: str | None, kind: Kind, column: str | None) -> Self:
        known = read_labels(labels, sources, label_column)
        divided = read_column(Path(labels), sources, column, option=f"--{kind}-column") if column else None
        if labels != FOLDER:
            check_rows(Path(labels), sources)
        return cls(sources, known, divided)

    @property
    def usable(self) -> list[str | None]:
        """Labels of the sources that have everything."""
        pairs = zip(self.labels, self.divided or self.labels, strict=True)
        return [None if value is None else label for label, value in pairs]

    def labelled(self) -> _Labelled:
        """Return the sources that have everything."""
        kept = [i for i, label in enumerate(self.usable) if label is not None]
        divided = [self.divided[i] for i in kept] if self.divided else None
        return _Labelled([self.sources[i] for i in kept], [self.labels[i] for i in kept], divided)


def _division(fold: str | None, group: str | None, split: str | None, labels: str) -> tuple[Kind, str | None]:
    asked: list[tuple[Kind, str | None]] = [("fold", fold), ("group", group), ("split", split)]
    given = [(kind, column) for kind, column in asked if column is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(f'--{kind}-column' for kind, _ in given)}: wanted one of them")
    if given and labels == FOLDER:
        raise InputError(f"--{given[0][0]}-column {given[0][1]}: wanted --labels FILE.csv with that column, not folder")
    return given[0] if given else ("stratified", None)
