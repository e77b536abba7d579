"""Reading of recordings, in any format of libsndfile and of any length, as blocks of mono samples at one rate."""

from __future__ import annotations

import atexit
import os
import re
import stat
import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakSet

import numpy as np

from audiosae.errors import InputError
from audiosae.recordings import repair
from audiosae.system.progress import counted
from audiosae.system.stderr import CapturedStderr, capture_stderr

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    import soundfile
    from numpy.typing import NDArray

    FileState = tuple[str, int, int]  # path, size, time of the last change

SUFFIXES = (
    ".wav",
    ".flac",
    ".ogg",
    ".mp3",
    ".wave",
    ".oga",
    ".opus",
    ".aif",
    ".aiff",
    ".aifc",
    ".au",
    ".snd",
    ".caf",
    ".w64",
    ".rf64",
    ".voc",
    ".nist",
    ".sph",
)
_SAMPLES_AT_ONCE = 2**18
_CANCELLED = 1e-3  # of the channels' peak: a smaller mean is rounding error of channels of opposite polarity
_LARGEST_SAMPLE = 1e12  # far above every integer format read as float; its square is still a float32
_UNCODED = {"WAV", "WAVEX", "AIFF", "AU", "CAF", "W64", "RF64"}  # plain samples: a read error comes from the disk
_ESTIMATED_LENGTH = {"MP3", "MPEG"}  # estimated from the bit rate by the decoder; every file delivers fewer frames
_SHORTER = re.compile(
    r"^\s*(?:data|SSND|BODY|Data Size|Data length|riff|Riff size)\s*:?\s*(\d+) \(?should be (\d+)\b", re.MULTILINE
)
_HEADERS_READ = 200  # to choose a sample rate
_HIGHEST_RATE = 22050  # enough for speech, music and most animals; recordings of ultrasound keep their rate
ULTRASOUND_RATE = 192000
_OFFSET_SECONDS = 2.0  # from the start of a recording, in which a constant offset is measured
_LARGE_OFFSET = 0.5  # of the standard deviation: levels relative to the loudest then change by 2 dB or more
_CUT = ("lacks an end-of-stream bit", "File seems to be truncated")  # libsndfile's log messages for Ogg and MAT4
_DECODING_ERRORS = (RuntimeError, ValueError)  # those that soundfile raises


class _Recent(threading.local):
    """Header and open file of the recording that this thread read last: they are often needed again immediately."""

    header: tuple[FileState, Header] | None = None
    file: tuple[FileState, soundfile.SoundFile] | None = None


_recent = _Recent()
_open_files: WeakSet[soundfile.SoundFile] = WeakSet()  # of all threads; soundfile cannot close them during shutdown


@atexit.register
def _close_files() -> None:
    for file in list(_open_files):
        file.close()


@dataclass(frozen=True)
class Header:
    """Sample rate, channels, length and format that a recording's header states; the length may be wrong."""

    rate: int
    channels: int
    frames: int
    format: str

    @property
    def seconds(self) -> float:
        """Length in seconds, as the header states it."""
        return self.frames / self.rate


def read_header(path: Path) -> Header:
    """Read a recording's header.

    Raises
    ------
    InputError
        The path is not a regular file, or the file is empty, unreadable or in a format unknown to libsndfile.
    """
    if _recent.header is not None and _recent.header[0] == _file_state(path):
        return _recent.header[1]
    with _open(path) as file:
        return _header(file)


def check_channel(channels: int, channel: int) -> None:
    """Raise InputError if a recording with so many channels does not have the channel of this number, from 1."""
    if channel > channels:
        raise InputError(f"no channel {channel}: the recording has {counted(channels, 'channel')}")


def read_mono(path: Path, rate: int, channel: int = 0) -> Generator[NDArray[np.float32], None, str]:
    """Yield a recording as blocks of mono float32 samples, resampled.

    Parameters
    ----------
    path
        Recording.
    rate
        Sample rate of the blocks, in Hz.
    channel
        Number of the channel to read, from 1; 0 averages all channels.

    Returns
    -------
    str
        Why only a part of the recording could be read, or "".

    Raises
    ------
    InputError
        The recording is unreadable, empty or silent, lacks the channel, or has samples that are not numbers.
    """
    with _open(path) as file:
        reader = _Reader(file, path, channel)
        blocks = reader.blocks()
        yield from blocks if file.samplerate == rate else _resampled(blocks, file.samplerate, rate)
        return reader.check()


def read_excerpt(path: Path, start: float, end: float, channel: int = 0) -> tuple[NDArray[np.float32], int]:
    """Return the mono samples between two times in seconds, and their sample rate, which is the recording's.

    `channel` is that of `read_mono`.
    """
    samples, rate = read_channels(path, start, end)
    return _mono(samples, channel), rate


def read_channels(path: Path, start: float, end: float) -> tuple[NDArray[np.float32], int]:
    """Return the samples between two times in seconds, (frames, channels), and the sample rate of the recording."""
    state = _file_state(path)
    if _recent.file is None or _recent.file[0] != state:  # each opening of an MP3 reads all of it to learn its length
        _recent.file = None
        _recent.file = state, _open(path)
        _open_files.add(_recent.file[1])
    file = _recent.file[1]
    first = min(max(0, round(start * file.samplerate)), file.frames)
    count = max(0, round(end * file.samplerate) - first)
    try:
        if file.seekable():
            file.seek(first)
            samples = file.read(count, dtype="float32", always_2d=True)
        else:
            samples = _read_from_start(path, first, count)
    except _DECODING_ERRORS as error:
        raise InputError(f"undecodable at {start:.1f} s: {_one_line(error)}") from error
    return samples, file.samplerate


def common_rate(paths: Sequence[Path], channel: int = 0) -> int:
    """Return the sample rate of most of the sound, by duration, from headers; rates above 22050 Hz become 22050 Hz.

    Rates of ultrasound recordings, 192 kHz or more, are returned as they are. Recordings without the channel do not
    count.
    """
    seconds: defaultdict[int, float] = defaultdict(float)
    for path in paths[:: max(1, len(paths) // _HEADERS_READ)]:
        with suppress(InputError), capture_stderr(CapturedStderr()):  # errors are reported when the file is read
            header = read_header(path)
            check_channel(header.channels, channel)
            seconds[header.rate] += 1 + min(header.seconds, 1e6)
    rate = max(sorted(seconds), key=seconds.__getitem__, default=_HIGHEST_RATE)
    return rate if rate >= ULTRASOUND_RATE else min(rate, _HIGHEST_RATE)


def has_offset(path: Path, channel: int = 0) -> bool:
    """Return whether the first seconds have a constant offset: a mean above half the standard deviation.

    Raises
    ------
    InputError
        The recording cannot be decoded.
    """
    samples, _ = read_excerpt(path, 0.0, _OFFSET_SECONDS, channel)
    deviation = samples.std(dtype=np.float64) if len(samples) else 0.0
    return bool(0 < deviation < np.inf and abs(samples.mean(dtype=np.float64)) > _LARGE_OFFSET * deviation)


def _read_from_start(path: Path, first: int, count: int) -> NDArray[np.float32]:
    """Read samples of a codec that cannot seek."""
    with _open(path) as file:
        while first > 0 and (skipped := len(file.read(min(first, _SAMPLES_AT_ONCE), dtype="float32"))):
            first -= skipped
        return np.asarray(file.read(count, dtype="float32", always_2d=True))


def _mono(samples: NDArray[np.float32], channel: int) -> NDArray[np.float32]:
    """Return one channel of samples (frames, channels), or the mean of all channels if its number is 0."""
    channels = samples.shape[1]
    check_channel(channels, channel)
    if channel or channels == 1:
        return samples[:, max(0, channel - 1)].copy()
    return np.asarray(samples.mean(axis=1, dtype=np.float32))


class _Reader:
    """Reader of all blocks of an open file, which checks the samples as they come."""

    def __init__(self, file: soundfile.SoundFile, path: Path, channel: int) -> None:
        self._file, self._path, self._channel = file, path, channel
        self._low, self._high = np.inf, -np.inf  # of the channel, or of the mean of the channels
        self._peak = 0.0  # of all channels, if they are averaged
        self._frames = 0
        self._error = ""
        self._integers: NDArray[np.int16] | None = None

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        file = self._file
        frames = max(0, min(file.frames, max(1024, _SAMPLES_AT_ONCE // file.channels)))
        read = self._read_integers if file.subtype == "PCM_16" and file.format in _UNCODED else self._read
        buffer = np.empty((frames, file.channels), np.float32)
        while self._frames < file.frames and not self._error:
            samples = read(buffer)
            if not len(samples):
                return
            mono = _mono(samples, self._channel)
            low, high = float(mono.min()), float(mono.max())
            if not (np.isfinite(low) and np.isfinite(high)):
                at = self._frames + int(np.argmin(np.isfinite(mono)))
                raise InputError(f"NaN or infinite samples: the first at {at / file.samplerate:.1f} s")
            if max(-low, high) > _LARGEST_SAMPLE:
                raise InputError(f"samples too large: up to {max(-low, high):.0e}, wanted about 1")
            self._low, self._high = min(self._low, low), max(self._high, high)
            if file.channels > 1 and not self._channel:
                self._peak = max(self._peak, float(samples.max()), -float(samples.min()))
            self._frames += len(mono)
            yield mono

    def _read_integers(self, buffer: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fill the buffer from 16-bit samples: the same numbers, without libsndfile's slow conversion."""
        if self._integers is None:
            self._integers = np.empty(buffer.shape, np.int16)
        try:
            integers = self._file.read(out=self._integers)
        except _DECODING_ERRORS:
            self._file.seek(self._frames)
            return self._read(buffer)
        return np.asarray(np.multiply(integers, np.float32(2.0**-15), out=buffer[: len(integers)]))

    def _read(self, buffer: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fill the buffer, or as much of it as can be decoded before an error."""
        buffer.fill(np.nan)
        try:
            return np.asarray(self._file.read(out=buffer))
        except _DECODING_ERRORS as error:
            self._error = _one_line(error)
            return buffer[: int(np.argmax(np.append(np.isnan(buffer[:, 0]), True)))]

    def check(self) -> str:
        """Return, after the last block, why only a part was read, or ""; raise InputError for unusable samples."""
        log = self._file.extra_info
        cut = any(message in log for message in _CUT) or any(
            int(actual) < int(stated) and not repair.is_placeholder(int(stated))
            for stated, actual in _SHORTER.findall(log)
        )
        if not self._frames:
            empty = "truncated before the first" if cut else "zero frames in the file"
            raise InputError(f"undecodable: {self._error}" if self._error else f"no samples: {empty}")
        if self._low == self._high:
            raise InputError("silent: every sample is the same")
        if (peak := max(-self._low, self._high)) < _CANCELLED * self._peak:
            below = 20 * np.log10(self._peak / peak)
            raise InputError(f"channels cancel: their mean is {below:.0f} dB below the loudest; save one channel only")
        return self._missing_part(cut=cut)

    def _missing_part(self, *, cut: bool) -> str:
        file, end = self._file, f"{self._frames / self._file.samplerate:.1f} s"
        problem = "" if self._error else repair.find_problem(self._path, file.format, self._frames)
        if file.frames == repair.UNKNOWN:  # at the end of a FLAC of unknown length, the decoder reports an error
            return ""
        if problem == repair.JOINED:
            return problem
        if problem and problem != repair.CUT:
            return f"only the first {end}: {problem}"
        fewer = self._frames < file.frames and file.format not in _ESTIMATED_LENGTH
        error = f" ({self._error})" if self._error else ""
        return f"truncated at {end}{error}" if self._error or fewer or cut or problem else ""


def _open(path: Path) -> soundfile.SoundFile:
    """Open a recording; raise InputError with a reason for the user where that fails."""
    import soundfile

    state = _file_state(path)
    try:
        corrected = repair.corrected(path)
        name = os.fsencode(path) if os.name == "posix" else str(path)
        file = soundfile.SoundFile(name if corrected is None else corrected)
    except OSError as error:
        raise InputError(f"unreadable: {error.strerror or error}") from error
    except (*_DECODING_ERRORS, TypeError) as error:
        raise InputError(f"undecodable: {_one_line(error)}") from error
    _recent.header = state, _header(file)
    return file


def _header(file: soundfile.SoundFile) -> Header:
    frames = 0 if file.frames == repair.UNKNOWN else max(0, file.frames)
    return Header(file.samplerate, file.channels, frames, f"{file.format}/{file.subtype}")


def _file_state(path: Path) -> FileState:
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


def _one_line(error: Exception) -> str:
    return " ".join(str(getattr(error, "error_string", None) or error).split())


def _resampled(blocks: Iterator[NDArray[np.float32]], source: int, target: int) -> Iterator[NDArray[np.float32]]:
    """Resample a stream with soxr at its "HQ" quality, librosa's default."""
    import soxr

    try:
        stream = soxr.ResampleStream(source, target, 1, dtype="float32", quality="HQ")
        for block in blocks:
            yield stream.resample_chunk(block)
        yield stream.resample_chunk(np.empty(0, np.float32), last=True)
    except _DECODING_ERRORS as error:
        raise InputError(f"cannot be resampled from {source} to {target} Hz: {_one_line(error)}") from error
