"""Sample rates of recordings from their headers; constant offsets and digital zeros from some seconds of sound."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from audiosae.errors import InputError
from audiosae.recordings.audio import check_channel, read_excerpt
from audiosae.recordings.bands import ZERO
from audiosae.recordings.opening import read_header
from audiosae.system.stderr import CapturedStderr, capture_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from audiosae.recordings.opening import Header

_HEADERS_READ = 200  # to choose a sample rate
_HIGHEST_RATE = 22050  # enough for speech, music and most animals; recordings of ultrasound keep their rate
_LOWEST_RATE = 1000  # a lower one is chosen only if no recording has more: a damaged header may state a few hertz
ULTRASOUND_RATE = 192000
_OFFSET_SECONDS = 2.0  # from the start of a recording, in which a constant offset is measured
_LARGE_OFFSET = 0.5  # of the standard deviation: levels relative to the loudest then change by 2 dB or more
_CHECKED_SECONDS, _CHECKED_PARTS = 20.0, 10  # of a recording, evenly spaced, that are searched for digital zeros
_ZERO_SECONDS = 0.1  # the shortest stretch of digital zeros that is reported


def common_rate(paths: Sequence[Path], channel: int = 0) -> int:
    """Return the sample rate of most of the sound, by duration, from headers; rates above 22050 Hz become 22050 Hz.

    Rates of ultrasound recordings, 192 kHz or more, are returned as they are. Recordings without the channel do not
    count.
    """
    seconds: defaultdict[int, float] = defaultdict(float)
    for header in _headers(paths, channel):
        seconds[header.rate] += 1 + min(header.seconds, 1e6)
    rate = max(sorted(seconds), key=lambda rate: (rate >= _LOWEST_RATE, seconds[rate]), default=_HIGHEST_RATE)
    return rate if rate >= ULTRASOUND_RATE else min(rate, _HIGHEST_RATE)


def rates(paths: Sequence[Path], channel: int = 0) -> Counter[int]:
    """Return the number of recordings of each sample rate, from at most a few hundred headers."""
    return Counter(header.rate for header in _headers(paths, channel))


def _headers(paths: Sequence[Path], channel: int) -> Iterator[Header]:
    """Yield the headers of evenly spaced recordings that can be read and have the channel."""
    for path in paths[:: max(1, len(paths) // _HEADERS_READ)]:
        with suppress(InputError), capture_stderr(CapturedStderr()):  # errors are reported when the file is read
            header = read_header(path)
            check_channel(header.channels, channel)
            yield header


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


def has_zeros(path: Path, channel: int = 0) -> bool:
    """Return whether a recording has a stretch of digital zeros, in all of a short one, or in parts of a long one.

    Raises
    ------
    InputError
        The recording cannot be decoded.
    """
    seconds, length, parts = read_header(path).seconds, _CHECKED_SECONDS, [0.0]
    if seconds > _CHECKED_SECONDS:
        length = _CHECKED_SECONDS / _CHECKED_PARTS
        parts = np.linspace(0, seconds - length, _CHECKED_PARTS).tolist()
    for start in parts:
        samples, rate = read_excerpt(path, start, start + length, channel)
        sound = np.flatnonzero(np.abs(samples) > ZERO)
        gaps = np.diff(np.concatenate([[-1], sound, [len(samples)]])) - 1
        if gaps.max() >= _ZERO_SECONDS * rate:
            return True
    return False
