"""Tables of annotated stretches of recordings, as annotation programs and spreadsheets write them.

Raven selection tables, Audacity label tracks, tables of BirdNET-Analyzer (Raven, Audacity, CSV and Kaleidoscope), and
CSV files with the columns file, start, end and label under the names of crowsetta, warbleR, audiosae and others.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unicodedata import normalize

from audiosae.corpus.spreadsheets import Wanted, best_split, column_names, head_of, read_text, rows_of
from audiosae.errors import InputError
from audiosae.system.files import uncelled
from audiosae.system.progress import counted
from audiosae.system.schema import shown
from audiosae.system.text import some_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from audiosae.corpus.spreadsheets import Line

    Band = tuple[float | None, float | None]

_SUFFIXES = (".txt", ".csv", ".tsv")
_EXAMPLE = "a Raven selection table, an Audacity label track, or a CSV with the columns file,start,end,label"
_ROWS = re.compile(r"[^a-z0-9]+")
# names of columns without case and punctuation, the most informative first
_FILES = (
    "begin_path",  # of Raven: with the folder; Begin File is the name alone
    "begin_file",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "sound_files",  # warbleR
    "notated_path",  # crowsetta
    "in_file",  # Kaleidoscope
    "recording",
    "path",
)
_STARTS = ("begin_time_s", "start", "start_s", "onset_s", "onset", "start_seconds", "start_time", "begin", "begin_time")
_ENDS = ("end_time_s", "end", "end_s", "offset_s", "offset", "stop_seconds", "end_time", "stop", "end_seconds")
_LOWS = ("low_freq_hz", "low_hz", "low_freq", "freq_low")
_HIGHS = ("high_freq_hz", "high_hz", "high_freq", "freq_high")
_LABELS = (
    "label",
    "annotation",
    "name",
    "common_name",
    "species",
    "class",
    "tag",
    "category",
    "call_type",
    "scientific_name",
    "species_code",
    "type",
)
# what programs append to the name of a recording: Raven, BirdNET-Analyzer, Audacity
_APPENDED = re.compile(
    r"(\.table\.\d+|(\.[a-z]+){1,3}\.detector(\.\d+)?|\.birdnet)?\.selections?(\.table)?$"
    r"|\.birdnet\.results(\.kaleidoscope)?$",
    re.IGNORECASE,
)
_NO_CALL = "nocall"  # BirdNET-Analyzer: label of the row of a recording without a detection
_KILOHERTZ = 1000.0
_SURVEY = "survey.json"  # is in the folder of a survey


@dataclass(frozen=True, slots=True)
class Annotation:
    """An annotated stretch of a recording.

    Attributes
    ----------
    file
        Recording as the table names it, or, if it names none, the name of the table without what its program appended:
        ``rec`` for ``rec.Table.1.selections.txt``.
    start, end
        Seconds from the beginning of the recording; equal for a point label.
    low_hz, high_hz
        Frequency range; None if it is not known.
    label
        "" if the table has none.
    table
        The name of the table without its suffix, relative to the folder of tables: it often names the recording, too.
    line
        Number of the line in the table, from 1.
    """

    file: str
    start: float
    end: float
    low_hz: float | None
    high_hz: float | None
    label: str
    table: str = ""
    line: int = 0


def read_annotations(
    path: Path,
    *,
    column: str | None = None,
    option: str = "--annotations",
    say: Callable[[str], None] = lambda _: None,
) -> list[Annotation]:
    """Return the annotations of a table, or of all tables in a folder, in the order of the tables.

    A selection that Raven shows in several views is one annotation. Rows without times and label stand for recordings
    in which nothing is annotated.

    Parameters
    ----------
    path
        A table, or a folder, which is searched recursively for .txt, .csv and .tsv.
    column
        Column with the labels; None for the first known one that is not empty (label, annotation, name, species, ...).
    option
        Option that names the table, for messages.
    say
        Receives messages, for example on files in the folder that are not tables of annotations.

    Raises
    ------
    InputError
        There is no table, a table cannot be read, has no such column or no columns of times, or a row is wrong.
    """
    wanted = Wanted(option, "start", _EXAMPLE)
    if not path.is_dir():
        return _Table(path, _bare(path.name), wanted, column).annotations(say)
    if (path / _SURVEY).exists():  # its tables have the same sounds several times
        raise InputError(
            f"{option} {path}: this is the folder of a survey; wanted one of its tables, such as {path / 'events.csv'} "
            f"or {path / 'events.raven'}"
        )
    found, others = [], []
    for each in sorted(path.rglob("*")):
        name = each.relative_to(path).as_posix()
        if each.suffix.lower() not in _SUFFIXES or each.name.startswith(".") or not each.is_file():
            continue
        table = _Table(each, _bare(name), wanted, column)
        try:
            table.read(say)
        except _NoTableError:
            others.append(name)
        else:
            found.append(table)
    if not found:
        ignored = f", only {some_of(others)}" if others else ""
        raise InputError(f"{option} {path}: no tables of annotations in this folder{ignored}; wanted {_EXAMPLE}")
    if others:
        say(f"{option}: ignored {counted(len(others), 'file')} without annotations: {some_of(others)}")
    if column and not any(table.has_column(column) for table in found):
        raise InputError(f"--label-column {column}: no table in {path} has such a column")
    return [annotation for table in found for annotation in table.annotations(say)]


class _NoTableError(InputError):
    """A file that is no table of annotations."""


class _Table:
    """One file: a table with a header, or a label track without one."""

    def __init__(self, path: Path, name: str, wanted: Wanted, column: str | None) -> None:
        self.path, self.name, self.wanted, self.column = path, name, wanted, column
        self._lines: list[Line] | None = None
        self._track = False

    def read(self, say: Callable[[str], None]) -> list[Line]:
        """Return the lines, split into cells; raise `_NoTableError` if they are no annotations."""
        if self._lines is None:
            text = read_text(self.path, self.wanted, say=say)
            try:
                self._lines = _tabbed(text) or best_split(text, lambda head: _has_times(map(_plain, head)))
            except csv.Error as error:
                raise _NoTableError(f"{self.wanted.option} {self.path}: not a table ({error})") from error
            head = head_of(self._lines)
            if not _has_times(map(_plain, head)):
                self._track = not self._lines or _is_track(self._lines[0][1])
                if not self._track:
                    raise _NoTableError(
                        f"{self.wanted.option} {self.path}: no columns of start and end, only {column_names(head)}; "
                        f"wanted {_EXAMPLE}"
                    )
        return self._lines

    def has_column(self, column: str) -> bool:
        """Return whether the table has a column of this name; a label track has none."""
        return column in head_of(self._lines or []) and not self._track

    def annotations(self, say: Callable[[str], None]) -> list[Annotation]:
        """Return the annotations in the order of the rows."""
        lines = self.read(say)
        return list(self._of_track(lines) if self._track else self._of_rows(lines))

    def _of_track(self, lines: Sequence[Line]) -> Iterator[Annotation]:
        """Yield the labels of an Audacity label track, whose lines may be followed by a line of frequencies."""
        at, file = 0, _recording(self.name)
        while at < len(lines):
            number, cells = lines[at]
            at += 1
            if cells[0].strip() == "\\":
                raise self._error(number, "a frequency range without a label before it; remove this line")
            start = self._number(number, "start", cells[0])
            point = len(cells) == 1 or (len(cells) == 2 and as_number(cells[1]) is None)  # noqa: PLR2004
            end = start if point else self._number(number, "end", cells[1])
            label = cells[-1] if point and len(cells) > 1 else cells[2] if len(cells) > 2 else ""  # noqa: PLR2004
            band: Band = (None, None)
            if at < len(lines) and lines[at][1][0].strip() == "\\":
                band = self._band(lines[at][0], [*lines[at][1][1:], "", ""][:2])
                at += 1
            yield self._annotation(number, file, (start, end), band, label)

    def _of_rows(self, lines: Sequence[Line]) -> Iterator[Annotation]:
        """Yield the annotations of a table with a header."""
        rows, columns = rows_of(self.path, lines), _Columns(head_of(lines))
        label = self._label_column(columns, rows)
        done: dict[tuple[object, ...], int] = {}
        kept: list[tuple[int, dict[str, str]]] = []
        for number, row in rows:
            selection = columns.cell(row, "selection")
            key = (selection, *(row[name] for name in columns.identity))
            view = columns.cell(row, "view").lower()
            if selection and view and key in done:
                if view.startswith("spectrogram"):  # the row of a waveform has no frequencies of its own
                    kept[done[key]] = (number, row)
                continue
            done[key] = len(kept)
            kept.append((number, row))
        for number, row in kept:
            text = row[label].strip() if label else ""
            times = [columns.cell(row, name) for name in columns.times]
            if not any((*times, text)) or {text.lower(), columns.cell(row, "species_code").lower()} == {_NO_CALL}:
                continue
            yield self._row(number, row, columns, text)

    def _row(self, number: int, row: Mapping[str, str], columns: _Columns, label: str) -> Annotation:
        file, (first, last) = columns.file(row), columns.times
        start = self._number(number, columns.title(first), columns.cell(row, first))
        end = self._number(number, columns.title(last), columns.cell(row, last))
        if last.startswith("duration"):
            end += start
        if file and (offset := columns.cell(row, "file_offset_s")):  # Raven: the times are those of a series of files
            begin, start = start, self._number(number, columns.title("file_offset_s"), offset)
            end += start - begin
        cells = [columns.cell(row, name) for name in columns.frequencies]
        band = self._band(number, cells, _KILOHERTZ if columns.in_kilohertz else 1.0)
        return self._annotation(number, file or _recording(self.name), (start, end), band, label)

    def _label_column(self, columns: _Columns, rows: Sequence[tuple[int, dict[str, str]]]) -> str | None:
        if self.column:
            if self.column in columns.titles:
                return self.column
            raise InputError(
                f"--label-column {self.column}: {self.path} has no such column; it has {column_names(columns.titles)}"
            )
        names = [columns.title(name) for name in _LABELS if name in columns.names] or columns.unknown
        filled = (name for name in names if any(row[name].strip() for _, row in rows))
        return next(filled, names[0] if names else None)

    def _annotation(self, number: int, file: str, times: tuple[float, float], band: Band, label: str) -> Annotation:
        start, end = times
        if end < start:
            raise self._error(number, f"the end {end:g} is before the start {start:g}; correct this line")
        text = normalize("NFC", " ".join(uncelled(label.strip()).split()))
        return Annotation(file, start, end, *band, text, self.name, number)

    def _number(self, number: int, name: str, cell: str) -> float:
        value = as_number(cell)
        if value is None:
            raise self._error(number, f"{name} {shown(cell.strip())}: wanted seconds, such as 12.5")
        return value

    def _band(self, number: int, cells: Sequence[str], unit: float = 1.0) -> Band:
        """Return low and high frequency, Hz; None for an empty cell, and for the -1 of Audacity: undefined."""
        band = [None if cell.strip() in ("", "NA") else as_number(cell) for cell in cells]
        for cell, value in zip(cells, band, strict=True):
            if value is None and cell.strip() not in ("", "NA"):
                raise self._error(number, f"frequency {shown(cell.strip())}: wanted a number")
        low, high = (None if value is None or value < 0 else unit * value for value in band)
        return low, high

    def _error(self, number: int, problem: str) -> InputError:
        return InputError(f"{self.wanted.option} {self.path}: line {number}: {problem}")


class _Columns:
    """Meaning of the columns of a table, by their names without case and punctuation."""

    def __init__(self, titles: list[str]) -> None:
        self.titles = titles
        self.names = {_plain(title): title for title in reversed(titles)}
        self.times = _times(self.names) or ("start", "end")
        self.files = [name for name in _FILES if name in self.names]
        self.in_kilohertz = {"bottom_freq", "top_freq"} <= self.names.keys()  # warbleR
        lows, highs = (("bottom_freq",), ("top_freq",)) if self.in_kilohertz else (_LOWS, _HIGHS)
        self.frequencies = [next((name for name in names if name in self.names), "") for names in (lows, highs)]

    def title(self, name: str) -> str:
        return self.names.get(name, name)

    def cell(self, row: Mapping[str, str], name: str) -> str:
        """Return a cell; "" if there is no such column."""
        return row[self.names[name]].strip() if name and name in self.names else ""

    def file(self, row: Mapping[str, str]) -> str:
        """Return the recording of a row, "" if it is not named. Kaleidoscope has its folder in another column."""
        text = next((cell for name in self.files if (cell := self.cell(row, name)) not in ("", "None")), "")
        folder = self.cell(row, "folder") if "in_file" in self.names else ""
        return uncelled(f"{folder}/{text}" if folder and text else text)

    @property
    def identity(self) -> list[str]:
        """Titles of the columns by which rows of the same selection in several views are equal."""
        return [self.names[name] for name in (*self.files, *self.times) if name in self.names]

    @property
    def unknown(self) -> list[str]:
        """Title of the only column that is none of the known ones; nothing if there are several."""
        known = {*self.files, *self.times, *self.frequencies, "selection", "view", "channel", "selec", ""}
        titles = [title for name, title in self.names.items() if name not in known]
        return titles if len(titles) == 1 else []


def _plain(title: str) -> str:
    return _ROWS.sub("_", title.lower()).strip("_")


def _times(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the columns of the start and of the end, or of the duration; None if one of them is missing."""
    names = set(names)
    if "duration" in names and "offset" in names and "offset_s" not in names:  # Kaleidoscope: the offset is the start
        return "offset", "duration"
    start = next((name for name in _STARTS if name in names), None)
    end = next((name for name in (*_ENDS, "duration", "duration_s") if name in names), None)
    return (start, end) if start and end else None


def _has_times(names: Iterable[str]) -> bool:
    return _times(names) is not None


def _tabbed(text: str) -> list[Line]:
    """Return the lines of a text whose first line has tabs; annotation programs put no text into quotes."""
    lines = [
        (number, [_unquoted(cell) for cell in line.split("\t")])
        for number, line in enumerate(re.split(r"\r\n?|\n", text), 1)
        if line.strip()
    ]
    return lines if lines and len(lines[0][1]) > 1 else []


def _unquoted(cell: str) -> str:
    """Return a cell without the quotation marks around all of it, which spreadsheets and R add."""
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return cell[1:-1].replace('""', '"') if quoted else cell


def _is_track(cells: Sequence[str]) -> bool:
    return len(cells) > 1 and as_number(cells[0]) is not None


def as_number(text: str) -> float | None:
    """Return a finite number with a decimal point or comma; None for any other text."""
    text = text.strip()
    if re.fullmatch(r"[+-]?\d*,\d+", text):
        text = text.replace(",", ".")
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def _bare(name: str) -> str:
    return re.sub(r"\.[^./]*$", "", name)


def _recording(table: str) -> str:
    """Return the name of the recording of a table that names none."""
    return _APPENDED.sub("", table) or table
