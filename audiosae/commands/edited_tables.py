"""The tables labels.csv and names.csv of a survey that is open in a browser: read, merged and saved in place."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from audiosae.errors import InputError
from audiosae.sounds.answers import FILE as LABELS
from audiosae.sounds.answers import read_answers, write_answers
from audiosae.sounds.type_names import read_names
from audiosae.system.files import file_digest, remove_abandoned, write_file
from audiosae.system.locks import lock_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from audiosae.sounds.answers import Answer, AnswerTable

Read = TypeVar("Read")

NAMES = "names.csv"
_SAME = 1e-3  # s: times are rounded to 4 decimals


class ChangedMeanwhileError(InputError):
    """A table was changed by another program or page since it was read."""


class EditedTables:
    """The tables of a survey's folder that its page saves.

    A table is replaced as a whole, and only if it is still the version that the page has read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, Lock()
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
        names = read_names(self._folder / NAMES)
        return {"version": version, "of": dict(names.of), "types": names.types}

    def save_labels(self, content: bytes, version: str) -> str:
        """Save the rows of a page in labels.csv, and return the new version; rows of other sounds stay.

        Raises
        ------
        ChangedMeanwhileError
            labels.csv is not the version that the page has read, or a survey is writing into the folder.
        InputError
            A row is not valid or of another survey, or the file cannot be written.
        """
        posted = _parsed(content, LABELS, lambda path: _own(path).rows)
        with self._replacing(LABELS, version) as path:
            write_answers(_merged(self._answers(), posted), path)
            return self._version(LABELS)

    def save_names(self, content: bytes, version: str) -> str:
        """Save names.csv as a page writes it, and return its version.

        Raises
        ------
        ChangedMeanwhileError, InputError
            As for `save_labels`; or names.csv has the names of another survey.
        """
        types = _parsed(content, NAMES, lambda path: read_names(path).types)
        with self._replacing(NAMES, version) as path:
            if version and types and read_names(path).types not in {"", types}:
                raise ChangedMeanwhileError(f"{NAMES} has the names of another survey's types; move it away")
            write_file(path, content)
            return self._version(NAMES)

    @contextmanager
    def _replacing(self, name: str, version: str) -> Iterator[Path]:
        with self._lock:
            lock = lock_folder(self._folder)
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
        return file_digest(path) if path.exists() else ""

    def _answers(self) -> Sequence[Answer]:
        path = self._folder / LABELS
        if not path.exists():
            raise InputError(f"{path}: no such file; run audiosae survey again")
        return _own(path).rows


def _own(path: Path) -> AnswerTable:
    table = read_answers(path)
    if not table.own or not all(row.event for row in table.rows):
        raise InputError(f"--labels {path}: wanted the labels.csv of a survey, with the number of every event")
    return table


def _parsed(content: bytes, name: str, parse: Callable[[Path], Read]) -> Read:
    """Return what a function reads from the content of a table; its errors name the table only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            return parse(path)
        except InputError as error:
            raise InputError(str(error).replace(str(path), name)) from error


def _merged(current: Iterable[Answer], posted: Iterable[Answer]) -> list[Answer]:
    """Return the current rows with those of a page in the place of rows of the same event."""
    rows = {each.event: each for each in current}
    for each in posted:
        before = rows.get(each.event)
        if before and (before.file != each.file or abs(before.start - each.start) > _SAME):
            raise InputError(f"event {each.event} of this page is not that of {LABELS}: they are of different surveys")
        rows[each.event] = each
    return [rows[event] for event in sorted(rows)]
