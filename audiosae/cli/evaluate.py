"""audiosae evaluate: a table, two pictures, and the same as JSON and CSV."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiosae.cli.console import Console, table
from audiosae.cli.parameters import (
    AsJson,
    Cache,
    Code,
    CodeName,
    EngineName,
    LabelColumn,
    ModelPath,
    Pool,
    Quiet,
    Segments,
    Sources,
    Strict,
    Workers,
)
from audiosae.cli.reading import check_skipped, find, labels_file, opened, tell_unlabelled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.evaluation.evaluate import Evaluation
    from audiosae.evaluation.folds import Kind

_CLASSES_TOLD = 12
_LABEL_SHOWN = 16  # characters, over a tile
_FILES = ("results.json", "results.csv", "predictions.csv", "scores.png", "confusion.png", "units.png",
          "index.html")  # fmt: skip
_AREA = "area under the ROC: 0.5 is chance, 1 tells all"


class JudgeName(StrEnum):
    """Choices of --classifier."""

    ridge = "ridge"
    logistic = "logistic"
    svm = "svm"
    forest = "forest"


def evaluate(  # noqa: PLR0917
    model: ModelPath,
    sources: Sources,
    labels: Annotated[str, typer.Option(metavar="folder|FILE.csv", help="Labels: parent folders, or a CSV.")],
    label_column: LabelColumn = None,
    fold_column: Annotated[str | None, typer.Option(help="Each of its values is a fold.")] = None,
    group_column: Annotated[str | None, typer.Option(help="Clips of one value stay together.")] = None,
    split_column: Annotated[str | None, typer.Option(help="Clips with the value test are tested.")] = None,
    baselines: Annotated[str, typer.Option(metavar="all|none|a,b", help="What to compare with.")] = "all",
    classifier: Annotated[JudgeName, typer.Option(help="What judges every set of features.")] = JudgeName.ridge,
    pool: Pool = None,
    segments: Segments = 1,
    code: Code = CodeName.sqrt,
    refit: Annotated[bool, typer.Option("--refit", help="Learn everything on each training part alone.")] = False,  # noqa: FBT002
    stability: Annotated[int, typer.Option(help="Train with so many other seeds; which atoms come back?", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Of folds, k-means and NMF.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder.  [default: MODEL's/evaluation]")] = None,
    workers: Workers = None,
    engine: EngineName = "here",
    cache: Cache = None,
    strict: Strict = False,  # noqa: FBT002
    quiet: Quiet = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Benchmark the features against baselines (random weights, PCA, k-means, NMF, MFCC, log-mel), one classifier."""
    from audiosae.autoencoder.model import load_model
    from audiosae.corpus.journal import told_of
    from audiosae.corpus.labels import FOLDER, check_rows, read_column, read_labels
    from audiosae.evaluation import evaluate as evaluating
    from audiosae.evaluation.baselines import choose
    from audiosae.evaluation.folds import make_plan
    from audiosae.features import stability as stable
    from audiosae.features.codes import DEFAULT_POOL, check_pools
    from audiosae.report.evaluation import write_evaluation

    console = Console(quiet=quiet, as_json=as_json)
    kind, column = _division(fold_column, group_column, split_column, labels)
    loaded = load_model(model)
    options = evaluating.Options(
        choose(baselines, loaded.domain),
        check_pools(pool or DEFAULT_POOL, segments),
        segments,
        code.value,
        refit,
        seed,
        stability,
        classifier.value,
    )
    found = find(loaded, sources, console)
    if stability:
        stable.check_place(model)
    inputs = [*(source.path for source in found), *labels_file(labels)]
    folder = _folder(out or (model if model.is_dir() else model.parent) / "evaluation", inputs)
    known = read_labels(labels, found, label_column)
    divided = read_column(Path(labels), found, column, option=f"--{kind}-column") if column else None
    if labels != FOLDER:
        check_rows(Path(labels), found)
    pairs = zip(known, divided or known, strict=True)
    usable = [None if value is None else label for label, value in pairs]
    unlabelled = tell_unlabelled(found, usable, console, "left out", strict=strict)
    kept = [i for i, label in enumerate(usable) if label is not None]
    found, known = [found[i] for i in kept], [known[i] for i in kept]
    divided = [divided[i] for i in kept] if divided else None
    with opened(loaded, found, console, engine=engine, cache=cache, workers=workers) as corpus:
        used, skipped = corpus.only(corpus.used), corpus.skipped
        values = [divided[i] or "" for i in corpus.used] if divided else None
        plan = make_plan(
            [known[i] or "" for i in corpus.used], kind=kind, values=values, column=column or "", seed=seed
        )
        done = evaluating.evaluate(loaded, used, plan, options, console)
    console.close()
    records = used.records
    title = f"{label_column or 'label'} of {len(records)} clips: {plan.description}"
    facts = {"results": done.results, **done.facts, "model": str(model), "sources_used": len(records),
             "sources_skipped": len(skipped), "without_label": len(unlabelled),
             "unlabelled": unlabelled, "out": str(folder), **told_of([*records, *skipped])}  # fmt: skip
    _write(folder, done, records, facts, title)
    _draw_units(loaded, done.facts["quality"]["units_of_labels"], folder / "units.png")
    write_evaluation(loaded, folder / "index.html", facts, title=title, told=_measured(done))
    if done.stability is not None:
        stable.write(model, done.stability)
    console.result(_told(done, title, folder, skipped), facts)
    check_skipped(skipped, strict=strict)


def _division(fold: str | None, group: str | None, split: str | None, labels: str) -> tuple[Kind, str | None]:
    from audiosae.corpus.labels import FOLDER
    from audiosae.errors import InputError

    asked: list[tuple[Kind, str | None]] = [("fold", fold), ("group", group), ("split", split)]
    given = [(kind, column) for kind, column in asked if column is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(f'--{kind}-column' for kind, _ in given)}: wanted one of them")
    if given and labels == FOLDER:
        raise InputError(f"--{given[0][0]}-column {given[0][1]}: wanted --labels FILE.csv with that column, not folder")
    return given[0] if given else ("stratified", None)


def _folder(path: Path, inputs: Sequence[Path]) -> Path:
    """Make the folder now: half an hour later is late to learn that it cannot be written, or has other files in it."""
    from audiosae.errors import InputError
    from audiosae.system.files import check_replaceable, has_facts

    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write the folder {path}: {error.strerror}; choose another with -o") from error
    own = has_facts(path / "results.json", "results", "chance", "model")
    for name in _FILES:
        check_replaceable(path / name, inputs, own=own)
    return path


def _write(folder: Path, done: Evaluation, records: Sequence[Record], facts: dict[str, Any], title: str) -> None:
    """Write results.json, results.csv, predictions.csv, scores.png and confusion.png."""
    import numpy as np

    from audiosae.evaluation.figures import draw_confusion, draw_scores
    from audiosae.system.files import csv_text, write_aside

    plan, best = done.plan, done.results[0]
    write_aside(folder / "results.json", (json.dumps(facts, indent=1, default=float) + "\n").encode())
    keys = ("name", "features", "accuracy", "std", "stderr")
    head = [*keys, "low", "high"]
    head += [f"fold_{split.name}" for split in plan.splits] + [f"recall_{name}" for name in best["recall"]]
    rows = [[*(r[key] for key in keys), *r["interval"], *r["folds"], *r["recall"].values()] for r in done.results]
    write_aside(folder / "results.csv", csv_text([head, *rows]).encode())
    fold = {int(clip): split.name for split in plan.splits for clip in split.test}
    told = [
        [records[clip].file, fold[clip], plan.classes[plan.target[clip]],
         *(plan.classes[predicted[clip]] for predicted in done.predicted.values())]
        for clip in map(int, plan.tested)
    ]  # fmt: skip
    write_aside(folder / "predictions.csv", csv_text([["file", "fold", "label", *done.predicted], *told]).encode())
    draw_scores(plan, done.results, folder / "scores.png", title)
    accuracy = f"{100 * best['accuracy']:.1f} % right"
    draw_confusion(
        plan, np.array(best["confusion"]), folder / "confusion.png", f"{title}\nthe model's features: {accuracy}"
    )


def _told(done: Evaluation, title: str, folder: Path, skipped: Sequence[Record]) -> str:
    """Return what a person reads at the end."""
    from audiosae.evaluation.classifier import JUDGES

    facts, plan = done.facts, done.plan
    rows = [
        ("features", "numbers", "accuracy %", "std", "s.e.", "95 % interval", "model - baseline (paired difference)")
    ]
    for r in sorted(done.results, key=lambda result: -result["accuracy"]):
        low, high = r["interval"]
        ahead = r.get("model_ahead")
        gain = f"{100 * ahead['mean']:+.1f} ± {100 * ahead['stderr']:.1f}" if ahead else ""
        std = f"{100 * r['std']:.1f}" if len(plan.splits) > 1 else ""
        rows.append((r["name"], str(r["features"]), f"{100 * r['accuracy']:.1f}", std, f"{100 * r['stderr']:.1f}",
                     f"{100 * low:.1f} to {100 * high:.1f}", gain))  # fmt: skip
    lines = [title, "", table(rows), "", f"chance (the commonest class) {100 * plan.chance:.1f} %"]
    lines += [f"classifier: {JUDGES[facts['options']['judge']]}; features standardised on the training part"]
    lines += [facts["seen_told"], *plan.notes]
    lines += ["", table(_few_units(done)), "", *_few_units_told(facts)]
    lines += [f"{len(skipped)} source{'s' if len(skipped) > 1 else ''} skipped"] if skipped else []
    lines += ["", *_quality(facts["quality"]), *_recall(done.results[0])]
    if done.stability is not None:
        lines.append(f"stability            {done.stability.summary()}")
    files = "index.html, scores.png, confusion.png, units.png, results.json, results.csv, predictions.csv"
    lines.append(f"files                {folder}/: {files}")
    return "\n".join(lines)


def _measured(done: Evaluation) -> list[tuple[str, str]]:
    """Return what the page says of how it was measured."""
    from audiosae.evaluation.classifier import JUDGES

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


def _draw_units(model: Model, pairs: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the units that best tell each label from the others, a row a label."""
    from audiosae.pictures.atoms import draw_atoms

    columns = sum(pair["label"] == pairs[0]["label"] for pair in pairs)
    shown, labels = pairs[: columns * (64 // columns)], len(pairs) // columns
    title = f"units that best tell each label's clips from the others ({_AREA})"
    if len(shown) < len(pairs):
        title += f"; the first {len(shown) // columns} of {labels} labels"
    titles = [f"{_shortened(pair['label'])}\nunit {pair['unit']}: {pair['auc']:.2f}" for pair in shown]
    draw_atoms(model, path, units=[pair["unit"] for pair in shown], columns=columns, titles=titles, title=title)


def _shortened(label: str) -> str:
    return label if len(label) <= _LABEL_SHOWN else label[: _LABEL_SHOWN - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _quality(found: dict[str, Any]) -> list[str]:
    """Return lines on the units."""
    best: dict[str, dict[str, Any]] = {}
    for pair in found["units_of_labels"]:
        best.setdefault(pair["label"], pair)
    shown = [f"{label} u{pair['unit']} {pair['auc']:.2f}" for label, pair in best.items()]
    more = [f"{len(shown) - _CLASSES_TOLD} more in results.json"] if len(shown) > _CLASSES_TOLD else []
    return [
        f"unexplained variance {found['fvu']:.3f} of {found['windows']} windows, in the whitened space",
        f"activity             mean {found['mean_activity']:.4f}; {found['l0']:.1f} units above "
        f"{found['active_above']:g} in a window; dead {len(found['dead_units'])}, on in most windows "
        f"{len(found['always_on_units'])}",
        f"sparseness           of a unit over windows {found['lifetime_sparseness']:.2f}, of a window over units "
        f"{found['population_sparseness']:.2f} (0 even, 1 a single one; Treves and Rolls)",
        f"unit for a label     {', '.join([*shown[:_CLASSES_TOLD], *more])} (area under the ROC on these clips)",
    ]


def _recall(result: dict[str, Any]) -> list[str]:
    parts = [f"{label} {100 * share:.0f}" for label, share in result["recall"].items()]
    more = [f"{len(parts) - _CLASSES_TOLD} more in results.csv"] if len(parts) > _CLASSES_TOLD else []
    return [f"recall per class     {', '.join([*parts[:_CLASSES_TOLD], *more])} (per cent, the model's features)"]
