"""Sounds with the labels of a person: moved, renamed and rejected as the answers say, the others classified.

Everything that the answers say is stored with the sound types, so that the next survey begins with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from audiosae.sounds.answer_matching import Matched, Places, match
from audiosae.sounds.answers import NO, OTHER, REJECTED, YES, Answer
from audiosae.sounds.labeller import FEWEST, FEWEST_LABELS, Examples, ask_next, predict
from audiosae.sounds.taught import SameTypes, Taught
from audiosae.system.progress import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from audiosae.sounds.answers import AnswerTable

NONE, OUT = 0, -1  # types: of no type; of sounds that are not of interest
_LEAST_REACH, _MOST_REACH = 0.7, 0.95  # of a type that a person made
_ASKED = 40  # sounds that are proposed for the next labels
_DIGITS = 4
_SURE = 0.9999  # highest confidence of a classified sound; 1 is that of a person


@dataclass(frozen=True)
class LabelScore:
    """A label in a survey.

    Attributes
    ----------
    label
        Its text; `-` for sounds that are not of interest.
    answers
        Number of sounds that a person gave it, also in earlier surveys.
    sounds, files, seconds
        Number of the sounds of this survey with this label, of their recordings, and their duration.
    precision, recall
        In cross-validation by recording: share of the answered sounds classified as this label that have it, and share
        of those with this label that are classified so. None if it cannot be computed.
    """

    label: str
    answers: int
    sounds: int
    files: int
    seconds: float
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Labels:
    """Labels of the sounds of a survey, in the order of `Survey.sounds`.

    Attributes
    ----------
    names
        The labels, in alphabetical order; `label` is an index into them, -1 for none.
    label, confidence
        Label of each sound, and the probability that it is right: 1 if a person gave it, NaN without a classifier.
    answers
        A row of labels.csv for each sound.
    scores
        One for each label.
    ask_next
        The sounds whose labels would improve the classification most.
    note
        How the labels were given, as text.
    """

    names: tuple[str, ...]
    label: NDArray[np.int32]
    confidence: NDArray[np.float32]
    answers: tuple[Answer, ...]
    scores: tuple[LabelScore, ...]
    ask_next: tuple[int, ...]
    note: str = ""


@dataclass(frozen=True)
class Labelled:
    """Result of `label_sounds`: the type of each sound (-1 if it was rejected), labels, and what to store."""

    type: NDArray[np.int32]
    labels: Labels
    taught: Taught
    notes: tuple[str, ...] = ()


@dataclass
class _Work:
    """Sounds while the answers are applied."""

    places: Places
    points: NDArray[np.float32]
    taught: Taught
    types: int  # number of types without added ones
    same: SameTypes
    notes: list[str] = field(default_factory=list)

    @property
    def last(self) -> int:
        """Number of the last type, without new ones."""
        return self.types + len(self.taught.centres)


def label_sounds(
    places: Places,
    points: NDArray[np.float32],
    types: NDArray[np.int32],
    *,
    centres: NDArray[np.float32],
    digest: str,
    names: Mapping[int, str],
    taught: Taught,
    table: AnswerTable | None,
) -> Labelled:
    """Apply answers to sounds, and classify the sounds without one.

    Parameters
    ----------
    points, types
        Of each sound: its point in the space of the types, and the type it has without answers.
    centres, digest, names
        Centres of the types, their digest, and the user's names for them.
    taught
        What is known from earlier surveys.
    table
        New answers, which replace earlier ones.
    """
    work = _Work(places, points, taught, len(centres), SameTypes(names, taught.joined))
    automatic = _automatic(work, types, centres)
    stored = _stored(taught, places)
    given: dict[int, Answer] = {number: taught.answers[i] for number, i in stored.items()}
    if table:
        matched = match(table, places, digest)
        work.notes += matched.notes
        near = {n: replace(row, type=given[n].type if n in given else None) for n, row in matched.near.items()}
        given = {**given, **_checked(work, table, matched, automatic, digest), **near}
    return _labelled(work, automatic, dict(sorted(given.items())), set(stored.values()))


def _automatic(work: _Work, types: NDArray[np.int32], centres: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return the types of sounds without answers, with added and joined types."""
    numbers, taught = types.copy(), work.taught
    if len(taught.centres):
        nearest, least = _nearest(work.points, taught.centres)
        added = (least < _nearest(work.points, centres)[1]) & (least <= taught.reach[nearest])
        numbers[added] = work.types + 1 + nearest[added]
    return np.array([work.same.automatic(number) for number in range(work.last + 1)], np.int32)[numbers]


def _nearest(points: NDArray[np.float32], centres: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the nearest centre of each point, and its distance."""
    away = np.stack([np.linalg.norm(points - centre, axis=1) for centre in centres], axis=1)
    nearest = away.argmin(axis=1)
    return nearest, away[np.arange(len(away)), nearest]


def _stored(taught: Taught, places: Places) -> dict[int, int]:
    """Return the stored answer of each sound that has one."""
    keys = {(each.file, each.start, each.end): i for i, each in enumerate(taught.answers)}
    found: dict[int, int] = {}
    for number, key in enumerate(_keys(places) if keys else ()):
        if key in keys:
            found[number] = keys[key]
    return found


def _keys(places: Places) -> Iterator[tuple[str, float, float]]:
    for record, start, end in zip(places.record.tolist(), places.start.tolist(), places.end.tolist(), strict=True):
        yield places.files[record], round(start, _DIGITS), round(end, _DIGITS)


def _checked(
    work: _Work, table: AnswerTable, matched: Matched, automatic: NDArray[np.int32], digest: str
) -> dict[int, Answer]:
    """Return the exact answers, with a type only if the sound was moved; InputError for types that do not exist."""
    exact = matched.exact
    stated = {number: row for number, row in exact.items() if row.type is not None}
    differing = sum(work.same.stated(row.type or 0) != automatic[number] for number, row in stated.items())
    own = table.types == digest or (not table.types and 2 * differing <= len(stated))
    if not own and not table.types and differing:
        raise table.error(
            next(iter(stated.values())),
            f"the column type differs from the types of this survey in {differing} of {len(stated)} rows; put the "
            f"table back beside the {'types.safetensors'} of its survey, or empty the column",
        )
    if not own and differing:
        work.notes.append(
            f"--labels {table.path}: its column type has the types of another survey, which are not used; its labels "
            f"are. --types-from with the folder of that survey keeps its types"
        )
    last = work.last
    new = sorted({row.type for row in stated.values() if own and row.type is not None and row.type > last})
    if new and new != [*range(last + 1, last + 1 + len(new))]:
        wrong = next(row for row in stated.values() if row.type == new[-1])
        raise table.error(wrong, f"type {wrong.type} does not exist; wanted 0 to {last}, or {last + 1} for a new type")
    answers = {}
    for number, row in exact.items():
        kind = work.same.stated(row.type) if own and row.type is not None else None
        if kind == automatic[number] or (row.answer == NO and not row.label and kind == NONE):
            kind = None
        answers[number] = replace(row, type=kind)
    return answers


def _labelled(work: _Work, automatic: NDArray[np.int32], given: Mapping[int, Answer], known: set[int]) -> Labelled:
    numbers = automatic.copy()
    for number, row in given.items():
        if row.type is not None:
            numbers[number] = work.same.stated(row.type)
        elif row.answer == NO and not row.label:
            numbers[number] = NONE
    said = {number: _label_of(work, row, int(numbers[number])) for number, row in given.items()}
    out = np.array([number for number, label in said.items() if label == REJECTED], np.intp)
    taught = _taught(work, automatic, numbers, given, known)
    final = numbers.copy()
    final[out] = OUT
    labels = _classified(work, given, said, numbers, taught)
    return Labelled(final, labels, taught, tuple(work.notes))


def _label_of(work: _Work, row: Answer, number: int) -> str | None:
    """Return the label that an answer gives a sound; "" if it is none of the labels, None if nothing is known."""
    if row.answer == OTHER:
        return ""
    if row.answer == NO:
        return None
    if row.answer == YES and not row.label:
        return work.same.names.get(number) or None
    return row.label or None


def _taught(
    work: _Work,
    automatic: NDArray[np.int32],
    numbers: NDArray[np.int32],
    given: Mapping[int, Answer],
    known: set[int],
) -> Taught:
    """Return what the next survey needs: all answers, types that were joined, and new types."""
    keys = list(_keys(work.places))
    kept = [number for number in sorted(given) if given[number].decided or given[number].type is not None]
    answers = [Answer(*keys[number], given[number].type, given[number].label, given[number].answer) for number in kept]
    others = [i for i in range(len(work.taught.answers)) if i not in known]
    points = np.concatenate([work.points[kept], work.taught.points[others]])
    answers += [work.taught.answers[i] for i in others]
    last = work.last
    new = [work.points[numbers == number] for number in range(last + 1, int(numbers.max(initial=0)) + 1)]
    centres = np.stack([*work.taught.centres, *(own.mean(axis=0) for own in new)]) if last > work.types or new else None
    reach = [np.clip(np.linalg.norm(own - own.mean(axis=0), axis=1).max(), _LEAST_REACH, _MOST_REACH) for own in new]
    return Taught(
        tuple(answers),
        points.astype(np.float32),
        _joined(work, automatic, numbers, given),
        work.taught.centres if centres is None else centres.astype(np.float32),
        np.asarray([*work.taught.reach, *reach], np.float32),
    )


def _joined(
    work: _Work, automatic: NDArray[np.int32], numbers: NDArray[np.int32], given: Mapping[int, Answer]
) -> dict[int, int]:
    """Return the types whose sounds were all moved to one other type, here or in an earlier survey."""
    of_interest = np.array([i not in given or given[i].label != REJECTED for i in range(len(numbers))], bool)
    moved: dict[int, int] = {}
    for old in np.unique(automatic[automatic > NONE]).tolist():
        target = np.unique(numbers[(automatic == old) & of_interest]).tolist()
        if len(target) == 1 and target[0] not in {old, NONE}:
            moved[old] = target[0]
    joined = {}
    for number in range(1, work.last + 1):
        now = work.same.automatic(number)
        target = moved.get(now, work.taught.joined.get(number, number))
        if target != number:
            joined[number] = target
    return joined


def _classified(
    work: _Work,
    given: Mapping[int, Answer],
    said: Mapping[int, str | None],
    numbers: NDArray[np.int32],
    taught: Taught,
) -> Labels:
    """Return the labels of all sounds; `numbers` are their types before sounds were rejected."""
    own = {number: label for number, label in said.items() if label is not None}
    examples, found = _examples(work, own, taught)
    names = tuple(sorted(set(found)))
    count = len(work.places)
    label, confidence = np.full(count, -1, np.int32), np.full(count, np.nan, np.float32)
    rest = np.array([number for number in range(count) if number not in own], np.intp)
    held_out, probability, learned = None, None, examples
    if examples.enough:
        predicted = predict(work.points[rest], learned := examples.sample(), len(names))
        held_out, probability = predicted.held_out, np.zeros((count, len(names)))
        for row, number in zip(predicted.probability, rest.tolist(), strict=True):
            if number in given and given[number].answer == NO and given[number].label in names:
                row[names.index(given[number].label)] = 0
                row /= max(row.sum(), 1e-12)
        probability[rest] = predicted.probability
        label[rest] = predicted.probability.argmax(axis=1)
        confidence[rest] = np.minimum(predicted.probability.max(axis=1), _SURE)
    for number, text in own.items():
        label[number], confidence[number] = names.index(text), 1.0
    answered = np.array([number in given and given[number].decided for number in range(count)], bool)
    asked = ask_next(work.points, answered, probability, _ASKED)
    said_of = [(given[i].label, given[i].answer) if i in given else ("", "") for i in range(count)]
    rows = zip(_keys(work.places), numbers.tolist(), said_of, strict=True)
    answers = tuple(Answer(*key, number, *texts, event) for event, (key, number, texts) in enumerate(rows, 1))
    scores = tuple(_scores(work, names, label, (examples.label, learned.label), held_out))
    return Labels(
        names,
        label,
        confidence,
        answers,
        scores,
        tuple(asked.tolist()),
        _note(examples, names, learned.label, held_out),
    )


def _examples(work: _Work, own: Mapping[int, str], taught: Taught) -> tuple[Examples, list[str]]:
    """Return the labelled sounds of this and of earlier surveys, and their labels."""
    here = {*_keys(work.places)} if taught.answers else set()
    earlier = [
        (i, text)
        for i, each in enumerate(taught.answers)
        if (each.file, each.start, each.end) not in here
        and (text := _label_of(work, each, each.type or NONE)) is not None
    ]
    texts = [*own.values(), *(text for _, text in earlier)]
    names = sorted(set(texts))
    files = [work.places.files[work.places.record[number]] for number in own]
    files += [taught.answers[i].file for i, _ in earlier]
    points = np.concatenate([work.points[[*own]], taught.points[[i for i, _ in earlier]]])
    numbers = np.array([names.index(text) for text in texts], np.intp)
    recordings = np.unique(files, return_inverse=True)[1] if files else np.empty(0, np.intp)
    return Examples(points, numbers, recordings), texts


def _scores(
    work: _Work,
    names: Sequence[str],
    label: NDArray[np.int32],
    examples: tuple[NDArray[np.intp], NDArray[np.intp]],
    held_out: NDArray[np.intp] | None,
) -> Iterator[LabelScore]:
    """Yield the score of each label; `examples` are the labels of all and of those that were held out in turn."""
    seconds = work.places.end - work.places.start
    for number, name in enumerate(names):
        if not name:
            continue
        own = np.flatnonzero(label == number)
        given, precision, recall = int((examples[0] == number).sum()), None, None
        if held_out is not None:
            wanted, found = examples[1] == number, held_out == number
            right = int((wanted & found).sum())
            precision = right / int(found.sum()) if found.any() else None
            recall = right / int(wanted.sum()) if wanted.any() else None
        files = len(np.unique(work.places.record[own]))
        yield LabelScore(name, given, len(own), files, float(seconds[own].sum()), precision, recall)


def _note(examples: Examples, names: Sequence[str], wanted: NDArray[np.intp], held_out: NDArray[np.intp] | None) -> str:
    """Return how the labels were given."""
    answers, kinds = counted(len(examples.label), "labelled sound"), counted(len([n for n in names if n]), "label")
    if not len(examples.label):
        return ""
    if not examples.enough:
        return f"{answers} with {kinds}; to label the others, at least {FEWEST} of {FEWEST_LABELS} labels are needed"
    if held_out is None:
        return f"{answers} of {kinds}, all in one recording, so the labels of the others cannot be tested"
    right = float((held_out == wanted).mean())
    return (
        f"{answers} with {kinds}; {right:.2f} of them are classified correctly by those in other recordings "
        "(too low for the other sounds if the listening queue chose them, too high if you picked clear examples)"
    )
