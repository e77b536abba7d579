"""The tables labels.csv and names.csv of a survey that is open in a browser: read, merged and saved in place.

The page in the folder, which opens without a server, gets what is saved, too: labels that are saved from it later would
replace the others otherwise.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from audiosae.errors import InputError
from audiosae.sounds.answers import FILE as LABELS
from audiosae.sounds.answers import read_answers, write_answers
from audiosae.sounds.survey_tables import NAME
from audiosae.sounds.type_names import OF_TYPES, read_names
from audiosae.system.files import csv_text, file_digest, remove_abandoned, write_file
from audiosae.system.locks import lock_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from audiosae.sounds.answers import Answer, AnswerTable
    from audiosae.views.served_page import PageSound, SurveyPage

Read = TypeVar("Read")

NAMES = "names.csv"
_SAME = 1e-3  # s: times are rounded to 4 decimals


class Saved(NamedTuple):
    """The version of a table that was saved, and a message on what failed besides."""

    version: str
    note: str = ""


class ChangedMeanwhileError(InputError):
    """A table was changed by another program or page since it was read."""


class EditedTables:
    """The tables of a survey's folder that its page saves.

    A table is replaced as a whole, and only if it is still the version that the page has read.

    Parameters
    ----------
    page
        Page of the survey, which gets what is saved.
    types
        Number of the types of the survey.
    """

    def __init__(self, folder: Path, page: SurveyPage, types: int) -> None:
        self._folder, self._page, self._types, self._lock = folder, page, types, Lock()
        remove_abandoned(folder, [LABELS, NAMES], locked=False)

    def labels(self) -> dict[str, Any]:
        """Return the version of labels.csv and its rows: event, type, label and answer.

        Raises
        ------
        InputError
            There is no labels.csv of a survey in the folder, or it is not valid.
        """
        version, table = self._version(LABELS), self._answers()
        return {"version": version, "rows": [(each.event, each.type, each.label, each.answer) for each in table]}

    def names(self) -> dict[str, Any]:
        """Return the version of names.csv, the names of types by number, and the digest of these types."""
        version = self._version(NAMES)
        if not version:
            return {"version": "", "of": {}, "types": ""}
        names = _plainly(read_names, self._folder / NAMES)
        return {"version": version, "of": dict(names.of), "types": names.types}

    def save_labels(self, content: bytes, version: str) -> Saved:
        """Save the rows of a page in labels.csv; rows of other sounds stay.

        Raises
        ------
        ChangedMeanwhileError
            labels.csv is not the version that the page has read, or a survey is writing into the folder.
        InputError
            A row is not valid or of another survey, or the file cannot be written.
        """
        posted = _parsed(content, LABELS, _own).rows
        with self._replacing(LABELS, version) as path:
            write_answers(self._merged(self._answers(), posted), path)
            return self._saved(LABELS)

    def save_names(self, content: bytes, version: str) -> Saved:
        """Save names.csv as a page writes it.

        Raises
        ------
        ChangedMeanwhileError, InputError
            As for `save_labels`; or names.csv has the names of another survey.
        """
        names = _parsed(content, NAMES, read_names)
        if names.types not in {"", self._page.types}:
            raise InputError(f"{NAMES}: these names are of the types of another survey")
        with self._replacing(NAMES, version) as path:
            if version and names.types and read_names(path).types not in {"", names.types}:
                raise ChangedMeanwhileError(f"{NAMES} has the names of another survey's types; move it away")
            if (most := max(names.of, default=0)) > self._last(self._answers()):
                raise InputError(f"{NAMES}: type {most} is not a type of this survey")
            rows = [(number, name, names.types) for number, name in sorted(names.of.items())]
            write_file(path, csv_text([("type", NAME, OF_TYPES), *rows]).encode())
            return self._saved(NAMES)

    @contextmanager
    def _replacing(self, name: str, version: str) -> Iterator[Path]:
        with self._lock:
            try:
                lock = lock_folder(self._folder)
            except OSError as error:
                raise InputError(f"cannot write in {self._folder}: {error.strerror or error}") from error
            if lock is None:
                raise ChangedMeanwhileError(
                    f"a survey is writing {self._folder}; load this page again when it has finished"
                )
            with lock:
                if self._version(name) != version:
                    raise ChangedMeanwhileError(
                        f"{name} was changed by another program or page since this page read it"
                    )
                yield self._folder / name

    def _version(self, name: str) -> str:
        path = self._folder / name
        try:
            return file_digest(path)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error

    def _answers(self) -> Sequence[Answer]:
        path = self._folder / LABELS
        if not path.exists():
            raise InputError(f"{path}: no such file; run audiosae survey again")
        return _plainly(_own, path).rows

    def _merged(self, current: Iterable[Answer], posted: Sequence[Answer]) -> list[Answer]:
        """Return the current rows with those of a page in the place of rows of the same event."""
        rows = {each.event: each for each in current}
        known: Mapping[int, Answer | PageSound] = {**self._page.sounds, **rows}
        numbers = {each.type for each in posted if each.type is not None}
        last = self._last(rows.values())
        if max(numbers, default=0) > last + len(numbers):
            raise InputError(f"type {max(numbers)} of this page is not one of {LABELS}, which has {last} types")
        for each in posted:
            before = known.get(each.event)
            if before is None:
                raise InputError(f"event {each.event} of this page is not a sound of this survey")
            if before.file != each.file or max(abs(before.start - each.start), abs(before.end - each.end)) > _SAME:
                raise InputError(
                    f"event {each.event} of this page is another in {LABELS}: they are of different surveys"
                )
        if len({each.event for each in posted}) < len(posted):
            raise InputError("a sound of this page has several rows")
        rows |= {each.event: each for each in posted}
        return [rows[event] for event in sorted(rows)]

    def _last(self, answers: Iterable[Answer]) -> int:
        """Return the number of the last type of the survey, or of the last one that was made since."""
        return max([self._types, *(each.type or 0 for each in answers)])

    def _saved(self, name: str) -> Saved:
        """Write what was saved into the page, too; return the version of a table."""
        version, answers, names = self._version(name), self._answers(), self.names()
        facts = {
            "labels": {"version": self._version(LABELS), "rows": self._page.changed(answers)},
            "names": {"of": names["of"], "types": names["types"]},
            "time": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        }
        try:
            self._page.write_saved(facts)
        except InputError as error:
            return Saved(version, str(error))
        return Saved(version)


def _own(path: Path) -> AnswerTable:
    table = read_answers(path)
    if not table.own or not all(row.event for row in table.rows):
        raise InputError(f"{path}: wanted the labels.csv of a survey, with the number of every event")
    return table


def _plainly(read: Callable[[Path], Read], path: Path, shown: str = "") -> Read:
    """Return what a function reads from a table; its errors name the table, not an option of the command line."""
    try:
        return read(path)
    except InputError as error:
        text = re.sub(rf"^--(labels|names) (?={re.escape(str(path))})", "", str(error))
        raise InputError(text.replace(str(path), shown or str(path))) from error


def _parsed(content: bytes, name: str, read: Callable[[Path], Read]) -> Read:
    """Return what a function reads from the content of a table; its errors name the table only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        return _plainly(read, path, name)
