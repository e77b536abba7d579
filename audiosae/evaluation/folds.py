"""Cross-validation folds of labelled files: stratified, by group, or predefined by a column."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.errors import InputError
from audiosae.system.text import some_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


Kind = Literal["stratified", "fold", "group", "split"]
FOLDS = 5
_LEFT_OUT = 10  # up to this many groups, each is left out in turn
_FEWEST = 2  # least number of classes, and of values of the column that divides the files
_SESSIONS = (
    "the folds are random: files of one recording session may be in both parts, training and test, which makes all "
    "accuracies too high; --group-column keeps such files together"
)


@dataclass(frozen=True)
class Split:
    """One fold: training and test files, as ascending file numbers."""

    name: str
    train: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """Division of labelled files into folds.

    Attributes
    ----------
    classes, target
        Names in order, and the class number of each file.
    splits
        Folds; no file is tested twice.
    groups
        Group number of each file, or None.
    contents
        Number of the content of each file, the same for copies; None if no file is a copy.
    description, notes
        The division in words, and warnings about it.
    noun
        What is classified: ``file``, or ``annotation`` for annotated stretches of files.
    """

    classes: list[str]
    target: NDArray[np.int64]
    splits: list[Split]
    groups: NDArray[np.int64] | None
    description: str
    notes: list[str]
    contents: NDArray[np.int64] | None = None
    noun: str = "file"

    @property
    def tested(self) -> NDArray[np.int64]:
        """Numbers of the files that are tested, ascending."""
        return np.sort(np.concatenate([split.test for split in self.splits]))

    @property
    def chance(self) -> float:
        """Accuracy on the tested files of always predicting the most common class."""
        return float(np.bincount(self.target[self.tested]).max() / len(self.tested))

    def inner(self, split: Split, count: int, seed: int) -> NDArray[np.int64]:
        """Return the number of the inner fold, below `count`, of each training file; groups are not divided."""
        target = self.target[split.train]
        if self.groups is not None:
            parts = _grouped(self.groups[split.train], count)
            usable = [len(np.unique(target[parts != part])) > 1 for part in np.unique(parts)]
            if len(usable) > 1 and any(usable):
                return parts
        return _stratified(target, count, seed, None if self.contents is None else self.contents[split.train])


def make_plan(
    labels: Sequence[str],
    *,
    kind: Kind,
    values: Sequence[str] | None,
    column: str,
    seed: int,
    digests: Sequence[str] | None = None,
    noun: str = "file",
) -> Plan:
    """Divide files into folds.

    Parameters
    ----------
    labels
        One per file.
    kind
        ``fold``: each value is a fold. ``group``: no value is on both sides; each is left out in turn when there are at
        most 10, else 5 folds. ``split``: files with the value ``test`` are tested; without that value, of two values
        the one that is not ``train``, else the rarer one.
        ``stratified``: 5 random folds with the classes in equal shares.
    values
        One per file, except for ``stratified``.
    column, seed
        Name of the column of the values; random seed of the stratified folds.
    noun
        See `Plan`.
    digests
        One per file, equal for copies, which stay in one stratified fold; copies that a column divides are reported.

    Raises
    ------
    InputError
        There is only one class, a class has fewer files than folds, a fold has only one class in its training part, or
        the column cannot divide the files.
    """
    names, target = np.unique(np.asarray(labels, str), return_inverse=True)
    classes: list[str] = names.tolist()
    if len(classes) < _FEWEST:
        raise InputError(f"all {len(target)} {noun}s have the label {classes[0]!r}; wanted at least two classes")
    contents = _contents(digests)
    folds, parts, groups, description = _divide(target, classes, kind, values, column, seed=seed, contents=contents)
    splits = [Split(name, np.flatnonzero(parts != i), np.flatnonzero(parts == i)) for i, name in enumerate(folds)]
    if kind == "split":
        splits = splits[1:]
    notes = [_SESSIONS] if kind == "stratified" else []
    notes += _copies(splits, contents)
    notes += [note for split in splits for note in _check(split, target, classes)]
    return Plan(classes, target, splits, groups, description, notes, contents, noun)


def _contents(digests: Sequence[str] | None) -> NDArray[np.int64] | None:
    """Return the number of the content of each file; None if no file is a copy of another."""
    if digests is None or len(set(digests)) == len(digests):
        return None
    return np.unique(np.asarray(digests, str), return_inverse=True)[1]


def _copies(splits: Sequence[Split], contents: NDArray[np.int64] | None) -> list[str]:
    """Return a note on files that are copies of others, and on those that are tested and learned from."""
    if contents is None:
        return []
    copies = len(contents) - len(np.unique(contents))
    both = sum(int(np.isin(contents[split.test], contents[split.train]).sum()) for split in splits)
    if not both:
        return [f"{copies} of {len(contents)} files are copies of others; each is in the fold of the other"]
    return [
        f"{both} of {len(contents)} files are tested while a copy is in the training part, which makes all accuracies "
        "too high; remove the copies, or give them the same value in the column"
    ]


def _divide(
    target: NDArray[Any],
    classes: list[str],
    kind: Kind,
    values: Sequence[str] | None,
    column: str,
    *,
    seed: int,
    contents: NDArray[np.int64] | None,
) -> tuple[Sequence[str], NDArray[np.int64], NDArray[np.int64] | None, str]:
    """Return the names of the folds, the fold and the group of each file, and a description."""
    if values is None or kind == "stratified":
        counts = np.bincount(target if contents is None else np.unique(np.stack([target, contents]), axis=1)[0])
        if counts.min() < FOLDS:
            label, count = classes[counts.argmin()], counts.min()
            copies = "" if contents is None else ", without copies"
            raise InputError(
                f"label {label!r} has {count} of the files{copies}, fewer than {FOLDS} folds; add files or remove the "
                "label"
            )
        return list("12345"), _stratified(target, FOLDS, seed, contents), None, f"{FOLDS} stratified folds of files"
    kinds, groups = np.unique(np.asarray(values, str), return_inverse=True)
    names: list[str] = kinds.tolist()
    if len(names) < _FEWEST:
        raise InputError(f"--{kind}-column {column}: every file has the value {names[0]!r}; wanted at least two values")
    if kind == "split":
        return _predefined(names, groups, column)
    if kind == "fold":
        return names, groups, groups, f"the {len(names)} folds of column {column}"
    if len({*zip(groups.tolist(), target.tolist(), strict=True)}) == len(names) == len(classes):
        raise InputError(
            f"--{kind}-column {column}: each label is in one group only, so no tested class could be learned; wanted "
            "labels that are in several groups"
        )
    if len(names) <= _LEFT_OUT:
        return names, groups, groups, f"one {column} left out at a time ({len(names)} folds)"
    return list("12345"), _grouped(groups, FOLDS), groups, f"{FOLDS} folds, {len(names)} {column} values kept together"


def _predefined(names: list[str], groups: NDArray[Any], column: str) -> tuple[list[str], NDArray[np.int64], None, str]:
    """Divide files by a column that says which are tested (fold 1)."""
    counts, lower = np.bincount(groups), [name.strip().lower() for name in names]
    pair = len(names) == _FEWEST
    if "test" in lower:
        tested = lower.index("test")
    elif pair and "train" in lower:
        tested = 1 - lower.index("train")
    elif pair and counts[0] != counts[1]:
        tested = int(counts.argmin())
    else:
        raise InputError(
            f"--split-column {column}: wanted the value 'test' for the test files, or two values, of which the rarer "
            f"one is tested, found {', '.join(map(repr, names[:10]))}; --fold-column takes each value as a fold"
        )
    description = f"tested where {column} is {names[tested]!r} ({counts[tested]} of {len(groups)} files)"
    return ["train", names[tested]], (groups == tested).astype(np.int64), None, description


def _check(split: Split, target: NDArray[Any], classes: list[str]) -> list[str]:
    """Return a note if classes are missing from the training part; raise InputError if it has only one class."""
    learned = np.unique(target[split.train])
    if len(learned) < _FEWEST:
        raise InputError(
            f"fold {split.name!r}: all training files have the label {classes[learned[0]]!r}; wanted at least two"
        )
    missing = [classes[i] for i in np.setdiff1d(target[split.test], learned)]
    return [f"fold {split.name}: {some_of(missing)} not in the training part, so never predicted"] if missing else []


def _stratified(
    target: NDArray[Any], count: int, seed: int, contents: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return a random fold number per file, with every class spread evenly; a rare class is in some folds only.

    Files of the same content are in the same fold.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    count = max(2, min(count, int(np.bincount(target).max())))
    kind = StratifiedKFold if contents is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        return _numbers(kind(count, shuffle=True, random_state=seed).split(target, target, contents))


def _grouped(groups: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Return a fold number per file; groups are not divided, and folds are of about equal size."""
    from sklearn.model_selection import GroupKFold

    number = len(np.unique(groups))
    return _numbers(GroupKFold(min(count, number)).split(groups, groups=groups)) if number > 1 else 0 * groups


def _numbers(folds: Iterable[tuple[NDArray[Any], NDArray[Any]]]) -> NDArray[np.int64]:
    """Return the number of the fold that tests each file."""
    tested = [test for _, test in folds]
    numbers = np.repeat(np.arange(len(tested)), [len(test) for test in tested])
    return numbers[np.argsort(np.concatenate(tested))]
