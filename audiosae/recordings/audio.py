"""Reading recordings: any length, any format of libsndfile, in blocks of mono samples at one rate."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiosae.errors import InputError
from audiosae.recordings import repair
from audiosae.system.stderr import CapturedStderr, capture_stderr

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    import soundfile
    from numpy.typing import NDArray

SUFFIXES = (
    ".wav", ".flac", ".ogg", ".mp3", ".wave", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".au", ".snd",
    ".caf", ".w64", ".rf64", ".voc", ".nist", ".sph",
)  # fmt: skip
_SAMPLES_AT_ONCE = 2**18
_CANCELLED = 1e-3  # of the channels' peak: a mean under it is rounding, of one channel turned against the other
_LOUDEST = 1e12  # far above every integer format taken for float; its square is still a float32
_PLAIN = {"WAV", "WAVEX", "AIFF", "AU", "CAF", "W64", "RF64"}  # samples as they are: what fails is the disk
_GUESSED_LENGTH = {"MP3", "MPEG"}  # the decoder estimates it from the bit rate; every file delivers fewer frames
_SHORTER = re.compile(
    r"^\s*(?:data|SSND|BODY|Data Size|Data length|riff|Riff size)\s*:?\s*(\d+) \(?should be (\d+)\b", re.MULTILINE
)
_HEADERS_READ = 200  # to choose a rate
_HIGHEST_RATE = 22050  # enough for speech, music and most animals; ultrasound detectors keep theirs
_ULTRASOUND_RATE = 192000
_OFFSET_SECONDS = 2.0  # from the start of a recording, in which a constant offset is measured
_LARGE_OFFSET = 0.5  # of the standard deviation: all levels are relative, so they then move by 2 dB or more
_CUT = ("lacks an end-of-stream bit", "File seems to be truncated")  # so libsndfile notes of Ogg and MAT4


class _Last(threading.local):
    """What this thread opened last: its length is asked for once more, and excerpts often come from one recording."""

    header: tuple[tuple[str, int, int], Header] | None = None
    held: tuple[tuple[str, int, int], soundfile.SoundFile] | None = None


_last = _Last()


@dataclass(frozen=True)
class Header:
    """What a recording's header claims; frames may be a lie."""

    rate: int
    channels: int
    frames: int
    format: str

    @property
    def seconds(self) -> float:
        """Claimed length in seconds."""
        return self.frames / self.rate


def read_header(path: Path) -> Header:
    """Read a recording's header.

    Raises
    ------
    InputError
        It is not a regular file, is empty, cannot be read or is no recording that libsndfile knows.
    """
    if _last.header is not None and _last.header[0] == _key(path):
        return _last.header[1]
    with _open(path) as file:
        return _last.header[1] if _last.header else _header(file)


def read_mono(path: Path, rate: int) -> Generator[NDArray[np.float32], None, str]:
    """Yield a recording as blocks of mono float32 samples, averaged over channels and resampled.

    Parameters
    ----------
    rate
        Samples per second of what is yielded.

    Returns
    -------
    str
        What was wrong with a recording that could be read in part, or "".

    Raises
    ------
    InputError
        Unreadable, no samples, silent, or samples that are not numbers.
    """
    with _open(path) as file:
        reader = _Reader(file, path)
        if file.samplerate == rate:
            yield from reader.blocks()
        else:
            yield from _resampled(reader.blocks(), file.samplerate, rate)
        return reader.verdict()


def read_excerpt(path: Path, start: float, end: float) -> tuple[NDArray[np.float32], int]:
    """Return the mono samples between two times in seconds, and their rate (the recording's own)."""
    import soundfile

    file = _held(path)
    first = min(max(0, round(start * file.samplerate)), file.frames)
    count = max(0, round(end * file.samplerate) - first)
    try:
        if file.seekable():
            file.seek(first)
            samples = file.read(count, dtype="float32", always_2d=True)
        else:
            samples = _read_from_start(path, first, count)
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        raise InputError(f"undecodable at {start:.1f} s: {_one_line(error)}") from error
    return samples.mean(axis=1), file.samplerate


def common_rate(paths: Sequence[Path]) -> int:
    """Return the sample rate of most of the sound, by duration, from headers; rates above 22050 Hz become 22050 Hz.

    Rates of ultrasound recordings, 192 kHz or more, stay.
    """
    seconds: Counter[int] = Counter()
    for path in paths[:: max(1, len(paths) // _HEADERS_READ)]:
        try:
            with capture_stderr(CapturedStderr()):  # a decoder's messages are reported when the file is read
                header = read_header(path)
        except InputError:
            continue
        seconds[header.rate] += 1 + min(header.seconds, 1e6)  # type: ignore[assignment]
    if not seconds:
        return _HIGHEST_RATE
    rate = max(sorted(seconds), key=lambda r: seconds[r])
    return rate if rate <= _HIGHEST_RATE or rate >= _ULTRASOUND_RATE else _HIGHEST_RATE


def has_offset(path: Path) -> bool:
    """Return whether the first seconds have a constant offset: a mean that is large beside the standard deviation.

    Raises
    ------
    InputError
        Undecodable.
    """
    samples, _ = read_excerpt(path, 0.0, _OFFSET_SECONDS)
    if not len(samples):
        return False
    mean, deviation = samples.mean(dtype=np.float64), samples.std(dtype=np.float64)
    return bool(0 < deviation < np.inf and abs(mean) > _LARGE_OFFSET * deviation)


def _held(path: Path) -> soundfile.SoundFile:
    """Open a recording and leave it open: each opening of an MP3 reads all of it to learn its length."""
    key = _key(path)
    if _last.held is None or _last.held[0] != key:
        _last.held = None
        _last.held = key, _open(path)
    return _last.held[1]


def _read_from_start(path: Path, first: int, count: int) -> NDArray[np.float32]:
    """Read samples of a codec that cannot seek."""
    with _open(path) as file:
        while first > 0 and (passed := len(file.read(min(first, _SAMPLES_AT_ONCE), dtype="float32"))):
            first -= passed
        found: NDArray[np.float32] = file.read(count, dtype="float32", always_2d=True)
        return found


class _Reader:
    """Blocks of one open file, and what became of it."""

    def __init__(self, file: soundfile.SoundFile, path: Path) -> None:
        self._file, self._path = file, path
        self._low, self._high = np.inf, -np.inf
        self._loudest = 0.0  # of all channels
        self._frames = 0
        self._fault = ""
        self._integers = file.subtype == "PCM_16" and file.format in _PLAIN
        self._short: NDArray[np.int16] | None = None

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        file = self._file
        frames = max(0, min(file.frames, max(1024, _SAMPLES_AT_ONCE // file.channels)))
        read = self._read_integers if self._integers else self._read
        buffer = np.empty((frames, file.channels), np.float32)
        while self._frames < file.frames and not self._fault:
            samples = read(buffer)
            if not len(samples):
                return
            mono = samples[:, 0].copy() if file.channels == 1 else samples.mean(axis=1, dtype=np.float32)
            low, high = float(mono.min()), float(mono.max())
            if not (np.isfinite(low) and np.isfinite(high)):
                at = self._frames + int(np.argmin(np.isfinite(mono)))
                raise InputError(f"NaN or infinite samples: the first at {at / file.samplerate:.1f} s")
            if max(-low, high) > _LOUDEST:
                raise InputError(f"no sound: samples as large as {max(-low, high):.0e}, wanted about 1")
            self._low, self._high = min(self._low, low), max(self._high, high)
            if file.channels > 1:
                self._loudest = max(self._loudest, float(samples.max()), -float(samples.min()))
            self._frames += len(mono)
            yield mono

    def _read_integers(self, buffer: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fill the buffer from 16-bit samples: the same numbers, without libsndfile's slow conversion."""
        import soundfile

        if self._short is None:
            self._short = np.empty(buffer.shape, np.int16)
        try:
            found = self._file.read(out=self._short)
        except (soundfile.SoundFileError, RuntimeError, ValueError):
            self._file.seek(self._frames)
            return self._read(buffer)
        samples = buffer[: len(found)]
        np.multiply(found, np.float32(2.0**-15), out=samples)
        return samples

    def _read(self, buffer: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fill the buffer, or as much of it as can be decoded before an error."""
        import soundfile

        buffer.fill(np.nan)
        try:
            found: NDArray[np.float32] = self._file.read(out=buffer)
        except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
            self._fault = _one_line(error)
            return buffer[: int(np.argmax(np.append(np.isnan(buffer[:, 0]), True)))]
        return found

    def verdict(self) -> str:
        """ClassifierName what was read, at the end of it."""
        file = self._file
        told = file.extra_info
        cut = any(words in told for words in _CUT) or any(
            int(there) < int(claimed) and not repair.is_placeholder(int(claimed))
            for claimed, there in _SHORTER.findall(told)
        )
        if not self._frames and (self._fault or cut):
            raise InputError(f"undecodable: {self._fault}" if self._fault else "no samples: truncated before the first")
        if not self._frames:
            raise InputError("no samples: zero frames in the file")
        if self._low == self._high:
            raise InputError("silent: every sample is the same")
        if (left := max(-self._low, self._high)) < _CANCELLED * self._loudest:
            below = 20 * np.log10(self._loudest / left)
            raise InputError(f"channels cancel: their mean is {below:.0f} dB below them; keep one channel")
        return self._missing(cut=cut)

    def _missing(self, *, cut: bool) -> str:
        """Return in words what of the recording was not read."""
        file, at = self._file, f"{self._frames / self._file.samplerate:.1f} s"
        remark = "" if self._fault else repair.remark(self._path, file.format, self._frames)
        if file.frames == repair.UNKNOWN:  # the decoder says nothing good of the end, where it is not known
            return ""
        fewer = self._frames < file.frames and file.format not in _GUESSED_LENGTH
        fault = f" ({self._fault})" if self._fault else ""
        if remark == repair.WITHIN:
            return remark
        if remark and remark != repair.CUT:
            return f"only the first {at}: {remark}"
        return f"truncated at {at}{fault}" if self._fault or fewer or cut or remark else ""


def _open(path: Path) -> soundfile.SoundFile:
    """Open a recording, or say in the user's words why not."""
    import soundfile

    key = _key(path)
    try:
        view = repair.mended(path)
        name = os.fsencode(path) if os.name == "posix" else str(path)
        file = soundfile.SoundFile(name if view is None else view)
    except OSError as error:
        raise _unreadable(error) from error
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError) as error:
        raise InputError(f"undecodable: {_one_line(error)}") from error
    _last.header = key, _header(file)
    return file


def _header(file: soundfile.SoundFile) -> Header:
    frames = 0 if file.frames == repair.UNKNOWN else max(0, file.frames)
    return Header(file.samplerate, file.channels, frames, f"{file.format}/{file.subtype}")


def _key(path: Path) -> tuple[str, int, int]:
    """Return what tells one state of a file from another; refuse what is no file with something in it."""
    try:
        status = os.stat(path)  # noqa: PTH116 (Path.stat makes the same call; this reads as what it is)
    except OSError as error:
        raise _unreadable(error) from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError("not a regular file")
    if status.st_size == 0:
        raise InputError("empty: zero bytes")
    return os.fspath(path), status.st_size, status.st_mtime_ns


def _unreadable(error: OSError) -> InputError:
    return InputError(f"unreadable: {error.strerror or error}")


def _one_line(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return " ".join(str(text).split())


def _resampled(blocks: Iterator[NDArray[np.float32]], source: int, target: int) -> Iterator[NDArray[np.float32]]:
    """Resample a stream with soxr at its "HQ" quality, librosa's default."""
    import soxr

    try:
        stream = soxr.ResampleStream(source, target, 1, dtype="float32", quality="HQ")
        for block in blocks:
            yield stream.resample_chunk(block)
        yield stream.resample_chunk(np.empty(0, np.float32), last=True)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"cannot be resampled from {source} to {target} Hz: {_one_line(error)}") from error
