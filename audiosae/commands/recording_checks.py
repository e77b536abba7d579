"""Checks that the recordings of an opened survey still have the content that was surveyed."""

from __future__ import annotations

import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from audiosae.commands.survey_sources import content_digest
from audiosae.corpus.entries import file_state
from audiosae.corpus.sources import printable
from audiosae.errors import InputError
from audiosae.system.progress import counted
from audiosae.system.text import some_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from audiosae.commands.survey_sources import SurveyedRecording


class NotInSurveyError(InputError):
    """There is no such recording in the survey, or it was not found when the survey was opened."""


class ChangedRecordingError(InputError):
    """A recording was removed or replaced, or cannot be read any more."""


class RecordingChecks:
    """Finds out whether recordings are still those that were surveyed, before their sounds are used.

    A file with the same size and times as at the last check is not read again. Another one is compared by samples of
    its content; or it is refused if these are not known.

    Parameters
    ----------
    recordings
        Recordings by their names.
    """

    def __init__(self, recordings: Mapping[str, SurveyedRecording]) -> None:
        self._recordings = recordings
        self._states: dict[str, str] = {}
        for each in recordings.values():
            if each.path and not each.content:  # nothing to compare with later
                with suppress(OSError):
                    self._states[each.file] = _state(each.path)

    def path(self, file: str) -> Path:
        """Return the path of a recording that has the content that was surveyed.

        Raises
        ------
        NotInSurveyError
            The survey has no such recording, or it was not found.
        ChangedRecordingError
            The recording was removed or replaced, or cannot be read.
        """
        recording = self._recordings.get(file)
        if recording is None:
            raise NotInSurveyError(f"{file}: no such recording in this survey")
        if recording.path is None:
            raise NotInSurveyError(f"{file}: {recording.fault}")
        if fault := self._fault(recording, recording.path):
            raise ChangedRecordingError(f"{file}: {fault}")
        return recording.path

    def check_all(self) -> None:
        """Raise `ChangedRecordingError` if any recording that was found is not as it was surveyed."""
        faults = {each.file: self._fault(each, each.path) for each in self._recordings.values() if each.path}
        changed = [file for file, fault in faults.items() if fault]
        if len(changed) == 1:
            raise ChangedRecordingError(f"{changed[0]}: {faults[changed[0]]}")
        if changed:
            raise ChangedRecordingError(
                f"{counted(len(changed), 'recording')} ({some_of(changed)}); the first: {faults[changed[0]]}"
            )

    def _fault(self, recording: SurveyedRecording, path: Path) -> str:
        try:
            state = _state(path)
            if state == self._states.get(recording.file):
                return ""
            same = (
                content_digest(path) == recording.content if recording.content else recording.file not in self._states
            )
        except OSError as error:
            reason = error.strerror or str(error)
            return f"cannot read {printable(path)} ({reason}); restore it, or start audiosae open again"
        if not same:
            return f"{printable(path)} is not the recording that was surveyed any more; restore it, or survey again"
        self._states[recording.file] = state
        return ""


def _state(path: Path) -> str:
    """Return the size and times of a recording; raise OSError if it cannot be used."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    return file_state(status)
