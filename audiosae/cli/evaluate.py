"""audiosae evaluate: a table, two pictures, and the same as JSON and CSV."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (Typer reads it)
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiosae.cli import parameters as shared  # noqa: TC001 (Typer reads it)
from audiosae.cli.console import Console, table

if TYPE_CHECKING:
    from audiosae.evaluation.compare import Evaluation

_CLASSES_TOLD = 12


def evaluate(  # noqa: PLR0917
    console: Console,
    model: shared.ModelPath,
    sources: shared.Sources,
    labels: Annotated[str, typer.Option(metavar="folder|FILE.csv", help="Labels: parent folders, or a CSV.")],
    label_column: shared.LabelColumn = None,
    fold_column: Annotated[str | None, typer.Option(help="Each of its values is a fold.")] = None,
    group_column: Annotated[str | None, typer.Option(help="Clips of one value stay together.")] = None,
    split_column: Annotated[str | None, typer.Option(help="Clips with the value test are tested.")] = None,
    baselines: Annotated[str, typer.Option(metavar="all|none|a,b", help="What to compare with.")] = "all",
    classifier: Annotated[
        Literal["ridge", "logistic", "svm", "forest"], typer.Option(help="What judges every set of features.")
    ] = "ridge",
    pool: shared.Pool = None,
    segments: shared.Segments = 1,
    code: shared.Code = "sqrt",
    refit: Annotated[bool, typer.Option("--refit", help="Learn everything on each training part alone.")] = False,  # noqa: FBT002
    stability: Annotated[int, typer.Option(help="Train with so many other seeds; which atoms come back?", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Of folds, k-means and NMF.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder.  [default: MODEL's/evaluation]")] = None,
    workers: shared.Workers = None,
    backend: shared.Backend = "auto",
    engine: shared.EngineName = "here",
    cache: shared.Cache = None,
    strict: shared.StrictLabels = False,  # noqa: FBT002
) -> None:
    """Benchmark the features against baselines (random weights, PCA, k-means, NMF, MFCC, log-mel), one classifier."""
    from audiosae.commands.evaluate import evaluate as work
    from audiosae.commands.reading import check_skipped

    done = work(
        model, sources, labels, out or (model if model.is_dir() else model.parent) / "evaluation",
        label_column=label_column, fold_column=fold_column, group_column=group_column, split_column=split_column,
        baselines=baselines, classifier=classifier, pool=pool, segments=segments, code=code, refit=refit,
        stability=stability, seed=seed, strict=strict, workers=workers, engine=engine,
        backend=backend, cache=cache, progress=console,
    )  # fmt: skip
    console.result(_told(done), done.facts)
    check_skipped(done.skipped, strict=strict)


def _told(done: Evaluation) -> str:
    """Return what a person reads at the end."""
    from audiosae.evaluation.classifier import JUDGES

    facts, plan, skipped = done.facts, done.plan, done.skipped
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
    lines = [done.title, "", table(rows), "", f"chance (the commonest class) {100 * plan.chance:.1f} %"]
    lines += [f"classifier: {JUDGES[facts['options']['judge']]}; features standardised on the training part"]
    lines += [facts["seen_told"], *plan.notes]
    lines += ["", table(_few_units(done)), "", *_few_units_told(facts)]
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
