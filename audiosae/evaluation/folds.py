"""Folds: which clips are learned from and which are tested, respecting groups and official splits."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.corpus.sources import some_of
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


Kind = Literal["stratified", "fold", "group", "split"]
FOLDS = 5
_LEFT_OUT = 10  # up to this many groups, each is left out in turn
_TEST, _TRAIN = "test", "train"


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
    description, notes
        In words, and what a reader should know before believing the numbers.
    """

    classes: list[str]
    target: NDArray[np.int64]
    splits: list[Split]
    groups: NDArray[np.int64] | None
    description: str
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
        return _stratified(target, count, seed)


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
        return list("12345"), _stratified(target, FOLDS, seed), None, f"{FOLDS} stratified folds of clips"
    kinds, groups = np.unique(np.asarray(values, str), return_inverse=True)
    found: list[str] = kinds.tolist()
    if len(found) < 2:  # noqa: PLR2004
        raise InputError(f"--{kind}-column {column}: every clip has the value {found[0]!r}; wanted at least two")
    if kind == "split":
        return _predefined(found, groups, column)
    if kind == "fold":
        return found, groups, groups, f"the {len(found)} folds of column {column}"
    if len({*zip(groups.tolist(), target.tolist(), strict=True)}) == len(found) == len(classes):
        raise InputError(f"--{kind}-column {column}: divides as the labels do; what is tested was never learned")
    if len(found) <= _LEFT_OUT:
        return found, groups, groups, f"one {column} left out at a time ({len(found)} folds)"
    return list("12345"), _grouped(groups, FOLDS), groups, f"{FOLDS} folds, {len(found)} {column} values kept together"


def _predefined(found: list[str], groups: NDArray[Any], column: str) -> tuple[list[str], NDArray[np.int64], None, str]:
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
    if not missing:
        return []
    return [f"fold {split.name}: {some_of(missing)} is not in its training part and cannot be found"]


def _stratified(target: NDArray[Any], count: int, seed: int) -> NDArray[np.int64]:
    """Return a fold number per clip, drawn at random with every class spread evenly; a rare class is in some alone."""
    from sklearn.model_selection import StratifiedKFold

    count = max(2, min(count, int(np.bincount(target).max())))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        return _numbers(StratifiedKFold(count, shuffle=True, random_state=seed).split(target, target))


def _grouped(groups: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Return a fold number per clip, groups kept whole and folds of about equal size."""
    from sklearn.model_selection import GroupKFold

    there = len(np.unique(groups))
    return _numbers(GroupKFold(min(count, there)).split(groups, groups=groups)) if there > 1 else 0 * groups


def _numbers(folds: Iterable[tuple[NDArray[Any], NDArray[Any]]]) -> NDArray[np.int64]:
    tested = [test for _, test in folds]
    found = np.empty(sum(map(len, tested)), np.int64)
    for number, test in enumerate(tested):
        found[test] = number
    return found
