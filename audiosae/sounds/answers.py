"""Answers of a person to the question what each sound is: the table labels.csv, and annotations of other programs."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from unicodedata import normalize

from audiosae.corpus.annotation_tables import as_number, read_annotations
from audiosae.corpus.spreadsheets import Wanted, best_split, column_names, head_of, read_text, rows_of
from audiosae.errors import InputError
from audiosae.system.files import CsvWriter, replacing, uncelled, write_errors
from audiosae.system.schema import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

FILE = "labels.csv"
COLUMNS = ("event", "file", "start", "end", "type", "label", "answer")
REJECTED = "-"  # label of a sound that is not of interest
YES, NO, OTHER = "yes", "no", "other"
ANSWERS = ("", YES, NO, OTHER)
_OWN = {*COLUMNS[:4], "label"}  # columns by which the table is recognised
_DASHES = ("-", "'-", "\u2010", "\u2012", "\u2013", "\u2014", "\u2212")  # spreadsheets replace a hyphen
_LONGEST = 200  # characters of a label
_MOST = 10**9
_WANTED = Wanted("--labels", "start", "the labels.csv of a survey, or a table of Raven, Audacity or BirdNET")
_DAMAGE = "if a spreadsheet changed it, import this column as text"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said about a sound.

    Attributes
    ----------
    file
        Name of the recording.
    start, end
        In seconds.
    type
        Type of the sound; None if it is not stated.
    label
        Its name; "" while undecided, `REJECTED` if it is not of interest.
    answer
        Whether it is as the label (or, without a label, its type) says: yes, no or other; "" if nobody was asked.
    event
        Number of the event or bout; 0 if it is not stated.
    line
        In the table.
    low_hz, high_hz
        Frequency range; None if it is not stated.
    table
        Name of the table of annotations, which may name the recording, too; "" for labels.csv.
    """

    file: str
    start: float
    end: float
    type: int | None = None
    label: str = ""
    answer: str = ""
    event: int = 0
    line: int = 0
    low_hz: float | None = None
    high_hz: float | None = None
    table: str = ""

    @property
    def decided(self) -> bool:
        """Whether it says anything besides the type."""
        return bool(self.label or self.answer)


@dataclass(frozen=True)
class AnswerTable:
    """Answers of a file.

    Attributes
    ----------
    path
        For messages.
    own
        Whether the table is a labels.csv, not one of another program.
    types
        Digest of the types to which the column `type` refers; "" if it is not known.
    """

    path: Path
    rows: Sequence[Answer]
    own: bool
    types: str = ""

    def with_types(self, digest: str) -> AnswerTable:
        """Return the table with the digest of the types to which it refers."""
        return replace(self, types=digest)

    def error(self, row: Answer, problem: str) -> InputError:
        """Return the error of a row."""
        return InputError(f"--labels {self.path}: line {row.line}: {problem}")


def read_answers(path: Path, say: Callable[[str], None] = lambda _: None) -> AnswerTable:
    """Read a labels.csv, or labels in a table of Raven, Audacity, BirdNET or others, or in a folder of such tables.

    Raises
    ------
    InputError
        The table cannot be read, or a cell is not valid; the message names the line.
    """
    if not path.is_dir():
        text = read_text(path, _WANTED, say=say)
        try:
            lines = best_split(text, lambda head: {*head} >= _OWN)
        except csv.Error:
            lines = []
        if {*head_of(lines)} >= _OWN:
            return AnswerTable(path, [_row(path, number, row) for number, row in rows_of(path, lines)], own=True)
        if {"event", "label"} <= {*head_of(lines)}:
            missing = ", ".join(name for name in COLUMNS[:4] if name not in head_of(lines))
            found = column_names(head_of(lines))
            raise InputError(f"--labels {path}: no column {missing}; wanted {', '.join(COLUMNS)}, found {found}")
    rows = [
        Answer(e.file, e.start, e.end, None, _label(e.label), "", 0, e.line, e.low_hz, e.high_hz, e.table)
        for e in read_annotations(path, option="--labels", say=say)
        if e.label
    ]
    if not rows:
        raise InputError(f"--labels {path}: no row has a label; wanted {_WANTED.example}")
    return AnswerTable(path, rows, own=False)


def _row(path: Path, number: int, row: Mapping[str, str]) -> Answer:
    def error(column: str, wanted: str) -> InputError:
        return InputError(f"--labels {path}: line {number}: {column} is {shown(row[column].strip())}; wanted {wanted}")

    def seconds(column: str) -> float:
        value = as_number(row[column])
        if value is None or not 0 <= value <= _MOST:
            raise error(column, f"seconds, such as 12.5; {_DAMAGE}")
        return value

    def whole(column: str, least: int) -> int | None:
        cell = row.get(column, "").strip()
        value = as_number(cell) if cell else None
        if cell and (value is None or value != int(value) or not least <= value < _MOST):
            raise error(column, f"a whole number of at least {least}; {_DAMAGE}")
        return None if value is None else int(value)

    start, end = seconds("start"), seconds("end")
    if end < start:
        raise error("end", f"at least the start, {start:g}; {_DAMAGE}")
    file, label = uncelled(row["file"].strip()), _label(row["label"])
    if not file:
        raise error("file", "the name of a recording")
    if len(label) > _LONGEST:
        raise error("label", f"at most {_LONGEST} characters")
    answer = row.get("answer", "").strip().lower()
    if answer not in ANSWERS:
        raise error("answer", "yes, no, other or nothing")
    return Answer(file, start, end, whole("type", 0), label, answer, whole("event", 1) or 0, number)


def _label(cell: str) -> str:
    """Return a label in its normal form; `REJECTED` for any dash."""
    text = " ".join(normalize("NFC", cell).split())
    return REJECTED if text in _DASHES else re.sub(r"[\x00-\x1f\x7f]", "", uncelled(text))


def write_answers(answers: Iterable[Answer], path: Path) -> None:
    """Write labels.csv: a row for each sound; times are rounded as in the tables of events."""
    with write_errors(path), replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = CsvWriter(file)
        table.writerow(COLUMNS)
        table.writerows(answer_rows(answers))


def answer_rows(answers: Iterable[Answer]) -> Iterator[Sequence[object]]:
    """Yield the rows of labels.csv."""
    for each in answers:
        times = round(each.start, 4), round(each.end, 4)
        yield [each.event, each.file, *times, each.type, each.label, each.answer]
