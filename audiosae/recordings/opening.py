"""Opening of recordings: their headers, and the lengths that they really have."""

from __future__ import annotations

import atexit
import os
import stat
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from weakref import WeakSet

from audiosae.errors import InputError
from audiosae.recordings import formats, repair
from audiosae.recordings.av_files import AvFile

if TYPE_CHECKING:
    from pathlib import Path

    import soundfile

    FileState = tuple[str, int, int]  # path, size, time of the last change

ESTIMATED_LENGTH = "MPEG"  # subtypes whose length is not counted, but stated by the encoder, or guessed
_MOST_HEADERS = 1024  # half a MB; the sample rate of an archive is chosen from the headers of 400 recordings at most
_PADDING = 4096  # frames by which blocks of a compressed format exceed the recording, at most
DECODING_ERRORS = (RuntimeError, ValueError)  # those that soundfile raises


class _Recent(threading.local):
    """Headers that this thread read, and the open file of the recording that it read last: they are needed again."""

    file: tuple[FileState, soundfile.SoundFile | AvFile, int] | None = None  # and its length in frames

    def __init__(self) -> None:
        self._headers: dict[FileState, Header] = {}  # the one that was used last at the end

    def header(self, state: FileState) -> Header | None:
        """Return the header of a file in this state, if it is known."""
        header = self._headers.pop(state, None)
        if header is not None:
            self._headers[state] = header
        return header

    def keep(self, state: FileState, header: Header) -> None:
        """Keep a header, in place of the one that was not used for longest."""
        self._headers.pop(state, None)
        if len(self._headers) >= _MOST_HEADERS:
            del self._headers[next(iter(self._headers))]
        self._headers[state] = header


recent = _Recent()
open_files: WeakSet[soundfile.SoundFile | AvFile] = (
    WeakSet()
)  # of all threads; soundfile cannot close them during shutdown


@atexit.register
def _close_files() -> None:
    for file in list(open_files):
        file.close()


@dataclass(frozen=True)
class OpenRecording:
    """An open file and its length in frames, which is right where libsndfile's guesses or includes padding."""

    file: soundfile.SoundFile | AvFile
    frames: int
    is_counted: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.file.close()

    @property
    def header(self) -> Header:
        """What the file states of itself."""
        file, remark, needs = self.file, "", ""
        frames = 0 if self.frames == repair.UNKNOWN else max(0, self.frames)
        if isinstance(file, AvFile):
            frames, remark, needs = file.frames, file.remark, AvFile.needs
        return Header(file.samplerate, file.channels, frames, f"{file.format}/{file.subtype}", remark, needs)


@dataclass(frozen=True)
class Header:
    """Sample rate, channels, length and format that a recording's header states, and a remark on it, or "".

    The length may be wrong. `needs` is the package that reads the recording, "" for libsndfile.
    """

    rate: int
    channels: int
    frames: int
    format: str
    remark: str = ""
    needs: str = ""

    @property
    def seconds(self) -> float:
        """Length in seconds, as the header states it."""
        return self.frames / self.rate


def read_header(path: Path) -> Header:
    """Read a recording's header.

    Raises
    ------
    InputError
        The path is not a regular file, or the file is empty, unreadable or in a format that no library reads.
    """
    state = file_state(path)
    if (known := recent.header(state)) is not None:
        return known
    with open_recording(path) as recording:
        header = recording.header
    recent.keep(state, header)
    return header


def open_recording(path: Path) -> OpenRecording:
    """Open a recording; raise InputError with a reason for the user where that fails."""
    from audiosae.system.sound_files import open_sound_file

    state = file_state(path)
    try:
        if formats.needs_av(path):
            return _opened(AvFile(path))
        corrected, frames = repair.corrected(path)
        name = os.fsencode(path) if os.name == "posix" else str(path)
        file = open_sound_file(name if corrected is None else corrected)
    except OSError as error:
        raise InputError(f"unreadable: {error.strerror or error}") from error
    except (*DECODING_ERRORS, TypeError) as error:
        if formats.has_av():
            with suppress(InputError):
                return _opened(AvFile(path))
        raise InputError(f"undecodable: {error_text(error)}") from error
    is_counted = frames > 0 and corrected is not None and file.subtype.startswith(ESTIMATED_LENGTH)
    is_padded = 0 < frames <= file.frames <= frames + _PADDING
    recording = OpenRecording(file, frames if is_counted or is_padded else file.frames, is_counted)
    recent.keep(state, recording.header)
    return recording


def _opened(file: AvFile) -> OpenRecording:
    return OpenRecording(file, repair.UNKNOWN if file.limit is None else file.limit)


def file_state(path: Path) -> FileState:
    """Return values that differ once a file has changed; raise InputError if it is empty or not a regular file."""
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"unreadable: {error.strerror or error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError("not a regular file")
    if status.st_size == 0:
        raise InputError("empty: zero bytes")
    return os.fspath(path), status.st_size, status.st_mtime_ns


def error_text(error: Exception) -> str:
    """Return the text of an error of soundfile in one line."""
    return " ".join(str(getattr(error, "error_string", None) or error).split())
