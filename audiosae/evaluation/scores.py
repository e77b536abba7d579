"""Which clips are learned from and which are tested, and pictures of what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Kind = Literal["stratified", "fold", "group", "split"]
FOLDS = 5
_LEFT_OUT = 10  # up to this many groups, each is left out in turn
_TEST, _TRAIN = "test", "train"
_LEVEL = 0.95
_TOLD = 3
_VALUES_SHOWN = 30  # classes up to which a confusion matrix has numbers in it


@dataclass(frozen=True)
class Split:
    """One fold: what is learned from and what is tested, as ascending clip numbers."""

    name: str
    train: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """How clips are divided.

    Attributes
    ----------
    classes, target
        Names in order, and the class number of each clip.
    splits
        Folds; no clip is tested twice.
    groups
        Group number of each clip, or None.
    told, notes
        In words, and what a reader should know before believing the numbers.
    """

    classes: list[str]
    target: NDArray[np.int64]
    splits: list[Split]
    groups: NDArray[np.int64] | None
    told: str
    notes: list[str]

    @property
    def tested(self) -> NDArray[np.int64]:
        """Clips that are tested, ascending."""
        return np.sort(np.concatenate([split.test for split in self.splits]))

    @property
    def chance(self) -> float:
        """Share of the tested clips that always saying the commonest class gets right."""
        return float(np.bincount(self.target[self.tested]).max() / len(self.tested))

    def inner(self, split: Split, count: int, seed: int) -> NDArray[np.int64]:
        """Divide a training part once more, groups kept whole; one number below `count` per training clip."""
        target = self.target[split.train]
        if self.groups is not None:
            parts = _grouped(self.groups[split.train], count)
            usable = [len(np.unique(target[parts != part])) > 1 for part in np.unique(parts)]
            if len(usable) > 1 and any(usable):
                return parts
        return _dealt(target, count, seed)


def make_plan(labels: Sequence[str], *, kind: Kind, values: Sequence[str] | None, column: str, seed: int) -> Plan:
    """Divide clips into folds.

    Parameters
    ----------
    labels
        One per clip.
    kind
        ``fold``: each value is a fold. ``group``: no value is on both sides; each is left out in turn when there are at
        most 10, else 5 folds. ``split``: clips with the value ``test`` are tested; without it, of two values
        the one beside ``train``, else the rarer.
        ``stratified``: 5 folds with the classes in equal shares, by the seed.
    values
        One per clip, except for ``stratified``.
    column, seed
        The values' name; of the stratified folds.

    Raises
    ------
    InputError
        One class only, a class with fewer clips than folds, a fold whose training part has one class, or a column that
        does not divide.
    """
    names, target = np.unique(np.asarray(labels, str), return_inverse=True)
    classes: list[str] = names.tolist()
    if len(classes) < 2:  # noqa: PLR2004
        raise InputError(f"all {len(target)} clips have the label {classes[0]!r}; wanted at least two classes")
    folds, parts, groups, told = _divide(target, classes, kind, values, column, seed=seed)
    splits = [Split(name, np.flatnonzero(parts != i), np.flatnonzero(parts == i)) for i, name in enumerate(folds)]
    notes = []
    if kind == "split":
        splits = splits[1:]
    if kind == "stratified":
        notes.append("folds are drawn by clip: clips of one recording session may lie on both sides and flatter every "
                     "number; --group-column keeps them together")  # fmt: skip
    for split in splits:
        notes += _check(split, target, classes)
    return Plan(classes, target, splits, groups, told, notes)


def _divide(
    target: NDArray[Any], classes: list[str], kind: Kind, values: Sequence[str] | None, column: str, *, seed: int
) -> tuple[Sequence[str], NDArray[np.int64], NDArray[np.int64] | None, str]:
    """Return the folds' names, each clip's fold, its group, and all of it in words."""
    if values is None or kind == "stratified":
        counts = np.bincount(target)
        if counts.min() < FOLDS:
            label, count = classes[counts.argmin()], counts.min()
            raise InputError(f"label {label!r} has {count} of the clips, fewer than {FOLDS} folds; add some or drop it")
        return list("12345"), _dealt(target, FOLDS, seed), None, f"{FOLDS} stratified folds of clips"
    kinds, groups = np.unique(np.asarray(values, str), return_inverse=True)
    found: list[str] = kinds.tolist()
    if len(found) < 2:  # noqa: PLR2004
        raise InputError(f"--{kind}-column {column}: every clip has the value {found[0]!r}; wanted at least two")
    if kind == "split":
        return _official(found, groups, column)
    if kind == "fold":
        return found, groups, groups, f"the {len(found)} folds of column {column}"
    if len({*zip(groups.tolist(), target.tolist(), strict=True)}) == len(found) == len(classes):
        raise InputError(f"--{kind}-column {column}: divides as the labels do; what is tested was never learned")
    if len(found) <= _LEFT_OUT:
        return found, groups, groups, f"one {column} left out at a time ({len(found)} folds)"
    return list("12345"), _grouped(groups, FOLDS), groups, f"{FOLDS} folds, {len(found)} {column} values kept together"


def _official(found: list[str], groups: NDArray[Any], column: str) -> tuple[list[str], NDArray[np.int64], None, str]:
    """Return which clips are tested (fold 1) in a column that names them."""
    counts, pair = np.bincount(groups), len(found) == 2  # noqa: PLR2004
    wanted = [i for i, value in enumerate(found) if value.strip().lower() == _TEST]
    if not wanted and pair:
        wanted = [1 - i for i, value in enumerate(found) if value.strip().lower() == _TRAIN]
    if not wanted and (not pair or counts[0] == counts[1]):
        raise InputError(f"--split-column {column}: no value 'test' among {', '.join(map(repr, found[:10]))}, nor two "
                         f"values of which one is rarer; --fold-column takes each value as a fold")  # fmt: skip
    tested = wanted[0] if wanted else int(counts.argmin())
    told = f"tested where {column} is {found[tested]!r} ({counts[tested]} of {len(groups)} clips)"
    return ["train", found[tested]], (groups == tested).astype(np.int64), None, told


def _check(split: Split, target: NDArray[Any], classes: list[str]) -> list[str]:
    """Refuse a fold that teaches nothing; tell of classes that it cannot know."""
    there = np.unique(target[split.train])
    if len(there) < 2:  # noqa: PLR2004
        raise InputError(f"fold {split.name!r}: all that is left to train on has the label {classes[there[0]]!r}")
    missing = [classes[i] for i in np.setdiff1d(target[split.test], there)]
    told = ", ".join(missing[:_TOLD]) + (f" and {len(missing) - _TOLD} more" if len(missing) > _TOLD else "")
    return [f"fold {split.name}: {told} is not in its training part and cannot be found"] if missing else []


def _dealt(target: NDArray[Any], count: int, seed: int) -> NDArray[np.int64]:
    """Deal clips like cards, class by class, in random order: fold numbers with every class spread evenly."""
    order = np.random.default_rng(seed).permutation(len(target))
    order = order[np.argsort(target[order], kind="stable")]
    parts = np.empty(len(target), np.int64)
    parts[order] = np.arange(len(target)) % count
    return parts


def _grouped(groups: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Give each group, the largest first, to the fold with fewest clips so far (as scikit-learn's GroupKFold)."""
    found, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    loads, where = np.zeros(min(count, len(found)), np.int64), np.empty(len(found), np.int64)
    for group in np.argsort(-sizes, kind="stable"):
        where[group] = loads.argmin()
        loads[where[group]] += sizes[group]
    return where[index]


def summarise(plan: Plan, predicted: NDArray[np.int64], reference: NDArray[np.int64] | None = None) -> dict[str, Any]:
    """Return what predictions amount to.

    Parameters
    ----------
    plan
        How clips were divided.
    predicted
        Class number per clip; what is not tested is not looked at.
    reference
        Predictions of the model, for the difference fold by fold (or clip by clip where there is one fold).

    Returns
    -------
    dict
        `accuracy` is the mean over folds, `std` their standard deviation (n - 1), `stderr` that over the root of their
        number, `interval` Student's. Folds share training clips, so both are a guide, not a test (Bengio and Grandvalet
        2004). One fold: binomial standard error and Wilson's interval over its clips.
    """
    right = predicted == plan.target
    folds = np.array([right[split.test].mean() for split in plan.splits])
    found = _spread(folds, right[plan.tested])
    confusion = np.zeros((len(plan.classes), len(plan.classes)), np.int64)
    np.add.at(confusion, (plan.target[plan.tested], predicted[plan.tested]), 1)
    seen = confusion.sum(axis=1)
    recall = {name: float(confusion[i, i] / seen[i]) for i, name in enumerate(plan.classes) if seen[i]}
    found |= {"folds": folds.tolist(), "recall": recall, "confusion": confusion.tolist()}
    if reference is not None:
        gain = (reference == plan.target).astype(float) - right
        by_fold = np.array([gain[split.test].mean() for split in plan.splits])
        ahead = by_fold if len(by_fold) > 1 else gain[plan.tested]
        error = float(ahead.std(ddof=1) / np.sqrt(len(ahead))) if len(ahead) > 1 else 0.0
        found["model_ahead"] = {"mean": float(by_fold.mean()), "stderr": error}
    return found


def _spread(folds: NDArray[Any], right: NDArray[np.bool_]) -> dict[str, Any]:
    from scipy.special import ndtri, stdtrit

    mean, tail = float(folds.mean()), (1 + _LEVEL) / 2
    if len(folds) > 1:
        std = float(folds.std(ddof=1))
        error = std / np.sqrt(len(folds))
        reach = float(stdtrit(len(folds) - 1, tail)) * error
        interval, method = [max(0.0, mean - reach), min(1.0, mean + reach)], "Student, over folds"
    else:
        n, z = len(right), float(ndtri(tail))
        std, error = 0.0, np.sqrt(mean * (1 - mean) / n)
        middle = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z / (1 + z**2 / n) * float(np.sqrt(mean * (1 - mean) / n + z**2 / (4 * n**2)))
        interval, method = [max(0.0, middle - reach), min(1.0, middle + reach)], "Wilson, over clips"
    return {"accuracy": mean, "std": std, "stderr": float(error), "interval": interval, "interval_method": method}


def draw_scores(plan: Plan, results: Sequence[dict[str, Any]], path: Path, title: str) -> None:
    """Draw accuracies as bars with standard errors, the best on top, and chance as a line."""
    from matplotlib.figure import Figure

    ranked = sorted(results, key=lambda result: result["accuracy"])
    figure = Figure(figsize=(8, max(2.8, 1.6 + 0.45 * len(ranked))), dpi=120, layout="constrained")
    ax = figure.subplots()
    values, errors = [[100 * r[key] for r in ranked] for key in ("accuracy", "stderr")]
    colours = ["C1" if r["name"] == "model" else "0.65" for r in ranked]
    places = range(len(ranked))
    ax.barh(places, values, xerr=errors, color=colours, error_kw={"ecolor": "0.2", "capsize": 3, "elinewidth": 1})
    for place, value, error in zip(places, values, errors, strict=True):
        ax.text(value + error + 0.8, place, f"{value:.1f} ± {error:.1f}", va="center", fontsize=9)
    chance = 100 * plan.chance
    ax.axvline(chance, color="C3", ls="--", lw=1.2, label=f"chance, always the commonest class: {chance:.1f} %")
    ax.set_yticks(places, [f"{r['name']} ({r['features']})" for r in ranked])
    ax.set(xlim=(0, 118), xticks=range(0, 101, 10), xlabel="clips classified right, per cent (± standard error)")
    ax.set_ylabel("features (numbers a clip)")
    ax.set_title(_plain(title), fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower right", frameon=False, fontsize=8)
    _save(figure, path)


def draw_confusion(plan: Plan, confusion: NDArray[np.int64], path: Path, title: str) -> None:
    """Draw the share of each class that was taken for each class, in per cent; rows add to 100."""
    from matplotlib.figure import Figure

    count = len(plan.classes)
    share = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = min(24.0, max(4.5, 0.45 * count + 2))
    figure = Figure(figsize=(side + 1.2, side), dpi=120, layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=100)
    if count <= _VALUES_SHOWN:
        for row, column in np.argwhere(confusion):
            colour = "white" if share[row, column] > 55 else "black"  # noqa: PLR2004 (readable on the blue below)
            place = (float(column), float(row))
            ax.text(*place, f"{share[row, column]:.0f}", ha="center", va="center", fontsize=8, color=colour)
    names, size = [_plain(name) for name in plan.classes], 9 if count <= _VALUES_SHOWN else 5
    counted = [f"{name} ({clips})" for name, clips in zip(names, confusion.sum(axis=1), strict=True)]
    ax.set_xticks(range(count), names, rotation=90 if max(map(len, names)) > 3 else 0, fontsize=size)  # noqa: PLR2004
    ax.set_yticks(range(count), counted, fontsize=size)
    ax.set(xlabel="what the classifier said", ylabel="what it was (number of clips)")
    ax.set_title(_plain(title), fontsize=10)
    figure.colorbar(image, ax=ax, shrink=0.8, label="per cent of the row's clips")
    _save(figure, path)


def _plain(text: str) -> str:
    """Keep matplotlib from reading what lies between two dollars as a formula."""
    return text.replace("$", r"\$")


def _save(figure: Any, path: Path) -> None:  # noqa: ANN401
    try:
        figure.savefig(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
