"""Sounds that are cut from the recordings of a survey when they are played."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from audiosae.domain import Span, plugin_call
from audiosae.errors import InputError
from audiosae.system.stderr import CapturedStderr, capture_stderr
from audiosae.views.media import wav_sound

if TYPE_CHECKING:
    from audiosae.commands.recording_checks import RecordingChecks
    from audiosae.recordings.spectrogram import Spectrogram
    from audiosae.views.media import SoundFile

_MARGIN = 0.25  # s before and after a sound, as on pages
_LONGEST = 60.0  # s
_KEPT = 64  # cuts: a browser asks for parts of the same one


@dataclass(frozen=True)
class Cut:
    """A stretch of a recording to play: a sound file, and its start and end in the recording in seconds."""

    sound: SoundFile
    start: float
    end: float


class Cutter:
    """Cuts sounds from recordings.

    Parameters
    ----------
    domain
        Has the channel that is played.
    checks
        Of the recordings; no other file can be read.
    """

    def __init__(self, domain: Spectrogram, checks: RecordingChecks) -> None:
        self._domain, self._checks = domain, checks
        self._lock, self._kept = Lock(), OrderedDict[tuple[Path, float, float], Cut]()

    def cut(self, file: str, start: float, end: float) -> Cut:
        """Return the sound between two times in seconds with 0.25 s before and after it, at most 60 s.

        Raises
        ------
        NotInSurveyError, ChangedRecordingError
            The recording is not one of the survey, is missing, or is not as it was surveyed.
        InputError
            The times are not valid, or the recording has nothing there or cannot be decoded.
        """
        if not 0 <= start < end < float("inf"):
            raise InputError(f"{start:g} to {end:g} s: wanted a start of at least 0 before an end")
        path = self._checks.path(file)
        key = path, start, end
        with self._lock:  # decoding is quick, and keeps files open
            if key not in self._kept:
                first = max(0.0, start - _MARGIN)
                last = min(end + _MARGIN, first + _LONGEST)
                with capture_stderr(CapturedStderr()), plugin_call(self._domain, "excerpt"):
                    excerpt = self._domain.excerpt(path, Span((first,), (last,), "s"))
                if not excerpt.data.size:
                    raise InputError(f"{file}: the recording has nothing at {start:g} s")
                sound = wav_sound(excerpt.data, excerpt.rate)
                self._kept[key] = Cut(sound, first, first + excerpt.data.size / excerpt.rate)
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]
