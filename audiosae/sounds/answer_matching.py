"""Answers and annotations matched with the sounds of a survey, by recording and time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from audiosae.corpus.recording_names import RecordingNames
from audiosae.corpus.sources import Source
from audiosae.errors import InputError
from audiosae.system.progress import counted
from audiosae.system.text import some_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from audiosae.sounds.answers import Answer, AnswerTable

_DIGITS = 10_000  # times are compared in units of 0.1 ms, as they are written
_SHOWN = 3  # recordings in a message
_LEAST_OVERLAP = 0.5  # share of a sound that annotations of one label must cover


@dataclass(frozen=True)
class Places:
    """Where the sounds of a survey are: recordings by name, and for each sound its recording, times (s) and Hz."""

    files: Sequence[str]
    extents: Sequence[float]
    record: NDArray[np.int32]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    low_hz: NDArray[np.float32]
    high_hz: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.record)

    def text(self, number: int) -> str:
        """Return where a sound is, for messages."""
        return f"{self.start[number]:.4f} to {self.end[number]:.4f} s of {self.files[self.record[number]]}"


@dataclass
class Matched:
    """Answers by number of the sound, those at other times by number, too, and messages about the rest.

    Attributes
    ----------
    exact
        Answers about exactly these sounds. Only they state types.
    near
        Labels of annotations, or of a survey with other events, that cover a sound.
    """

    exact: dict[int, Answer] = field(default_factory=dict)
    near: dict[int, Answer] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def _located(table: AnswerTable, files: Sequence[str]) -> list[tuple[Answer, int | None]]:
    """Return the rows with the numbers of their recordings, None if a recording is not in the survey."""
    finder, located = RecordingNames([Source(name, name) for name in files], converted=True), []
    for row in table.rows:
        found = finder.find(row.file, row.table)
        if len(found) > 1:
            names = " or ".join(files[number] for number in found[:_SHOWN])
            raise table.error(row, f"{row.file} may be {names}; name the recordings with their folders")
        located.append((row, found[0] if found else None))
    return located


def match(table: AnswerTable, places: Places, digest: str) -> Matched:
    """Match the rows of a table with sounds.

    A row of labels.csv is of the sound with the same recording and times. Other rows are matched by overlap: a sound
    gets the label that covers most of it, or of several such labels that of the annotation most like it in time. It
    must cover at least half of the sound in time, and any part of its range of frequencies.

    Parameters
    ----------
    digest
        Digest of the types of this survey.

    Raises
    ------
    InputError
        No row is of a recording of the survey, or one may be of several recordings; or two rows are of the same sound,
        or a row of this survey's labels.csv is of a sound that does not exist.
    """
    matched, located = Matched(), _located(table, places.files)
    inside = [(row, record) for row, record in located if record is not None]
    if not inside:
        raise InputError(
            f"--labels {table.path}: none of its recordings is in this survey; it has "
            f"{some_of(list(dict.fromkeys(row.file for row in table.rows)))}, the survey {some_of(places.files)}"
        )
    elsewhere = [row for row, record in located if record is None and row.decided]
    if elsewhere:
        names = list(dict.fromkeys(row.file for row in elsewhere))
        matched.notes.append(
            f"--labels {table.path}: {counted(len(elsewhere), 'label')} not used, of recordings that are not in this "
            f"survey: {some_of(names)}"
        )
    rest = _match_exactly(table, places, inside, matched) if table.own else inside
    same = table.own and (table.types == digest or 2 * len(matched.exact) > len(inside))
    for row, record in rest if same else ():
        _check_exists(table, row, record, places)
    _match_by_overlap(table, places, [pair for pair in rest if pair[0].label], matched)
    return matched


def _match_exactly(
    table: AnswerTable, places: Places, rows: Iterable[tuple[Answer, int]], matched: Matched
) -> list[tuple[Answer, int]]:
    """Match the rows whose times are those of a sound; return the others."""
    times = (np.rint(np.round(part, 4) * _DIGITS).astype(np.int64).tolist() for part in (places.start, places.end))
    numbers = defaultdict(list)
    for number, key in enumerate(zip(places.record.tolist(), *times, strict=True)):
        numbers[key].append(number)  # simultaneous sounds of two bands may have the same times
    rest = []
    for row, record in rows:
        found = numbers.get((record, round(row.start * _DIGITS), round(row.end * _DIGITS)), [])
        if not found:
            rest.append((row, record))
            continue
        number = next((n for n in found if n + 1 == row.event), next((n for n in found if n not in matched.exact), -1))
        number = found[0] if number < 0 else number
        if number in matched.exact:
            other = matched.exact[number].line
            raise table.error(row, f"the sound at {places.text(number)} has another row, line {other}; leave one")
        matched.exact[number] = row
    return rest


def _check_exists(table: AnswerTable, row: Answer, record: int, places: Places) -> None:
    """Raise InputError if a row of this survey's labels.csv is of no sound."""
    if row.event > len(places):
        raise table.error(row, f"event {row.event} does not exist; this survey has {len(places)}")
    if row.event and places.record[row.event - 1] == record:
        raise table.error(
            row,
            f"event {row.event} is at {places.text(row.event - 1)}, not at {row.start:g} to {row.end:g} s; if a "
            f"spreadsheet changed the times, import these columns as text",
        )
    if row.decided:
        raise table.error(row, f"no sound at {row.start:g} to {row.end:g} s of {row.file}; none was found there")


def _match_by_overlap(table: AnswerTable, places: Places, rows: Sequence[tuple[Answer, int]], matched: Matched) -> None:
    """Give sounds without an exact answer the label that covers most of them."""
    by_record: dict[int, list[Answer]] = defaultdict(list)
    for row, record in rows:
        if row.start > places.extents[record]:
            raise table.error(
                row,
                f"start {row.start:g} is after the end of {row.file} ({places.extents[record]:.1f} s); wanted seconds "
                f"from the start of the recording",
            )
        by_record[record].append(row)
    edges = np.searchsorted(places.record, np.arange(len(places.files) + 1))
    used: set[int] = set()
    for record, own in sorted(by_record.items()):
        own.sort(key=lambda row: row.start)
        starts, longest = [row.start for row in own], max(row.end - row.start for row in own)
        for number in range(edges[record], edges[record + 1]):
            if number in matched.exact:
                continue
            first = bisect_left(starts, places.start[number] - longest)
            last = bisect_right(starts, places.end[number])
            if best := _best_label(places, number, own[first:last]):
                matched.near[number] = best[0]
                used.update(id(row) for row in best)
    unused = [row for row, _ in rows if id(row) not in used]
    if unused:
        one = unused[0]
        matched.notes.append(
            f"--labels {table.path}: {len(unused)} of {counted(len(rows), 'annotation')} cover no sound of this survey "
            f"by half, or another label covers more of it; the first is {one.label} at {one.start:g} s of "
            f"{one.file}"
        )


def _best_label(places: Places, number: int, rows: Sequence[Answer]) -> list[Answer]:
    """Return the annotations of the label that covers most of a sound; none if no label covers half of it."""
    start, end = float(places.start[number]), float(places.end[number])
    low, high = float(places.low_hz[number]), float(places.high_hz[number])
    covered: dict[str, float] = defaultdict(float)
    alike: dict[str, float] = defaultdict(float)  # IoU in time of the annotation that is most like the sound
    those: dict[str, list[Answer]] = defaultdict(list)
    for row in rows:
        point = row.start == row.end and start <= row.start <= end  # a point label
        common = end - start if point else min(end, row.end) - max(start, row.start)
        apart = row.high_hz and (row.high_hz < low or (row.low_hz or 0) > high)
        if common > 0 and not apart:
            covered[row.label] += common
            whole = max(end, row.end) - min(start, row.start)
            alike[row.label] = max(alike[row.label], 1.0 if point else common / whole)
            those[row.label].append(row)
    best = max(covered, key=lambda label: (round(covered[label], 4), alike[label]), default="")
    return those[best] if best and covered[best] >= _LEAST_OVERLAP * (end - start) else []
