"""Reading of recordings, in any format of libsndfile or FFmpeg and of any length, as blocks of mono samples."""

from __future__ import annotations

import io
import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.recordings import repair
from audiosae.recordings.av_files import AvFile
from audiosae.recordings.compressed import vorbis_part
from audiosae.recordings.correction import BLOCKS, CUT, JOINED, SKIPPED
from audiosae.recordings.opening import (
    DECODING_ERRORS,
    ESTIMATED_LENGTH,
    OpenRecording,
    error_text,
    file_state,
    open_files,
    open_recording,
    recent,
)
from audiosae.system.in_turn import shared
from audiosae.system.mapped import MappedFile
from audiosae.system.progress import counted

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    import soundfile
    from numpy.typing import NDArray

_SAMPLES_AT_ONCE = 2**18
_LARGEST_RATIO = 500  # of two sample rates
_RESAMPLED_AT_ONCE = 2**21  # samples, at most
_CANCELLED = 1e-3  # of the channels' peak: a smaller mean is rounding error of channels of opposite polarity
_LARGEST_SAMPLE = 1e12  # far above every integer format read as float; its square is still a float32
_UNCODED = {"WAV", "WAVEX", "AIFF", "AU", "CAF", "W64", "RF64"}  # plain samples: a read error comes from the disk
_MPEG_LEAD = 32 * 1152  # samples that are decoded before an excerpt, because MPEG frames use bytes of earlier frames
_NOT_SEEKABLE = "DWVW"  # subtypes for which libsndfile wrongly says that they are
_CUT = ("lacks an end-of-stream bit", "File seems to be truncated")  # libsndfile's log messages for Ogg and MAT4
_WRONG_TIMES = "Granule position is nonsensical"  # in libsndfile's log
_UNTIMED = "the times of its pages do not fit its packets, as after a cut without decoding"


def check_channel(channels: int, channel: int) -> None:
    """Raise InputError if a recording with so many channels does not have the channel of this number, from 1."""
    if channel > channels:
        raise InputError(f"no channel {channel}: the recording has {counted(channels, 'channel')}")


def read_mono(path: Path, rate: int, channel: int = 0) -> Generator[NDArray[np.float32], None, str]:
    """Return a recording as blocks of mono float32 samples, resampled; they may be shared (`audiosae.system.in_turn`).

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
    return shared((path, rate, channel), lambda: _mono_blocks(path, rate, channel))


def _mono_blocks(path: Path, rate: int, channel: int) -> Generator[NDArray[np.float32], None, str]:
    with open_recording(path) as recording:
        check_rate(recording.file.samplerate, rate)
        reader, source = _Reader(recording, path, channel), recording.file.samplerate
        blocks = reader.blocks()
        yield from blocks if source == rate else _resampled(blocks, source, rate)
        return reader.check()


def read_part(path: Path, start: float, end: float, rate: int, channel: int = 0) -> Iterator[NDArray[np.float32]]:
    """Yield the mono samples between two times in seconds, resampled, with the checks of `read_mono`.

    Raises
    ------
    InputError
        As in `read_mono`, or the recording ends before the first of the times.
    """
    samples, source = read_channels(path, start, end)
    check_rate(source, rate)
    if not len(samples):
        raise InputError(f"no samples at {start:.1f} s")
    mono = _mono(samples, channel)
    several = samples.shape[1] > 1 and not channel
    _check_peaks(*_extremes(mono, start, source), float(np.abs(samples).max()) if several else 0.0)
    yield from iter([mono]) if source == rate else _resampled(iter([mono]), source, rate)


def check_rate(source: int, target: int) -> None:
    """Raise InputError for a sample rate that is too low for the target, as a damaged header may state."""
    if 0 < source * _LARGEST_RATIO < target:
        least = -(-target // _LARGEST_RATIO)
        raise InputError(f"sample rate too low: {source} Hz, wanted at least {least} Hz for a model of {target} Hz")


def read_excerpt(path: Path, start: float, end: float, channel: int = 0) -> tuple[NDArray[np.float32], int]:
    """Return the mono samples between two times in seconds, and their sample rate, which is the recording's.

    `channel` is that of `read_mono`.
    """
    samples, rate = read_channels(path, start, end)
    return _mono(samples, channel), rate


def read_channels(path: Path, start: float, end: float) -> tuple[NDArray[np.float32], int]:
    """Return the samples between two times in seconds, (frames, channels), and the sample rate of the recording."""
    state = file_state(path)
    if recent.file is None or recent.file[0] != state:  # each opening of an MP3 reads all of it to learn its length
        recent.file = None
        recording = open_recording(path)
        recent.file = state, recording.file, recording.frames
        open_files.add(recording.file)
    _, file, frames = recent.file
    first = min(max(0, round(start * file.samplerate)), frames)
    count = max(0, min(frames, round(end * file.samplerate)) - first)
    try:
        if isinstance(file, AvFile):
            samples = file.read_part(first, count)
        elif file.subtype == "VORBIS" and first:
            samples = _read_vorbis(path, first, count, frames)
        elif file.seekable() and not file.subtype.startswith(_NOT_SEEKABLE):
            lead = min(first, _MPEG_LEAD) if file.subtype.startswith("MPEG") else 0
            file.seek(first - lead)
            samples = file.read(lead + count, dtype="float32", always_2d=True)[lead:]
        else:
            samples = _read_from_start(path, first, count)
    except DECODING_ERRORS as error:
        raise InputError(f"undecodable at {start:.1f} s: {error_text(error)}") from error
    return samples, file.samplerate


def _only_forward(file: soundfile.SoundFile) -> None:
    """Stop soundfile from seeking after each read, at which mpg123 loses what it needs of earlier frames."""
    file.seekable = lambda: False


def _read_from_start(path: Path, first: int, count: int) -> NDArray[np.float32]:
    """Read samples of a codec that cannot seek."""
    with open_recording(path) as recording:
        file: Any = recording.file
        _only_forward(file)
        while first > 0 and (skipped := len(file.read(min(first, _SAMPLES_AT_ONCE), dtype="float32"))):
            first -= skipped
        return np.asarray(file.read(count, dtype="float32", always_2d=True))


def _mono(samples: NDArray[np.float32], channel: int) -> NDArray[np.float32]:
    """Return one channel of samples (frames, channels), or the mean of all if its number is 0; one is a view."""
    channels = samples.shape[1]
    check_channel(channels, channel)
    if channels == 1:
        return samples[:, 0]
    if channel:
        return samples[:, channel - 1].copy()
    return np.asarray(samples.mean(axis=1, dtype=np.float32))


def _read_vorbis(path: Path, first: int, count: int, frames: int) -> NDArray[np.float32]:
    """Read samples of Ogg Vorbis, in which libsndfile may miss the place when it seeks."""
    from audiosae.system.sound_files import open_sound_file

    with path.open("rb") as file, MappedFile(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        part, end = vorbis_part(content, first, first + count, frames)
    with open_sound_file(io.BytesIO(part)) as pages:
        samples = np.asarray(pages.read(dtype="float32", always_2d=True))
    begin = first - (end - len(samples))
    return samples[max(0, begin) : max(0, begin + count)]


class _Reader:
    """Reader of all blocks of an open file, which checks the samples as they come."""

    def __init__(self, recording: OpenRecording, path: Path, channel: int) -> None:
        self._recording, self._path, self._channel = recording, path, channel
        self._file: Any = recording.file
        self._low, self._high = np.inf, -np.inf  # of the channel, or of the mean of the channels
        self._peak = 0.0  # of all channels, if they are averaged
        self._frames = 0
        self._error = ""
        self._integers: NDArray[np.int16] | None = None
        _only_forward(self._file)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        file, stated = self._file, self._recording.frames
        frames = max(0, min(stated, max(1024, _SAMPLES_AT_ONCE // file.channels)))
        read = self._read_integers if file.subtype == "PCM_16" and file.format in _UNCODED else self._read
        buffer = np.empty((frames, file.channels), np.float32)
        while self._frames < stated and not self._error:
            samples = read(buffer)[: stated - self._frames]
            if not len(samples):
                return
            mono = _mono(samples, self._channel)
            low, high = _extremes(mono, self._frames / file.samplerate, file.samplerate)
            self._low, self._high = min(self._low, low), max(self._high, high)
            if file.channels > 1 and not self._channel:
                self._peak = max(self._peak, float(samples.max()), -float(samples.min()))
            self._frames += len(mono)
            yield mono
            if file.channels == 1:  # the block is not a copy
                buffer = np.empty((frames, 1), np.float32)

    def _read_integers(self, buffer: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fill the buffer from 16-bit samples: the same numbers, without libsndfile's slow conversion."""
        if self._integers is None:
            self._integers = np.empty(buffer.shape, np.int16)
        try:
            integers = self._file.read(out=self._integers)
        except DECODING_ERRORS:
            self._file.seek(self._frames)
            return self._read(buffer)
        return np.asarray(np.multiply(integers, np.float32(2.0**-15), out=buffer[: len(integers)]))

    def _read(self, buffer: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fill the buffer, or as much of it as can be decoded before an error."""
        buffer.fill(np.nan)
        try:
            return np.asarray(self._file.read(out=buffer))
        except DECODING_ERRORS as error:
            self._error = error_text(error)
            return buffer[: int(np.argmax(np.append(np.isnan(buffer[:, 0]), True)))]

    def check(self) -> str:
        """Return, after the last block, why only a part was read, or ""; raise InputError for unusable samples."""
        is_known = self._error or isinstance(self._file, AvFile)
        problem = "" if is_known else repair.find_problem(self._path, self._file.format, self._frames)
        log = self._file.extra_info
        cut = problem == CUT or any(message in log for message in _CUT)
        if not self._frames:
            empty = "truncated before the first" if cut else "zero frames in the file"
            raise InputError(f"undecodable: {self._error}" if self._error else f"no samples: {empty}")
        _check_peaks(self._low, self._high, self._peak)
        return self._missing_part(problem, cut=cut)

    def _missing_part(self, problem: str, *, cut: bool) -> str:
        file, stated, end = self._file, self._recording.frames, f"{self._frames / self._file.samplerate:.1f} s"
        if isinstance(file, AvFile):
            return file.problem(self._frames)
        if stated == repair.UNKNOWN:  # at the end of a FLAC of unknown length, the decoder reports an error
            return ""
        if problem in {BLOCKS, JOINED, SKIPPED}:
            return problem
        if problem and problem != CUT:
            return f"only the first {end}: {problem}"
        is_exact = self._recording.is_counted or not file.subtype.startswith(ESTIMATED_LENGTH)
        error = f" ({self._error})" if self._error else ""
        if self._error or cut or (is_exact and self._frames < stated):
            return f"truncated at {end}{error}"
        return f"only the first {end}: {_UNTIMED}" if _WRONG_TIMES in file.extra_info else ""


def _extremes(mono: NDArray[np.float32], start: float, rate: int) -> tuple[float, float]:
    """Return the lowest and highest of some samples from a time (s) on; raise InputError if they are no sound."""
    low, high = float(mono.min()), float(mono.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        at = start + int(np.argmin(np.isfinite(mono))) / rate
        raise InputError(f"NaN or infinite samples: the first at {at:.1f} s")
    if max(-low, high) > _LARGEST_SAMPLE:
        raise InputError(f"samples too large: up to {max(-low, high):.0e}, wanted about 1")
    return low, high


def _check_peaks(low: float, high: float, channels: float) -> None:
    """Raise InputError for a mean of channels, from `low` to `high`, that has no sound; `channels` is their peak."""
    peak = max(-low, high)
    if peak < _CANCELLED * channels:
        level = f"{20 * np.log10(channels / peak):.0f} dB below the loudest" if peak else "zero"
        solution = "read one with --channel 1 (survey, find) or --set channel=1 (train)"
        raise InputError(f"channels cancel: their mean is {level}; {solution}")
    if low == high:
        raise InputError("silent: every sample is the same")


def _resampled(blocks: Iterator[NDArray[np.float32]], source: int, target: int) -> Iterator[NDArray[np.float32]]:
    """Resample a stream with soxr at its "HQ" quality, librosa's default."""
    import soxr

    try:
        stream = soxr.ResampleStream(source, target, 1, dtype="float32", quality="HQ")
        step = max(1, _RESAMPLED_AT_ONCE * source // target)
        for block in blocks:
            for at in range(0, len(block), step):
                yield stream.resample_chunk(block[at : at + step])
        yield stream.resample_chunk(np.empty(0, np.float32), last=True)
    except DECODING_ERRORS as error:
        raise InputError(f"cannot be resampled from {source} to {target} Hz: {error_text(error)}") from error
